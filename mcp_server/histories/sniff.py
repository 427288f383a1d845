"""What a source's columns mean: sniffed from names and values, with the reason for each choice. Pure.

Where two readings are equally good nothing is chosen: the caller is asked, and scripts get no guess either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mcp_server.arena.metrics import Better, better_by_name, plain_name
from mcp_server.histories.rows import DISCARDED, KEPT, Raw, Record, Schema
from mcp_server.histories.words import (
    BESIDE,
    COLUMNS,
    NO_NUMBER,
    SCORES,
    direction_of,
    number,
    outcome,
)
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.text import clean_line

LOOKED_AT = 2000  # rows
MOSTLY = 0.5
ONE_WAY = 0.8  # of the steps between keeps, to tell the direction by


@dataclass(frozen=True)
class Wishes:
    """What somebody says of a source: `columns` by our field, `statuses` by the source's word."""

    metric: str = ""
    direction: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[str, str] = field(default_factory=dict)


def sniff(raw: Raw, wishes: Wishes) -> Schema:
    """How the rows of a source are to be read. Raises NotNow where that cannot be told, with what to say."""
    if not raw.records:
        raise NotNow(f"{raw.name} holds no row that could be read. Look at the lines it lists, or name another log.")
    reasons: list[str] = list(raw.notes)
    sample = raw.records[:LOOKED_AT]
    columns = _wished(raw, wishes)
    for name, synonyms in COLUMNS.items():
        if name not in columns and (found := _named(raw, sample, name, synonyms, columns, wishes)):
            columns[name] = found
    if columns.get("verdict") == columns.get("status"):
        columns.pop("verdict", None)
    columns["score"], why = _score(raw, sample, columns, wishes)
    reasons.append(why)
    for name in ("before", "delta", "steps", "seed"):
        if columns.get(name) == columns["score"]:
            del columns[name]
    metric = _metric(raw, sample, columns, wishes)
    told = {name: column for name, column in columns.items() if name != "metric"}
    direction, why = _direction(raw, sample, told, metric, wishes)
    reasons.append(why)
    unused = tuple(one for one in raw.columns if one not in columns.values())
    return Schema(metric, direction, told, dict(wishes.statuses), tuple(one for one in reasons if one), unused)


def _wished(raw: Raw, wishes: Wishes) -> dict[str, str]:
    known = {one.lower(): one for one in raw.columns}
    chosen = {}
    for name, column in wishes.columns.items():
        if name not in (*COLUMNS, "score"):
            fields = ", ".join(("score", *COLUMNS))
            raise NotNow(f"There is no field {clean_line(name, 40)}. --column takes FIELD=COLUMN, fields: {fields}.")
        if column.lower() not in known:
            raise NotNow(f"{raw.name} has no column {clean_line(column, 40)}; it has {', '.join(raw.columns[:40])}.")
        chosen[name] = known[column.lower()]
    return chosen


def _named(
    raw: Raw, sample: Sequence[Record], name: str, synonyms: Sequence[str], taken: Mapping[str, str], wishes: Wishes
) -> str:
    """The column of one field, by its name; "" where there is none, or its values are of another kind."""
    by_name = {plain_name(one): one for one in raw.columns}
    for synonym in synonyms:
        column = by_name.get(synonym)
        # a verdict may be the status itself; every other column has one meaning
        if column is None or (column in taken.values() and name != "verdict"):
            continue
        values = [value for row in sample if (value := row.cells.get(column, "").strip())]
        if not values or not _fits(name, synonym, values, wishes):
            continue
        return column
    return ""


def _fits(name: str, synonym: str, values: Sequence[str], wishes: Wishes) -> bool:
    """Whether the values of a column are such as the field has."""
    if name == "status":
        known = sum(outcome(value, wishes.statuses) is not None for value in values)
        return synonym in ("status", "decision") or known >= MOSTLY * len(values)
    if name in ("before", "delta", "seed", "steps"):
        return _numeric(values)
    if name in ("description", "reasoning"):
        return synonym in ("description", "hypothesis") or not _numeric(values)
    if name == "better":
        return any(direction_of(value) for value in values)
    if name == "metric":
        return not _numeric(values)
    return True


def _numeric(values: Sequence[str]) -> bool:
    good = 0
    for value in values:
        try:
            good += number(value) is not None or value.lower() in NO_NUMBER
        except ValueError:
            continue
    return good >= max(1, MOSTLY * len(values))


