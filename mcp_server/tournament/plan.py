"""plan.yaml: the arms of a tournament, how many campaigns each gets, and what a campaign may use."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mcp_server.arena.yamllines import read
from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.refusals import first
from mcp_server.nouns.text import tag_complaint

PLAN_BYTES = 256_000
TAGGED_CHARACTERS = 30  # of an arm's name in the tags of its campaigns, whose number follows
BUILT_IN = "built-in"  # in place of an agent's command: the researcher without a language model
Positive = Annotated[float, Field(gt=0)]


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArmPlan(_Told):
    """One way of doing research. What is left out is as the lab has it."""

    name: str
    program: str | None = None  # a file beside the plan: the whole program.md, or a memo without front matter
    style: str | None = None
    agent: tuple[str, ...] = Field(min_length=1)

    @property
    def tagged(self) -> str:
        """What the tags of its campaigns begin with."""
        return self.name[:TAGGED_CHARACTERS]

    @field_validator("agent", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return tuple(shlex.split(value)) if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _tag(cls, value: str) -> str:
        wrong = tag_complaint(value)
        if wrong:
            raise ValueError(wrong)
        return value


class TournamentPlan(_Told):
    """All of plan.yaml."""

    arms: tuple[ArmPlan, ...] = Field(min_length=2, max_length=12)
    campaigns: int = Field(default=5, ge=1, le=200)  # of each arm
    commit: str = "HEAD"  # all arms begin from it
    experiments: int = Field(default=20, ge=1, le=10_000)  # turns of the agent, a campaign
    hours: Positive | None = None
    cost_usd: Positive | None = None
    minutes: Positive = 30.0  # of one turn
    calibrate: int = Field(default=2, ge=0, le=20)
    exam_seeds: int = Field(default=3, ge=2, le=50)
    seed: int = 0  # of the order within a block

    @field_validator("arms")
    @classmethod
    def _apart(cls, value: tuple[ArmPlan, ...]) -> tuple[ArmPlan, ...]:
        if len({arm.tagged for arm in value}) < len(value):
            raise ValueError(f"two arms have one name, or begin with the same {TAGGED_CHARACTERS} characters")
        return value

    def schedule(self) -> list[tuple[int, ArmPlan]]:
        """(block, arm) in the order they run: each block has every arm once, and another begins it each time."""
        count = len(self.arms)
        return [
            (block, self.arms[(place + block + self.seed) % count])
            for block in range(self.campaigns)
            for place in range(count)
        ]

    def digest(self, folder: Path) -> str:
        """Of all that makes the arms: a tournament that is resumed must be the one that was begun."""
        told = hashlib.sha256(self.model_dump_json(exclude={"campaigns"}).encode())
        for arm in self.arms:
            told.update((folder / arm.program).read_bytes() if arm.program else b"\0")
        return told.hexdigest()[:32]


def read_plan(path: Path) -> TournamentPlan:
    """Raises ArenaError that names the line or the key."""
    try:
        if path.stat().st_size > PLAN_BYTES:
            raise ArenaError(f"{path.name} is larger than {PLAN_BYTES:,} bytes; a plan is a page. Shorten it.")
        text = path.read_text("utf-8")
    except OSError as error:
        raise ArenaError(f"{path} cannot be read: {error.strerror}. Name the plan of the tournament.") from None
    except UnicodeDecodeError:
        raise ArenaError(f"{path.name} is not UTF-8 text. Save it as UTF-8.") from None
    _, told = read(text, path.name, hint="See docs/compare.md for its keys.")
    try:
        plan = TournamentPlan.model_validate(told if isinstance(told, dict) else {})
    except ValidationError as error:
        raise ArenaError(f"{path.name}: {first(error)}. See docs/compare.md for its keys.") from None
    for arm in plan.arms:
        if arm.program and not (path.parent / arm.program).is_file():
            raise ArenaError(f"{path.name}: arm {arm.name} names {arm.program}, which is not beside the plan.")
    return plan
