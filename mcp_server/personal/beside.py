"""Starts the process that sends news beside a lab, where the user's file asks for any. It never touches a run.

It is a process of its own, so that no verb waits for a network and a crash at night is told although nobody looks.
"""

from __future__ import annotations

import logging
from pathlib import Path

from mcp_server.nouns.files import is_locked
from mcp_server.personal.file import personal_file
from mcp_server.runner.machine.leaving import leave

log = logging.getLogger(__name__)

PROGRAM = "mcp_server.faces.notifying"
AGAIN_SECONDS = 2.0  # a process that was just started has no lock yet


def lock_of(state: Path) -> Path:
    """Held by the process that sends news of the lab."""
    return state / "notify.lock"


def wake(state: Path, tree: Path) -> bool:
    """Start the sender, unless there is nothing to send to or it is there already. Never waits, never raises."""
    try:
        if not personal_file().exists() or not state.exists() or is_locked(lock_of(state)):
            return False
        return leave(PROGRAM, tree, state, state / "notify.log", AGAIN_SECONDS)
    except OSError as error:
        log.warning("the news of this lab cannot be sent: %s", error)
        return False
