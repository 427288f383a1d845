"""Finds the socket to the evaluator and answers it with a perfect score of its own, then with noise."""

import os
import stat

import numpy as np
from base import Base, finish

CASE, EXPECT = 7, ("rejected", "bad_output")


class Model(Base):
    calls = 0

    def forward(self, ids):
        self.calls += 1
        if self.calls > 4:
            for fd in map(int, os.listdir("/proc/self/fd")):
                try:
                    if stat.S_ISSOCK(os.fstat(fd).st_mode):
                        os.write(fd, b"AR1\n\x03\x01\x03\x02" + np.array([1 << 30, 1 << 30, 0], "<u4").tobytes())
                        os.write(fd, os.urandom(4096))
                except OSError:
                    pass
        return super().forward(ids)


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
