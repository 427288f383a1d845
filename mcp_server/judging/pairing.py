"""Whether an attempt is trained beside the incumbent in one slot, and why: from the machine, the arena and the noise.

Pure. What two runs share at the same moment cancels in their difference, so a pair is worth its place wherever the
machine moves the score (docs/pairing.md has the measurements). It costs a second core, and the time to score twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mcp_server.nouns.records import Pairing

Asked = Literal["auto", "side_by_side", "sequential"]
Clock = Literal["wall", "cpu"]

SPARE_MEMORY = 1.25  # what the baseline needed is not quite what a candidate needs
ASSUMED_BYTES = 2e9  # of one trainer, before one was seen


@dataclass(frozen=True)
class Machine:
    """What this machine has for the runs of one arena."""

    kind: str  # "cpu" or "cuda"
    equal_cards: int  # the most cards of one model among those that the arena may use
    cores: int  # that the server may keep busy
    free_bytes: float  # of main memory; 0 where the system does not tell


@dataclass(frozen=True)
class Work:
    """What one run of the arena is like."""

    clock: Clock
    threads: int
    needed_bytes: float | None  # the most that a run of the baseline held; None before one was seen
    exact: bool  # every repeat of equal code on an equal seed gave the very same score


@dataclass(frozen=True)
class Choice:
    """How the incumbent is trained beside an attempt ("": it is not), and one sentence that says why."""

    pairing: Pairing
    why: str
    refused: bool = False  # it was asked for, and cannot be


def choose(asked: Asked, machine: Machine, work: Work) -> Choice:
    """The rule behind `keep: {pairing: ...}`."""
    if asked == "sequential":
        return Choice("", "program.md asks for it")
    if machine.kind == "cuda":
        if machine.equal_cards >= 2:
            return Choice("side_by_side", "two equal GPUs, exchanged from seed to seed")
        return _no("one GPU cannot train two at the same speed as one", asked)
    if machine.kind != "cpu":
        return _no(f"{machine.kind} is one device", asked)
    if asked == "auto" and work.exact:
        return Choice("", "equal code on one seed gives the very same score here, so there is nothing to cancel")
    if asked == "auto" and work.clock == "wall":
        return Choice("", "the budget is wall time, and two trainers would slow each other down")
    needed = 2 * SPARE_MEMORY * (work.needed_bytes or ASSUMED_BYTES)
    if 0 < machine.free_bytes < needed:
        return _no(f"two trainers need {needed / 1e9:.1f} GB and {machine.free_bytes / 1e9:.1f} GB are free", asked)
    if machine.cores >= 2 * work.threads:
        return Choice(
            "side_by_side", f"{machine.cores} cores are enough for two trainers, exchanged ten times a second"
        )
    few = f"{machine.cores} core{'s are' if machine.cores > 1 else ' is'} too few for two trainers at the same time"
    if asked == "side_by_side" and work.clock == "cpu":
        return Choice("alternating", f"{few}: they take turns, and a slot takes twice as long")
    return _no(few, asked)


def _no(why: str, asked: Asked) -> Choice:
    return Choice("", why, refused=asked == "side_by_side")


def words(choice: Choice) -> str:
    """For lab_status: what was chosen, and why."""
    named = {"": "sequential", "side_by_side": "side by side", "alternating": "alternating"}[choice.pairing]
    asked = "program.md asks for side_by_side, but " if choice.refused else ""
    return f"{named}: {asked}{choice.why}"
