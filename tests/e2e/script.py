"""A model that follows a script: a generator that yields what to do next and gets back what the tool answered.

    def play() -> Script:
        status = yield Call("lab_status")
        yield from edit("train.py", "LR = 1", "LR = 2")
        yield Say("done")

The same script drives every client; a dialect (`messages.py`, `responses.py`) says it in the client's protocol.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Call:
    """One of the lab's tools."""

    tool: str
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Resource:
    """Read one of the lab's resources, with the client's own tool (Codex)."""

    uri: str


@dataclass(frozen=True)
class Read:
    """Look at a file, with the client's own tool."""

    path: str


@dataclass(frozen=True)
class Edit:
    """Replace one line of a file, with the client's own tool. Claude Code wants the file read first."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Shell:
    """Run a command, with the client's own tool."""

    command: str


@dataclass(frozen=True)
class Skill:
    """Load a skill, with the client's own tool where it has one."""

    name: str


@dataclass(frozen=True)
class Wake:
    """Pace a loop with the client's own tool: the next turn in so many seconds, or never again without them."""

    seconds: int | None = None


@dataclass(frozen=True)
class Say:
    """End the turn with these words."""

    text: str


Step = Call | Resource | Read | Edit | Shell | Skill | Wake | Say


@dataclass(frozen=True)
class Result:
    """What a tool answered, as the model saw it."""

    text: str
    failed: bool = False

    @property
    def data(self) -> dict[str, Any]:
        """The first JSON object in the text; empty when there is none."""
        start = self.text.find("{")
        try:
            found = json.JSONDecoder().raw_decode(self.text[start:])[0] if start >= 0 else {}
        except json.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}

    def __getitem__(self, key: str) -> Any:
        if key not in self.data:
            raise KeyError(f"{key!r} is not in the answer: {self.text[:600]}")
        return self.data[key]


Script = Generator[Step, Result, None]


class ScriptedModel:
    """Answers a conversation from a script. A request that is sent twice gets the same answer twice."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._lock = threading.Lock()
        self.steps: list[Step] = []
        self.results: list[Result] = []
        self.problem: BaseException | None = None
        self.turns: list[str] = []

    def next(self, results: Sequence[Result]) -> tuple[int, Step]:
        """(number, step) for a conversation that holds these results of our steps so far."""
        with self._lock:
            if len(results) < len(self.steps):
                return len(results), self.steps[len(results)]
            self.results = list(results)
            try:
                step = self._script.send(results[-1]) if self.steps else next(self._script)
            except StopIteration:
                step = Say("The script has ended.")
            except BaseException as error:
                self.problem = error
                step = Say(f"The script failed: {error}")
            if isinstance(step, Say):
                # asked again only by a client that wants one more turn
                self.turns.append(step.text)
                return len(self.steps), step
            self.steps.append(step)
            return len(self.steps) - 1, step


def edit(path: str, old: str, new: str) -> Generator[Step, Result, Result]:
    """Read a file, then replace one line of it."""
    yield Read(path)
    return (yield Edit(path, old, new))


def until_scored(experiment: int) -> Generator[Step, Result, Result]:
    """Read the score until the run has ended, as an agent does whose client cuts calls short."""
    while True:
        answer = yield Call("read_score", {"experiment": experiment})
        if "status" not in answer.data:
            assert "timed out" in answer.text, answer.text
        elif answer["status"] not in ("queued", "running", "pending", "confirming"):
            return answer


def until_decided(experiment: int) -> Generator[Step, Result, Result]:
    """Decide, and again after the repeats the referee asks for."""
    while True:
        answer = yield Call("commit_or_revert", {"experiment": experiment})
        if answer.failed or answer["decision"] != "confirming":
            return answer
        yield from until_scored(experiment)
