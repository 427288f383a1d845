"""Leaves a checkpoint in tmp, shm, home and the compile cache; the next run looks for it."""

import os
import tempfile

from base import attempt, finish, start

CASE, EXPECT, T1, RUNS = 10, ("scored", ""), ("scored", ""), 2
FOLDERS = {
    tempfile.gettempdir(),
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev/mqueue",
    "/run",
    os.path.expanduser("~"),
    os.path.expanduser("~/.cache"),
    os.path.join(tempfile.gettempdir(), f"torchinductor_{os.getuid()}"),
    ".",
    "__pycache__",
}


def read(path):
    with open(path) as file:
        return file.read()


start()
for folder in sorted(FOLDERS):
    path = os.path.join(folder, "autoresearch-test-checkpoint-of-run-k")
    attempt(f"found in {folder}", lambda path=path: read(path))
    try:
        os.makedirs(folder, exist_ok=True)
        with open(path, "w") as file:
            file.write("weights")
    except OSError:
        continue
finish()
