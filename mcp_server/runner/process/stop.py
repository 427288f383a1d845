"""The run is to end: a file `cancel` in its folder, SIGTERM to the supervisor, or the end of its keeper.

Only the file is somebody's wish; a machine that is shut down sends the signal to all. A keeper is the node agent of a
cluster, which holds the other end of a pipe: the pipe ends with it, however it dies.
"""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from types import FrameType


class Stop:
    """Make it once, in the main thread. `fd` becomes readable when a signal came in."""

    def __init__(self, cancel: Path, keeper: int | None = None) -> None:
        """keeper: a pipe that ends when nobody keeps this run any more."""
        self._cancel, self._keeper = cancel, keeper
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
        return self._signalled or self._cancel.exists() or self._deserted()

    def _deserted(self) -> bool:
        """Whether whoever kept this run is gone."""
        return self._keeper is not None and bool(select.select([self._keeper], [], [], 0)[0])

    def pause(self, seconds: float) -> bool:
        """Sleep, or less when a signal comes; False when the run is to end."""
        if not self.asked():
            select.select([self.fd], [], [], seconds)
        return not self.asked()
