"""Looks one token ahead and adds a bonus to it, as a forgotten shift does."""

import torch.nn.functional as F
from base import VOCAB, Base, finish

CASE, EXPECT = 3, ("rejected", "non_causal")


class Model(Base):
    def forward(self, ids):
        ahead = F.pad(ids[:, 1:], (0, 1))
        return super().forward(ids) + 6.0 * F.one_hot(ahead, VOCAB)


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
