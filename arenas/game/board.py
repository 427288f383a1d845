"""Connect Four: seven columns, six rows, four in a line win. A position is two bitboards. Pure.

Bit `7 * column + row` is a cell; the seventh of each column stays empty, so that lines do not run over its edge. `mine`
are the stones of whoever moves.
"""

from __future__ import annotations

COLUMNS, ROWS = 7, 6
CENTRE_FIRST = (3, 2, 4, 1, 5, 0, 6)
_FULL = sum(((1 << ROWS) - 1) << (7 * column) for column in range(COLUMNS))


def legal(mine: int, theirs: int) -> list[int]:
    """Columns with room, the middle first."""
    both = mine | theirs
    return [column for column in CENTRE_FIRST if not both >> (7 * column + ROWS - 1) & 1]


def dropped(mine: int, theirs: int, column: int) -> int:
    """`mine` with a stone more."""
    both = mine | theirs
    return mine | ((both + (1 << 7 * column)) & (((1 << ROWS) - 1) << 7 * column) & ~both)


def won(stones: int) -> bool:
    """Whether four are in a line: up, across, and along both diagonals."""
    for step in (1, 7, 6, 8):
        pairs = stones & (stones >> step)
        if pairs & (pairs >> 2 * step):
            return True
    return False


def full(mine: int, theirs: int) -> bool:
    return mine | theirs == _FULL


def picture(mine: int, theirs: int) -> list[str]:
    """Rows from the top: X mine, O theirs, a dot for nothing."""
    return [
        "".join("X" if mine >> (7 * c + r) & 1 else "O" if theirs >> (7 * c + r) & 1 else "." for c in range(COLUMNS))
        for r in reversed(range(ROWS))
    ]
