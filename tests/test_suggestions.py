"""Steps that an arena suggests to the built-in researcher."""

from __future__ import annotations

import pytest

from mcp_server.nouns.errors import ArenaError
from mcp_server.researcher.habits import KEPT, Trial, lesson
from mcp_server.researcher.listed import parse_suggestions, suggest

STEPS = parse_suggestions("""
- {title: say it shorter, edits: [{old: a long way of, new: a way of}]}
- {title: say it louder, why: It may help., edits: [{old: say, new: SAY}, {old: it., new: IT!}]}
- {title: does not fit, edits: [{old: nowhere, new: somewhere}]}
- {title: fits twice, edits: [{old: a, new: b}]}
""")
SOURCE = "a long way of putting: say it.\n"


def test_each_step_that_fits_is_suggested_once_in_a_seeded_order() -> None:
    orders = set()
    for seed in range(20):
        trials: list[Trial] = []
        while proposal := suggest(STEPS, SOURCE, trials, seed):
            assert proposal == suggest(STEPS, SOURCE, trials, seed)
            trials.append(Trial(len(trials), proposal.moves, "worse", -1.0))
        orders.add(tuple(str(trial.moves[0]) for trial in trials))
    assert orders == {("say it shorter", "say it louder"), ("say it louder", "say it shorter")}


def test_all_edits_of_a_step_are_made_or_none() -> None:
    assert STEPS[1].applied(SOURCE) == "a long way of putting: SAY IT!\n"
    assert STEPS[1].applied("say it again") is None


def test_what_a_change_of_text_taught_has_no_direction() -> None:
    proposal = suggest(STEPS, SOURCE, [], 0)
    assert proposal is not None
    assert proposal.knobs == []
    text = lesson(Trial(2, proposal.moves, KEPT, 0.5), "score", "points", "30 s", (0.4, 0.6), "")
    edges = "(95 % interval +0.4000 to +0.6000)"
    assert text == f"{proposal.description} improved score by 0.5000 points {edges}, at 30 s a run. Kept."


@pytest.mark.parametrize(
    "text", ["- {title: x", "- {title: no edits}", "just words", "- {title: more, edits: [{old: a, new: b}], score: 1}"]
)
def test_a_file_that_is_none_is_refused_with_its_name(text: str) -> None:
    with pytest.raises(ArenaError, match="proposals"):
        parse_suggestions(text)
