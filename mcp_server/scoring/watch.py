"""Counts the calls of a host that leave a trace where another process could find it (`sandbox.traces`).

The host, before it has run a line of the agent's, puts the filter on itself and hands its descriptor to the evaluator.
From then on each of those calls, of all its threads and children, waits until this side has counted it and lets it go
on. Linux 5.7 and later; where the kernel will not, a host says so and nothing is counted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import threading
import time

from mcp_server.scoring.protocol import WATCHED

# include/uapi/linux/seccomp.h
RECEIVE, SEND, SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082104
NOTICE_BYTES, CONTINUE, WAKE_AT_ONCE = 80, 1, 1


class Watch:
    """One host's calls, counted as they come; ends by itself with the last process of the host, or by `close`."""

    def __init__(self, host: socket.socket, deadline: float) -> None:
        """Wait beside the caller, until `deadline` (monotonic), for the host's first word: the filter's descriptor.

        Nothing else may be read from the socket before `heard`.
        """
        self.calls = 0
        self.counts = False  # whether the host could put the filter on itself
        self._host, self._deadline = host, deadline
        self._heard = threading.Event()
        self._stop, self._stopping = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def heard(self) -> None:
        """Return when the host has spoken, is gone, or the deadline is over."""
        self._heard.wait(max(0.0, self._deadline - time.monotonic()) + 1.0)

    def ended(self, seconds: float) -> bool:
        """Whether all who could call are gone, or are within so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Stop listening; whatever still waits is told that there is no such call. Harmless to repeat."""
        if self._stopping >= 0:
            os.close(self._stopping)
            self._stopping = -1
            self._thread.join()
            os.close(self._stop)

    def _run(self) -> None:
        listener = self._take()
        self.counts = listener >= 0
        self._heard.set()
        if listener >= 0:
            try:
                self._listen(listener)
            finally:
                os.close(listener)

    def _take(self) -> int:
        """The filter's descriptor, or -1."""
        poll = select.poll()
        poll.register(self._host, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        events = dict(poll.poll(max(0.0, self._deadline - time.monotonic()) * 1000))
        if self._stop in events or not events:
            return -1
        with contextlib.suppress(OSError):
            word, listeners, *_ = socket.recv_fds(self._host, 1, 1)
            if word == WATCHED and listeners:
                return listeners[0]
        return -1

    def _listen(self, listener: int) -> None:
        with contextlib.suppress(OSError):  # Linux 6.6: the caller goes on the sooner
            fcntl.ioctl(listener, SET_FLAGS, WAKE_AT_ONCE)
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        notice, nothing = bytearray(NOTICE_BYTES), bytes(NOTICE_BYTES)
        while True:
            events = dict(poll.poll())
            if self._stop in events or not events[listener] & select.POLLIN:
                return
            notice[:] = nothing
            with contextlib.suppress(FileNotFoundError, InterruptedError):  # who asked was killed meanwhile
                fcntl.ioctl(listener, RECEIVE, notice, True)
                self.calls += 1
                fcntl.ioctl(listener, SEND, bytearray(struct.pack("=8sqiI", notice[:8], 0, 0, CONTINUE)), True)
