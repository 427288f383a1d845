"""What a proof is asked, what it tells meanwhile and what it answers in the end. Plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_server.proving.evidence import Aim, Evidence
from mcp_server.proving.verdict import Verdict

REPEATS = 4
PATIENCE_SECONDS = 300.0  # for a score that stays pending


@dataclass(frozen=True)
class Step:
    """Progress, for people. `done` of about `planned` runs; the estimate is None until one run is over."""

    said: str
    done: int
    planned: int
    seconds_left: float | None = None


@dataclass(frozen=True)
class Wish:
    """What the user asks for. `better` and `worse` are files, folders, patches or values, seen from `folder`."""

    folder: Path
    repeats: int = REPEATS
    better: str | None = None
    worse: str | None = None
    patience_seconds: float = PATIENCE_SECONDS


@dataclass(frozen=True)
class Proof:
    """What was tried and what follows."""

    evidence: Evidence
    verdict: Verdict


@dataclass(frozen=True)
class Variant:
    """One variant that is to be run."""

    aim: Aim
    what: str
    files: Mapping[str, bytes]
    planted: Mapping[str, float]
    seed: int = 1
