"""Waiting for a run from a program without an event loop. Giving up the wait never affects the run."""

from __future__ import annotations

import time
from collections.abc import Callable

from mcp_server.lab import Lab
from mcp_server.nouns.records import Status
from mcp_server.nouns.replies import DecisionReply, ScoreReply

UNFINISHED = frozenset({Status.QUEUED, Status.RUNNING, Status.PENDING, Status.CONFIRMING})
POLL_SECONDS = 0.25  # a result enters by the next verb, whoever calls it, so somebody has to ask


def until_finished(lab: Lab, number: int | None, tell: Callable[[ScoreReply], None]) -> ScoreReply:
    """The score of an experiment once no run of it is open; `tell` hears how it stands meanwhile."""
    while True:
        reply = lab.read_score(number)
        tell(reply)
        if reply.status not in UNFINISHED:
            return reply
        number = reply.experiment  # the last one at the start of the wait, also when another one is opened meanwhile
        time.sleep(POLL_SECONDS)


def until_decided(
    lab: Lab, number: int | None, decision: str, tell: Callable[[ScoreReply], None], learned: str = ""
) -> DecisionReply:
    """A decision that waits for the repeats the referee asks for, and asks again when they are there."""
    while True:
        reply = lab.commit_or_revert(number, decision, learned)
        if reply.decision != "confirming":
            return reply
        number = reply.experiment
        until_finished(lab, number, tell)
