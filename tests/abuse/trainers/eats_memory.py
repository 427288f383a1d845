"""Takes all the memory there is, a little at a time."""

from base import start

CASE, EXPECT = 15, ("crashed", "out_of_memory")
BUDGET = {"seconds": 60, "memory_gb": 0.4}

start()
blocks = []
while True:
    blocks.append(b"x" * (8 << 20))
