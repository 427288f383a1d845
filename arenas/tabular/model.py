"""A classifier of small images: `fit` gives a trained model as bytes, `predict` turns it and images into probabilities.

The two run in different processes, so the bytes are all that passes between them. Here: softmax regression on random
Fourier features (Rahimi & Recht 2007), by gradient descent. NumPy and scikit-learn are there.
"""

from __future__ import annotations

import io

import numpy as np

# ---- what to try ----
FEATURES = 60  # random features; more are better, larger and slower
KERNEL_WIDTH = 6.0  # of the Gaussian kernel that they stand for, in standardised pixels
STEPS = 40  # of gradient descent, each on all images
RATE = 4.0  # length of a step
MOMENTUM = 0.8
DECAY = 0.001  # pull of the weights towards zero
SMOOTHING = 0.02  # of the uniform distribution, mixed in: a probability of 0 that is wrong costs without limit


def features(images: np.ndarray, model: dict[str, np.ndarray]) -> np.ndarray:
    """(N, FEATURES) of images (N, 64)."""
    standard = (images - model["mean"]) / model["scale"]
    return np.cos(standard @ model["directions"] + model["phases"]) * np.sqrt(2.0 / len(model["phases"]))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit(images: np.ndarray, labels: np.ndarray, seed: int) -> bytes:
    """Train on images (N, 64) and labels (N,) from 0 to 9."""
    rng = np.random.default_rng(seed)
    model = {
        "mean": images.mean(axis=0),
        "scale": images.std(axis=0) + 1.0,
        "directions": rng.normal(0.0, 1.0 / KERNEL_WIDTH, (images.shape[1], FEATURES)),
        "phases": rng.uniform(0.0, 2.0 * np.pi, FEATURES),
    }
    inputs, wanted = features(images, model), np.eye(10)[labels]
    weights, speed = np.zeros((FEATURES, 10)), np.zeros((FEATURES, 10))
    for _ in range(STEPS):
        slope = inputs.T @ (softmax(inputs @ weights) - wanted) / len(labels) + DECAY * weights
        speed = MOMENTUM * speed - RATE * slope
        weights = weights + speed
    file = io.BytesIO()
    np.savez(file, weights=weights, **model)
    return file.getvalue()


def predict(model: bytes, images: np.ndarray) -> np.ndarray:
    """Probabilities (N, 10) of images (N, 64)."""
    with np.load(io.BytesIO(model)) as file:
        trained = dict(file)
    sure = softmax(features(images, trained) @ trained["weights"])
    return (1.0 - SMOOTHING) * sure + SMOOTHING / 10
