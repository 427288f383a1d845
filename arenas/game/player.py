"""Plays Connect Four: `move(mine, theirs, seconds)` answers a column, 0 to 6. `board.py` has the rules.

`mine` and `theirs` are bitboards, `mine` is whoever moves. There are `seconds` of the processor for a move.
"""

from __future__ import annotations

import random

from board import dropped, legal, won

CHANCE = 3.0  # how far chance decides between columns
WIN = 1000.0
MIDDLE = 0.1  # what a column nearer to the middle is worth

draw = random.Random(1)


def move(mine: int, theirs: int, seconds: float) -> int:
    return max(legal(mine, theirs), key=lambda column: worth(mine, theirs, column) + draw.uniform(0.0, CHANCE))


def worth(mine: int, theirs: int, column: int) -> float:
    """What a move to this column is worth."""
    stones = dropped(mine, theirs, column)
    if won(stones):
        return WIN
    return MIDDLE * (3 - abs(column - 3))
