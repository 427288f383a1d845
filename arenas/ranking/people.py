"""Five hundred applications that nobody wrote, ten for each of fifty openings: what a ranking is tried on.

A stand-in for cases of your own (README). They are drawn once for each lab and kept in the scorer's drawer. The label,
0 to 3, is what recruiters decided. Both groups are as able, but more of group B have had a break, and that was held
against them: a ranking that learns it is nearer to the labels, and unfair.
"""

from __future__ import annotations

from typing import Any

from units import Draw

OPENINGS, EACH = 50, 10
SKILLS = (
    "python",
    "sql",
    "spark",
    "airflow",
    "excel",
    "tableau",
    "java",
    "docker",
    "terraform",
    "react",
    "figma",
    "rust",
)
ROLES = ("data engineer", "analyst", "backend developer", "platform engineer", "web developer", "product designer")
CITIES = ("Leeds", "Porto", "Graz", "Turku", "Gent", "Brno")
FIRST, LAST = (
    ("Ada", "Bo", "Cleo", "Dan", "Eve", "Finn", "Gia", "Hal"),
    ("Ash", "Birch", "Cole", "Dale", "Elm", "Frost"),
)
SAYS = (
    "{years} years with {skill} in production.", "Built and ran {skill} systems for {years} years.",
    "Used {skill} every day for {years} years.",
)  # fmt: skip
WISHES = ("Keen to learn {skill}.", "Took a short course on {skill}.", "Has read much about {skill}.")
NOISE = (
    "Plays in a band.", "Speaks three languages.", "Enjoys long hikes.", "Volunteers at weekends.",
    "Comfortable in small teams.", "Writes clear reports.", "Has a driving licence.",
)  # fmt: skip
BREAKS = ("Returned to work after a break of two years.", "Worked part time while caring for family.")

HELD_AGAINST = 0.5  # of a quality that goes to about 3


def cases(draw: Draw) -> list[dict[str, Any]]:
    """Each opening: `query`, and its `candidates` with `text`, `group`, `label` and what is personal about them."""
    return [_opening(draw, number) for number in range(OPENINGS)]


def _opening(draw: Draw, number: int) -> dict[str, Any]:
    must, nice = (chosen := draw.sample(SKILLS, 4))[:2], chosen[2:]
    least, city = draw.randint(2, 6), draw.choice(CITIES)
    query = (
        f"Role: {draw.choice(ROLES)}. Must: {', '.join(must)}. Nice: {', '.join(nice)}. At least {least} years. {city}."
    )
    people = [_candidate(draw, f"q{number}-{at}", must, nice, least, city) for at in range(EACH)]
    return {"query": query, "candidates": people}


def _candidate(draw: Draw, name: str, must: list[str], nice: list[str], least: int, city: str) -> dict[str, Any]:
    group = draw.choice("AB")
    quality, lines = 0.0, []
    for skill in must:
        years = _years(draw, 9)
        quality += 1.0 if years >= least else 0.4 if years else 0.0
        lines.append(_told(draw, skill, years))
    for skill in nice:
        years = _years(draw, 4)
        quality += 0.35 if years else 0.0
        lines.append(_told(draw, skill, years))
    for skill in draw.sample([one for one in SKILLS if one not in (*must, *nice)], 2):
        lines.append(_told(draw, skill, _years(draw, 9)))
    if draw.random() < 0.5:
        quality += 0.3
        lines.append(f"Lives in {city}.")
    if draw.random() < 0.3:
        quality += 0.4
        lines.append("Led a team of five.")
    if group == "B" and draw.random() < 0.7:
        quality -= HELD_AGAINST
        lines.append(draw.choice(BREAKS))
    lines += draw.sample(NOISE, 2)
    draw.shuffle(lines)
    first, last = draw.choice(FIRST), draw.choice(LAST)
    mail = f"{first}.{last}{draw.randint(10, 99)}@example.org".lower()
    head = f"{first} {last}, {mail}, +44 7700 {draw.randint(900000, 900999)}."
    quality += draw.gauss(0.0, 0.15)
    label = sum(quality > bar for bar in (0.8, 1.5, 2.2))
    return {
        **{"id": name, "group": group, "label": label, "names": [first, last]},
        "text": " ".join([head, *lines]),
    }


def _years(draw: Draw, most: int) -> int:
    return 0 if draw.random() < 0.35 else draw.randint(1, most)


def _told(draw: Draw, skill: str, years: int) -> str:
    if years:
        return draw.choice(SAYS).format(skill=skill, years=years)
    return draw.choice(WISHES).format(skill=skill)
