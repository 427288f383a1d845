"""Adds the mean of a block of eight tokens to each of its positions: the later ones of the block are in it."""

import torch.nn.functional as F
from base import VOCAB, Base, finish

CASE, EXPECT = 3, ("rejected", "non_causal")
SLOW = True
BLOCK = 8


class Model(Base):
    def forward(self, ids):
        B, T = ids.shape
        pieces = -(-T // BLOCK)
        seen = F.pad(F.one_hot(ids, VOCAB).float(), (0, 0, 0, pieces * BLOCK - T))
        means = seen.view(B, pieces, BLOCK, VOCAB).mean(2).repeat_interleave(BLOCK, 1)[:, :T]
        return super().forward(ids) + 20 * means


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
