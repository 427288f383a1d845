"""Takes memory in many processes, each of which is modest."""

import os
import time

from base import start

CASE, EXPECT = 15, ("crashed", "out_of_memory")
BUDGET = {"seconds": 60, "memory_gb": 0.4}

start()
for _ in range(12):
    if os.fork() == 0:
        block = b"x" * (60 << 20)
        time.sleep(60)
time.sleep(60)
