"""NDCG of a ranking on openings that it has never seen; labels, groups and personal data stay with the scorer.

The cases lie in the scorer's drawer, which no run can read. The ranking runs in a process of its own and is given the
rubric, one opening and its candidates, with everything personal replaced; it answers a number for each. Nothing of a
candidate is ever in an answer of this program. Units are queries.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

import people
from asking import Program, code_kb
from confined import Failed, has_walls, shield
from units import Draw, coarse, drawn, kept, mean_of, of_split, split

CASES = "cases.json"  # in the drawer
ASKED = 2 / 3  # of the other queries, in each scoring
TOP = 10
LONGEST_RUBRIC = 4_000
MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
PHONE = re.compile(r"\+?\d(?:\.(?=\d)|[\d\s()/\u2010-\u2015-]){7,}\d")


class Stood(NamedTuple):
    """Where a candidate stood in its query: place 0 (last) to 1 (first), and how much it is looked at there."""

    group: str
    place: float
    exposure: float


def queries() -> list[dict[str, Any]]:
    """The openings of this scoring, the same for all on one seed: a fold of `val`, or all of the exam's."""
    cases = of_split(kept(CASES, lambda: people.cases(Draw(os.urandom(16).hex()))))
    return cases if split() == "test" else drawn("folds").sample(cases, max(1, round(ASKED * len(cases))))


def anonymous(candidate: dict[str, Any]) -> str:
    """The text without what is personal: names, addresses, numbers of telephones.

    Accents come in two spellings in Unicode, and a name may stand in an address of a page (`ada_ash`).
    """
    text = unnumbered(candidate["text"])
    for name in sorted(candidate.get("names", []), key=len, reverse=True):
        words = r"\s+".join(re.escape(word) for word in _composed(name).split())
        if words:
            text = re.sub(rf"(?<![^\W_]){words}(?![^\W_])", "[name]", text, flags=re.IGNORECASE)
    return text


def unnumbered(text: str) -> str:
    """Without addresses and numbers of telephones: a query may name whom to ask."""
    return PHONE.sub("[phone]", MAIL.sub("[mail]", _composed(text)))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def ndcg(labels: list[float], scores: list[float]) -> float:
    """Normalised discounted cumulative gain of the first TOP (Järvelin and Kekäläinen 2002), gains 2^label - 1.

    Equal scores are laid out worst first: who does not decide is not helped by chance.
    """
    order = sorted(range(len(labels)), key=lambda at: (-scores[at], labels[at]))
    ideal = _discounted(sorted(labels, reverse=True))
    return _discounted([labels[at] for at in order]) / ideal if ideal else 1.0


def _discounted(labels: list[float]) -> float:
    return sum((2.0**label - 1.0) / math.log2(place + 2) for place, label in enumerate(labels[:TOP]))


def percentiles(scores: list[float]) -> list[float]:
    """Where each candidate stands among the others of its query, 0 to 1; equal scores stand together."""
    last = max(1, len(scores) - 1)
    return [
        (sum(other < score for other in scores) + (sum(other == score for other in scores) - 1) / 2) / last
        for score in scores
    ]


def exposures(scores: list[float]) -> list[float]:
    """How much each candidate is looked at, 1 on average, by the discount of NDCG (Singh and Joachims 2018)."""
    weights = [1.0 / math.log2(place + 2) for place in range(len(scores))]
    usual = sum(weights) / len(weights)
    found = []
    for score in scores:
        first, equal = sum(other > score for other in scores), scores.count(score)
        found.append(sum(weights[first : first + equal]) / equal / usual)
    return found


def gap(groups: list[str], values: list[float]) -> float:
    """The largest difference of the mean value between two groups, of which there are two or more."""
    found: dict[str, list[float]] = {}
    for group, value in zip(groups, values, strict=True):
        found.setdefault(group, []).append(value)
    means = [sum(some) / len(some) for some in found.values()]
    return max(means) - min(means)


def gaps(stood: list[Stood]) -> dict[str, float]:
    """For `secondary`. Nothing where there is one group or none: what was not measured breaks its bound."""
    groups = [one.group for one in stood]
    if len(set(groups)) < 2:
        return {}
    return {
        "group_gap": round(gap(groups, [one.place for one in stood]), 3),
        "exposure_gap": round(gap(groups, [one.exposure for one in stood]), 3),
    }


def rank(program: Program, rubric: str, query: dict[str, Any], draw: Draw) -> tuple[float, list[Stood]]:
    """(NDCG of one query, where each candidate stood). Raises Failed."""
    candidates = draw.sample(query["candidates"], len(query["candidates"]))
    said = program.ask("score", rubric, unnumbered(query["query"]), [anonymous(one) for one in candidates])
    if not isinstance(said, list) or len(said) != len(candidates) or any(type(one) not in (int, float) for one in said):
        raise Failed("bad_output", "score must answer one number for each candidate.")
    groups = [str(one.get("group", "")) for one in candidates]
    stood = [Stood(*one) for one in zip(groups, percentiles(said), exposures(said), strict=True)]
    return ndcg([one["label"] for one in candidates], said), stood


def main() -> int:
    shield()
    try:
        file = Path(os.environ["AUTORESEARCH_SNAPSHOT"]) / "rubric.txt"
        rubric = file.read_text("utf-8", errors="replace") if file.is_file() else ""
        if not 0 < len(rubric) <= LONGEST_RUBRIC:
            raise Failed("bad_output", f"There must be a rubric.txt of at most {LONGEST_RUBRIC} letters.")
        draw, stood, units = drawn("order"), [], []
        with Program("rank.py") as program:
            for query in queries():
                unit, some = rank(program, rubric, query, draw)
                units.append(unit)
                stood += some
    except Failed as failure:
        code, detail = failure.args
        print(json.dumps({"rejected": code, "detail": detail}))
        return 0
    score, interval = mean_of(units)
    secondary = {
        **gaps(stood),
        "queries": float(len(units)),
        "code_kb": code_kb("rank.py", "rubric.txt"),
        "walls": float(has_walls()),
    }
    print(json.dumps({**coarse(score, interval), "secondary": secondary}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
