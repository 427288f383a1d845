"""`make abuse` ends with a table: case, what was tried, what the naive way would have scored, what happened."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

WIDTHS = (4, 62, 10, 24, 4)
HEADS = ("case", "what it tried", "naive", "what happened", "tier")


def rows(reports: list[Any]) -> Iterator[tuple[str, ...]]:
    """One per test that recorded the property "abuse": [case, tries, happened, tier], and the naive score if any."""
    for report in reports:
        for name, value in report.user_properties:
            if name == "abuse":
                case, tries, happened, tier, *naive = map(str, value)
                mark = "" if report.passed else " FAILED"
                yield ("" if case == "0" else case, tries, naive[0] if naive else "", happened + mark, tier)


def by_case(row: tuple[str, ...]) -> tuple[int, str]:
    """Honest ones last."""
    return (int(row[0]) if row[0] else 99, row[1])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.option.markexpr != "abuse":
        return
    found = sorted(rows(terminalreporter.getreports("passed") + terminalreporter.getreports("failed")), key=by_case)
    if not found:
        return
    terminalreporter.section("what was tried, and what came of it")
    for row in (HEADS, *found):
        cells = [textwrap.wrap(text, width) or [""] for text, width in zip(row, WIDTHS, strict=True)]
        for line in range(max(map(len, cells))):
            words = (cell[line] if line < len(cell) else "" for cell in cells)
            terminalreporter.write_line("  ".join(word.ljust(width) for word, width in zip(words, WIDTHS, strict=True)))
