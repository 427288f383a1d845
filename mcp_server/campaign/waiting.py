"""One wait for a score, for every face: when it is over, and how long between two looks. It never affects the run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

from mcp_server.nouns.errors import StillRunning
from mcp_server.nouns.replies import DecisionReply, ScoreReply

POLL_SECONDS = 0.25  # results enter the ledger by the next verb that is called, so a wait calls one again and again
LONGEST_POLL_SECONDS, OF_THE_WAIT = 1.0, 0.02  # each look takes processor time beside the run


class Verbs(Protocol):
    """The verbs that are waited for; `Lab` has them."""

    def read_score(self, experiment: int | None = None, session: str = "") -> ScoreReply: ...

    def commit_or_revert(
        self, experiment: int | None = None, decision: str = "auto", learned: str = "", session: str = ""
    ) -> DecisionReply: ...


def over(reply: ScoreReply, field_seconds: float = math.inf) -> bool:
    """Whether a wait ends: nothing is open, or only the world is awaited and its answer is `field_seconds` away."""
    return not reply.open or (reply.phase == "pending" and (reply.eta_seconds or 0.0) >= field_seconds)


def pause(waited: float) -> float:
    """Seconds until the next look, when one has waited so long: long waits lose at most a fiftieth by rare looks."""
    return min(LONGEST_POLL_SECONDS, max(POLL_SECONDS, OF_THE_WAIT * waited))


def until_finished(
    lab: Verbs,
    number: int | None,
    tell: Callable[[ScoreReply], None] = lambda reply: None,
    field_seconds: float = math.inf,
) -> ScoreReply:
    """The score of an experiment once the wait for it is over; `tell` hears how it stands meanwhile."""
    began = time.monotonic()
    while True:
        reply = lab.read_score(number)
        tell(reply)
        if over(reply, field_seconds):
            return reply
        number = reply.experiment  # the last one at the start of the wait, also when another one is opened meanwhile
        time.sleep(pause(time.monotonic() - began))


def until_decided(
    lab: Verbs,
    number: int | None,
    decision: str,
    tell: Callable[[ScoreReply], None] = lambda reply: None,
    learned: str = "",
    field_seconds: float = math.inf,
) -> DecisionReply:
    """A decision that waits for the repeats the referee asks for, and asks again when they are there.

    A change that goes on as an attempt on a later incumbent is followed there. However many repeats it takes: the
    referee's own rules bound them. Raises StillRunning where only the world is awaited, as `over` has it.
    """
    scored = False
    while True:
        try:
            reply = lab.commit_or_revert(number, decision, learned)
        except StillRunning:  # itself, or what it is compared with
            if scored and field_seconds < math.inf:
                raise
            scored = not until_finished(lab, number, tell, field_seconds).open
            if not scored:
                raise
            time.sleep(POLL_SECONDS)
            continue
        if reply.decision not in ("confirming", "rebased"):
            return reply
        if reply.carried_on is not None:
            learned = ""  # it was written down with the change that goes on
        number = reply.carried_on or reply.experiment
        if until_finished(lab, number, tell, field_seconds).open:
            raise StillRunning(f"Experiment {number} is in the field; its answer is decided on when it is in.")
