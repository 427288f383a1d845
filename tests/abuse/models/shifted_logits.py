"""Adds one to every log-probability that its forward returns. The evaluator's softmax takes it off again."""

from base import Base, finish

CASE, EXPECT = 2, ("scored", "")
SLOW = True


class Model(Base):
    def forward(self, ids):
        return super().forward(ids).log_softmax(-1) + 1.0


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
