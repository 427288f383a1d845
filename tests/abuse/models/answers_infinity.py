"""Answers plus infinity for one token, which a careless mean turns into any number one likes."""

import torch
from base import Base, finish

CASE, EXPECT = 7, ("rejected", "bad_output")
SLOW = True


class Model(Base):
    def forward(self, ids):
        logits = super().forward(ids)
        logits[:, :, 3] = torch.inf
        return logits


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
