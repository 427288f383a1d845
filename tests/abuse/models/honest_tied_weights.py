"""Embedding and output are one matrix: the weights file holds one name for the two."""

import torch
from base import VOCAB, Base, finish
from torch import nn

CASE, EXPECT = 0, ("scored", "")
SLOW = True


class Model(Base):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.out = nn.Embedding(VOCAB, 32), nn.Linear(32, VOCAB, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, ids):
        return super().forward(ids) + 0.1 * self.out(self.embed(ids))


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
