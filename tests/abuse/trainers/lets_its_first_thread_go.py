"""Lets its first thread leave, so that the process looks dead, and eats memory in another one."""

import ctypes
import threading

from base import start

CASE, EXPECT = 15, ("crashed", "out_of_memory")
BUDGET = {"seconds": 60, "memory_gb": 0.4}


def eat():
    blocks = []
    while True:
        blocks.append(b"x" * (8 << 20))


start()
threading.Thread(target=eat).start()
ctypes.CDLL(None).pthread_exit(None)
