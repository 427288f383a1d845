"""The community's table: what each row told, with its goal beside it. A row is a module with one function `rows`."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MISSED, MET, UNTOLD = "MISSED", "ok", "-"


@dataclass(frozen=True)
class Told:
    """One line of the table. well: None where there is no goal, or nothing could be measured here."""

    row: str
    what: str
    goal: str
    value: str
    well: bool | None = None

    @property
    def mark(self) -> str:
        return UNTOLD if self.well is None else MET if self.well else MISSED


def at_most(row: str, what: str, value: float, goal: float, unit: str = "", digits: int = 3, more: str = "") -> Told:
    """A value that may not be more than its goal. more: what stands beside the value."""
    shown = f"{value:.{digits}f}{unit}" + (f", {more}" if more else "")
    return Told(row, what, f"at most {goal:g}{unit}", shown, value <= goal)


def at_least(row: str, what: str, value: float, goal: float, unit: str = "", digits: int = 3, more: str = "") -> Told:
    """A value that may not be less than its goal."""
    shown = f"{value:.{digits}f}{unit}" + (f", {more}" if more else "")
    return Told(row, what, f"at least {goal:g}{unit}", shown, value >= goal)


def lines(told: Iterable[Told]) -> list[str]:
    """The table as text, a line each, in columns."""
    cells = [("row", "what", "goal", "value", "")]
    cells += [(one.row, one.what, one.goal or UNTOLD, one.value, one.mark) for one in told]
    widths = [max(len(row[place]) for row in cells) for place in range(4)]
    return ["  ".join([*(row[n].ljust(widths[n]) for n in range(4)), row[4]]).rstrip() for row in cells]


def missed(told: Sequence[Told]) -> list[Told]:
    return [one for one in told if one.well is False]


def play(name: str) -> list[Told]:
    """One row. What raises is a line of its own, so that the others are told."""
    os.environ["AUTORESEARCH_CHART"] = "off"  # drawn beside by another thread, whose seconds would count
    began = time.monotonic()
    try:
        module = importlib.import_module(f"benchmarks.community.{name}")
        if hasattr(module, "rows"):
            told: list[Told] = module.rows()
        else:
            well = not module.main()
            told = [Told(name, "its goals, printed above", "all met", "all" if well else "not all", well)]
    except Exception as error:  # whatever it is, the table says so
        told = [Told("?", f"{name} raised", "", f"{type(error).__name__}: {error}"[:200], False)]
    print(f"({name}: {time.monotonic() - began:.0f} s)", flush=True)
    return told
