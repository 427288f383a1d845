"""A model as for bytes: no embedding table to speak of, causal convolutions with a wide reach."""

import torch
import torch.nn.functional as F
from base import VOCAB, Base, finish
from torch import nn

CASE, EXPECT = 0, ("scored", "")
SLOW = True


class Model(Base):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.near, self.far = nn.Conv1d(VOCAB, 32, 4), nn.Conv1d(32, VOCAB, 4, dilation=4)

    def forward(self, ids):
        x = F.one_hot(ids, VOCAB).float().transpose(1, 2)
        x = F.relu(self.near(F.pad(x, (3, 0))))
        return super().forward(ids) + self.far(F.pad(x, (12, 0))).transpose(1, 2)


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
