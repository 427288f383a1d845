"""Gains that commits claim in their trailers, and whether today's pairs bear them out. Pure but for reading git."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from mcp_server.arena.program import parse_program
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.text import clean_line
from mcp_server.pulls.pairs import Paired, measure, program_at
from mcp_server.repo.workspace import Workspace

GAIN, INTERVAL = "Autoresearch-Gain", "Autoresearch-Interval"
TITLE = 120  # characters of a commit's first line, which is anybody's
COMMITS = 500  # looked through, the newest first
_GAIN = re.compile(rf"^{GAIN}: (\S+)$", re.MULTILINE)
_INTERVAL = re.compile(rf"^{INTERVAL}: (\S+) to (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Claim:
    """A gain that a commit says it brought, with its interval where it tells one."""

    commit: str
    parent: str
    title: str
    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Checked:
    """A claim and what its change is worth today; `measured` None where it cannot be told apart any more."""

    claim: Claim
    measured: Paired | None
    why: str = ""

    @property
    def verdict(self) -> str:
        """holds | decayed | unclear | not measured.

        Decayed: today's whole interval lies below the claim's. Noise alone never says so.
        """
        if self.measured is None:
            return "not measured"
        if self.measured.high < self.claim.low:
            return "decayed"
        return "holds" if self.measured.better else "unclear"

    def words(self) -> str:
        said = self.measured.words() if self.measured is not None else self.why
        claimed = f"claimed {fixed(self.claim.gain, 4)} ({fixed(self.claim.low, 4)} to {fixed(self.claim.high, 4)})"
        return f"{self.claim.commit[:10]} {self.claim.title}: {self.verdict}; {claimed}; today {said}"


def trailers(found: Paired) -> str:
    """The lines by which a commit can be asked again later."""
    return f"{GAIN}: {found.gain:.6g}\n{INTERVAL}: {found.low:.6g} to {found.high:.6g}"


def claim_of(message: str) -> tuple[float, float, float] | None:
    """(gain, low, high) of a commit message; None where it claims nothing."""
    gain, edges = _GAIN.findall(message), _INTERVAL.findall(message)
    try:
        value = float(gain[-1])
        low, high = (float(edge) for edge in edges[-1]) if edges else (value / 2, value)
    except (IndexError, ValueError):
        return None
    return (value, low, high) if all(map(math.isfinite, (value, low, high))) else None


def claims(workspace: Workspace, head: str) -> list[Claim]:
    """The gains that the history of a commit claims, newest first."""
    found = []
    for commit in workspace.git.commits(head, limit=COMMITS):
        told = claim_of(commit.message)
        if told is not None and commit.parents:
            title = clean_line(commit.message.split("\n", 1)[0], TITLE)
            found.append(Claim(commit.oid, commit.parents[0], title, *told))
    return found


def recheck(workspace: Workspace, head: str, claim: Claim, pairs: int, say: Callable[[str], None]) -> Checked:
    """What a kept change is worth today: HEAD beside HEAD without it. Raises AutoresearchError."""
    program = program_at(workspace, head)
    patterns = parse_program(program).arena.editable
    now = workspace.committed(patterns, head)
    with_it, without_it = (workspace.committed(patterns, commit) for commit in (claim.commit, claim.parent))
    taken_out = workspace.merge(now, with_it, without_it)
    if taken_out.conflicts:
        return Checked(claim, None, "later changes build on it, so it cannot be taken out alone")
    if taken_out.files == now:
        return Checked(claim, None, "it is no longer there")
    return Checked(claim, measure(workspace, head, program, taken_out.files, now, pairs, say))
