"""A tiny corpus, and train.py as a module upon it."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.shipped.models import LENGTH, ROOT


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny corpus of made-up sentences, with words that come back."""
    folder, rng = tmp_path_factory.mktemp("texts"), random.Random(0)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 7))) for _ in range(120)] + ["日本", "🦊"]
    for i in range(40):
        own = rng.sample(words, 25)
        (folder / f"{i}.txt").write_text("\n".join(" ".join(rng.choices(own, k=8)) for _ in range(60)))
    options = ["--vocab-size", "400", "--sequence-length", str(LENGTH), "--jobs", "1", "--cache", str(folder / "cache")]
    command = [sys.executable, str(ROOT / "prepare.py"), "--corpus", f"{folder}/*.txt", *options, "--no-search"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "cache"


@pytest.fixture(autouse=True)
def _surroundings(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(cache))
    monkeypatch.setenv("AUTORESEARCH_DEVICE", "cpu")
    monkeypatch.setenv("AUTORESEARCH_SEED", "7")
    monkeypatch.delenv("AUTORESEARCH_DATA", raising=False)
    monkeypatch.delenv("AUTORESEARCH_OUT", raising=False)


@pytest.fixture
def train(_surroundings: None) -> Iterator[ModuleType]:
    """A fresh import of train.py, with tables small enough for a test."""
    spec = importlib.util.spec_from_file_location("train", ROOT / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train"] = module
    spec.loader.exec_module(module)
    module.COUNT_SLOTS, module.WINDOW = 2**14, 16
    module.GRAM_SLOTS = min(module.GRAM_SLOTS, 2**10)
    yield module
    del sys.modules["train"]
