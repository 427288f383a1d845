"""What the readiness map is drawn from: named places, as data that travels to the drawing process as JSON."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Place:
    """One work process on the map. `automatic` in per cent, `ripe` from 0 to 10."""

    name: str
    seconds: float
    automatic: float
    ripe: float


@dataclass(frozen=True)
class MapRequest:
    """One map and where it goes; the suffix says as what. The lines that part the quadrants are at `split_*`."""

    places: tuple[Place, ...]
    out: Path
    split_seconds: float
    split_automatic: float
    quadrants: tuple[str, str, str, str]  # words in the corners: upper left, upper right, lower left, lower right


REQUEST = TypeAdapter(MapRequest)


def draw_map(request: MapRequest) -> str:
    """Draw in a process of its own, which alone loads the plotting library. "" or why it did not work."""
    command = [sys.executable, "-m", "mcp_server.views.chart.map"]
    done = subprocess.run(command, input=REQUEST.dump_json(request), capture_output=True, check=False)
    return "" if done.returncode == 0 else done.stderr.decode(errors="replace").strip()[-500:] or "it said nothing"
