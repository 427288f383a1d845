"""The one wait for a decision: as many repeats as the referee asks for; the world is awaited only if that is wanted."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from mcp_server.campaign import waiting
from mcp_server.judging.decide import MOST_UNPROVEN_LOOKS
from mcp_server.nouns.errors import StillRunning
from mcp_server.nouns.records import Status
from mcp_server.nouns.replies import DecisionReply, ScoreReply


@dataclass
class Played:
    """A lab's two verbs, whose answers are given; the last of each is repeated for ever."""

    decisions: list[DecisionReply | StillRunning]
    scores: list[ScoreReply]
    asked: list[int | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._decisions = itertools.chain(self.decisions, itertools.repeat(self.decisions[-1]))
        self._scores = itertools.chain(self.scores, itertools.repeat(self.scores[-1]))

    def read_score(self, experiment: int | None = None, session: str = "") -> ScoreReply:
        return next(self._scores)

    def commit_or_revert(
        self, experiment: int | None = None, decision: str = "auto", learned: str = "", session: str = ""
    ) -> DecisionReply:
        self.asked.append(experiment)
        found = next(self._decisions)
        if isinstance(found, StillRunning):
            raise found
        return found


def decided(decision: str, carried_on: int | None = None) -> DecisionReply:
    return DecisionReply(experiment=3, decision=decision, carried_on=carried_on)


SCORED = ScoreReply(experiment=3, status=Status.SCORED)
RUNNING = ScoreReply(experiment=3, status=Status.RUNNING)
OUT = ScoreReply(experiment=3, status=Status.RUNNING, phase="pending", eta_seconds=3600)
OPEN = StillRunning("Experiment 3 is still running.")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "POLL_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
def test_a_decision_takes_as_many_repeats_as_the_referee_asks_for() -> None:
    rounds = [decided("confirming")] * (MOST_UNPROVEN_LOOKS - 1)
    lab = Played([*rounds, decided("kept")], [SCORED])
    assert waiting.until_decided(lab, 3, "auto", field_seconds=0).decision == "kept"
    assert len(lab.asked) == MOST_UNPROVEN_LOOKS


@pytest.mark.usefixtures("at_once")
def test_what_still_runs_here_is_waited_for() -> None:
    lab = Played([OPEN, decided("kept")], [RUNNING, RUNNING, SCORED])
    assert waiting.until_decided(lab, 3, "auto", field_seconds=0).decision == "kept"


@pytest.mark.usefixtures("at_once")
def test_what_ends_between_two_questions_is_decided() -> None:
    lab = Played([OPEN, decided("kept")], [SCORED])
    assert waiting.until_decided(lab, 3, "auto", field_seconds=0).decision == "kept"


@pytest.mark.usefixtures("at_once")
def test_a_change_that_goes_on_is_followed() -> None:
    lab = Played([decided("rebased", carried_on=5), decided("reverted")], [SCORED])
    assert waiting.until_decided(lab, 3, "auto").decision == "reverted"
    assert lab.asked == [3, 5]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("decisions", "scores"),
    [
        ([OPEN], [OUT]),
        ([decided("confirming"), OPEN], [OUT]),  # the repeat went out into the world as well
        ([OPEN], [SCORED]),  # it has its score, and the incumbent beside it has none for hours
    ],
)
def test_the_world_is_not_waited_for_by_who_does_not_want_to(
    decisions: list[DecisionReply | StillRunning], scores: list[ScoreReply]
) -> None:
    with pytest.raises(StillRunning):
        waiting.until_decided(Played(decisions, scores), 3, "auto", field_seconds=0)


@pytest.mark.parametrize(("waited", "seconds"), [(0.0, 0.25), (10.0, 0.25), (25.0, 0.5), (60.0, 1.0), (1e6, 1.0)])
def test_a_long_wait_looks_less_often_and_loses_a_fiftieth_at_most(waited: float, seconds: float) -> None:
    assert waiting.pause(waited) == pytest.approx(seconds)
