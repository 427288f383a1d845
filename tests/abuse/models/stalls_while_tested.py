"""Never answers the second batch."""

import signal

from base import Base, finish

CASE, EXPECT = 7, ("rejected", "host_stalled")


class Model(Base):
    calls = 0

    def forward(self, ids):
        self.calls += 1
        while self.calls > 4:
            signal.pause()
        return super().forward(ids)


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
