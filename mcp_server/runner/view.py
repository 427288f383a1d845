"""What people see of a running run: progress.json and log.txt, replaced about twice a second. Never the truth.

Losing them, to a full disk or a power cut, loses nothing; so nothing here waits for the disk, which would hold up the
clock of the run.
"""

from __future__ import annotations

import os
import time
from typing import Literal

from mcp_server.nouns.files import replace_quickly
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunProgress
from mcp_server.runner.trainer import Look

INTERVAL_SECONDS = 0.5

Phase = Literal["waiting", "starting", "training", "sealing", "scoring"]


class View:
    """The live state of one run. Every new phase is shown at once."""

    def __init__(self, paths: RunPaths, budget_seconds: float) -> None:
        self.paths = paths
        self._latest = RunProgress(phase="waiting", pid=os.getpid(), budget_seconds=budget_seconds)
        self._shown = float("-inf")

    @property
    def due(self) -> bool:
        """Whether the last drawing is old."""
        return time.monotonic() - self._shown >= INTERVAL_SECONDS

    def phase(self, phase: Phase, device: str | None = None) -> None:
        """A new step begins. What training showed stays to be seen while it is sealed and scored."""
        self._latest = self._latest.model_copy(update={"phase": phase, "device": device or self._latest.device})
        self._draw()

    def training(self, look: Look) -> None:
        """The trainer at one tick, and what it has printed so far."""
        latest = look.marks.latest
        self._latest = self._latest.model_copy(
            update={
                "phase": "training" if look.counting else "starting",
                "elapsed_seconds": round(look.elapsed_seconds, 3),
                "steps": None if latest is None else latest.step,
                "tokens": None if latest is None else latest.tokens,
                "loss": None if latest is None else latest.loss,
                "curve": look.marks.curve(),
            }
        )
        self._draw()
        self.log(look.log.text())

    def scored(self, fraction: float) -> None:
        """How far the scorer says it is."""
        self._latest = self._latest.model_copy(update={"scored_fraction": fraction})
        if self.due:
            self._draw()

    def log(self, text: str) -> None:
        """Replace log.txt."""
        replace_quickly(self.paths.log, text)

    def _draw(self) -> None:
        self._shown = time.monotonic()
        replace_quickly(self.paths.progress, self._latest.model_dump_json())
