"""What a proof is made of: the runs of an arena and its variants, and what was found. Plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mcp_server.arena.program import Arena
from mcp_server.judging.verdict import Bound, broken_bounds
from mcp_server.nouns.records import RunResult, RunState


class Severity(StrEnum):
    """What a finding does to the verdict."""

    BLOCKS = "blocks"
    WARNS = "warns"
    NOTES = "notes"


@dataclass(frozen=True)
class Finding:
    """One thing that was found: what happened, and what to do about it."""

    code: str
    severity: Severity
    said: str
    mend: str = ""


@dataclass(frozen=True)
class Trial:
    """One run in the throw-away lab. `log` is what the run printed, `words` what its scorer said on stderr."""

    name: str
    seed: int
    result: RunResult
    seconds: float  # from launch to result, what a loop would wait for
    log: str = ""
    words: str = ""

    @property
    def score(self) -> float | None:
        return self.result.score if self.result.state is RunState.SCORED else None

    @property
    def reached_checks(self) -> bool:
        """Whether its training ended well, so that checks and scorer were asked."""
        return self.result.artifact_sha256 is not None

    @property
    def failed_checks(self) -> bool:
        return "checks_failed" in self.result.flags

    def keepable(self, arena: Arena) -> bool:
        """Whether nothing but the referee stands between this run and a keep."""
        bounds = {name: Bound(guard.min, guard.max) for name, guard in arena.secondary.items()}
        return self.score is not None and not self.failed_checks and not broken_bounds(self.result.secondary, bounds)

    @property
    def ending(self) -> str:
        """How it ended, in a few words."""
        if self.score is not None:
            return f"scored {self.score:.6g}" + (" but failed the checks" if self.failed_checks else "")
        return f"{self.result.state}" + (f" ({self.result.reason})" if self.result.reason else "")


class Aim(StrEnum):
    """Why a variant was run."""

    IDLE = "idle"  # does nothing, its functions emptied
    IDLE_PAST_CHECKS = "idle_past_checks"  # the same, and ends the checks early
    SPY = "spy"  # honest work, but prints, writes, forges, connects
    VOICE = "voice"  # answers in the scorer's place
    CLOCK = "clock"  # slows the clock down while it is scored
    CONSTANT = "constant"  # an answer that looks at nothing
    PASTE = "paste"  # the answers that the scorer reads, handed in
    REPLAY = "replay"  # the answer of an earlier run, handed in without the work
    MEASURE = "measure"  # moves a constant of the measure
    MORE_WORK = "more_work"  # moves a constant of the amount of work
    NUDGE = "nudge"  # a small step, on every seed, to see how far pairing quiets a comparison
    HARM = "harm"  # made worse by us
    WORSE = "worse"  # made worse by the user
    BETTER = "better"  # made better by the user


@dataclass(frozen=True)
class Tried:
    """One variant that was run. `planted` are the scores it tried to plant, by the way it tried."""

    aim: Aim
    what: str  # a clause: "the functions of solve.py emptied"
    trial: Trial
    planted: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """All that a verdict is made from."""

    arena: Arena
    baseline: tuple[Trial, ...]
    tried: tuple[Tried, ...] = ()
    scanned: tuple[Finding, ...] = ()
