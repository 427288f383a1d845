"""What a trainer says about itself while it trains: one start mark, then steps. Believed by nobody, bounded by us.

Only the start mark has an effect (see `clock`); steps make the curve that people look at. Lines that are no JSON object
of the expected shape are counted and dropped.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from mcp_server.nouns.numbers import LARGEST_SCORE
from mcp_server.nouns.records import CurvePoint
from mcp_server.nouns.text import object_in

LINE_BYTES = 4096
TOTAL_BYTES = 64 * 1024 * 1024  # a mark for every step of 800,000
READ_BYTES = 64 * 1024  # per tick: 20,000 steps a second
MOST_LINES = 2000  # of one reading; of more, the first and the last half
CURVE_POINTS = 128
BIGGEST = 2**53


@dataclass(frozen=True)
class Step:
    """One step as the trainer tells it."""

    step: int
    tokens: int
    loss: float


def parse(line: bytes) -> Step | bool | None:
    """True for the start mark, a step, or None for anything else."""
    mark = object_in(line)
    if mark is None:
        return None
    if mark.get("event") == "start":
        return True
    if mark.get("event") != "step":
        return None
    step, tokens, loss = mark.get("step"), mark.get("tokens", 0), mark.get("loss")
    if type(step) is not int or type(tokens) is not int or not (0 <= step < BIGGEST and 0 <= tokens < BIGGEST):
        return None
    if isinstance(loss, bool) or not isinstance(loss, int | float):
        return None
    try:
        loss = float(loss)
    except OverflowError:
        return None
    # of what is larger means would overflow, and a record with an infinite one cannot be read
    return Step(step, tokens, loss) if abs(loss) < LARGEST_SCORE else None


@dataclass
class Marks:
    """Reads the pipe without waiting, and keeps a curve of a bounded number of points."""

    started: bool = False
    latest: Step | None = None
    ignored: int = 0  # lines that made no sense
    flooded: bool = False
    _curve: list[CurvePoint] = field(default_factory=list)
    _last: CurvePoint | None = None  # the marks since, on their way to a point
    _stride: int = 1
    _marks: int = 0  # in _last
    _weight: int = 0  # and their tokens
    _read: int = 0
    _rest: bytes = b""
    _skipping: bool = False

    def drain(self, fd: int, elapsed_seconds: float) -> bool | None:
        """Read once. True: that was all for now; None: there may be more; False: the stream has ended. Never waits."""
        try:
            chunk = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.feed(chunk, elapsed_seconds)
        return None if len(chunk) == READ_BYTES else bool(chunk)

    def feed(self, chunk: bytes, elapsed_seconds: float) -> None:
        """Take some bytes of the stream."""
        self._read += len(chunk)
        if self._read > TOTAL_BYTES:
            self.flooded = True
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(lines) > MOST_LINES:
            self.ignored += len(lines) - MOST_LINES
            lines[MOST_LINES // 2 : -MOST_LINES // 2] = []
        for line in lines:
            if self._skipping or len(line) > LINE_BYTES:
                self._skipping = False
                self.ignored += 1
            elif line.strip():
                self._take(line, elapsed_seconds)
        if len(self._rest) > LINE_BYTES:  # the rest of an endless line is not kept
            self._rest, self._skipping = b"", True

    def _take(self, line: bytes, elapsed_seconds: float) -> None:
        mark = parse(line)
        if mark is True:
            self.started = True
        elif isinstance(mark, Step) and (self.latest is None or mark.step > self.latest.step):
            weight = max(1, mark.tokens - (self.latest.tokens if self.latest else 0))
            self.latest = mark
            self._marks += 1
            self._weight += weight
            before = mark.loss if self._last is None else self._last.loss
            self._last = CurvePoint(
                step=mark.step,
                tokens=mark.tokens,
                seconds=round(elapsed_seconds, 3),
                loss=before + (mark.loss - before) * weight / self._weight,
            )
            if self._marks == self._stride:
                self._curve.append(self._last)
                self._last, self._marks, self._weight = None, 0, 0
                if len(self._curve) >= CURVE_POINTS:
                    self._curve, self._stride = _halved(self._curve), self._stride * 2
        else:
            self.ignored += 1

    def curve(self) -> tuple[CurvePoint, ...]:
        """At most CURVE_POINTS points, evenly spread, up to the newest step; each the mean loss of the tokens up to it.

        Means, because the loss of a single batch says little, and because they hardly depend on how many points there
        are: curves of different lengths compare.
        """
        return (*self._curve, *([] if self._last is None else [self._last]))


def _halved(curve: list[CurvePoint]) -> list[CurvePoint]:
    pairs = zip(curve[::2], curve[1::2], strict=True)
    return [late.model_copy(update={"loss": (early.loss + late.loss) / 2}) for early, late in pairs]
