"""The arena `program`: a memo is scored by a small tournament, and a better one is kept."""

from __future__ import annotations

from pathlib import Path

from mcp_server.lab import Lab
from mcp_server.setup.newlab import template, write_lab
from tests.labs import begin, finish


def test_a_memo_that_names_what_matters_is_kept_and_one_that_misleads_is_not(tmp_path: Path) -> None:
    write_lab(template("program"), tmp_path / "lab", own_repository=True)
    lab = Lab(tmp_path / "lab")
    baseline = begin(lab)
    assert baseline.score is not None
    assert baseline.secondary["over_no_memo"] < 0.05
    memo = tmp_path / "lab" / "memo.md"
    memo.write_text(memo.read_text().replace("WINDOW", "EMBED_LR, MOMENTUM, INIT_STD"))
    number = lab.run_experiment("move first what a short run depends on").experiment
    better = finish(lab, number)
    assert better.change is not None
    assert better.change > 0.05
    assert better.secondary["low"] > 0
    lab.commit_or_revert(number)
    memo.write_text("Leave alone: EMBED_LR, MOMENTUM, INIT_STD\n")
    worse = finish(lab, lab.run_experiment("leave what matters alone").experiment)
    assert worse.score is not None
    assert better.score is not None
    assert worse.score < better.score
