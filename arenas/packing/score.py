"""Measures a packing exactly: the sum of the radii, if the circles fit; a refusal with its reason, if they do not.

Nothing of the run is executed or believed, only 78 numbers are read. They are taken as the binary fractions that they
are, so every comparison is exact: there is no tolerance to lean on.
"""

from __future__ import annotations

import json
import math
import os
import sys
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

CIRCLES = 26
MOST_BYTES = 64_000  # 78 numbers need 2,000
Circle = tuple[Fraction, Fraction, Fraction]


class Refused(Exception):
    """The artifact is no packing; the arguments are a reason code and a sentence."""


def number(text: str) -> Fraction:
    """A JSON number as the double it stands for, exactly."""
    value = float(text)
    if not math.isfinite(value):
        raise Refused("bad_output", f"{text[:40]} is not a finite number.")
    return Fraction(value)


def no_constant(name: str) -> NoReturn:
    raise Refused("bad_output", f"{name} is not a number.")


def circles(path: Path) -> list[Circle]:
    """The circles of a file. Raises Refused."""
    if not path.is_file():
        raise Refused("bad_output", "There is no circles.json.")
    if path.stat().st_size > MOST_BYTES:
        raise Refused("bad_output", f"circles.json has more than {MOST_BYTES} bytes.")
    try:
        found = json.loads(path.read_bytes(), parse_float=number, parse_int=number, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise Refused("bad_output", "circles.json is not JSON.") from None
    if not isinstance(found, list) or len(found) != CIRCLES:
        raise Refused("bad_output", f"circles.json must be a list of exactly {CIRCLES} circles.")
    for circle in found:
        if not isinstance(circle, list) or len(circle) != 3 or any(type(part) is not Fraction for part in circle):
            raise Refused("bad_output", "Every circle must be [x, y, radius].")
    return [(x, y, radius) for x, y, radius in found]


def total(packing: list[Circle]) -> Fraction:
    """The sum of the radii. Raises Refused where the circles do not fit."""
    for which, (x, y, radius) in enumerate(packing):
        if radius < 0:
            raise Refused("infeasible", f"Circle {which} has a negative radius.")
        if min(x - radius, y - radius) < 0 or max(x + radius, y + radius) > 1:
            raise Refused("infeasible", f"Circle {which} crosses a wall.")
        for other, (a, b, theirs) in enumerate(packing[:which]):
            if (x - a) ** 2 + (y - b) ** 2 < (radius + theirs) ** 2:
                raise Refused("infeasible", f"Circles {other} and {which} overlap.")
    return sum((radius for _, _, radius in packing), Fraction(0))


def main() -> int:
    try:
        packing = circles(Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "circles.json")
        score = float(total(packing))
    except Refused as refusal:
        code, detail = refusal.args
        print(json.dumps({"rejected": code, "detail": detail}))
        return 0
    smallest = float(min(radius for _, _, radius in packing))
    print(json.dumps({"score": score, "secondary": {"smallest_radius": smallest}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
