"""What a source's columns mean: sniffed from names and values, with the reason for each choice. Pure.

Where two readings are equally good nothing is chosen: the caller is asked, and scripts get no guess either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from mcp_server.arena.metrics import Better, better_asked, better_by_name, better_said, plain_name
from mcp_server.histories.rows import DISCARDED, KEPT, UNKNOWN, Raw, Record, Schema
from mcp_server.histories.scores import MOSTLY, ONE_WAY, doubted, measured_by, numeric, score_of
from mcp_server.histories.words import COLUMNS, ENDED_WELL, number, outcome
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.text import clean_line

LOOKED_AT = 2000  # rows
LEAST_OF_EACH = 3  # rows of each variant, in the mean
TELLING = ("status", "description", "reasoning", "commit", "number", "config")  # one of them a log of attempts has


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
        raise NotNow(_rowless(raw))
    reasons: list[str] = list(raw.notes)
    sample = raw.records[:LOOKED_AT]
    columns = _wished(raw, wishes)
    for name, synonyms in COLUMNS.items():
        if name not in columns and (found := _named(raw, sample, name, synonyms, columns, wishes)):
            columns[name] = found
    if columns.get("verdict") == columns.get("status"):
        columns.pop("verdict", None)
    ran = _ended_well(sample, columns, wishes)
    if ran:
        reasons.append(f"{', '.join(ran)}: it ended, which is no verdict; --status {ran[0]}=kept if it is one")
    wishes = replace(wishes, statuses={**dict.fromkeys(ran, UNKNOWN), **wishes.statuses})
    columns["score"], why = score_of(raw, sample, columns, wishes.metric)
    reasons.append(why)
    before = _before(raw, columns["score"])
    if "before" not in columns and before:
        columns["before"] = before
    for name in ("before", "delta", "steps", "seed"):
        if columns.get(name) == columns["score"]:
            del columns[name]
    if not set(TELLING) & set(columns):
        raise NotNow(
            f"{raw.name} has numbers ({columns['score']}), and no column that says what was tried or kept. If it is a "
            f"log of attempts, name one of {', '.join(raw.columns[:30])}: --column description=COLUMN."
        )
    metric = _metric(raw, sample, columns, wishes)
    others = sorted(measured_by(sample, columns) - {metric})
    if metric not in measured_by(sample, columns):
        columns.pop("metric", None)
    elif others:
        reasons.append(f"most rows measure {metric}; --metric takes another: {', '.join(others[:6])}")
        sample = tuple(row for row in sample if row.cells.get(columns["metric"], "") in ("", metric))
    direction, why = _direction(raw, sample, columns, metric, wishes)
    reasons.append(why)
    if not wishes.metric and "score" not in wishes.columns:
        kept = [row for row in sample if outcome(row.cells.get(columns.get("status", ""), ""), wishes.statuses) == KEPT]
        doubted(raw, columns, kept, direction)
    unused = tuple(one for one in raw.columns if one not in columns.values())
    return Schema(metric, direction, columns, dict(wishes.statuses), tuple(one for one in reasons if one), unused)


def _rowless(raw: Raw) -> str:
    if not raw.unreadable:
        return f"{raw.name} has a heading and no row yet. Name a log that tells of attempts."
    shown = "; ".join(one.words() for one in raw.unreadable[:3])
    more = f" (and {len(raw.unreadable) - 3} more)" if len(raw.unreadable) > 3 else ""
    return f"No row of {raw.name} could be read: {shown}{more}. Mend it, or name another log."


def _ended_well(sample: Sequence[Record], columns: Mapping[str, str], wishes: Wishes) -> tuple[str, ...]:
    """Words of the status by which a run ended well: no verdict, where the log has no word for what was not kept."""
    words = {row.cells.get(columns.get("status", ""), "").strip().lower() for row in sample}
    if any(outcome(word, wishes.statuses) == DISCARDED for word in words):
        return ()
    return tuple(sorted(words & ENDED_WELL - set(wishes.statuses)))


def _before(raw: Raw, score: str) -> str:
    """Of a score `fitness_after` the column `fitness_before`."""
    by_name = {plain_name(one): one for one in raw.columns}
    return by_name.get(plain_name(score).replace("after", "before"), "") if "after" in plain_name(score) else ""


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
    fitting: dict[str, int] = {}
    for synonym in synonyms:
        column = by_name.get(synonym)
        # a verdict may be the status itself; every other column has one meaning
        if column is None or (column in taken.values() and name != "verdict"):
            continue
        values = [value for row in sample if (value := row.cells.get(column, "").strip())]
        if not values or not _fits(name, synonym, values, wishes):
            continue
        if name != "status" or len(values) >= MOSTLY * len(sample):
            return column
        fitting[column] = len(values)
    return max(fitting, key=lambda column: fitting[column]) if fitting else ""


def _fits(name: str, synonym: str, values: Sequence[str], wishes: Wishes) -> bool:
    """Whether the values of a column are such as the field has."""
    if name == "status":
        known = sum(outcome(value, wishes.statuses) is not None for value in values)
        return synonym in ("status", "decision") or known >= MOSTLY * len(values)
    if name in ("before", "delta", "seed", "steps"):
        return numeric(values)
    if name in ("description", "reasoning"):
        listed = sum(value.startswith(("[", "{")) for value in values) > MOSTLY * len(values)
        return synonym in ("description", "hypothesis") or not (listed or numeric(values))
    if name == "better":
        return any(better_said(value) for value in values)
    if name == "variant":  # few, or it tells what was tried
        return 1 < len(set(values)) <= len(values) / LEAST_OF_EACH
    if name == "metric":
        return not numeric(values)
    return True


def _metric(raw: Raw, sample: Sequence[Record], columns: Mapping[str, str], wishes: Wishes) -> str:
    """What the score is called."""
    if wishes.metric:
        asked = (one for one in measured_by(sample, columns) if plain_name(one) == plain_name(wishes.metric))
        return next(asked, clean_line(wishes.metric, 40))
    named = [value for row in sample if (value := row.cells.get(columns.get("metric", ""), ""))]
    if named:
        return max(dict.fromkeys(named), key=named.count)
    return clean_line(raw.told.get("metric") or columns["score"].removesuffix("_after"), 40)


def _direction(
    raw: Raw, sample: Sequence[Record], columns: Mapping[str, str], metric: str, wishes: Wishes
) -> tuple[Better, str]:
    """Which way is better, and how that is known. Raises NotNow where it is not, or where two signs disagree."""
    asked = better_asked(wishes.direction)
    if asked is not None:
        return asked, f"{asked}, as asked"
    told = {found for row in sample if (found := better_said(row.cells.get(columns.get("better", ""), "")))}
    if raw.told.get("direction") and (found := better_said(raw.told["direction"])):
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
