"""How a number is written for people: one way, whatever its size. Pure.

A metric is anybody's: 0.9979 bits, 12,345 points, 1e308 of a sum that ran away. Fixed decimals are for numbers of a
size one reads; beyond it digits say nothing, and 309 of them hide the rest of the line.
"""

from __future__ import annotations

import math

LARGEST_SCORE = 1e100  # what diverged so far is no number to reckon with
LARGEST_FIXED = 1e9
SIGNIFICANT = 4  # digits of a number that is written with an exponent
COARSE = 3  # with so few decimals nobody looks for small numbers


def fixed(value: float, decimals: int = 6, *, sign: bool = False, commas: bool = False) -> str:
    """With that many decimals; with an exponent where it is too large for them, or too small to show in them."""
    plus, comma = "+" if sign else "", "," if commas else ""
    if not math.isfinite(value):
        return format(value, plus)
    small = decimals > COARSE and 0.0 < abs(value) < 10.0 ** (1 - decimals)  # one digit of it would show at most
    if small or abs(value) >= LARGEST_FIXED:
        return format(value, f"{plus}.{SIGNIFICANT}g")
    return format(value, f"{plus}{comma}.{decimals}f")


def duration(seconds: float) -> str:
    """In a unit one reads: `40 s`, `14 min`, `8.2 h` or `3.1 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def counted(number: int, what: str) -> str:
    """`1 lab`, `1,200 labs`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def is_number(text: str) -> bool:
    """Whether Python reads the text as a number; `nan` and `inf` are."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def shown(value: float) -> str:
    """About six significant digits, as short as they can be written: for numbers inside a sentence."""
    return format(value, ".6g")
