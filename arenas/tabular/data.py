"""The digits that scikit-learn ships: 1,797 images of 8 by 8 pixels, and the split for the closing exam."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

CLASSES = 10
JITTER = 0.5  # of a pixel's 16 levels: no image is met twice in the same bits


def digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 64) with values 0..16 and labels (N,) of `val`, three quarters of all, or `test`, the rest."""
    found = load_digits()
    exam = np.random.default_rng(20240601).random(len(found.target)) < 0.25
    chosen = exam if split == "test" else ~exam
    return found.data[chosen].astype(np.float64), found.target[chosen].astype(np.int64)


def blurred(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The images under a little noise."""
    return images + rng.normal(0.0, JITTER, images.shape)
