"""Other programs beside a measurement: busy processes that come and go, by a seeded plan, and never outlive it."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

MOST = 3  # at a time
SHORTEST_SECONDS, LONGEST_SECONDS = 2.0, 8.0  # between two changes of their number
# Each ends by itself when its parent is gone: a killed benchmark leaves no load behind.
BUSY = """
import os
parent, x = os.getppid(), 1.0
while os.getppid() == parent:
    for _ in range(100000): x = x * 1.0000001 % 7
"""


class Neighbours:
    """A context in which 0 to MOST processes are busy, changing their number every few seconds."""

    def __init__(self, seed: int, most: int = MOST) -> None:
        self._draw, self._most = random.Random(seed), most
        self._busy: list[subprocess.Popen[bytes]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._come_and_go, name="neighbours")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _come_and_go(self) -> None:
        try:
            while not self._over.is_set():
                self._be(self._draw.randint(0, self._most))
                self._over.wait(self._draw.uniform(SHORTEST_SECONDS, LONGEST_SECONDS))
        finally:
            self._be(0)

    def _be(self, wanted: int) -> None:
        while len(self._busy) < wanted:
            self._busy.append(subprocess.Popen([sys.executable, "-I", "-S", "-c", BUSY], stdin=subprocess.DEVNULL))
        while len(self._busy) > wanted:
            process = self._busy.pop()
            process.kill()
            process.wait()
