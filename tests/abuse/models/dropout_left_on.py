"""Calls dropout in a way that eval() does not switch off: an accident."""

import torch.nn.functional as F
from base import Base, finish

CASE, EXPECT = 6, ("rejected", "stateful")
SLOW = True


class Model(Base):
    def forward(self, ids):
        return F.dropout(super().forward(ids), 0.2, training=True)


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
