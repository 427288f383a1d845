"""Answers for the last position only."""

from base import Base, finish

CASE, EXPECT = 7, ("rejected", "bad_output")
SLOW = True


class Model(Base):
    def forward(self, ids):
        return super().forward(ids)[:, -1:]


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
