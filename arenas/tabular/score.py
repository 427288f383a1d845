"""Cross-validated log loss of the model, on folds that no run can know, with what it costs beside it.

For every fold one process trains on the other folds and answers with a model, which is bytes to us; another process,
which never saw a label, gets the model and the images of the fold and answers with probabilities. Loss, time and size
are computed here. Folds, order and noise are drawn from AUTORESEARCH_DRAW: the same for every experiment on one seed,
so that experiments can be paired, and told to scorers alone.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sklearn.datasets
from confined import Child, Failed, has_walls, shield, strangers
from data import CLASSES, blurred, digits

FOLDS = 3
BATCH = 50  # images asked at once
SECONDS = 60.0  # for training
LARGEST = 64 << 20  # bytes of a model
SERVE = Path.cwd() / "serve.py"
DATA_SETS = Path(sklearn.datasets.__file__).resolve().parent / "data"


@dataclass(frozen=True)
class Fold:
    """What one fold cost: the losses of its images, whether each was right, and what it took."""

    losses: np.ndarray
    right: np.ndarray
    fit_seconds: float
    latency_ms: float  # processor milliseconds for 50 images
    size_kb: float


def child(half: str) -> Child:
    """One half of the model. It is not heard: with last words it could tell the agent which images a seed asks."""
    folder = os.environ["AUTORESEARCH_SNAPSHOT"]
    return Child(SERVE, folder, half, seconds=SECONDS, walls=has_walls(), heard=False, hidden=(DATA_SETS,))


def alone() -> None:
    """Raises Failed where an ended process left another one behind, which could tell the next one what it saw."""
    if strangers(()):
        raise Failed("background_work", "The model left a process behind.")


def train(images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[bytes, float]:
    """The model as bytes, and processor seconds. Raises Failed."""
    rows = np.column_stack([images, labels, np.full(len(labels), seed)]).astype(np.float64)
    trainer = child("fit")
    try:
        answer = trainer.ask(rows.tobytes(), most_bytes=LARGEST, seconds=SECONDS)
    finally:
        trainer.end()
    alone()
    return answer.content, answer.cpu


def ask(model: bytes, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Probabilities (N, 10), checked, and processor milliseconds of the median batch. Raises Failed."""
    found, taken = [], []
    server = child("predict")
    try:
        server.ask(model, most_bytes=64, seconds=SECONDS)
        for first in range(0, len(images), BATCH):
            batch = images[first : first + BATCH]
            answer = server.ask(batch.tobytes(), most_bytes=8 * CLASSES * len(batch), seconds=SECONDS)
            if len(answer.content) != 8 * CLASSES * len(batch):
                raise Failed("bad_output", f"predict must give {CLASSES} probabilities for each image.")
            found.append(np.frombuffer(answer.content).reshape(-1, CLASSES))
            taken.append(1000.0 * answer.cpu * BATCH / len(batch))
    finally:
        server.end()
    alone()
    said = np.concatenate(found)
    if not np.isfinite(said).all() or (said < 0).any():
        raise Failed("bad_output", "A probability is negative or no number.")
    if not np.allclose(said.sum(axis=1), 1.0, rtol=0.0, atol=1e-6):
        raise Failed("unnormalised", "The probabilities of an image do not sum to one.")
    return said, statistics.median(taken)


def measure(train_on: tuple[np.ndarray, np.ndarray], ask_for: tuple[np.ndarray, np.ndarray], seed: int) -> Fold:
    model, fit_seconds = train(*train_on, seed)
    images, labels = ask_for
    said, latency = ask(model, images)
    chosen = np.maximum(said[np.arange(len(labels)), labels], 1e-15)
    return Fold(-np.log(chosen), said.argmax(axis=1) == labels, fit_seconds, latency, len(model) / 1024)


def folds(split: str, rng: np.random.Generator, seed: int) -> list[Fold]:
    """Every image of `val` is asked once by a model that did not see it; the exam trains on `val` and asks `test`."""
    images, labels = digits("val")
    images = blurred(images, rng)
    if split == "test":
        exam, answers = digits("test")
        some = rng.permutation(len(labels))[: len(labels) * 4 // 5]
        order = rng.permutation(len(answers))
        return [measure((images[some], labels[some]), (blurred(exam, rng)[order], answers[order]), seed)]
    order = rng.permutation(len(labels))
    found = []
    for asked in np.array_split(order, FOLDS):
        others = rng.permutation(np.setdiff1d(order, asked))
        found.append(measure((images[others], labels[others]), (images[asked], labels[asked]), seed))
    return found


def code_kb() -> float:
    """Compressed size of the model's source: what is short can hold no data."""
    return len(zlib.compress((Path(os.environ["AUTORESEARCH_SNAPSHOT"]) / "model.py").read_bytes(), 9)) / 1024


def main() -> int:
    shield()
    draw = int(os.environ["AUTORESEARCH_DRAW"], 16)
    seed = int(os.environ["AUTORESEARCH_SEED"])
    try:
        found = folds(os.environ.get("AUTORESEARCH_SPLIT", "val"), np.random.default_rng(draw), seed)
    except Failed as failure:
        code, detail = failure.args
        print(json.dumps({"rejected": code, "detail": detail}))
        return 0
    losses = np.concatenate([fold.losses for fold in found])
    score, doubt = float(losses.mean()), 1.96 * float(losses.std()) / math.sqrt(len(losses))
    secondary = {
        # coarse, for the model could write messages about its images into the last digits
        "accuracy": round(float(np.concatenate([fold.right for fold in found]).mean()), 4),
        "latency_ms": round(statistics.median(fold.latency_ms for fold in found), 1),
        "fit_seconds": round(sum(fold.fit_seconds for fold in found), 1),
        "size_kb": float(math.ceil(max(fold.size_kb for fold in found))),
        "code_kb": round(code_kb(), 3),
        "walls": float(has_walls()),
    }
    answer = {
        "score": score,
        "interval": [score - doubt, score + doubt],
        "secondary": secondary,
    }
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
