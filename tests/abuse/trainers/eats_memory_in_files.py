"""Takes memory as files in shm, where no process seems to hold it."""

from base import start

CASE, EXPECT = 15, ("crashed", "out_of_memory")
BUDGET = {"seconds": 60, "memory_gb": 0.4}

start()
with open("/dev/shm/hoard", "wb") as file:
    while True:
        file.write(b"x" * (8 << 20))
