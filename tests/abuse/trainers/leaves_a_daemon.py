"""Leaves a daemon behind, double-forked, in a session of its own, deaf to signals, with its pipes closed."""

import os
import time

from base import finish, ignore_signals, start

CASE, EXPECT, T1 = 13, ("scored", ""), ("scored", "")

start()
if os.fork() == 0:
    os.setsid()
    ignore_signals()
    if os.fork() == 0:
        os.closerange(0, 64)
        while True:
            time.sleep(60)
    os._exit(0)
os.wait()
finish()
