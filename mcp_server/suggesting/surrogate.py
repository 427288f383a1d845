"""Which of many candidates promises most: what a Gaussian process expects of them, from what is known. Pure.

A process whose kernel is mostly a sum over the constants: what each does alone shows first, and from it what several do
together. What is observed are differences of two places, measured at one moment, each with its own noise: the kernel of
a difference follows from that of the loss, so a chain of incumbents, another lab's step and a repeat all fit in.
Length and variance of the kernel are those that make what was seen most likely (Rasmussen & Williams 2006, chapter 5);
with a variance that is not fitted, or a roughness of each place that is, the process takes slopes for noise
(dev/LOG.md). The least expected loss is chosen, not the greatest expected improvement: a night is short, and what is
unknown is probed (dev/LOG.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LENGTHS = (0.6, 1.0, 1.6, 2.5, 4.0)  # of the kernel, in ranges of a constant: long ones are valleys
VARIANCES = 4.0 ** np.arange(8)  # of the loss, in squares of the usual difference
ALONE = 0.8  # of the variance that is a sum over the constants
LEAST_NOISE = 1e-6  # variance of what is seen, and of a place as a share of the loss's: keeps matrices regular
OUTLIER = 1.5  # losses beyond so many usual differences say "bad" and no more


@dataclass(frozen=True, eq=False)
class Surrogate:
    """What is known of the loss over places (N, constants) from 0 to 1, up to a constant, in usual differences.

    pairs (M, 2): the places that were compared; losses (M,) of the first over the second, their noise (M,) a variance.
    """

    places: Floats
    pairs: NDArray[np.int64]
    losses: Floats
    noise: Floats
    length: float = LENGTHS[0]
    variance: float = 1.0

    @classmethod
    def fitted(cls, places: Floats, pairs: NDArray[np.int64], losses: Floats, sds: Floats) -> Surrogate:
        """pairs (M, 2): two different places that were compared. losses (M,): how much more the first one's was, with
        standard deviations (M,); all finite."""
        if not len(losses):
            return cls(places, pairs, losses, sds)
        usual = float(np.median(np.abs(losses))) or float(np.abs(losses).max()) or 1.0
        cut = np.minimum(losses, OUTLIER * usual)
        spread = float(np.sqrt(np.mean(cut**2))) or 1.0
        found = cls(places, pairs, cut / spread, (sds / spread) ** 2 + LEAST_NOISE)
        length, variance = found._likeliest()
        return replace(found, length=length, variance=variance)

    def _likeliest(self) -> tuple[float, float]:
        """Length and variance: along the modes of what was seen, in units of its noise, all variances at once."""
        sharp = 1.0 / np.sqrt(self.noise)
        found = []
        for length, covariance in zip(LENGTHS, _covariances(self.places, LENGTHS), strict=True):
            seen = sharp[:, None] * self._of_differences(covariance) * sharp
            strengths, modes = np.linalg.eigh(seen)
            grown = 1.0 + VARIANCES[:, None] * np.maximum(strengths, 0.0)
            likely = -0.5 * ((modes.T @ (sharp * self.losses)) ** 2 / grown + np.log(grown)).sum(axis=1)
            best = int(likely.argmax())
            found.append((float(likely[best]), length, float(VARIANCES[best])))
        return max(found)[1:]

    def with_running(self, place: Floats) -> Surrogate:
        """The same with one more place, under way from where we stand: it counts as one that brings nothing."""
        pairs = np.vstack([self.pairs, [len(self.places), 0]])
        places, losses = np.vstack([self.places, place]), np.append(self.losses, 0.0)
        return replace(self, places=places, pairs=pairs, losses=losses, noise=np.append(self.noise, LEAST_NOISE))

    @cached_property
    def weights(self) -> Floats:
        """(N,), of each place in what is expected of others."""
        seen = self._of_differences(self._covariance) + np.diag(self.noise)
        solved, count = np.linalg.solve(seen, self.losses), len(self.places)
        one, other = (np.bincount(side, solved, count).astype(np.float64) for side in self.pairs.T)
        found: Floats = one - other
        return found

    def _of_differences(self, covariance: Floats) -> Floats:
        """(M, M) from that of the places; no product of matrices, whose threads wait for each other beside a run."""
        one, other = self.pairs.T
        rows = covariance[one] - covariance[other]
        found: Floats = rows[:, one] - rows[:, other]
        return found

    @property
    def known(self) -> Floats:
        """(N,), what is believed of the places themselves."""
        found: Floats = self._covariance @ self.weights
        return found

    @cached_property
    def _covariance(self) -> Floats:
        return self.variance * next(_covariances(self.places, (self.length,)))

    def expected(self, candidates: Floats) -> Floats:
        """The loss to expect of candidates (M, constants) over that of the first place, in usual differences.

        What a constant does alone is asked for where it moves: of many constants a candidate moves few.
        """
        here, count = self.places[0], len(self.places[0])
        rows, moved = np.nonzero(candidates != here)
        theirs = self.places[:, moved]
        near, far = (_fallen((at - theirs) ** 2, self.length) for at in (candidates[rows, moved], here[moved]))
        alone = np.bincount(rows, self.weights @ (near - far), len(candidates)) / count
        together = _fallen(_apart(candidates, self.places) / count, self.length)
        there = _fallen(_apart(here[None], self.places) / count, self.length)
        found: Floats = self.variance * (ALONE * alone + (1 - ALONE) * ((together - there) @ self.weights))
        return found


def _fallen(squares: Floats, length: float) -> Floats:
    found: Floats = np.exp(squares * (-0.5 / length**2))
    return found


def _apart(one: Floats, other: Floats) -> Floats:
    """(N, M) squared distances of places (N, constants) and (M, constants)."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    found: Floats = np.maximum(squares, 0.0)
    return found


def _covariances(places: Floats, lengths: Sequence[float]) -> Iterator[Floats]:
    """(N, N) of places (N, constants), of variance one, for each length; what nobody moved is the same everywhere."""
    count = places.shape[1]
    live = places[:, (places != places[0]).any(axis=0)]
    apart = (live[:, None, :] - live[None, :, :]) ** 2
    together, still = apart.sum(axis=2) / count, count - live.shape[1]
    for length in lengths:
        alone = (_fallen(apart, length).sum(axis=2) + still) / count
        yield ALONE * alone + (1 - ALONE) * _fallen(together, length) + LEAST_NOISE * np.eye(len(places))
