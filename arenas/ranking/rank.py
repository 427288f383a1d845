"""Points of candidates by the rubric: `score(rubric, query, candidates)` answers one number for each, higher is better.

Each criterion counts once for every skill it stands for. Personal data are replaced before this program sees a text.
"""

from __future__ import annotations

import re

YEARS_WEIGHT = 0.0  # points for each year that is told of a skill of the opening
MOST_YEARS = 5  # that count


def named(query: str, heading: str) -> list[str]:
    """The skills behind `Must:` or `Nice:`."""
    found = re.search(rf"{heading}: ([^.]*)\.", query)
    return [word.strip() for word in found[1].split(",")] if found else []


def criteria(rubric: str, query: str) -> list[tuple[float, list[str]]]:
    """(points, phrases) for each line of the rubric, and for each skill that it stands for."""
    must, nice, city = named(query, "Must"), named(query, "Nice"), query.rstrip(".").split()[-1]
    found = []
    for line in rubric.splitlines():
        points, bar, phrases = line.partition("|")
        if line.startswith("#") or not bar:
            continue
        words = [phrase.strip().replace("{city}", city) for phrase in phrases.split(",")]
        mark = next((mark for mark in ("{must}", "{nice}") if mark in phrases), "")
        for skill in {"{must}": must, "{nice}": nice}.get(mark, [""]):
            found.append((float(points), [word.replace(mark, skill) if mark else word for word in words]))
    return found


def score(rubric: str, query: str, candidates: list[str]) -> list[float]:
    rules = criteria(rubric, query)
    skills = [*named(query, "Must"), *named(query, "Nice")]
    return [points(text.lower(), rules, skills) for text in candidates]


def points(text: str, rules: list[tuple[float, list[str]]], skills: list[str]) -> float:
    total = sum(worth for worth, phrases in rules if any(phrase.lower() in text for phrase in phrases))
    for skill in skills:
        told = [sentence for sentence in text.split(". ") if skill in sentence]
        years = [int(number) for sentence in told for number in re.findall(r"(\d+) years", sentence)]
        total += YEARS_WEIGHT * min(MOST_YEARS, sum(years))
    return total
