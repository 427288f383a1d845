"""The process that sends news beside a lab, and has trackers mirror it: `python -m mcp_server.faces.notifying TREE`.

It looks at the lab as a person would, so that what ends while no agent and no server is there is noticed and told, and
ends once nothing runs and a verb would start it again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from mcp_server.faces.tracking import Mirror
from mcp_server.lab import Lab
from mcp_server.nouns.files import try_lock
from mcp_server.personal.beside import PROGRAM, lock_of
from mcp_server.personal.delivering import Post
from mcp_server.runner.machine.leaving import beside

LOOK_SECONDS = 1.0
LINGER_SECONDS = 2.0  # with nothing open: the next verb is often near, and a start costs more than waiting
LONGEST_SECONDS = 24 * 3600.0  # a lab whose runs never end gets a fresh process


def stay(tree: Path) -> None:
    """Send what happens until nothing is open. Raises AutoresearchError."""
    with contextlib.closing(Lab(tree)) as lab:
        alive = try_lock(lock_of(lab.paths.state))
        if alive is None:
            return
        ends = time.monotonic() + LONGEST_SECONDS
        rests = time.monotonic() + LINGER_SECONDS
        post = Post(lab.paths.state, lab.paths.tree)
        mirror = Mirror(lab.paths.state, lab.paths.tree, lab.paths.common)
        try:
            while time.monotonic() < min(ends, rests):
                with lab.reading_all() as bench:
                    ledger, busy = bench.ledger, bool(bench.ledger.open_runs())
                # sent with the lab's lock free; what this ledger reads may be written meanwhile
                mirroring = mirror.look(ledger)
                if post.deliver(ledger) or busy or mirroring:
                    rests = time.monotonic() + LINGER_SECONDS
                time.sleep(LOOK_SECONDS)
        finally:
            mirror.stop()
            lab.close()  # a last verb, which would start the next sender if our lock did not say that we are here
            os.close(alive)


if __name__ == "__main__":
    sys.exit(beside(PROGRAM, stay))
