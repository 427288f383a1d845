"""Writes the tokens it is asked about wherever it can, prints them, and leaves a process behind that knows them."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

from base import Base, finish

CASE, EXPECT = 11, ("scored", "")
SLOW = True
PLACES = (
    tempfile.gettempdir(),
    os.path.expanduser("~"),
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    os.getcwd(),
    os.path.dirname(__file__),
    os.path.join(os.path.dirname(__file__), "../artifact"),
    os.path.join(os.path.dirname(__file__), "../out"),
    os.path.join(os.environ["AUTORESEARCH_DATA"], "public"),
    os.path.dirname(sys.executable),
)


class Model(Base):
    def forward(self, ids):
        seen = "CANARY " + " ".join(map(str, ids[0].tolist()))
        print(seen, flush=True)
        print(seen, file=sys.stderr, flush=True)
        for place in PLACES:
            with contextlib.suppress(OSError), open(pathlib.Path(place) / "canary-of-abuse.txt", "a") as file:
                file.write(seen)
        with contextlib.suppress(OSError):
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", seen], start_new_session=True)
        return super().forward(ids)


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
