"""A model that does what the skill `autoresearch` says, word for word, until lab_status says stop."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.script import Call, Result, Say, Script, Skill, Step, Wake, edit, until_scored

TAG = "loop"


@dataclass
class Notes:
    """What the model was told on its way."""

    skill: str = ""
    decisions: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)  # answers of the lab's tools within the iterations
    refused: list[str] = field(default_factory=list)
    stop: str = ""


def researcher(
    lab: Path,
    notes: Notes,
    seed: int = 0,
    paces: bool = True,
    skill: str = "autoresearch",
    a_turn: int = 100,
    enough: Callable[[], bool] = lambda: False,
) -> Script:
    """Sections 1 to 4 of the skill. `paces`: the client has ScheduleWakeup. `a_turn`: experiments in one turn.

    `enough` is asked before each new idea: a person who said "thirty experiments" is obeyed as `stop` is.
    """
    ideas, at_a_loss = random.Random(seed), True
    while True:
        notes.skill = (yield Skill(skill)).text or notes.skill
        for _ in range(a_turn):
            if at_a_loss:
                status = yield Call("lab_status")
                idle = not status.data.get("waiting_for_decision") and not status.data.get("running")
                if status.data.get("stop") or (idle and enough()):
                    notes.stop = status.data.get("stop") or "as many as were asked for"
                    if paces:
                        yield Wake(None)
                    yield Say("The campaign is over.")
                    return
                if "next" not in status.data:  # the server is gone; a new session finds everything
                    yield Say("The tools are gone.")
                    return
                at_a_loss = yield from _next(lab, status, notes, ideas)
            else:
                at_a_loss = yield from propose(lab, notes, ideas)
            at_a_loss = at_a_loss or enough()
        at_a_loss = True
        if paces:
            yield Wake(60)
        yield Say("More in a minute.")


def _next(lab: Path, status: Result, notes: Notes, ideas: random.Random) -> Generator[Step, Result, bool]:
    """The one row of the skill's table that fits. Whether lab_status has to be asked what comes after."""
    if "campaign" not in status.data:
        yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
        yield from until_scored(1)
        return False
    if status.data.get("waiting_for_decision"):
        return (yield from decide(status["waiting_for_decision"][0], notes))
    if status.data.get("running"):
        yield from until_scored(status["running"][0]["experiment"])
        return True
    return (yield from propose(lab, notes, ideas))


def propose(lab: Path, notes: Notes, ideas: random.Random) -> Generator[Step, Result, bool]:
    """Section 2, then 4: one idea. Whether something was not as expected, so that lab_status has to be asked."""
    found = re.search(r"^KNOB = (.*)$", (lab / "train.py").read_text(), re.MULTILINE)
    assert found is not None
    better = round(float(found[1]) + ideas.choice((-1, 1, 1, 1)) * ideas.random() / 3, 6)
    edited = yield from edit("train.py", found[0], f"KNOB = {better}")
    if edited.failed:
        notes.refused.append(edited.text)
    ran = yield Call("run_experiment", {"description": f"{found[0]} -> {better}", "hypothesis": "nearer"})
    if ran.failed or "experiment" not in ran.data:
        notes.refused.append(ran.text)
        return True
    notes.results.append(ran.text)
    if ran["status"] in ("queued", "running", "confirming"):
        yield from until_scored(ran["experiment"])
    return (yield from decide(ran["experiment"], notes))


def decide(number: int, notes: Notes) -> Generator[Step, Result, bool]:
    """Section 4: the decision takes the lesson, and repeats are waited for. Whether the campaign is over, or unsure."""
    lesson = f"Experiment {number} moved the knob; the target is what the distance says."
    for turn in itertools.count():
        decided = yield Call("commit_or_revert", {"experiment": number, "learned": lesson})
        if decided.failed or "decision" not in decided.data:
            notes.refused.append(decided.text)
            return True
        if decided["decision"] != "confirming" or turn > 9:
            break
        yield from until_scored(number)
    notes.results.append(decided.text)
    notes.decisions.append(decided["decision"])
    return "is over" in str(decided.data.get("next"))
