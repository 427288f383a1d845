"""What every scorer here does with its units (contracts, queries, periods, games): draw them, and average them.

A score that is a mean of units says by itself how far it would move on other units: that is its interval.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

NORMAL = 1.96  # standard errors on each side: 95 in 100, for many units
EXAM_SHARE = 0.3


class Draw(random.Random):
    """Random numbers from SHA-512 in counter mode.

    Whoever has seen some of them cannot compute the next, as a program could that is fed a market day by day: Python's
    own generator gives its state away after 624 numbers.
    """

    def __init__(self, text: str) -> None:
        self._key, self._count, self._left = text.encode(), 0, b""
        super().__init__()

    def seed(self, *_: Any, **__: Any) -> None:
        """The text is the seed."""
        self.gauss_next = None

    def _take(self, count: int) -> int:
        while len(self._left) < count:
            self._left += hashlib.sha512(self._key + self._count.to_bytes(8, "big")).digest()
            self._count += 1
        found, self._left = self._left[:count], self._left[count:]
        return int.from_bytes(found, "big")

    def random(self) -> float:
        return (self._take(7) >> 3) * 2.0**-53

    def getrandbits(self, count: int, /) -> int:
        size = (count + 7) // 8
        return self._take(size) >> (8 * size - count)


def split() -> str:
    """`val`, or `test` in the closing exam."""
    return os.environ.get("AUTORESEARCH_SPLIT", "val")


def of_split(every: list[Any]) -> list[Any]:
    """Of a user's own cases those of this split: the last EXAM_SHARE of them are met in the closing exam alone."""
    last = len(every) - round(EXAM_SHARE * len(every))
    return every[last:] if split() == "test" else every[:last]


def drawn(what: str) -> Draw:
    """A draw that is the same for every experiment on one seed, another in the exam, and that no run can know."""
    return Draw(f"{os.environ['AUTORESEARCH_DRAW']} {split()} {what}")


def wide(units: int) -> float:
    """Standard errors on each side for so many units: Student's t by Cornish and Fisher's series, 1 % off at four."""
    z, freedom = NORMAL, units - 1
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def mean_of(units: Sequence[float]) -> tuple[float, list[float]]:
    """(mean, its 95 % interval over the units)."""
    mean = statistics.fmean(units)
    doubt = wide(len(units)) * statistics.stdev(units) / math.sqrt(len(units)) if len(units) > 1 else 0.0
    return mean, [mean - doubt, mean + doubt]


def jackknife(statistic: Callable[[list[Any]], float], units: Sequence[Any]) -> tuple[float, list[float]]:
    """(statistic of all units, its 95 % interval), for what is no mean: each unit is left out once (Tukey 1958)."""
    every = list(units)
    found, count = statistic(every), len(every)
    if count < 2:
        return found, [found, found]
    without = [statistic(every[:at] + every[at + 1 :]) for at in range(count)]
    middle = statistics.fmean(without)
    doubt = wide(count) * math.sqrt((count - 1) / count * sum((one - middle) ** 2 for one in without))
    return found, [found - doubt, found + doubt]


def coarse(score: float, interval: Sequence[float]) -> dict[str, Any]:
    """Both for an answer, to three decimals: the last digits hold no skill, but could say what was asked.

    Who sees every digit of a mean can solve for the labels behind it, one changed answer after the other.
    """
    return {"score": round(score, 3), "interval": [round(end, 3) for end in interval]}


# --- what only the scorer may read ------------------------------------------------------------------------------------


def drawer() -> Path:
    """The hand-over folder (`handover:` in program.md): no run sees it, the score command alone may write there."""
    return Path(os.environ["AUTORESEARCH_HANDOVER"])


def kept(name: str, make: Callable[[], Any]) -> Any:
    """What a JSON file of the drawer says; `make` says it at first. Safe for scorers side by side."""
    path = drawer() / name
    with open(drawer() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            put(path, make())
        return json.loads(path.read_text("utf-8"))


def put(path: Path, content: Any) -> None:
    """A JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(content), "utf-8")
    os.replace(beside, path)
