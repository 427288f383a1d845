"""Which of many candidates promises most: what a Gaussian process expects of them, from what is known. Pure.

A process whose kernel is mostly a sum over the constants: what each does alone shows first, and from it what several do
together. Observations carry their own noise. The length of the kernel is the one that makes what was seen most likely
(Rasmussen & Williams 2006, chapter 5). The least expected loss is chosen, not the greatest expected improvement: a
night is short, and what is unknown was probed before (dev/LOG.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LENGTHS = (0.6, 1.0, 1.6)  # of the kernel, in ranges of a constant
ALONE = 0.8  # of the variance that is a sum over the constants
LEAST_NOISE = 1e-4  # variance, of what is seen
OUTLIER = 3.0  # losses beyond so many usual ones above the best say "bad" and no more


@dataclass(frozen=True, eq=False)
class Surrogate:
    """What is known of the loss over places (N, constants) from 0 to 1. Losses are standardised inside."""

    places: Floats
    length: float
    weights: Floats

    @classmethod
    def fitted(cls, places: Floats, losses: Floats, sds: Floats) -> Surrogate:
        """losses (N,), smaller is better, with standard deviations (N,); all finite."""
        best = float(losses.min())
        usual = float(np.median(losses - best)) or float((losses - best).max()) or 1.0
        cut = np.minimum(losses, best + OUTLIER * usual)
        spread = float(cut.std()) or 1.0
        scaled, noise = (cut - cut.mean()) / spread, (sds / spread) ** 2 + LEAST_NOISE
        found = [cls._of(places, scaled, noise, length) for length in LENGTHS]
        return max(found, key=lambda one: one[0])[1]

    @classmethod
    def _of(cls, places: Floats, losses: Floats, noise: Floats, length: float) -> tuple[float, Surrogate]:
        """(log likelihood of what was seen, the process)"""
        factor = np.linalg.cholesky(kernel(places, places, length) + np.diag(noise))
        weights = np.linalg.solve(factor.T, np.linalg.solve(factor, losses))
        likely = -0.5 * float(losses @ weights) - float(np.log(np.diag(factor)).sum())
        return likely, cls(places, length, weights)

    def expected(self, candidates: Floats) -> Floats:
        """The loss to expect of each of the candidates (M, constants), standardised."""
        found: Floats = kernel(candidates, self.places, self.length) @ self.weights
        return found


def kernel(one: Floats, other: Floats, length: float) -> Floats:
    """(N, M) covariances of places (N, constants) and (M, constants)."""
    apart = (one[:, None, :] - other[None, :, :]) ** 2 / (length * length)
    alone = np.exp(-0.5 * apart).mean(axis=2)
    together = np.exp(-0.5 * apart.sum(axis=2) / one.shape[1])
    joined: Floats = ALONE * alone + (1 - ALONE) * together
    return joined
