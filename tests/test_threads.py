"""How many threads a trainer should have is measured on this machine, with the lab's own code."""

from __future__ import annotations

from pathlib import Path

from mcp_server.runner.machine import cores
from mcp_server.setup.threads import Tried, best, counts, measure
from tests.labs import git, make_lab

# worth more with fewer threads, as a small model on the processor clock is
TRAIN = """\
import json, os, pathlib
threads = int(os.environ["AUTORESEARCH_THREADS"])
model = {"knob": 3.0 + threads + len(os.sched_getaffinity(0)), "spread": 0.0, "seed": 1}
(pathlib.Path(os.environ["AUTORESEARCH_OUT"]) / "model.json").write_text(json.dumps(model))
"""


def test_powers_of_two_up_to_all_cores_are_tried() -> None:
    assert counts(1) == [1]
    assert counts(2) == [1, 2]
    assert counts(12) == [1, 2, 4, 8, 12]


def test_the_lowest_loss_is_the_best_and_nothing_scored_is_none() -> None:
    assert best([Tried(1, 0.5, 0.5, 10), Tried(2, 0.4, 0.4, 9), Tried(4, None, None, None)]) == Tried(2, 0.4, 0.4, 9)
    assert best([Tried(1, None, None, None)]) is None


def test_a_labs_code_is_trained_with_each_number_of_threads_bound_to_as_many_cores(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", train=TRAIN)
    said: list[Tried] = []
    tried = measure(lab.paths.tree, said.append)
    assert said == tried
    assert [(one.threads, one.score) for one in tried] == [
        (count, float((2 * count) ** 2)) for count in counts(cores.usable())
    ]
    assert git(lab.paths.tree, "status", "--porcelain") == ""
