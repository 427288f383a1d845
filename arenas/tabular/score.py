"""Log loss of the model on images that no training of this scoring has seen, with what it costs beside it.

A third of the images is asked; of the others three samples are drawn. For each sample one process trains on it and
answers with a model, which is bytes to us; another process, which never saw a label, gets the model and the asked
images and answers with probabilities. Loss, time and size are computed here. No process is ever given the label of an
asked image, so there is nothing that one of them could tell another. (Cross-validation would ask every image, and each
training would hold the labels that the next one is asked for.) What is asked, the samples, their order and the noise
are drawn from AUTORESEARCH_DRAW: the same for every experiment on one seed, so that experiments can be paired, and told
to scorers alone.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import sklearn.datasets
from confined import SYSTEM, Child, Failed, has_walls, scorers_own, shield, strangers
from data import CLASSES, blurred, digits

ASKED = 1 / 3  # of the images
SAMPLES = 3  # models that are trained, each on its own sample of the other images
SAMPLE = 0.8  # of the other images
BATCH = 50  # images asked at once
SECONDS = 60.0  # for training
LARGEST = 64 << 20  # bytes of a model
SERVE = Path.cwd() / "serve.py"
DATA_SET = "digits.csv.gz"  # the file of the images and their labels


@dataclass(frozen=True)
class Trial:
    """One trained model: the loss of each asked image, whether it was right, and what it took."""

    asked: np.ndarray  # their numbers
    losses: np.ndarray
    right: np.ndarray
    fit_seconds: float
    latency_ms: float  # processor milliseconds for 50 images
    size_kb: float


@lru_cache(maxsize=1)
def data_sets() -> tuple[Path, ...]:
    """Every folder below what Python may read in which the images lie: another Python may have them as well."""
    here = Path(sklearn.datasets.__file__).resolve().parent / "data"
    roots = {Path(place).resolve() for place in (sys.prefix, sys.base_prefix, *filter(None, sys.path), *SYSTEM)}
    return tuple({here, *(Path(folder) for root in roots for folder, _, files in os.walk(root) if DATA_SET in files)})


@contextmanager
def child(half: str) -> Iterator[Child]:
    """One half of the model, in a folder that holds its file alone. Raises Failed.

    It is not heard: with last words it could tell the agent which images a seed asks.
    """
    with tempfile.TemporaryDirectory(prefix="model-") as home:
        for origin in (SERVE, Path(os.environ["AUTORESEARCH_SNAPSHOT"]) / "model.py"):
            if not origin.is_file():
                raise Failed("bad_output", f"There is no {origin.name}.")
            shutil.copyfile(origin, Path(home).resolve() / origin.name)
        gone = [*data_sets(), *scorers_own()]
        script = Path(home).resolve() / SERVE.name
        one = Child(script, str(script.parent), half, seconds=SECONDS, walls=has_walls(), heard=False, hidden=gone)
        try:
            yield one
        finally:
            one.end()


def alone() -> None:
    """Raises Failed where an ended process left another one behind, which could tell the next one what it saw."""
    if strangers(()):
        raise Failed("background_work", "The model left a process behind.")


def train(images: np.ndarray, labels: np.ndarray, seed: int) -> tuple[bytes, float]:
    """The model as bytes, and processor seconds. Raises Failed."""
    rows = np.column_stack([images, labels, np.full(len(labels), seed)]).astype(np.float64)
    with child("fit") as trainer:
        answer = trainer.ask(rows.tobytes(), most_bytes=LARGEST, seconds=SECONDS)
    alone()
    return answer.content, answer.cpu


def ask(model: bytes, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Probabilities (N, 10), checked, and processor milliseconds of the median batch. Raises Failed."""
    found, taken = [], []
    with child("predict") as server:
        server.ask(model, most_bytes=64, seconds=SECONDS)
        for first in range(0, len(images), BATCH):
            batch = images[first : first + BATCH]
            answer = server.ask(batch.tobytes(), most_bytes=8 * CLASSES * len(batch), seconds=SECONDS)
            if len(answer.content) != 8 * CLASSES * len(batch):
                raise Failed("bad_output", f"predict must give {CLASSES} probabilities for each image.")
            found.append(np.frombuffer(answer.content).reshape(-1, CLASSES))
            taken.append(1000.0 * answer.cpu * BATCH / len(batch))
    alone()
    said = np.concatenate(found)
    if not np.isfinite(said).all() or (said < 0).any():
        raise Failed("bad_output", "A probability is negative or no number.")
    if not np.allclose(said.sum(axis=1), 1.0, rtol=0.0, atol=1e-6):
        raise Failed("unnormalised", "The probabilities of an image do not sum to one.")
    return said, statistics.median(taken)


def measure(
    train_on: tuple[np.ndarray, np.ndarray], ask_for: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int
) -> Trial:
    model, fit_seconds = train(*train_on, seed)
    images, labels, numbers = ask_for
    said, latency = ask(model, images)
    chosen = np.maximum(said[np.arange(len(labels)), labels], 1e-15)
    return Trial(numbers, -np.log(chosen), said.argmax(axis=1) == labels, fit_seconds, latency, len(model) / 1024)


def trials(split: str, rng: np.random.Generator, seed: int) -> list[Trial]:
    """Each model is asked the same images: a third of `val`, and in the exam all of `test`."""
    images, labels = digits("val")
    images = blurred(images, rng)
    order = rng.permutation(len(labels))
    if split == "test":
        exam, answers = digits("test")
        asked, others = (blurred(exam, rng), answers, np.arange(len(answers))), order
    else:
        first = round(len(order) * ASKED)
        asked, others = (images[order[:first]], labels[order[:first]], order[:first]), order[first:]
    found = []
    for _ in range(SAMPLES):
        some = rng.permutation(others)[: round(len(others) * SAMPLE)]
        found.append(measure((images[some], labels[some]), asked, seed))
    return found


def code_kb() -> float:
    """Compressed size of the model's source: what is short can hold no data."""
    return len(zlib.compress((Path(os.environ["AUTORESEARCH_SNAPSHOT"]) / "model.py").read_bytes(), 9)) / 1024


def main() -> int:
    shield()
    draw = int(os.environ["AUTORESEARCH_DRAW"], 16)
    seed = int(os.environ["AUTORESEARCH_SEED"])
    try:
        found = trials(os.environ.get("AUTORESEARCH_SPLIT", "val"), np.random.default_rng(draw), seed)
    except Failed as failure:
        code, detail = failure.args
        print(json.dumps({"rejected": code, "detail": detail}))
        return 0
    losses = np.mean([trial.losses for trial in found], axis=0)  # of each image: three models are no three images
    score, doubt = float(losses.mean()), 1.96 * float(losses.std()) / math.sqrt(len(losses))
    secondary = {
        # coarse, for the model could write messages about its images into the last digits
        "accuracy": round(float(np.concatenate([trial.right for trial in found]).mean()), 4),
        "latency_ms": round(statistics.median(trial.latency_ms for trial in found), 1),
        "fit_seconds": round(sum(trial.fit_seconds for trial in found), 1),
        "size_kb": float(math.ceil(max(trial.size_kb for trial in found))),
        "code_kb": round(code_kb(), 3),
        "walls": float(has_walls()),
    }
    answer = {
        # coarse as well: from all digits of a sum of losses the labels behind it can be solved for
        "score": round(score, 4),
        "interval": [round(score - doubt, 4), round(score + doubt, 4)],
        "secondary": secondary,
        # of each image, for the referee alone: will a gain hold on others?
        "units": {str(number): round(float(loss), 6) for number, loss in zip(found[0].asked, losses, strict=True)},
    }
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
