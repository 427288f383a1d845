"""What goes wrong, in words: one sentence on what happened, one on what to do next.

These are mistakes of a person, an agent or a machine that a verb cannot work round. A failed experiment is not among
them: a crash, a timeout or a rejection is a recorded outcome (see `records.Outcome`).
"""

from __future__ import annotations

import sys


class AutoresearchError(Exception):
    """Base of every error whose text may be shown to the agent and the user as it is."""


class ArenaError(AutoresearchError):
    """`program.md` cannot be used as written; the text names the line and what is allowed."""


class WorkspaceError(AutoresearchError):
    """The repository or one of its files is not in a state in which the verb can act; nothing was changed."""


class GitError(WorkspaceError):
    """A git command failed; the text carries git's own last words."""


class LedgerError(AutoresearchError):
    """The ledger is damaged, newer than this code, or cannot be written."""


class SandboxError(AutoresearchError):
    """The isolation the arena requires is not available on this machine."""


class CorpusError(AutoresearchError):
    """The prepared corpus is missing, incomplete or not the one this campaign was started with."""


class CommunityError(AutoresearchError):
    """Something between this lab and others cannot be done; the lab itself goes on."""


class UnknownExperiment(AutoresearchError):
    """No experiment, or no campaign, of that name in this lab."""


class NotNow(AutoresearchError):
    """A right call at the wrong time: nothing changed since the incumbent, already decided, already scored, stopped."""


class StillRunning(NotNow):
    """What is to be decided on, or what it is compared with, still runs."""


def refused(error: OSError) -> str:
    """What the machine did not let us do."""
    return (
        f"The disk refused: {error}. What was recorded before is whole; free some space or mend the permissions, "
        "then call again."
    )


def unsupported() -> str:
    """Why this system can hold no runs, and what to do; "" on Linux."""
    if sys.platform.startswith("linux"):
        return ""
    elsewhere = "Use WSL 2" if sys.platform == "win32" else "Use a Linux machine, virtual machine or container"
    return (
        "Runs need Linux: they are held by pidfd_open, prctl and /proc, and shut in by namespaces or Landlock. "
        f"{elsewhere}; `python train.py` works by hand wherever PyTorch does."
    )
