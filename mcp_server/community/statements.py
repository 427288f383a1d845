"""What many attempts say together: for each constant and direction how often it helped, by how much, and where. Pure.

A negative result is a statement with a scope, and advice: which values were tried, by how many labs, on which machines.
Gains are pooled as paired differences, by the width of each; scores are never compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mcp_server.edits.moves import number
from mcp_server.memory.wording import signed
from mcp_server.nouns.exchanged import SHORT, Attempt
from mcp_server.nouns.text import clean_line

ENOUGH = 3  # tries without a success before a direction is called dead
BOARD_CHARACTERS = 1500  # 600 tokens at most, numbers and names being short ones
WIDTHS_95 = 2 * 1.96
MEASURED = ("kept", "discarded", "overtaken")


@dataclass
class Statement:
    """One constant moved one way, and nothing else with it."""

    name: str
    way: str
    tried: int = 0  # with a measured gain
    helped: int = 0
    failed: int = 0  # crashed, timed out or rejected
    labs: set[str] = field(default_factory=set)
    machines: set[str] = field(default_factory=set)
    gains: list[tuple[float, float | None]] = field(default_factory=list)  # (gain, its standard deviation)
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    newest: int = 0

    def add(self, lab: str, attempt: Attempt, place: int) -> None:
        if attempt.status in ("crashed", "timeout", "rejected"):
            self.failed += 1
        elif attempt.gain is None or attempt.status not in MEASURED:
            return
        else:
            self.tried += 1
            self.helped += helped(attempt)
            self.gains.append((attempt.gain, _deviation(attempt)))
        self.labs.add(lab)
        if attempt.machine:
            self.machines.add(attempt.machine)
        _, before, after = next(move for move in attempt.knobs if move[0] == self.name)
        for value, values in ((number(before), self.starts), (number(after), self.ends)):
            if value is not None:
                values.append(value)
        self.newest = max(self.newest, place)

    @property
    def dead(self) -> bool:
        return self.helped == 0 and self.tried + self.failed >= ENOUGH

    def pooled(self) -> tuple[float, float] | None:
        """(gain, its standard error), each weighed by its own width; None where nothing was measured."""
        if not self.gains:
            return None
        known = [(gain, width) for gain, width in self.gains if width]
        if len(known) == len(self.gains):
            weights = [1 / width**2 for _, width in known]
            mean = sum(gain * weight for (gain, _), weight in zip(known, weights, strict=True)) / sum(weights)
            return mean, math.sqrt(1 / sum(weights))
        mean = sum(gain for gain, _ in self.gains) / len(self.gains)
        if len(self.gains) < 2:
            return mean, abs(mean)
        spread = sum((gain - mean) ** 2 for gain, _ in self.gains) / (len(self.gains) - 1)
        return mean, math.sqrt(spread / len(self.gains))

    def words(self) -> str:
        """`MATRIX_LR up (0.04 to 0.05…0.08): 0 of 7 helped, −0.0007 ± 0.0002, 3 labs, 2 machine classes`"""
        scope = _scope(self.starts, self.ends)
        told = f"{clean_line(self.name, 40)} {self.way}{scope}: {self.helped} of {self.tried} helped"
        pooled = self.pooled()
        if pooled is not None:
            told += f", {signed(pooled[0])} ± {signed(pooled[1]).lstrip('+')}"
        if self.failed:
            told += f", {self.failed} ended without a score"
        told += f", {_count(len(self.labs), 'lab')}"
        return told + (f", {len(self.machines)} machine classes" if len(self.machines) > 1 else "")


def helped(attempt: Attempt) -> bool:
    return attempt.status == "kept" or (attempt.low is not None and attempt.low > 0)


def statements(rows: Iterable[tuple[str, str, str, Attempt]]) -> list[Statement]:
    """One for each constant and direction. rows: (constant, direction, lab, attempt), oldest first."""
    found: dict[tuple[str, str], Statement] = {}
    for place, (name, way, lab, attempt) in enumerate(rows):
        found.setdefault((name, way), Statement(name, way)).add(lab, attempt, place)
    return [one for one in found.values() if one.tried or one.failed]


def lines(
    labs: int,
    attempts: int,
    told: Sequence[Statement],
    claims: Sequence[tuple[str, Attempt]],
    untouched: Sequence[str],
    limit: int = BOARD_CHARACTERS,
) -> list[str]:
    """What `lab_status` says of the community, within `limit` characters. claims: (lab, a gain it has), best first."""
    found = [f"{_count(labs, 'lab')}, {_count(attempts, 'attempt')} of this contract; others' word is advice"]
    dead = sorted((one for one in told if one.dead), key=lambda s: (-len(s.labs), -(s.tried + s.failed), -s.newest))
    alive = sorted((one for one in told if one.helped), key=lambda s: (-s.helped, -s.newest))
    rows = [f"claimed: {claim_words(lab, one)}" for lab, one in claims[:4]]
    rows += [f"helped: {one.words()}" for one in alive[:4]]
    rows += [f"dead: {one.words()}" for one in dead]
    last = f"untouched: {', '.join(clean_line(name, 30) for name in untouched[:12])}" if untouched else ""
    room = limit - len(found[0]) - len(last)
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


def claim_words(lab: str, attempt: Attempt) -> str:
    """One claim, with whose it is: the words in quotes are a stranger's."""
    widths = f" ({signed(attempt.widths)} widths)" if attempt.widths is not None else ""
    moved = ", ".join(f"{name} {before}→{after}" for name, before, after in attempt.knobs[:2])
    gain = signed(attempt.gain) if attempt.gain is not None else "no gain"
    return clean_line(f"{moved or 'code'}: {gain}{widths}, {lab[:SHORT]}/{attempt.n} “{attempt.text}”", 160)


def odds(tried: Sequence[tuple[str, Attempt]], name: str, way: str) -> Statement:
    """What others got from moving one constant one way."""
    found = Statement(name, way)
    for place, (lab, attempt) in enumerate(tried):
        found.add(lab, attempt, place)
    return found


def _deviation(attempt: Attempt) -> float | None:
    if attempt.low is not None and attempt.high is not None and attempt.high > attempt.low:
        return (attempt.high - attempt.low) / WIDTHS_95
    return None


def _scope(starts: Sequence[float], ends: Sequence[float]) -> str:
    if not ends:
        return ""
    low, high = min(ends), max(ends)
    reached = f"{low:g}" if low == high else f"{low:g}…{high:g}"
    if not starts:
        return f" (to {reached})"
    low, high = min(starts), max(starts)
    return f" ({low:g} to {reached})" if low == high else f" ({low:g}…{high:g} to {reached})"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
