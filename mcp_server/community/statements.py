"""What many attempts say together: for each constant and direction how often it helped, by how much, and where. Pure.

A negative result is a statement with a scope, and advice: which values were tried, by how many labs, on which machines.
Gains are pooled as paired differences, by the width of each; scores are never compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.ledger.foreign import Pooled
from mcp_server.memory.wording import signed
from mcp_server.nouns.exchanged import SHORT, Attempt
from mcp_server.nouns.numbers import counted
from mcp_server.nouns.text import clean_line

ENOUGH = 3  # tries without a success before a direction is called dead
BOARD_CHARACTERS = 1250  # 600 tokens at most, numbers and names being short ones


def dead(one: Pooled) -> bool:
    return one.helped == 0 and one.tried + one.failed >= ENOUGH


def words(one: Pooled) -> str:
    """`MATRIX_LR up (0.04 to 0.05…0.08): 0 of 7 helped, −0.0007 ± 0.0002, 3 labs, 2 machine classes`"""
    told = f"{clean_line(one.name, 40)} {one.way}{_scope(one)}: {one.helped} of {one.tried} helped"
    if one.gain is not None:
        told += f", {signed(one.gain)}" + (f" ± {signed(one.error).lstrip('+')}" if one.error is not None else "")
    if one.failed:
        told += f", {one.failed} ended without a score"
    told += f", {counted(one.labs, 'lab')}"
    return told + (f", {one.machines} machine classes" if one.machines > 1 else "")


def lines(
    labs: int,
    attempts: int,
    told: Sequence[Pooled],
    claims: Sequence[tuple[str, Attempt, str]],
    untouched: Sequence[str],
    limit: int = BOARD_CHARACTERS,
) -> list[str]:
    """What `lab_status` says of the community, in `limit` characters. claims: (lab, a gain, its status), best first."""
    found = [f"{counted(labs, 'lab')}, {counted(attempts, 'attempt')} of this contract; others' word is advice"]
    gone = sorted(filter(dead, told), key=lambda one: (-one.labs, -(one.tried + one.failed), -one.newest))
    alive = sorted((one for one in told if one.helped), key=lambda one: (-one.helped, -one.newest))
    rows = [f"{status}: {claim_words(lab, one)}" for lab, one, status in claims[:4]]
    rows += [f"helped: {words(one)}" for one in alive[:4]]
    rows += [f"dead: {words(one)}" for one in gone]
    last = f"untouched: {', '.join(clean_line(name, 30) for name in untouched[:12])}" if untouched else ""
    room = limit - len(found[0]) - len(last) - 30
    left = 0
    for row in rows:
        if len(row) + 1 <= room:
            found.append(row)
            room -= len(row) + 1
        else:
            left += 1
    if left:
        found[0] += f"; {left} more in recall"
    return [*found, *([last] if last else [])]


def fit(rows: Sequence[str], limit: int = BOARD_CHARACTERS) -> list[str]:
    """As many rows as there is room for; of what is too much the one before the last goes first."""
    found = list(rows)
    while len(found) > 2 and sum(map(len, found)) + len(found) > limit:
        del found[-2]
    return found


def claim_words(lab: str, attempt: Attempt) -> str:
    """One claim, with whose it is: the words in quotes are a stranger's."""
    widths = f" ({signed(attempt.widths)} widths)" if attempt.widths is not None else ""
    moved = ", ".join(f"{name} {before}→{after}" for name, before, after in attempt.knobs[:2])
    gain = signed(attempt.gain) if attempt.gain is not None else "no gain"
    return clean_line(f"{moved or 'code'}: {gain}{widths}, {lab[:SHORT]}/{attempt.n} “{attempt.text}”", 160)


def _scope(one: Pooled) -> str:
    """Which values were tried."""
    if one.ends is None:
        return ""
    reached = _span(*one.ends)
    return f" (to {reached})" if one.starts is None else f" ({_span(*one.starts)} to {reached})"


def _span(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g}…{high:g}"
