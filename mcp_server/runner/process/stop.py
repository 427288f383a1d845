"""Somebody wants the run to end: a file `cancel` in its folder, or SIGTERM to the supervisor."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from types import FrameType


class Stop:
    """Make it once, in the main thread. `fd` becomes readable when a signal came in."""

    def __init__(self, cancel: Path) -> None:
        self._cancel = cancel
        self._signalled = False
        self.fd, wake = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._signalled = True

    def asked(self) -> bool:
        """Whether to stop."""
        return self._signalled or self._cancel.exists()

    def pause(self, seconds: float) -> bool:
        """Sleep, or less when a signal comes; False when the run is to end."""
        if not self.asked():
            select.select([self.fd], [], [], seconds)
        return not self.asked()
