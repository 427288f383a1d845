"""An installation under way: what it is doing, and why it failed, in two sentences. Standard library only."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

# what a log says, and what that means and asks for
CAUSES = (
    (
        ("the index has PyTorch only with its CUDA libraries",),
        "there is no NVIDIA device here, and the index has PyTorch only with its CUDA libraries (3 GB). Start the "
        "client with PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu for the CPU build, or with "
        "AUTORESEARCH_TORCH=cuda for this one",
    ),
    (("No space left",), "the disk is full. Free some space"),
    (
        ("cannot make a virtual environment", "ensurepip is not available"),
        "this Python makes no virtual environments. Mend that (Debian and Ubuntu: sudo apt-get install python3-venv)",
    ),
    (("Permission denied", "Read-only file system"), "its folder cannot be written. Name another with XDG_DATA_HOME"),
    (
        (
            "name resolution", "Name or service", "Network is unreachable", "Connection refused", "Max retries",
            "NewConnectionError", "No matching distribution", "dns error", "error sending request", "timed out",
        ),
        "no index of packages could be reached. Connect this machine, or name an index with PIP_INDEX_URL",
    ),
)  # fmt: skip
CHARACTERS = 300


def refused(error: OSError) -> str:
    """Why an installation could not even begin, and what to do next."""
    return (
        f"autoresearch could not be installed: {error.filename or 'its folder'} cannot be written "
        f"({error.strerror or error}). Name another folder with XDG_DATA_HOME, then call lab_status again, which tries "
        "it anew."
    )


class Installation:
    """A process that installs, and the log it writes."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log, self._began = process, log, time.monotonic()

    def lines(self) -> list[str]:
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return []
        return [line.strip() for line in text.splitlines() if line.strip()]

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def now(self) -> str:
        """What it is at, in a few words."""
        last = (self.lines() or ["preparing"])[-1]
        return f"autoresearch is being installed, which happens once ({self.seconds():.0f} s so far: {last[:80]})"

    def why(self) -> str:
        """Why it failed, and what to do next."""
        lines = self.lines()
        text = "\n".join(lines)
        last = " / ".join(lines[-3:])[-CHARACTERS:] or "it gave no reason"
        known = (meaning for marks, meaning in CAUSES if any(mark in text for mark in marks))
        meaning = next(known, f"its last words are: {last}. Mend that")
        return (
            f"autoresearch could not be installed: {meaning}, then call lab_status again, which tries it anew. "
            f"The whole story is in {self.log}."
        )
