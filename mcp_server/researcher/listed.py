"""Steps that an arena suggests to the built-in researcher: replacements of text, from a file of the lab.

Where a better program or text is not a matter of constants, `proposals.yaml` beside program.md has what may be tried:

    - title: add energy up in one pass
      why: Every cell looks at every event.
      edits: [{old: the text to replace, new: what takes its place}]

Pure. A step whose old text does not occur exactly once is left out, for another step may have changed it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mcp_server.edits.movable import Move
from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.refusals import first
from mcp_server.researcher.habits import Proposal, Trial

SUGGESTIONS = "proposals.yaml"


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
    try:
        return _LIST.validate_python(yaml.safe_load(text) or [])
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ArenaError(f"{SUGGESTIONS}{where} is not valid YAML. Mend it or delete the file.") from None
    except ValidationError as error:
        raise ArenaError(f"{SUGGESTIONS}: {first(error)}. Mend it or delete the file.") from None


def suggest(steps: Sequence[Suggestion], source: str, trials: Sequence[Trial], seed: int) -> Proposal | None:
    """The next step that fits and was not tried; None when there is none. The same inputs, the same answer."""
    tried = {move.name for trial in trials for move in trial.moves}
    fitting = [(step, step.applied(source)) for step in steps if step.title not in tried]
    open_steps = [(step, after) for step, after in fitting if after is not None and after != source]
    if not open_steps:
        return None
    step, after = random.Random(f"{seed} {len(trials)}").choice(open_steps)
    return Proposal(
        moves=(Move(step.title, "", ""),), source=after, description=step.title, hypothesis=step.why, expected=None
    )
