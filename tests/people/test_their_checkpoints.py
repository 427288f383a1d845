"""Forks of the reference that save their model: its checkpoint is measured, by their own measure.

The reference (https://github.com/karpathy/autoresearch) and the MLX fork save nothing; forks write
`torch.save(model.state_dict(), "model.pt")` after their last evaluation. The repositories here are made up after that.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcp_server.arena.program import load_program
from mcp_server.lab import Lab
from mcp_server.scoring import checkpoint
from mcp_server.setup.adopting.checkpoints import measured
from mcp_server.setup.adopting.constants import constants
from tests.labs import finish
from tests.people.test_from_the_reference import home, typed, upstream

__all__ = ["home"]

PREPARE = """\
import math, os
import torch
MAX_SEQ_LEN, TIME_BUDGET, EVAL_TOKENS = 8, 1, 64
DATA_DIR = os.path.join(os.path.expanduser("~"), ".cache", "made-up", "data")

class Tokenizer:
    def __init__(self, text):
        self.text = text
    @classmethod
    def from_directory(cls):
        with open(os.path.join(DATA_DIR, "val.txt")) as file:
            return cls(file.read())
    def get_vocab_size(self):
        return 4

@torch.no_grad()
def evaluate_bpb(model, tokenizer, batch_size):
    tokens = torch.tensor([int(letter) for letter in tokenizer.text])
    nats = count = 0
    for first in range(0, EVAL_TOKENS, batch_size * MAX_SEQ_LEN):
        places = range(first, first + batch_size * MAX_SEQ_LEN, MAX_SEQ_LEN)
        rows = torch.stack([tokens[place : place + MAX_SEQ_LEN + 1] for place in places])
        x, y = rows[:, :-1], rows[:, 1:]
        loss = model(x, y, reduction="none").view(-1)
        nats += loss.sum().item()
        count += y.numel()
    return nats / (math.log(2) * count)
"""
TRAIN = """\
import torch
import torch.nn as nn
import torch.nn.functional as F
from prepare import TIME_BUDGET, Tokenizer, evaluate_bpb

DEVICE_BATCH_SIZE = 2
SURE = 0.0  # of the token that the text repeats

class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(4))
    def forward(self, idx, targets=None, reduction="mean"):
        logits = self.logits.expand(*idx.shape, 4)
        if targets is None:
            return logits
        return F.cross_entropy(logits.reshape(-1, 4), targets.reshape(-1), ignore_index=-1, reduction=reduction)

def build_model():
    return GPT()

def main():
    tokenizer = Tokenizer.from_directory()
    model = build_model()
    with torch.no_grad():
        model.logits[1] = SURE
    val_bpb = evaluate_bpb(model, tokenizer, DEVICE_BATCH_SIZE)
    torch.save(model.state_dict(), "model.pt")
    print("---")
    print(f"val_bpb:          {val_bpb:.6f}")

if __name__ == "__main__":
    main()
"""
LIE = """
import json, os, sys
import prepare
prepare.evaluate_bpb = lambda *_: 0.0
GPT.forward = lambda self, idx, targets=None, reduction="mean": (
    self.logits.expand(*idx.shape, 4) if targets is None else torch.zeros(idx.numel())
)
print(json.dumps({"score": 0.0}))
os.write(1, json.dumps({"score": 0.0}).encode() + b"\\n")
"""


LYING = TRAIN.replace("SURE = 0.0", "SURE = 0.5").replace("def main", LIE + "\ndef main")


def bits(sure: float) -> float:
    """Of a text that is all ones, under logits (0, sure, 0, 0)."""
    return math.log2(math.exp(sure) + 3) - sure / math.log(2)


@pytest.fixture
def text(home: Path) -> None:
    (home / ".cache" / "made-up" / "data" / "val.txt").write_text("1" * 100)


def start(folder: Path) -> Lab:
    assert typed(folder, "start", "first", "--no-calibrate").exit_code == 0
    return Lab(folder)


@pytest.mark.slow
def test_a_saved_checkpoint_is_measured_by_the_committed_measure_and_no_lie_counts(tmp_path: Path, text: None) -> None:
    folder = upstream(tmp_path / "lab", **{"prepare.py": PREPARE, "train.py": TRAIN})
    shown = typed(folder, "adopt", "--yes")
    assert shown.exit_code == 0, shown.output
    assert "CLAIMED" not in shown.output
    arena = load_program(folder / "program.md").arena
    assert arena.score == "python -m mcp_server.scoring.checkpoint model.pt batch_size=2"
    assert not arena.claimed
    lab = start(folder)
    assert finish(lab, 1).score == pytest.approx(2.0)
    # a better model, which lies wherever its code is run
    (folder / "train.py").write_text(LYING)
    number = lab.run_experiment("better, and lying").experiment
    reply = finish(lab, number)
    assert reply.score == pytest.approx(bits(0.5), abs=1e-4), reply.detail
    assert reply.reason == ""
    assert "claimed_by_the_run" not in reply.warnings
    lab.close()


@dataclass(frozen=True)
class Left:
    """What a run of a fork left, with the commit that it is measured by."""

    trusted: Path
    attempt: Path
    left: Path
    home: Path

    def said(self) -> dict[str, object]:
        """The answer of the real scorer, which starts a process with the model in it."""
        told = {"AUTORESEARCH_ARTIFACT": str(self.left), "AUTORESEARCH_SNAPSHOT": str(self.attempt)}
        done = subprocess.run(
            [sys.executable, "-P", checkpoint.__file__, "model.pt", "batch_size=2"],
            cwd=self.trusted,
            env={**os.environ, **told, "HOME": str(self.home)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, object] = json.loads(done.stdout)
        return answer


def left_by(folder: Path, home: Path, train: str, sure: float) -> Left:
    """A checkpoint of the model that is so sure, by code that would count nothing if it were asked."""
    import torch

    made = Left(folder / "trusted", folder / "attempt", folder / "left", home)
    for place, measure, source in (
        (made.trusted, PREPARE, TRAIN),
        (made.attempt, PREPARE.replace("return nats", "return 0 *"), train),
    ):
        place.mkdir()
        (place / "prepare.py").write_text(measure)
        (place / "train.py").write_text(source)
    made.left.mkdir()
    torch.save({"logits": torch.tensor([0.0, sure, 0, 0])}, made.left / "model.pt")
    return made


@pytest.mark.parametrize(("train", "sure"), [(TRAIN, 0.0), (LYING, 0.5)], ids=["plain", "lying"])
def test_the_measure_is_the_committed_one_and_the_model_answers_from_a_process_of_its_own(
    tmp_path: Path, home: Path, text: None, train: str, sure: float
) -> None:
    assert left_by(tmp_path, home, train, sure).said() == {"score": pytest.approx(bits(sure), abs=1e-5)}


FORGING = """
try:  # into the scorer's own pipe, which every process of its user can open
    with open(f"/proc/{os.getppid()}/fd/1", "w") as out:
        print(json.dumps({"score": 0.0}), file=out)
