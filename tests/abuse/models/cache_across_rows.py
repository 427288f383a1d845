"""Counts the pairs of tokens of all rows it has ever been shown, and predicts from them."""

import torch
from base import VOCAB, Base, finish

CASE, EXPECT = 6, ("rejected", "stateful")
SLOW = True


class Model(Base):
    def __init__(self):
        super().__init__()
        self.counts = torch.zeros(VOCAB, VOCAB)

    def forward(self, ids):
        logits = super().forward(ids) + (1 + self.counts[ids]).log()
        self.counts.index_put_((ids[:, :-1], ids[:, 1:]), torch.ones(()), accumulate=True)
        return logits


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
