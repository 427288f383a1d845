"""How often to exchange: from the number of labs that take part and what a host bears, with back-off. Pure.

A large host recommends at most 6 pushes a minute and 15 reads a second for one repository. We take half of it, for
people push there too. A folder or a machine of one's own bears more; there the period only spares the processor.
"""

from __future__ import annotations

from datetime import timedelta

from mcp_server.community.settings import Kind, Last

TAKES_PART = timedelta(days=1)  # a lab that told of nothing for longer pushes nothing, and gets no turn
PUSHES_A_MINUTE = 6.0
READS_A_SECOND = 15.0
OURS = 0.5  # of what the host bears
FOLDER_SECONDS = 5.0
SERVER_SECONDS = 10.0  # of a lab server: 32 labs read it six times a second then
HOST_READ_SECONDS = 20.0
LONGEST_SECONDS = 3600.0
FAILED_SECONDS = 15.0


def push_seconds(labs: int, kind: Kind) -> float:
    """Between two pushes of one lab, so that all labs together stay within what the host bears."""
    if kind != "host":
        return SERVER_SECONDS if kind == "server" else FOLDER_SECONDS
    return max(FOLDER_SECONDS, 60.0 * max(1, labs) / (PUSHES_A_MINUTE * OURS))


def read_seconds(labs: int, kind: Kind) -> float:
    """Between two looks of one lab."""
    if kind != "host":
        return SERVER_SECONDS if kind == "server" else FOLDER_SECONDS
    return max(HOST_READ_SECONDS, max(1, labs) / (READS_A_SECOND * OURS))


def back_off(failures: int, draw: float) -> float:
    """Seconds to wait after failures in a row; draw: in [0, 1), so that labs do not come back all at once."""
    if failures <= 0:
        return 0.0
    return min(LONGEST_SECONDS, FAILED_SECONDS * 2.0 ** min(failures - 1, 12)) * (0.75 + 0.5 * draw)


def due_in(last: Last, kind: Kind, now: float, draw: float = 0.5) -> float:
    """Seconds until the next exchange may begin; 0 when it may now. A clock that was set back makes nobody wait."""
    if last.tried_at > now:
        return 0.0
    waits = [last.tried_at + back_off(last.failures, draw), last.read_at + read_seconds(last.labs, kind)]
    return max(0.0, max(waits) - now)


def may_push(last: Last, kind: Kind, now: float) -> bool:
    return not now - push_seconds(last.labs, kind) < last.pushed_at <= now
