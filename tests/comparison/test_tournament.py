"""Tournaments: arms in clones of their own, the same luck for all, exams on one split, and going on after a stop."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.lab import Lab
from mcp_server.nouns.errors import ArenaError
from mcp_server.ralph.pacing import End
from mcp_server.repo.git import Repository
from mcp_server.tournament.plan import read_plan
from mcp_server.tournament.play import STATE, Played, State, Tournament
from tests.labs import git, make_lab

# an agent that raises KNOB by what its memo says; the loss is (KNOB - 3)^2
AGENT = """\
import pathlib, re
memo, train = pathlib.Path("program.md").read_text(), pathlib.Path("train.py")
step = float(re.search(r"Step by ([0-9.]+)", memo)[1])
print('{"type": "result", "model": "made-up-1", "total_cost_usd": 0.5, "usage": {"output_tokens": 7}}')
train.write_text(re.sub(r"(?m)^KNOB = (.*)$", lambda m: f"KNOB = {float(m[1]) + step}", train.read_text()))
"""


def ground(folder: Path) -> Path:
    """A lab, and beside it an agent, two memos and a plan of one campaign each."""
    make_lab(folder / "lab").close()
    (folder / "agent.py").write_text(AGENT)
    (folder / "small.md").write_text("Step by 0.25\n")
    (folder / "large.md").write_text("Step by 1.0\n")
    agent = json.dumps([sys.executable, str(folder / "agent.py")])
    arms = [f"  - {{name: {name}, program: {name}.md, agent: {agent}}}" for name in ("small", "large")]
    plan = folder / "plan.yaml"
    plan.write_text("\n".join(["campaigns: 1", "experiments: 2", "calibrate: 0", "exam_seeds: 2", "arms:", *arms]))
    return plan


def test_a_tournament_plays_its_arms_from_one_commit_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    plan = ground(tmp_path)
    heard: list[str] = []

    def played(say: Callable[[str], None]) -> Tournament:
        return Tournament(read_plan(plan), tmp_path, Repository.at(tmp_path / "lab"), tmp_path / "out", say)

    def stop_at_the_second(words: str) -> None:
        heard.append(words)
        if words.startswith("Campaign 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        played(stop_at_the_second).play()
    heard.clear()
    reply = played(heard.append).play()
    assert not any("turn" in words for words in heard[: heard.index("Campaign 2 of 2: large, block 1.")])
    small, large = reply.arms
    assert (small.arm, large.arm) == ("small", "large")
    assert small.gain == pytest.approx(4 - 2.25)
    assert large.gain == pytest.approx(4.0)
    assert reply.measure == "exam"
    assert large.exam_gain == pytest.approx(4.0)
    assert large.cost_usd == pytest.approx(1.0)
    assert large.agents[0].endswith("made-up-1")
    assert "nobody can say" in reply.differences[0].verdict, "one campaign is no evidence"
    with (
        Lab(tmp_path / "out" / "small-1").reading_all() as one,
        Lab(tmp_path / "out" / "large-1").reading_all() as two,
    ):
        campaigns = [lab.ledger.campaigns()[0] for lab in (one, two)]
    assert campaigns[0].seed == campaigns[1].seed
    assert campaigns[0].secret == campaigns[1].secret
    assert git(tmp_path / "lab", "branch", "--list").split() == ["*", "main"], "the lab itself is left alone"


def test_a_campaign_that_was_interrupted_goes_on_with_what_is_left_of_its_turns_and_money(tmp_path: Path) -> None:
    plan = ground(tmp_path)
    plan.write_text(plan.read_text().replace("experiments: 2", "experiments: 4\ncost_usd: 1.0"))

    def until_it_says(stop: str) -> Played:
        def say(words: str) -> None:
            if words.strip().startswith(stop):
                raise KeyboardInterrupt

        tournament = Tournament(read_plan(plan), tmp_path, Repository.at(tmp_path / "lab"), tmp_path / "out", say)
        with pytest.raises(KeyboardInterrupt):
            tournament.play()
        return State.model_validate_json((tmp_path / "out" / STATE).read_bytes()).campaigns["small-1"]

    first = until_it_says("turn 1")
    assert (first.turns, first.cost_usd, first.done) == (1, 0.5, False)
    whole = until_it_says("Campaign 2")
    assert (whole.turns, whole.cost_usd, whole.end) == (2, 1.0, End.COST), "not another dollar, nor four more turns"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("arms: [{name: a, agent: x}]\n", "arms"),
        ("arms: [{name: a, agent: x}, {name: a, agent: y}]\n", "one name"),
        (f"arms: [{{name: {'a' * 30}-old, agent: x}}, {{name: {'a' * 30}-new, agent: y}}]\n", "same 30 characters"),
        ("arms: [{name: a, agent: x}, {name: b, agent: y}]\nhourz: 2\n", "hourz"),
        ("arms: [{name: a, agent: x}, {name: b, agent: y, program: no.md}]\n", "no.md"),
        ("arms: [{name: a\n", "line"),
    ],
)
def test_a_plan_with_a_mistake_is_refused_with_its_place(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(ArenaError, match=says):
        read_plan(tmp_path / "plan.yaml")


def test_a_tournament_of_another_plan_is_not_gone_on_with(tmp_path: Path) -> None:
    plan = ground(tmp_path)
    out = tmp_path / "plan-tournament"
    out.mkdir()
    (out / "tournament.json").write_text(json.dumps({"plan": "another", "commit": "0", "secret": "s"}))
    done = CliRunner().invoke(cli, ["-C", str(tmp_path / "lab"), "tournament", str(plan)])
    assert done.exit_code == 1
    assert "another plan" in done.output
