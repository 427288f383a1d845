"""What the hosts of a model may use of the processors, by what the unchanged code's or the incumbent's need. Pure.

A host builds the model and answers; whatever else it computes would be learning that no budget counts. An honest model
may be larger than the one it follows, so what is far from usual is told and not kept, and only what no honest step
explains is refused. Getting ready is mostly the import of torch, whatever the model; answers cost what the model costs.
While nothing is known of a campaign, nothing is limited.
"""

from __future__ import annotations

from mcp_server.records import HostUse

# times the usual, and processor seconds on top for what neighbours and clocks of 10 ms add
UNUSUAL_READY, UNUSUAL_ANSWERS, UNUSUAL_SECONDS = 1.5, 4.0, 1.0
MOST_READY, MOST_ANSWERS, MOST_SECONDS = 4.0, 8.0, 2.0


def unusual(used: HostUse, usual: HostUse) -> bool:
    """Whether a score took far more than what is usual in its campaign."""
    return (
        used.ready_seconds > UNUSUAL_READY * usual.ready_seconds + UNUSUAL_SECONDS
        or used.answer_seconds > UNUSUAL_ANSWERS * usual.answer_seconds + UNUSUAL_SECONDS
    )


def most_to_get_ready(usual: HostUse | None) -> float:
    """Processor seconds after which a host that gets ready is refused."""
    return float("inf") if usual is None else MOST_READY * usual.ready_seconds + MOST_SECONDS


def most_to_answer(usual: HostUse | None, share: float) -> float:
    """Processor seconds for having been asked about this share of the split's tokens; more is refused."""
    return float("inf") if usual is None else MOST_ANSWERS * usual.answer_seconds * share + MOST_SECONDS
