"""The course of a campaign: in the order in which things were known, and without what was taken back. Nothing runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_server.nouns.decided import Decided
from mcp_server.nouns.records import RunResult, RunState
from mcp_server.views.comparison.courses import Course, course_of
from tests.test_judgement import CARD, Bench
from tests.test_ledger import AT, experiment

pytestmark = pytest.mark.quick


def at(hour: int) -> str:
    return AT.replace("T00", f"T{hour:02}")


class Played(Bench):
    """A campaign whose attempts end as a test says."""

    def attempt(self, number: int, gain: float, hour: int, decision: str, **told: Any) -> None:
        self.ledger.open_experiment(experiment(number, base=1, **told), [(0, "first")])
        run = self.ledger.runs("first", number)[-1]
        self.ledger.close_run(run, RunResult(state=RunState.SCORED, score=1.0 - gain, device=CARD, steps=10_000), AT)
        self.decide(number, gain, hour, decision)

    def decide(self, number: int, gain: float, hour: int, decision: str) -> None:
        outcome = "kept" if decision == "keep" else "discarded"
        code = "simpler" if self.ledger.experiment("first", number).takes_back else "gain"
        held = self.ledger.incumbent("first")
        assert held is not None
        verdict = Decided(
            score=1.0 - gain, change=gain, against=held.number, comparison="slot", outcome=outcome, code=code
        )
        label = "provisional" if decision == "keep" else None
        self.ledger.intend("first", number, decision, label, verdict, at(hour))
        self.ledger.settle("first", number, decision, "1" * 40)

    def course(self) -> Course:
        bench: Any = SimpleNamespace(ledger=self.ledger, workspace=None)  # the arena has no frozen file to read
        return course_of(bench, self.campaign, self.arena)


@pytest.fixture
def bench(tmp_path: Path) -> Played:
    found = Played(tmp_path / "lab.db")
    found.baseline(1.0)
    return found


def test_what_a_second_agent_kept_meanwhile_counts_from_then_on(bench: Played) -> None:
    bench.attempt(3, 0.25, 1, "keep")
    bench.attempt(2, -0.1, 5, "revert")  # begun first, and long in coming
    found = bench.course()
    assert [point.hours for point in found.points] == [1.0, 5.0]
    assert (found.gain_at("hours", 2.0), found.area("hours", 2.0)) == (0.25, 0.125)
    assert found.gain_at("experiments", 1) == 0.25


def test_a_change_that_was_taken_back_is_no_gain_any_more(bench: Played) -> None:
    bench.attempt(2, 0.25, 1, "keep")
    bench.attempt(3, -0.01, 2, "keep", kind="prune", description="without experiment 2: an idea")
    found = bench.course()
    assert [point.gain for point in found.points] == [0.25, 0.0]
    assert found.false_keeps == 0.0


def test_a_campaign_that_kept_nothing_gains_nothing_by_exam(bench: Played) -> None:
    assert bench.course().exam_gain == 0.0
    bench.attempt(2, 0.25, 1, "keep")
    assert bench.course().exam_gain is None  # there is something to examine now
