"""Whether a node's seconds are ours: the budget is counted there, so a clock that runs slow buys time. Pure.

Each answer of a node carries its clock, and was given between our asking and our hearing. Two answers bound how much
time can have passed here; a node that says otherwise, beyond what healthy clocks differ by, is not believed.
"""

from __future__ import annotations

from dataclasses import dataclass

DRIFT, SLACK_SECONDS = 0.01, 0.5  # healthy clocks differ by some millionths


@dataclass(frozen=True)
class Mark:
    """One answer: when it was asked for and heard by our clock, and what the node's clock said."""

    asked: float
    heard: float
    node: float


def disagreement(first: Mark, last: Mark) -> str:
    """Why the node's clock is not believed between two answers; "" while it may be."""
    there = last.node - first.node
    least, most = last.asked - first.heard, last.heard - first.asked
    allowed = DRIFT * max(most, there) + SLACK_SECONDS
    if least - allowed <= there <= most + allowed:
        return ""
    return (
        f"The node's clock counted {there:.1f} s while {least:.1f} to {most:.1f} s passed here, so its budget "
        "cannot be vouched for."
    )
