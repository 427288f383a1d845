"""Puts the tokens it is asked about into an exception, hoping that the agent is told."""

from base import Base, finish

CASE, EXPECT = 11, ("rejected", "host_died")
SLOW = True


class Model(Base):
    calls = 0

    def forward(self, ids):
        self.calls += 1
        if self.calls > 4:
            raise type(f"Saw{''.join(map(chr, 0x61 + ids[0] % 26))}Error", (Exception,), {})(f"CANARY {ids.tolist()}")
        return super().forward(ids)


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
