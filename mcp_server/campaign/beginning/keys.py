"""Which keys of program.md may change while a campaign runs, and who may change them.

program.md lies in the work tree, where any agent can write. So a key is one of three: fixed, because another value
would measure something else; free, because it neither widens what a run may do nor lowers a bar; or a person's, in
force only after `autoresearch amend`. A person's key may be made stricter by a mere edit. All keys are in one table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from mcp_server.arena.program import Arena, Guard

SHOWN = 120  # characters of a value in a list of changes


class Holder(StrEnum):
    """Who may change a key during a campaign."""

    NOBODY = "nobody"  # needs a new campaign
    PERSON = "person"  # needs `autoresearch amend`
    ANYBODY = "anybody"  # applies as it is written


def _never(before: Any, after: Any) -> bool:
    return False


def _no_wider(before: Any, after: Any) -> bool:
    return set(after) <= set(before)


def _no_fewer(before: Any, after: Any) -> bool:
    return set(after) >= set(before)


def _no_more(before: float | None, after: float | None) -> bool:
    """None is without limit."""
    return before is None or (after is not None and after <= before)


def _not_taken_back(before: bool, after: bool) -> bool:
    return after or not before


def _no_smaller(before: float | str, after: float | str) -> bool:
    return isinstance(before, int | float) and isinstance(after, int | float) and after >= before


def _tighter_bounds(before: dict[str, Guard], after: dict[str, Guard]) -> bool:
    return all(name in after and _within(after[name], bound) for name, bound in before.items())


def _within(after: Guard, before: Guard) -> bool:
    low = before.min is None or (after.min is not None and after.min >= before.min)
    return low and _no_more(before.max, after.max) and _closer(before, after)


def _closer(before: Guard, after: Guard) -> bool:
    """Whether a margin allows no more than before: of one kind, and no wider."""
    if before.margin is None:
        return True
    alike = (before.direction, before.margin_is_share) == (after.direction, after.margin_is_share)
    return after.margin is not None and alike and after.margin_value <= before.margin_value


@dataclass(frozen=True)
class Rule:
    """holder: who may change the key. stricter: whether a new value only asks more, so that an edit may set it."""

    holder: Holder
    stricter: Callable[[Any, Any], bool] = _never


SEEN = ("hidden", "counts", "shown")  # of single examples, from nothing to all
FIXED, FREE, A_PERSONS = Rule(Holder.NOBODY), Rule(Holder.ANYBODY), Rule(Holder.PERSON)
RULES: dict[str, Rule] = {
    "goal": FREE,
    "metric": FIXED,
    "editable": Rule(Holder.PERSON, _no_wider),
    "frozen": FIXED,
    "run": FIXED,
    "score": FIXED,
    "budget.seconds": FIXED,
    "budget.clock": FIXED,
    "budget.startup_seconds": Rule(Holder.PERSON, _no_more),
    "budget.grace_seconds": Rule(Holder.PERSON, _no_more),
    "budget.memory_gb": Rule(Holder.PERSON, _no_more),
    "budget.log_mb": Rule(Holder.PERSON, _no_more),
    "budget.disk_gb": Rule(Holder.PERSON, _no_more),
    "budget.score_seconds": Rule(Holder.PERSON, _no_more),
    "budget.early_abort": FREE,
    "devices": A_PERSONS,
    "threads": A_PERSONS,
    "engine": A_PERSONS,
    "keep.min_delta": Rule(Holder.PERSON, _no_smaller),
    "keep.confirm": Rule(Holder.PERSON, lambda before, after: after == "always"),
    "keep.simplicity": Rule(Holder.PERSON, lambda before, after: not after),
    "keep.pairing": A_PERSONS,
    "checks": Rule(Holder.PERSON, _no_fewer),
    "stop.experiments": FREE,
    "stop.hours": FREE,
    "stop.target": FREE,
    "stop.stale": FREE,
    "stop.cost": Rule(Holder.PERSON, _no_more),
    "stop.tokens": Rule(Holder.PERSON, _no_more),
    "secondary": Rule(Holder.PERSON, _tighter_bounds),
    "claim": A_PERSONS,
    "watch": Rule(Holder.PERSON, _not_taken_back),
    "suite": A_PERSONS,  # a command of it knows what the scorer knows, and its number is told
    "view": A_PERSONS,
    "metrics": FIXED,
    "readable": Rule(Holder.PERSON, _no_wider),
    "require_sandbox": Rule(Holder.PERSON, _not_taken_back),
    "units": Rule(Holder.PERSON, lambda before, after: SEEN.index(after) <= SEEN.index(before)),
    "units_are": Rule(Holder.PERSON, lambda before, after: after == "sample"),
    "score_incumbent": A_PERSONS,
    "handover": FIXED,
    "style": FREE,
}


@dataclass(frozen=True)
class Change:
    """One key that differs, its values as program.md would say them, and who may make this change."""

    key: str
    before: str
    after: str
    holder: Holder

    @property
    def words(self) -> str:
        return f"{self.key}: {self.before} -> {self.after}"


def keys(arena: Arena) -> Iterator[tuple[str, Any]]:
    """Every key with its value; those of the sections budget, keep and stop one by one."""
    for name in Arena.model_fields:
        value = getattr(arena, name)
        if name in ("budget", "keep", "stop"):
            yield from ((f"{name}.{key}", getattr(value, key)) for key in type(value).model_fields)
        else:
            yield name, value


def changes(before: Arena, after: Arena) -> list[Change]:
    """What differs, and who may change it so. A key that the table lacks is a person's."""
    found = []
    for (name, old), (_, new) in zip(keys(before), keys(after), strict=True):
        if old != new:
            rule = RULES.get(name, A_PERSONS)
            allowed = rule.holder is Holder.PERSON and rule.stricter(old, new)
            found.append(Change(name, shown(old), shown(new), Holder.ANYBODY if allowed else rule.holder))
    return found


def shown(value: Any) -> str:
    """A value as a line of program.md would have it."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    elif isinstance(value, dict):
        value = {name: bound.model_dump(exclude_none=True) for name, bound in value.items()}
    elif isinstance(value, tuple):
        value = list(value)
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