def _score(raw: Raw, sample: Sequence[Record], taken: Mapping[str, str], wishes: Wishes) -> tuple[str, str]:
    """The column of the score, and why. Raises NotNow where several could be it."""
    if "score" in taken:
        return taken["score"], f"the score is {taken['score']}, as asked"
    if wishes.metric and wishes.metric.lower() in (one.lower() for one in raw.columns):
        found = next(one for one in raw.columns if one.lower() == wishes.metric.lower())
        return found, f"the score is {found}, as asked"
    numbers = [
        one
        for one in raw.columns
        if one not in taken.values() and _numeric([v for row in sample if (v := row.cells.get(one, "").strip())])
    ]
    by_name = {plain_name(one): one for one in numbers}
    told = raw.told.get("metric", "")
    if told in numbers:
        return told, f"the score is {told}, as the source says"
    for name in SCORES:
        if name in by_name:
            return by_name[name], f"the score is column {by_name[name]}"
    # as the reference has it: the number that follows the commit
    place = raw.columns.index(taken["commit"]) + 1 if "commit" in taken else len(raw.columns)
    if place < len(raw.columns) and raw.columns[place] in numbers and not BESIDE.search(plain_name(raw.columns[place])):
        return raw.columns[
            place
        ], f"the score is {raw.columns[place]}, the number after the commit, as in the reference"
    left = [one for one in numbers if not BESIDE.search(plain_name(one)) and not one.startswith("metrics_")]
    known = [one for one in left if better_by_name(one)]
    validated = [one for one in known or left if plain_name(one).startswith(("val_", "valid", "test_", "eval"))]
    for few, why in (
        (known, "the only metric by its name"),
        (validated, "the validation's"),
        (left, "the only number"),
    ):
        if len(few) == 1:
            return few[0], f"the score is {few[0]}, {why}"
    if not left:
        raise NotNow(
            f"{raw.name} has no column of scores among {', '.join(raw.columns[:30])}. Name it: --metric COLUMN."
        )
    raise NotNow(
        f"{raw.name} has several numbers that could be the score: {', '.join(left[:12])}. Say --metric COLUMN."
    )


def _metric(raw: Raw, sample: Sequence[Record], columns: Mapping[str, str], wishes: Wishes) -> str:
    """What the score is called."""
    if wishes.metric:
        return clean_line(wishes.metric, 40)
    if "metric" in columns:
        named = [value for row in sample if (value := row.cells.get(columns["metric"], ""))]
        if named:
            return clean_line(max(set(named), key=named.count), 40)
    return clean_line(raw.told.get("metric") or columns["score"].removesuffix("_after"), 40)


def _direction(
    raw: Raw, sample: Sequence[Record], columns: Mapping[str, str], metric: str, wishes: Wishes
) -> tuple[Better, str]:
    """Which way is better, and how that is known. Raises NotNow where it is not, or where two signs disagree."""
    if wishes.direction:
        asked = direction_of(wishes.direction)
        if asked is None:
            raise NotNow(f"--direction is {clean_line(wishes.direction, 40)}; it must be minimize or maximize.")
        return asked, f"{asked}, as asked"
    told = {found for row in sample if (found := direction_of(row.cells.get(columns.get("better", ""), "")))}
    if raw.told.get("direction") and (found := direction_of(raw.told["direction"])):
        told.add(found)
    if len(told) == 1:
        (said,) = told
        return said, f"{said}: the source says so"
    if len(told) > 1:
        raise NotNow(f"{raw.name} says both that higher and that lower is better. Say which: --direction minimize.")
    named = better_by_name(metric) or better_by_name(columns["score"])
    kept = _by_keeps(sample, columns, wishes) or _by_gains(raw, sample)
    if named and kept and named != kept:
        raise NotNow(
            f"By its name {metric} should be {named}d, but the keeps of {raw.name} run the other way. Say which holds: "
            "--direction minimize or --direction maximize."
        )
    if named:
        return named, f"{named}: from the name {metric}" + (", and the keeps run so" if kept else "")
    if kept:
        return kept, f"{kept}: the keeps run so"
    raise NotNow(f"Nothing in {raw.name} says which way {metric} is better. Say --direction minimize or maximize.")


def _by_keeps(sample: Sequence[Record], columns: Mapping[str, str], wishes: Wishes) -> Better | None:
    """The way that the scores of the keeps take, if it is one."""
    if "status" not in columns:
        return None
    scores: list[tuple[int, float]] = []
    steps: list[float] = []
    for row in sample:
        told = outcome(row.cells.get(columns["status"], ""), wishes.statuses)
        try:
            value = number(row.cells.get(columns["score"], ""))
            before = number(row.cells.get(columns.get("before", ""), ""))
        except ValueError:
            continue
        if value is None or told not in (KEPT, DISCARDED):
            continue
        if before is not None:
            steps.append(value - before if told == KEPT else before - value)
        if told == KEPT:
            scores.append((row.segment, value))
    if not steps:
        steps = [b - a for (one, a), (two, b) in pairwise(scores) if one == two]
    steps = [step for step in steps if step]
    up = sum(step > 0 for step in steps)
    if len(steps) < 2 or max(up, len(steps) - up) < ONE_WAY * len(steps):
        return None
    return "maximize" if 2 * up > len(steps) else "minimize"


def _by_gains(raw: Raw, sample: Sequence[Record]) -> Better | None:
    """In a journal a gain is positive when better, whatever the metric's direction: so both scores tell it."""
    if raw.shape != "journal":
        return None
    ways = []
    for row in sample:
        try:
            gain, score, against = (number(row.cells.get(one, "")) for one in ("gain", "score", "against"))
        except ValueError:
            continue
        if gain and score is not None and against is not None and score != against:
            ways.append((score > against) == (gain > 0))
    if not ways or 0 < sum(ways) < len(ways) * ONE_WAY:
        return None
    return "maximize" if sum(ways) >= ONE_WAY * len(ways) else "minimize"
