"""On the processor clock: lets children that nobody waits for do the work, so that their time is forgotten."""

import os
import signal

from base import burn, finish, start

CASE, EXPECT = 12, ("timeout", "over_budget")
BUDGET = {"seconds": 0.7, "grace_seconds": 1.0, "startup_seconds": 30, "clock": "cpu"}

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
start()
finish(0.1)
while True:
    r, w = os.pipe()
    if os.fork() == 0:
        burn(0.2)
        os._exit(0)
    os.close(w)
    os.read(r, 1)
    os.close(r)