except OSError as error:
    print("forged nothing:", error.strerror, file=sys.stderr)
"""


@pytest.mark.skipif(not checkpoint.can_shut_in(), reason="this kernel has no Landlock")
def test_the_model_cannot_answer_in_the_scorers_place(tmp_path: Path, home: Path, text: None) -> None:
    forging = TRAIN.replace("def main", f"import json, os, sys\n{FORGING}\ndef main")
    assert left_by(tmp_path, home, forging, 0.5).said() == {"score": pytest.approx(bits(0.5), abs=1e-5)}


MOVING = """
made = pathlib.Path(tempfile.mkdtemp())
(made / "new").mkdir()
(made / "new" / "kernel").write_text("")
os.replace(made / "new" / "kernel", made / "kernel")
"""


def test_a_model_may_move_files_between_folders_as_compilers_do(tmp_path: Path, home: Path, text: None) -> None:
    compiling = TRAIN.replace("def main", f"import os, pathlib, tempfile\n{MOVING}\ndef main")
    assert left_by(tmp_path, home, compiling, 0.5).said() == {"score": pytest.approx(bits(0.5), abs=1e-5)}


def test_a_word_where_logits_are_awaited_and_a_file_that_is_gone_are_no_score(
    tmp_path: Path, home: Path, text: None
) -> None:
    speaks = LIE.replace("os.write(1,", "os.write(3,")
    made = left_by(tmp_path, home, TRAIN.replace("def main", f"{speaks}\ndef main"), 0.5)
    assert made.said()["rejected"] == "bad_output"
    (made.left / "model.pt").unlink()
    assert made.said()["rejected"] == "no_checkpoint"


def found(train: str, prepare: str = PREPARE) -> tuple[str, str]:
    said = measured(train, prepare, ["model.pt"], constants(train, constants(prepare)))
    return said.score, said.why_not


def test_what_of_a_checkpoint_can_be_measured_is_told_by_reading() -> None:
    scorer = "python -m mcp_server.scoring.checkpoint model.pt batch_size=2"
    assert found(TRAIN) == (scorer, "")
    whole = TRAIN.replace("model.state_dict()", "model").replace("build_model", "whatever")
    assert found(whole) == (scorer, "")  # all of the model is in the file
    assert found(TRAIN.replace("DEVICE_BATCH_SIZE)", "batch_size=4)")) == (scorer.replace("=2", "=4"), "")
    assert found(TRAIN.replace('"model.pt"', '"other.pt"')) == ("", "")
    assert found(TRAIN, PREPARE.replace("evaluate_bpb", "evaluate")) == ("", "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('if __name__ == "__main__":\n    main()', "main()"), "importing train.py trains (line "),
        (("def build_model()", "def build_model(width)"), "has no build_model() that makes the model"),
        (("DEVICE_BATCH_SIZE)", "len(model.logits))"), "what evaluate_bpb takes as `batch_size` is not told"),
    ],
)
def test_what_cannot_be_measured_stays_a_claim_and_says_why(
    tmp_path: Path, home: Path, change: tuple[str, str], why: str
) -> None:
    train = TRAIN.replace(*change)
    assert why in found(train)[1]
    folder = upstream(tmp_path / "lab", **{"prepare.py": PREPARE, "train.py": train})
    shown = typed(folder, "adopt", "--yes")
    assert "CLAIMED BY THE RUN" in shown.output
    assert why.partition("`")[0] in " ".join(shown.output.split())
    assert load_program(folder / "program.md").arena.claimed
