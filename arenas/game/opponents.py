"""Who is played against: two opponents that anybody may read, and one whose taste is kept in the scorer's drawer.

`greedy` wins and blocks when it can. `planner` looks some moves ahead. The hidden one is a planner with a taste of its
own for places on the board, drawn once for each lab: who is tuned against the two others has not met it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from board import COLUMNS, ROWS, dropped, full, legal, won

Player = Callable[[int, int], int]  # (mine, theirs) -> column
WIN = 1000.0
CARELESS = 1.0  # how far chance decides between places that are nearly as good
PLAIN = [[3.0 - abs(column - 3) for column in range(COLUMNS)] for _ in range(ROWS)]  # the middle is worth most


def greedy(draw: random.Random) -> Player:
    """Wins, else blocks, else anywhere."""

    def move(mine: int, theirs: int) -> int:
        open_columns = legal(mine, theirs)
        for stones, others in ((mine, theirs), (theirs, mine)):
            for column in open_columns:
                if won(dropped(stones, others, column)):
                    return column
        return draw.choice(open_columns)

    return move


def planner(draw: random.Random, depth: int = 2, taste: list[list[float]] = PLAIN) -> Player:
    """Looks `depth` moves ahead; what it likes about places decides what is left, and chance between equals."""

    def move(mine: int, theirs: int) -> int:
        found = []
        for column in legal(mine, theirs):
            stones = dropped(mine, theirs, column)
            found.append(
                (-_value(theirs, stones, depth - 1, -WIN * 2, WIN * 2, taste) + draw.random() * CARELESS, column)
            )
        return max(found)[1]

    return move


def hidden_taste(draw: random.Random) -> list[list[float]]:
    """What the hidden opponent likes: the middle, and some places more than others."""
    return [[PLAIN[row][column] + draw.uniform(-1.5, 1.5) for column in range(COLUMNS)] for row in range(ROWS)]


def _value(mine: int, theirs: int, depth: int, low: float, high: float, taste: list[list[float]]) -> float:
    """What a position is worth to whoever moves; negamax with alpha and beta."""
    if won(theirs):
        return -WIN - depth
    if full(mine, theirs):
        return 0.0
    if depth == 0:
        return _liked(mine, taste) - _liked(theirs, taste)
    for column in legal(mine, theirs):
        stones = dropped(mine, theirs, column)
        low = max(low, -_value(theirs, stones, depth - 1, -high, -low, taste))
        if low >= high:
            break
    return low


def _liked(stones: int, taste: list[list[float]]) -> float:
    total = 0.0
    while stones:
        bit = stones & -stones
        column, row = divmod(bit.bit_length() - 1, 7)
        total += taste[row][column]
        stones ^= bit
    return total
