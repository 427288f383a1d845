"""What the built-in researcher understands of a memo: two kinds of lines, so that a program makes a difference to it.

    Move first: RATE, MOMENTUM
    Leave alone: STEPS

Everything else in a memo is for agents that read. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIRST = re.compile(r"^\W*(?:move|try) first\s*:(.*)$", re.IGNORECASE | re.MULTILINE)
_ALONE = re.compile(r"^\W*(?:leave alone|do not move)\s*:(.*)$", re.IGNORECASE | re.MULTILINE)
_NAME = re.compile(r"\b[A-Z][A-Z0-9_]*\b")


@dataclass(frozen=True)
class Hints:
    """Constants to move before others, and those never to be moved."""

    first: frozenset[str] = frozenset()
    alone: frozenset[str] = frozenset()


NONE = Hints()


def hints(memo: str) -> Hints:
    """A constant named in both is left alone."""
    first, alone = (frozenset(_NAME.findall(" ".join(found.findall(memo)))) for found in (_FIRST, _ALONE))
    return Hints(first - alone, alone)
