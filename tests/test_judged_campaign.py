"""A campaign with four planted edits, each of which must be judged rightly.

The same code on the same seed gives the same score, so what a null edit and a pure simplification are worth is known
exactly, and the referee is tested on the rest of the road: sandboxed training, a seal, a scorer, git. A stand-in is
trained, and, slowly, a small bigram network for a fixed number of steps, with sealed weights and two hosts.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.lab import Lab
from tests.labs import TRAIN as STAND_IN
from tests.labs import finish, git, make_lab
from tests.scoring.tiny import write_corpus

TRAIN = '''\
"""A bigram network, trained for a fixed number of steps."""
import json, os, pathlib
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

WIDTH = 24
LR = 0.02
STEPS = 40
ROWS = 16
DATA = pathlib.Path(os.environ["AUTORESEARCH_DATA"]) / "public"
META = json.loads((DATA / "meta.json").read_text())


class Bigram(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(META["vocab_size"], WIDTH)
        self.head = nn.Linear(WIDTH, META["vocab_size"])

    def forward(self, tokens):
        return self.head(torch.tanh(self.embed(tokens)))


def build_model():
    return Bigram()


def spare(values):
    total = 0
    for value in values:
        total = total + value
    return total


def main():
    seed = int(os.environ["AUTORESEARCH_SEED"])
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    model, length = build_model(), META["sequence_length"]
    stream = np.fromfile(next(DATA.glob("train*.bin")), "<u2").astype(np.int64)
    order = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    for _ in range(STEPS):
        starts = order.integers(0, len(stream) - length - 1, ROWS)
        rows = torch.from_numpy(np.stack([stream[start : start + length + 1] for start in starts]))
        logits = model(rows[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file(model.state_dict(), os.path.join(os.environ["AUTORESEARCH_OUT"], "model.safetensors"))


if __name__ == "__main__":
    main()
'''

PROGRAM = """\
---
goal: lowest validation bits per byte in a fixed number of steps
metric: {name: val_bpb, direction: minimize, unit: bits/byte}
editable: [train.py]
run: python train.py
score: python -m mcp_server.scoring.lm
budget: {seconds: 60, clock: cpu, startup_seconds: 60, grace_seconds: 2}
devices: cpu
---
"""


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A lab in which a network is trained."""
    cache = tmp_path / "cache"
    write_corpus(cache / "corpora" / "tiny")
    (cache / "current").symlink_to("corpora/tiny")
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(cache))
    tree = tmp_path / "lab"
    tree.mkdir()
    git(tree, "init", "-q", "-b", "main")
    (tree / "train.py").write_text(TRAIN)
    (tree / "program.md").write_text(PROGRAM)
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "first")
    return Lab(tree)


def try_edit(lab: Lab, description: str, before: str, after: str) -> tuple[str, str, str]:
    """(decision, label, code of the verdict) of one edit, with as many repeats as the referee asks for."""
    train = lab.paths.tree / "train.py"
    text = train.read_text()
    assert before in text
    train.write_text(text.replace(before, after))
    number = lab.run_experiment(description).experiment
    for _ in range(6):
        score = finish(lab, number)
        assert score.status in ("scored", "confirming"), score
        reply = lab.commit_or_revert(number)
        if reply.decision != "confirming":
            with lab.reading() as (bench, campaign, _):
                verdict = bench.ledger.experiment(campaign.tag, number).verdict
            return reply.decision, reply.label, verdict.code
    raise AssertionError("the referee never had enough")


def judge_all(lab: Lab, source: str, harmful: tuple[str, str], better: tuple[str, str]) -> None:
    """Plant four edits, one after the other, in a campaign on the code `source`, which has a function nobody calls."""
    lab.start_campaign("planted", calibrate=1)
    assert finish(lab, 1).status == "kept"

    null = try_edit(lab, "an unused constant", better[0], f"UNUSED = 3\n{better[0]}")
    assert null[0] == "reverted"
    worse = try_edit(lab, "a rate far too small", *harmful)
    assert (worse[0], worse[2]) == ("reverted", "worse")
    assert try_edit(lab, "more of what helps", *better)[0] == "kept"
    start, end = source.index("def spare"), source.index("def main")
    simpler = try_edit(lab, "remove a function nobody calls", source[start:end], "")
    assert simpler == ("kept", "simplification", "simpler")

    kept = git(lab.paths.tree, "log", "--format=%s", "autoresearch/planted", "^main").splitlines()
    assert [title.partition(":")[0] for title in kept] == ["Experiment 5", "Experiment 4", "Experiment 1"]
    totals = lab.lab_status().totals
    assert totals is not None
    assert totals.claimed_gain is not None
    assert totals.claimed_gain > 0


def test_null_harmful_better_and_simpler_edits_are_judged_rightly(tmp_path: Path) -> None:
    spare = TRAIN[TRAIN.index("def spare") : TRAIN.index("def main")]
    source = STAND_IN.replace("out = pathlib", f"{spare}def main():\n    pass\n\n\nout = pathlib", 1)
    lab = make_lab(tmp_path / "lab", train=source, more="keep: {pairing: sequential}\n")
    judge_all(lab, source, ("KNOB = 1.0", "KNOB = -4.0"), ("KNOB = 1.0", "KNOB = 2.0"))


@pytest.mark.slow
def test_the_same_edits_of_a_network_that_is_really_trained_are_judged_rightly(trained: Lab) -> None:
    judge_all(trained, TRAIN, ("LR = 0.02", "LR = 0.0002"), ("STEPS = 40", "STEPS = 150"))
