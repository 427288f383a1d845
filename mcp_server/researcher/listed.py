"""Steps that an arena suggests to the built-in researcher: replacements of text, from a file of the lab.

Where a better program or text is not a matter of constants, `proposals.yaml` beside program.md has what may be tried:

    - title: add energy up in one pass
      why: Every cell looks at every event.
      edits: [{old: the text to replace, new: what takes its place}]

A step whose old text does not occur exactly once is left out, for another step may have changed it. What
`demo --quick` tries is such a list that comes with the package, taken in its order.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mcp_server.arena.yamllines import read
from mcp_server.edits.movable import Move
from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.refusals import first
from mcp_server.researcher.habits import Proposal, Trial

SUGGESTIONS = "proposals.yaml"
RECORDED = Path(__file__).with_name("recorded.yaml")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Edit(_Part):
    """One replacement of text."""

    old: str = Field(min_length=1)
    new: str


class Suggestion(_Part):
    """One step: all its edits or none."""

    title: str = Field(min_length=3, max_length=120)
    why: str = ""
    edits: tuple[Edit, ...] = Field(min_length=1)

    def applied(self, source: str) -> str | None:
        """The source with the step made, None where it does not fit."""
        for edit in self.edits:
            if source.count(edit.old) != 1:
                return None
            source = source.replace(edit.old, edit.new)
        return source


_LIST = TypeAdapter(tuple[Suggestion, ...])


def parse_suggestions(text: str) -> tuple[Suggestion, ...]:
    """The steps of a file. Raises ArenaError."""
    _, found = read(text, SUGGESTIONS, hint="Mend it or delete the file.")
    try:
        return _LIST.validate_python(found or [])
    except ValidationError as error:
        raise ArenaError(f"{SUGGESTIONS}: {first(error)}. Mend it or delete the file.") from None


def recorded() -> tuple[Suggestion, ...]:
    """What an agent proposed for the packing arena on an earlier day."""
    return parse_suggestions(RECORDED.read_text("utf-8"))


def suggest(steps: Sequence[Suggestion], source: str, trials: Sequence[Trial], seed: int) -> Proposal | None:
    """A next step that fits and was not tried; None when there is none. The same inputs, the same answer."""
    open_steps = _open(steps, source, trials)
    return _proposal(*random.Random(f"{seed} {len(trials)}").choice(open_steps)) if open_steps else None


def in_order(steps: Sequence[Suggestion], source: str, trials: Sequence[Trial]) -> Proposal | None:
    """The first step of the list that fits and was not tried; None when there is none."""
    open_steps = _open(steps, source, trials)
    return _proposal(*open_steps[0]) if open_steps else None


def _open(steps: Sequence[Suggestion], source: str, trials: Sequence[Trial]) -> list[tuple[Suggestion, str]]:
    """The steps that fit and were not tried, each with the source that it makes."""
    tried = {move.name for trial in trials for move in trial.moves}
    fitting = [(step, step.applied(source)) for step in steps if step.title not in tried]
    return [(step, after) for step, after in fitting if after is not None and after != source]


def _proposal(step: Suggestion, after: str) -> Proposal:
    move = Move(step.title, "", "")
    return Proposal(moves=(move,), source=after, description=step.title, hypothesis=step.why, expected=None)
