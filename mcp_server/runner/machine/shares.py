"""What the hosts of a model may use of the processors, by what the unchanged code's or the incumbent's need. Pure.

A host builds the model and answers; whatever else it computes would be learning that no budget counts. An honest model
may be larger than the one it follows, so what is far from usual is told and not kept, and only what no honest step
explains is refused. Getting ready is mostly the import of torch, whatever the model; answers cost what the model costs.
While nothing is known of a campaign, no seconds are limited.

A host that is ready needs nothing from the disk any more, and hardly a file. Which pages of a file are in memory, and
which names were asked for, is what host A can leave for host B to find, a bit for each page it has read and each name
(`python -m benchmarks.page_cache`); so many as would be worth it are told.
"""

from __future__ import annotations

from mcp_server.nouns.records import HostUse

# times the usual, and processor seconds on top for what neighbours and clocks of 10 ms add
UNUSUAL_READY, UNUSUAL_ANSWERS, UNUSUAL_SECONDS = 1.5, 4.0, 1.0
READ_MB = 8.0  # 2,000 pages; an honest host under a heavy load read 3 MB again that the machine had dropped
TRACES = 200  # each some bits; an honest host leaves none once it is ready
MOST_READY, MOST_ANSWERS, MOST_SECONDS = 4.0, 8.0, 2.0


def unusual(used: HostUse, usual: HostUse | None) -> bool:
    """Whether a score took far more than what is usual in its campaign, or touched what another host could find."""
    left = used.read_mb > READ_MB or (used.traces or 0) > TRACES
    return left or (usual is not None and _slow(used, usual))


def _slow(used: HostUse, usual: HostUse) -> bool:
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
