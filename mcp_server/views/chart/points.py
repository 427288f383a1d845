"""What a chart is drawn from: campaigns of points, as data that travels to the drawing process as JSON."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

Theme = Literal["light", "dark"]
Size = Literal["phone", "screen", "wide", "print"]
Kind = Literal["baseline", "confirmed", "provisional", "simplification", "discarded", "tainted", "crashed", "rejected"]

# How statuses and labels of the ledger are drawn. What is still running is not drawn at all.
_KINDS: dict[str, Kind] = {
    "baseline": "baseline",
    "confirmed": "confirmed",
    "provisional": "provisional",
    "kept": "provisional",
    "simplification": "simplification",
    "discarded": "discarded",
    "scored": "discarded",
    "confirming": "discarded",
    "overtaken": "discarded",
    "tainted": "tainted",
    "crashed": "crashed",
    "timeout": "crashed",
    "lost": "crashed",
    "cancelled": "crashed",
    "rejected": "rejected",
}
KEPT: frozenset[Kind] = frozenset({"baseline", "confirmed", "provisional", "simplification"})


@dataclass(frozen=True)
class ChartPoint:
    """One experiment. `score`: where it stands (`judging.totals`), None where there is none; `status`: a Status, a
    verdict's label, or "tainted".
    """

    number: int
    score: float | None
    status: str
    label: str = ""  # short; shown for kept experiments
    at: str = ""  # ISO 8601
    machine: str = ""
    program: str = ""  # version of program.md in force
    adopted: str = ""  # LAB/n of the attempt elsewhere that it takes over

    @property
    def kind(self) -> Kind | None:
        """How it is drawn; None while it is queued or running."""
        kind = _KINDS.get(self.status)
        if kind is not None and kind not in ("crashed", "rejected") and self.value is None:
            return "crashed"
        return kind

    @property
    def value(self) -> float | None:
        return self.score if self.score is not None and math.isfinite(self.score) else None


@dataclass(frozen=True)
class ChartCampaign:
    """One line of research. Gains count improvement as positive, in `unit`; `noise_sd` is that of a difference."""

    tag: str
    points: tuple[ChartPoint, ...] = ()
    metric: str = "score"
    unit: str = ""
    direction: Literal["minimize", "maximize"] = "minimize"
    noise_sd: float | None = None
    claimed_gain: float | None = None
    honest_gain: float | None = None
    honest_interval: tuple[float, float] | None = None

    @property
    def drawn(self) -> tuple[ChartPoint, ...]:
        """In order of number, without what has no outcome yet."""
        return tuple(sorted((p for p in self.points if p.kind is not None), key=lambda point: point.number))

    @property
    def incumbents(self) -> tuple[ChartPoint, ...]:
        """The kept ones with a score, in order: each was the best until the next."""
        return tuple(point for point in self.drawn if point.kind in KEPT and point.value is not None)

    @property
    def adopted(self) -> tuple[ChartPoint, ...]:
        """The kept ones that take over what another lab told."""
        return tuple(point for point in self.incumbents if point.adopted)


@dataclass(frozen=True)
class ChartRequest:
    """One drawing: campaigns to overlay and where the files go.

    ledger, tag: the drawing process reads this campaign by itself, and overlays it.
    """

    campaigns: tuple[ChartCampaign, ...] = ()
    png: Path | None = None
    svg: Path | None = None
    theme: Theme = "light"
    size: Size = "screen"
    mark: str = ""  # written into the png, so that whoever drew it knows it again
    ledger: Path | None = None
    tag: str = ""

    def to_json(self) -> bytes:
        return REQUEST.dump_json(self)


REQUEST = TypeAdapter(ChartRequest)


def start_drawing(request: ChartRequest) -> subprocess.Popen[bytes]:
    """Draw in a process of its own and return at once. The files are replaced whole, or stay as they were.

    Its exit status is 0 when they were; whoever starts it reaps it (`poll`, `wait`).
    """
    with tempfile.TemporaryFile() as file:  # a pipe would make us wait for its reader to start
        file.write(request.to_json())
        file.seek(0)
        return subprocess.Popen(
            [sys.executable, "-m", "mcp_server.views.chart"],
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
