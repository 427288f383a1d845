"""Supervisors that a test plays: a run begins when the lab launches it and ends as the test says.

So that every outcome can follow every other, at once, on a machine that is as busy or as quiet as the test wants.
"""

from __future__ import annotations

import dataclasses
import os
from datetime import UTC, datetime, timedelta

from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import Crash, RunResult, RunState


class Clock:
    """A time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


Key = tuple[int, int]  # experiment, run


@dataclasses.dataclass
class Played:
    """`alive` holds the lock of each run that was handed over."""

    alive: dict[Key, tuple[RunPaths, int]] = dataclasses.field(default_factory=dict)

    def launch(self, paths: RunPaths, alive_fd: int) -> int:
        self.alive[int(paths.folder.parent.name), int(paths.folder.name)] = paths, os.dup(alive_fd)
        paths.begun.touch()
        return os.getpid()

    def end(self, outcome: str, score: float | None = None) -> None:
        """End every run that lives: scored, tainted, lost, or the name of another state."""
        for key in list(self.alive):
            paths, fd = self.alive.pop(key)
            if outcome != "lost":
                result_of(outcome, score).write(paths.result)
            os.close(fd)

    def close(self) -> None:
        self.end("lost")


def result_of(outcome: str, score: float | None = None) -> RunResult:
    if outcome in ("scored", "tainted"):
        beside = "other programs kept 3.0 cores busy during the run" if outcome == "tainted" else ""
        return RunResult(state=RunState.SCORED, score=score, tainted=beside)
    reasons = {"crashed": "nonzero_exit", "timeout": "over_budget", "rejected": "non_causal", "cancelled": "cancelled"}
    if outcome in reasons:
        crash = Crash(kind="ValueError", message="shapes differ") if outcome == "crashed" else None
        return RunResult(state=RunState(outcome), reason=reasons[outcome], crash=crash)
    return RunResult(state=RunState.CRASHED, reason=outcome)
