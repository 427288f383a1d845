"""A tiny corpus and tiny models, so that one whole scoring takes seconds: tests and the abuse table build on it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

VOCAB = 64
WIDTH = 64
BOS = 0


def text(rng: np.random.Generator, tokens: int) -> np.ndarray:
    """Documents of a first-order Markov chain: a model has something to learn, and a leak something to win."""
    chain = rng.dirichlet(np.full(VOCAB - 1, 0.15), size=VOCAB)
    cumulative = chain.cumsum(axis=1)
    stream = np.zeros(tokens, np.uint16)
    draws = rng.random(tokens)
    for i in range(1, tokens):
        if i % 97 == 0:
            continue  # a document begins
        stream[i] = 1 + min(VOCAB - 2, int(np.searchsorted(cumulative[stream[i - 1]], draws[i])))
    return stream


def write_corpus(folder: Path, val_tokens: int = 6000) -> Path:
    """A prepared corpus as prepare.py leaves it on disk."""
    rng = np.random.default_rng(7)
    stream = text(rng, 4096 + val_tokens * 2)
    parts = {"train": stream[:4096], "val": stream[4096 : 4096 + val_tokens], "test_pool": stream[4096 + val_tokens :]}
    (folder / "public").mkdir(parents=True)
    (folder / "sealed").mkdir()
    token_bytes = np.where(np.arange(VOCAB) == BOS, 0, 1 + np.arange(VOCAB) % 4).astype(np.int32)
    sizes = {}
    for name, part in parts.items():
        part[0] = BOS
        place = folder / "public" / "train_00000.bin" if name == "train" else folder / "sealed" / f"{name}.bin"
        part.astype("<u2").tofile(place)
        starts = np.append(np.flatnonzero(part == BOS), len(part)).astype(np.int64)
        if name != "train":
            np.save(folder / "sealed" / f"{name}.docs.npy", starts)
        sizes[name] = {"tokens": len(part), "bytes": int(token_bytes[part].sum()), "documents": len(starts) - 1}
    np.save(folder / "sealed" / "token_bytes.npy", token_bytes)
    meta = {
        "format": 1,
        "corpus": "tiny",
        "fingerprint": hashlib.sha256(stream.tobytes()).hexdigest(),
        "interpreter": sys.version.split()[0],
        "documents": sum(size["documents"] for size in sizes.values()),
        "bytes": sum(size["bytes"] for size in sizes.values()),
        "vocab_size": VOCAB,
        "sequence_length": WIDTH,
        "bos_id": BOS,
        "splits": sizes,
        "shards": ["train_00000.bin"],
    }
    (folder / "public" / "meta.json").write_text(json.dumps(meta))
    return folder


HONEST = textwrap.dedent(
    """
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(64, 32)
            self.gru = nn.GRU(32, 32, batch_first=True)
            self.head = nn.Linear(32, 64)

        def forward(self, ids):
            return self.head(self.gru(self.embed(ids))[0])

    def build_model():
        return Model()
    """
)
WEIGHTS = {
    **{"embed.weight": (64, 32), "head.weight": (64, 32), "head.bias": (64,)},
    **{"gru.weight_ih_l0": (96, 32), "gru.weight_hh_l0": (96, 32), "gru.bias_ih_l0": (96,), "gru.bias_hh_l0": (96,)},
}


@dataclass(frozen=True)
class Run:
    """The folders that a supervisor hands to the scorer."""

    snapshot: Path
    artifact: Path
    data: Path

    def environment(self, **more: str) -> dict[str, str]:
        """The scorer's environment as a supervisor sets it."""
        return {
            "PATH": os.environ["PATH"],
            "AUTORESEARCH_ARTIFACT": str(self.artifact),
            "AUTORESEARCH_SNAPSHOT": str(self.snapshot),
            "AUTORESEARCH_DATA": str(self.data),
            "AUTORESEARCH_SPLIT": "val",
            "AUTORESEARCH_AUDIT_POSITIONS": "256",
            "AUTORESEARCH_DEVICE": "cpu",
            "AUTORESEARCH_THREADS": "1",
            **more,
        }


def sealed_run(folder: Path, data: Path, source: str = HONEST) -> Run:
    """A run whose trainer has ended: snapshot, and sealed weights of HONEST (untrained: all that an audit needs)."""
    run = Run(folder / "work", folder / "artifact", data)
    run.snapshot.mkdir(parents=True)
    run.artifact.mkdir()
    (run.snapshot / "train.py").write_text(source)
    draw = np.random.default_rng(0)
    weights = {name: draw.uniform(-0.2, 0.2, shape).astype(np.float32) for name, shape in WEIGHTS.items()}
    save_file(weights, run.artifact / "model.safetensors")
    return run


def scored(run: Run, pass_fds: tuple[int, ...] = (), **more: str) -> dict[str, Any]:
    """Start the real scorer on `run` and return its answer. `more` are variables of its environment."""
    done = subprocess.run(
        [sys.executable, "-m", "mcp_server.scoring.lm"],
        env={**run.environment(**more), "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=False,
        pass_fds=pass_fds,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(answer, dict)
    return answer
