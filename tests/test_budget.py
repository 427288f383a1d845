"""The clock that prepare.py gives a run, the marks it sets, and the seal at its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import prepare

ROOT = Path(prepare.__file__).parent
TRAINER = """
import sys; sys.path.insert(0, sys.argv[1])
import torch, prepare
model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
model[1].weight = model[0].weight
budget = prepare.Budget("cpu")
budget.start(model)
print("begun", flush=True)
while budget.fraction() < 1:
    sum(range(10000))
    budget.step(10, 0.5)
prepare.finish(model, budget, depth=2, flops_per_token=1.0)
"""


def trainer(tmp_path: Path, seconds: float, **more: str) -> tuple[subprocess.Popen[str], int]:
    reading, writing = os.pipe()
    environment = os.environ | {
        "AUTORESEARCH_OUT": str(tmp_path),
        "AUTORESEARCH_BUDGET_SECONDS": str(seconds),
        "AUTORESEARCH_CLOCK": "cpu",
        "AUTORESEARCH_MARKS": str(writing),
    }
    started = subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(ROOT)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        pass_fds=[writing],
    )
    os.close(writing)
    return started, reading


def test_a_run_ends_by_itself_in_its_budget_tells_its_marks_and_seals(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    started, reading = trainer(tmp_path, seconds=1)
    with os.fdopen(reading) as pipe:
        marks = [json.loads(line) for line in pipe]
    started.communicate()
    assert started.returncode == 0
    assert marks[0] == {"event": "start"}
    assert all(mark["event"] == "step" for mark in marks[1:])
    assert marks[-1]["tokens"] == 10 * marks[-1]["step"]
    assert marks[-1]["loss"] == 0.5
    sealed = load_file(tmp_path / "model.safetensors")
    assert set(sealed) == {"0.weight", "0.bias", "1.weight", "1.bias"}, "tied tensors are there under both names"
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 0.5 < summary["training_seconds"] < 1
    assert summary["num_steps"] >= marks[-1]["step"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "summary.json"]


def test_sigterm_means_stop_and_seal(tmp_path: Path) -> None:
    started, reading = trainer(tmp_path, seconds=600)
    assert started.stdout is not None
    assert started.stdout.readline() == "begun\n"
    started.send_signal(signal.SIGTERM)
    started.communicate()
    assert started.returncode == 0
    assert (tmp_path / "model.safetensors").exists()
    os.close(reading)
