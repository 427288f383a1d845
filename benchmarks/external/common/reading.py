"""What the exact scorers share: a table of numbers is read as the binary fractions that they are, or refused."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

MOST_BYTES = 64_000


class Refused(Exception):
    """The artifact does not count; the arguments are a reason code and a sentence."""


def table(name: str, rows: int, columns: int) -> list[list[Fraction]]:
    """The numbers of a JSON file in the artifact, `rows` lists of `columns` each. Raises Refused."""
    found = _json(name, _number)
    if not isinstance(found, list) or len(found) != rows:
        raise Refused("bad_output", f"{name} must be a list of exactly {rows} rows.")
    for row in found:
        if not isinstance(row, list) or len(row) != columns or any(type(part) is not Fraction for part in row):
            raise Refused("bad_output", f"Every row of {name} must be {columns} numbers.")
    return found


def lists(name: str) -> list[list[int]]:
    """Lists of whole numbers in a JSON file. Raises Refused."""
    found = _json(name, int)
    if not isinstance(found, list) or any(
        not isinstance(row, list) or any(type(one) is not int for one in row) for row in found
    ):
        raise Refused("bad_output", f"{name} must be lists of whole numbers.")
    return found


def answer(measure: Callable[[], float]) -> None:
    """Print the one line that the lab reads."""
    try:
        print(json.dumps({"score": measure()}))
    except Refused as refusal:
        code, detail = refusal.args
        print(json.dumps({"rejected": code, "detail": detail}))


def _json(name: str, whole: Callable[[str], object]) -> object:
    path = Path(os.environ["AUTORESEARCH_ARTIFACT"]) / name
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise Refused("bad_output", f"{name} is missing, or has more than {MOST_BYTES} bytes.")
    try:
        return json.loads(path.read_bytes(), parse_float=_number, parse_int=whole, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused("bad_output", f"{name} is not JSON, or has a number that is none.") from None


def _number(text: str) -> Fraction:
    value = float(text)
    if not math.isfinite(value):
        raise Refused("bad_output", f"{text[:40]} is not a finite number.")
    return Fraction(value)


def _no_constant(name: str) -> NoReturn:
    raise Refused("bad_output", f"{name} is not a number.")
