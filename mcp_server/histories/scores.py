"""Which column of a source is its score: by its name, its place, and what was kept by it. Pure.

Where several could be it nothing is chosen, and the caller is asked; nor where the keeps speak for another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mcp_server.arena.metrics import Better, better_by_name, plain_name
from mcp_server.histories.rows import Raw, Record
from mcp_server.histories.words import NO_NUMBER, SCORE_WORDS, SCORES, SET, beside, number
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.text import clean_line

MOSTLY = 0.5
ONE_WAY = 0.8
MOST_TOLD = 0.7  # of the keeps: below it another column may be the score
LEAST_KEEPS = 3  # after the first, before they speak against a column
INSIDE = ("metrics_", "results_", "result_", "scores_")  # before the names of what an object inside a row holds


def numeric(values: Sequence[str]) -> bool:
    """Whether numbers are told, and little else."""
    good, told = 0, 0
    for value in values:
        if value.lower() in NO_NUMBER:
            continue
        told += 1
        try:
            good += number(value) is not None
        except ValueError:
            continue
    return good >= max(1, MOSTLY * told)


def score_of(raw: Raw, sample: Sequence[Record], taken: Mapping[str, str], wanted: str) -> tuple[str, str]:
    """The column of the score, and why. wanted: its name, from somebody who knows. Raises NotNow."""
    if "score" in taken:
        return taken["score"], f"the score is {taken['score']}, as asked"
    numbers = [
        one
        for one in raw.columns
        if one not in taken.values()
        and plain_name(one)
        and not SET.search(plain_name(one))
        and numeric([v for row in sample if (v := row.cells.get(one, "").strip())])
    ]
    by_name = {plain_name(one): one for one in numbers}
    general = next((by_name[name] for name in SCORES if name in by_name), "")
    if wanted:
        named = {plain_name(one) for one in measured_by(sample, taken)}
        return _asked(raw, wanted, general, plain_name(wanted) in named)
    told = raw.told.get("metric", "")
    if told in numbers:
        return told, f"the score is {told}, as the source says"
    if general:
        return general, f"the score is column {general}"
    aside = [one for one in numbers if beside(one) or plain_name(one).startswith(INSIDE)]
    left = [one for one in numbers if one not in aside]
    # as the reference has it: the number that follows the commit
    place = raw.columns.index(taken["commit"]) + 1 if "commit" in taken else len(raw.columns)
    if place < len(raw.columns) and raw.columns[place] in left:
        found = raw.columns[place]
        return found, f"the score is {found}, the number after the commit, as in the reference"
    after = [one for one in numbers if plain_name(one).endswith("_after")]
    worded = [one for one in left if SCORE_WORDS & set(plain_name(one).split("_"))]
    known = [one for one in left if better_by_name(one)]
    validated = [one for one in known or left if plain_name(one).startswith(("val_", "valid", "test_", "eval"))]
    # what is told inside an object, or beside a score where there is none
    inside = [] if left else [one for one in aside if plain_name(one) in [before + "score" for before in INSIDE]]
    others = [] if left else [one for one in aside if better_by_name(one)]
    for few, why in (
        (after, "what it was afterwards"),
        (worded, "the score by its name"),
        (known, "the only metric by its name"),
        (validated, "the validation's"),
        (left, "the only number"),
        (inside, "the score by its name"),
        (others, "the only metric by its name"),
    ):
        if len(few) == 1:
            return few[0], f"the score is {few[0]}, {why}"
    raise NotNow(_unsaid(raw, sample, taken, left or others))


def _unsaid(raw: Raw, sample: Sequence[Record], taken: Mapping[str, str], left: Sequence[str]) -> str:
    """Why no column is the score, and what to say."""
    if left:
        return f"{raw.name} has several numbers that could be the score: {', '.join(left[:12])}. Say --metric COLUMN."
    for column in raw.columns:
        values = [v for row in sample if (v := row.cells.get(column, "").strip()) and v.lower() not in NO_NUMBER]
        if plain_name(column) in SCORES and values and column not in taken.values():
            return (
                f"{raw.name} has its scores in {column}, and they are no single numbers: "
                f"“{clean_line(values[0], 40)}”. Write one number in each row, or say --metric COLUMN."
            )
    return f"{raw.name} has no column of scores among {', '.join(raw.columns[:30])}. Name it: --metric COLUMN."


def measured_by(sample: Sequence[Record], taken: Mapping[str, str]) -> set[str]:
    """The metrics that rows say they measure, where a column names them."""
    return {value for row in sample if (value := row.cells.get(taken.get("metric", ""), "").strip())}


def _asked(raw: Raw, metric: str, general: str, told: bool) -> tuple[str, str]:
    """The column that --metric names; else what it calls the number of a column `metric` or `score`.

    told: whether rows say that they measure it: then it is that number.
    """
    wanted = plain_name(metric)
    if told and general:
        return general, f"the score is column {general} where it is {clean_line(metric, 40)}, as asked"
    for prefix in ("", *INSIDE):
        for column in raw.columns:
            if plain_name(column) == prefix + wanted:
                return column, f"the score is {column}, as asked"
    if general:
        return general, f"the score is column {general}, called {clean_line(metric, 40)} as asked"
    raise NotNow(f"{raw.name} has no column {clean_line(metric, 40)}; it has {', '.join(raw.columns[:40])}.")


def doubted(raw: Raw, columns: Mapping[str, str], kept: Sequence[Record], direction: Better) -> None:
    """Asks where the keeps speak against the column that looks like the score, and for another. Raises NotNow."""
    score = columns["score"]
    told, won = _told_and_won(kept, score, direction)
    for other in raw.columns:
        way = better_by_name(other)
        if way is None or other in columns.values():
            continue
        told_there, won_there = _told_and_won(kept, other, way)
        why = ""
        after, after_there = told - 1, told_there - 1
        if told < MOST_TOLD * len(kept) and told_there > told:
            why = f"only {told} of {len(kept)} keeps tell it, and {told_there} tell {other}"
        elif min(after, after_there) >= LEAST_KEEPS and won < MOSTLY * after and won_there >= ONE_WAY * after_there:
            why = f"by it {won} of {after} keeps are better than all before, by {other} {won_there} of {after_there}"
        if why:
            raise NotNow(
                f"{score} looks like the score of {raw.name}, but {why}. Say which it is: --metric {score} or "
                f"--metric {other}."
            )


def _told_and_won(kept: Sequence[Record], column: str, way: Better) -> tuple[int, int]:
    """(keeps that tell the column, those of them that are better than all before)."""
    told = won = 0
    best = -math.inf
    for row in kept:
        try:
            value = number(row.cells.get(column, ""))
        except ValueError:
            continue
        if value is None:
            continue
        worth = value if way == "maximize" else -value
        won += told > 0 and worth > best
        told += 1
        best = max(best, worth)
    return told, won
