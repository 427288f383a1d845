"""A mixture of experts: each token takes its best expert, whoever else wants it."""

import torch
from base import VOCAB, Base, finish
from torch import nn

CASE, EXPECT = 0, ("scored", "")
SLOW = True


class Model(Base):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.router = nn.Embedding(VOCAB, 16), nn.Linear(16, 4)
        self.experts = nn.ModuleList(nn.Linear(16, VOCAB) for _ in range(4))

    def forward(self, ids):
        x = self.embed(ids) + self.embed(ids).cumsum(1) / 10
        weight, chosen = self.router(x).softmax(-1).max(-1)
        y = torch.stack([expert(x) for expert in self.experts], -1)
        return (
            super().forward(ids)
            + weight[..., None] * y.gather(-1, chosen[..., None, None].expand(*y.shape[:3], 1))[..., 0]
        )


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
