"""The line of the best: gains of slots add up, whatever the machine did between them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_server.judging.totals import Line
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.records import Kind, Purpose, RunResult, RunState, Status
from mcp_server.nouns.rows import Experiment, Run
from tests.judging.test_totals import keep


def decided(
    number: int, score: float, gain: float, against: int, comparison: str = "slot", kept: bool = True
) -> Experiment:
    """An attempt that scored so and gained so much over the experiment `against`."""
    verdict = Decided(score=score, change=gain, against=against, comparison=comparison)
    row = keep(number, gain, gain, 0.9)
    return replace(row, verdict=verdict, decision="keep" if kept else "revert", label="provisional" if kept else None)


BASELINE = replace(keep(1, 0.0, 0.0, 1.0), kind=Kind.BASELINE, verdict=Decided())
# a machine that gets slower: every score is worse than the one before, though two changes helped
TWO, THREE = decided(2, 1.02, 0.01, 1), decided(3, 1.05, 0.02, 2)


def line(*keeps: Experiment, rises: bool = False) -> Line:
    return Line(rises, 1.0, (BASELINE, *keeps))


def at(found: Line, one: Experiment, *runs: Run) -> float | None:
    return found.of(Attempt(one, Status.DISCARDED, one.verdict.score, runs))


def test_on_a_machine_that_slows_down_the_line_goes_where_the_gains_go() -> None:
    found = line(TWO, THREE)
    assert [at(found, one) for one in (TWO, THREE)] == pytest.approx([0.99, 0.97])
    assert found.gained == pytest.approx(0.03)
    # worse than its incumbent by a little, better by the clock of a quiet hour: it stands on its side of the line
    assert at(found, decided(4, 0.9, -0.004, 3, kept=False)) == pytest.approx(0.974)


def test_what_was_compared_at_different_times_stands_at_its_score_until_something_was_laid() -> None:
    apart = decided(2, 0.985, 0.01, 1, "apart")
    assert (at(line(apart), apart), line(apart).gained) == (0.985, None)
    after = decided(4, 1.1, 0.005, 3, "apart", kept=False)
    assert at(line(TWO, THREE), after) == pytest.approx(0.965)
    assert at(line(TWO, THREE), replace(after, verdict=Decided(score=1.1))) == 1.1  # compared with nothing


def test_larger_may_be_better() -> None:
    found = line(TWO, THREE, rises=True)
    assert [at(found, one) for one in (TWO, THREE)] == pytest.approx([1.01, 1.03])
    assert found.gained == pytest.approx(0.03)


def test_what_is_not_decided_stands_where_its_slots_put_it() -> None:
    one = replace(decided(4, 1.2, 0.0, 3), decision=None, verdict=Decided(), base=3)
    result = RunResult(state=RunState.SCORED, incumbent_score=1.21)
    run = Run(1, "first", 4, 1, 0, Purpose.FIRST, RunState.SCORED, "", "", 1.2, "", "", None, result)
    assert line(TWO, THREE).of(Attempt(one, Status.SCORED, 1.2, (run,))) == pytest.approx(0.96)
    assert line(TWO, THREE).of(Attempt(one, Status.SCORED, 1.2)) == 1.2


def test_what_a_re_test_takes_back_is_off_the_line_whatever_it_measured() -> None:
    back = replace(decided(4, 1.06, 0.001, 3), kind=Kind.PRUNE, description="without experiment 2: an idea")
    found = line(TWO, THREE, back)
    assert found.gained == pytest.approx(0.02)  # of the third alone
    assert at(found, back) == pytest.approx(1.0 - 0.02)
