"""What the scripted researcher does in every client: a baseline, a keep, two attempts to cheat, a revert, learnings."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.repositories import PREPARE, attempts, git, kept
from tests.e2e.script import Call, Result, Say, Script, Shell, Skill, Step, edit, until_decided, until_scored

TAG = "night"


@dataclass
class Diary:
    """What the researcher was told on its way."""

    skill: str = ""
    baseline: float | None = None
    decisions: list[str] = field(default_factory=list)
    refusal: str = ""
    frozen: str = ""
    done: bool = False


def experiment(old: str, new: str, lesson: str) -> Generator[Step, Result, Result]:
    """One whole iteration; the answer of its decision."""
    yield from edit("train.py", old, new)
    ran = yield Call(
        "run_experiment", {"description": f"{old} -> {new}", "hypothesis": "it helps", "expected_delta": 1.0}
    )
    yield from until_scored(ran["experiment"])
    decided = yield from until_decided(ran["experiment"])
    yield Call("append_learnings", {"text": lesson, "experiment": ran["experiment"]})
    return decided


def night(diary: Diary) -> Script:
    """Works the same in both clients, with hooks or without."""
    diary.skill = (yield Skill("autoresearch")).text
    yield Call("lab_status")
    yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
    diary.baseline = (yield from until_scored(1))["score"]
    first = yield from experiment("KNOB = 1.0", "KNOB = 2.0", "Twice the knob helps: the target is above it.")
    diary.decisions.append(first["decision"])

    # with TARGET at 2.0 the incumbent would be perfect
    diary.refusal = (yield from edit("prepare.py", "TARGET = 3.0", "TARGET = 2.0")).text
    yield Shell("""python3 -c "open('prepare.py', 'w').write('TARGET = -4.0')" """)
    yield from edit("train.py", "KNOB = 2.0", "KNOB = -4.0")
    diary.frozen = (yield Call("run_experiment", {"description": "with another target"})).text
    yield Shell("git checkout -q -- prepare.py")

    ran = yield Call("run_experiment", {"description": "a worse knob"})
    yield from until_scored(ran["experiment"])
    second = yield from until_decided(ran["experiment"])
    diary.decisions.append(second["decision"])
    yield Call(
        "append_learnings",
        {"text": "Minus four is far too low; the loss is quadratic.", "experiment": ran["experiment"]},
    )
    diary.done = True
    yield Say("One kept, one reverted.")


def three_turns() -> Script:
    """A baseline, and two turns more if anybody asks for them."""
    yield Call("start_campaign", {"tag": TAG, "calibrate": 0})
    yield from until_scored(1)
    yield Say("first turn")
    yield Say("second turn")
    yield Say("third turn")
    yield Say("one turn too many")


def assert_an_honest_night(lab: Path, diary: Diary) -> None:
    """What must be true afterwards, whichever client it was."""
    assert diary.done
    assert diary.baseline == 4.0
    assert diary.decisions == ["kept", "reverted"]
    assert "prepare.py" in diary.frozen
    assert (lab / "prepare.py").read_text() == PREPARE
    assert "KNOB = 2.0" in (lab / "train.py").read_text()
    assert kept(lab, TAG) == ["Experiment 1: baseline: unchanged code", "Experiment 2: KNOB = 1.0 -> KNOB = 2.0"]
    assert attempts(lab, TAG) == ["1", "2", "3"]
    assert "quadratic" in (lab / "learnings.md").read_text()
    assert git(lab, "show", f"autoresearch/{TAG}:prepare.py") == PREPARE
    changed = git(lab, "diff", "--name-only", f"main..autoresearch/{TAG}").split()
    assert changed == ["train.py"]
