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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LENGTHS = (0.6, 1.0, 1.6, 2.5, 4.0)  # of the kernel, in ranges of a constant: long ones are valleys
VARIANCES = tuple(4.0**power for power in range(8))  # of the loss, in squares of the usual difference
ALONE = 0.8  # of the variance that is a sum over the constants
LEAST_NOISE = 1e-6  # variance of what is seen, and of a place as a share of the loss's: keeps matrices regular
OUTLIER = 1.5  # losses beyond so many usual differences say "bad" and no more


@dataclass(frozen=True, eq=False)
class Surrogate:
    """What is known of the loss over places (N, constants) from 0 to 1, up to a constant. Losses are scaled inside."""

    places: Floats
    known: Floats  # (N,), what is believed of the places themselves
    length: float
    weights: Floats

    @classmethod
    def fitted(cls, places: Floats, pairs: NDArray[np.int64], losses: Floats, sds: Floats) -> Surrogate:
        """pairs (M, 2): two different places that were compared. losses (M,): how much more the first one's was, with
        standard deviations (M,); all finite."""
        if not len(losses):
            return cls(places, np.zeros(len(places)), LENGTHS[0], np.zeros(len(places)))
        usual = float(np.median(np.abs(losses))) or float(np.abs(losses).max()) or 1.0
        cut = np.minimum(losses, OUTLIER * usual)
        spread = float(np.sqrt(np.mean(cut**2))) or 1.0
        scaled, noise = cut / spread, (sds / spread) ** 2 + LEAST_NOISE
        told = np.zeros((len(losses), len(places)))  # each difference as a sum over the places
        np.add.at(told, (np.arange(len(losses)), pairs[:, 0]), 1.0)
        np.add.at(told, (np.arange(len(losses)), pairs[:, 1]), -1.0)
        found = []
        for length in LENGTHS:
            covariance = kernel(places, places, length) + LEAST_NOISE * np.eye(len(places))
            found += [cls._of(places, told, scaled, noise, length, covariance, variance) for variance in VARIANCES]
        return max(found, key=lambda one: one[0])[1]

    @classmethod
    def _of(
        cls,
        places: Floats,
        told: Floats,
        losses: Floats,
        noise: Floats,
        length: float,
        covariance: Floats,
        variance: float,
    ) -> tuple[float, Surrogate]:
        """(log likelihood of what was seen, the process)"""
        factor = np.linalg.cholesky(variance * (told @ covariance @ told.T) + np.diag(noise))
        found = np.linalg.solve(factor.T, np.linalg.solve(factor, losses))
        likely = -0.5 * float(losses @ found) - float(np.log(np.diag(factor)).sum())
        weights = variance * (told.T @ found)
        return likely, cls(places, covariance @ weights, length, weights)

    def expected(self, candidates: Floats) -> Floats:
        """The loss to expect of each of the candidates (M, constants), scaled, up to a constant."""
        found: Floats = kernel(candidates, self.places, self.length) @ self.weights
        return found


def kernel(one: Floats, other: Floats, length: float) -> Floats:
    """(N, M) covariances of places (N, constants) and (M, constants)."""
    apart = (one[:, None, :] - other[None, :, :]) ** 2 / (length * length)
    alone = np.exp(-0.5 * apart).mean(axis=2)
    together = np.exp(-0.5 * apart.sum(axis=2) / one.shape[1])
    joined: Floats = ALONE * alone + (1 - ALONE) * together
    return joined
