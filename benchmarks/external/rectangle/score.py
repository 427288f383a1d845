"""The sum of the radii of 21 circles, if they do not overlap and lie in a rectangle of perimeter 4: exact fractions."""

from __future__ import annotations

from fractions import Fraction

from reading import Refused, answer, table


def measure() -> float:
    circles = table("circles.json", 21, 3)
    for which, (x, y, radius) in enumerate(circles):
        if radius < 0:
            raise Refused("infeasible", f"Circle {which} has a negative radius.")
        for other, (a, b, theirs) in enumerate(circles[:which]):
            if (x - a) ** 2 + (y - b) ** 2 < (radius + theirs) ** 2:
                raise Refused("infeasible", f"Circles {other} and {which} overlap.")
    width = max(x + r for x, _, r in circles) - min(x - r for x, _, r in circles)
    height = max(y + r for _, y, r in circles) - min(y - r for _, y, r in circles)
    if width + height > 2:
        raise Refused("infeasible", f"The circles need a rectangle of perimeter {float(2 * (width + height))!r}.")
    return float(sum((radius for _, _, radius in circles), Fraction(0)))


if __name__ == "__main__":
    answer(measure)
