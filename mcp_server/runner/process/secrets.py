"""Secret variables for a sandboxed command: through a pipe, not on the command line that builds the sandbox.

Inside bubblewrap the first process can be looked at by every other one, and its command line has all variables. A
command that is told its secrets by a small launcher has them in its own environment alone, which it can close to the
processes it starts (PR_SET_DUMPABLE, as the arenas' confined.py does).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from mcp_server.runner.sandbox import Confinement

SECRET = ("AUTORESEARCH_DRAW", "AUTORESEARCH_SECRET")
LAUNCHER = """\
import json, os, sys
with os.fdopen(int(sys.argv[1])) as told:
    os.environ.update(json.load(told))
os.execvp(sys.argv[2], sys.argv[2:])
"""


def secrets_by_pipe(argv: Sequence[str], confinement: Confinement) -> tuple[list[str], Confinement, int | None]:
    """Command and confinement without the secrets in sight, and the descriptor to close once it was started."""
    secrets = {name: value for name, value in confinement.env.items() if name in SECRET}
    if not secrets:
        return list(argv), confinement, None
    told, tell = os.pipe()
    os.write(tell, json.dumps(secrets).encode())  # far less than a pipe holds
    os.close(tell)
    open_ones = {name: value for name, value in confinement.env.items() if name not in SECRET}
    # -I -S: ready in 10 ms
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(told), *argv]
    return launcher, replace(confinement, env=open_ones, fds=(*confinement.fds, told)), told
