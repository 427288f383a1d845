"""The supervisor of one run: lease, train, seal, check, score, answer. `python -m mcp_server.runner FOLDER`.

It reads one folder and writes one folder; it knows no ledger and no git. It is one process with one thread. Whatever
happens, it ends with the run's lock free, the device free and nothing of the run alive; the result is written last,
whole or not at all. Each step is named in progress.json before it begins.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import sys
from pathlib import Path

from mcp_server.nouns.files import try_lock
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunResult, RunSpec, RunState
from mcp_server.runner.machine.tree import adopt_orphans
from mcp_server.runner.process.child import rise
from mcp_server.runner.process.stop import Stop
from mcp_server.runner.run import Run

ALIVE_FD, KEEPER_FD = "AUTORESEARCH_ALIVE_FD", "AUTORESEARCH_KEEPER_FD"
RESERVE_BYTES = 64 * 1024  # on the disk from the beginning, so that a full one still takes the result

log = logging.getLogger("mcp_server.runner")


def main(argv: list[str]) -> int:
    """Exit status 0 when a result was written; otherwise the run is lost, and the reason is in supervisor.log."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    if len(argv) != 2:
        print("usage: python -m mcp_server.runner FOLDER", file=sys.stderr)
        return 2
    paths = RunPaths(Path(argv[1]).resolve())
    if not _hold(paths):
        print(f"{paths.folder} has a living supervisor already.", file=sys.stderr)
        return 3
    adopt_orphans()
    rise()
    stop = Stop(paths.cancel, _handed(KEEPER_FD))
    reserve = paths.folder / ".reserve"
    spec = RunSpec.read(paths.spec)
    run = Run(paths, spec, stop)
    try:
        paths.begun.touch()
        reserve.write_bytes(bytes(RESERVE_BYTES))
        result = run.carry_out()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        log.exception("the disk is full")
        result = RunResult(
            state=RunState.CRASHED,
            order=spec.order,
            reason="disk_full",
            detail="The disk filled up during the run. Free space and retry.",
        )
    reserve.unlink(missing_ok=True)
    if result.state is RunState.CANCELLED and not paths.cancel.exists():
        # Nobody cancelled it: the machine goes down, or whoever kept it is gone. Without a result it is as if we had
        # been killed: what was sealed is scored again, the rest is lost and may be made again. What only stood in the
        # queue has not begun, and is started again.
        if run.waits and not spec.rescore:
            paths.begun.unlink(missing_ok=True)
        log.warning("told to end, and nobody cancelled this run")
        return 4
    result.write(paths.result)
    run.release()
    log.info("%s %s", result.state, result.reason)
    return 0


def _hold(paths: RunPaths) -> bool:
    """Keep the run's lock for life: the one handed over, or our own when started by hand."""
    return _handed(ALIVE_FD) is not None or try_lock(paths.alive) is not None


def _handed(name: str) -> int | None:
    """A descriptor that whoever started us left open for us; no child gets it, or it would keep the run alive."""
    handed = os.environ.pop(name, "")
    if not handed.isdigit():
        return None
    os.set_inheritable(int(handed), False)
    return int(handed)


if __name__ == "__main__":
    gc.freeze()  # what was imported is not taken apart at the end, which takes a sixth of the start
    sys.exit(main(sys.argv))
