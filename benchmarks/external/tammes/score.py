"""The smallest distance between 50 points on the unit sphere, each the direction of three numbers, rounded down.

Which pair is the closest is decided by exact fractions; roots are taken to 60 digits, away from what flatters.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from fractions import Fraction
from itertools import combinations

from reading import Refused, answer, table

UP, DOWN = Context(prec=60, rounding=ROUND_CEILING), Context(prec=60, rounding=ROUND_FLOOR)


def measure() -> float:
    points = table("points.json", 50, 3)
    length = [sum((part * part for part in point), Fraction(0)) for point in points]
    if min(length) == 0:
        raise Refused("infeasible", "Zero is no direction.")
    closest = Fraction(-2)  # the cosine's square, with the cosine's sign
    for one, two in combinations(range(50), 2):
        dot = sum((a * b for a, b in zip(points[one], points[two], strict=True)), Fraction(0))
        closest = max(closest, dot * abs(dot) / (length[one] * length[two]))
    size = abs(closest)
    way = UP if closest >= 0 else DOWN  # a cosine that is too large makes the distance too small
    cosine = way.sqrt(way.divide(Decimal(size.numerator), Decimal(size.denominator)))
    # a root is rounded to the nearest, whatever the context says: a last digit more or less is on the safe side
    cosine = (way.next_plus if closest >= 0 else way.next_minus)(cosine) * (1 if closest >= 0 else -1)
    distance = DOWN.next_minus(DOWN.sqrt(max(Decimal(0), DOWN.subtract(2, UP.multiply(2, cosine)))))
    return math.nextafter(float(max(Decimal(0), distance)), 0.0)


if __name__ == "__main__":
    answer(measure)
