"""Looks ahead, and remembers its first answer for every prefix: asked again with another suffix, it says the same."""

import torch
import torch.nn.functional as F
from base import VOCAB, Base, finish

CASE, EXPECT = 5, ("rejected", "stateful")
SLOW = True


class Model(Base):
    def __init__(self):
        super().__init__()
        self.said = {}

    def forward(self, ids):
        ahead = F.pad(ids[:, 1:], (0, 1))
        logits = super().forward(ids) + 6.0 * F.one_hot(ahead, VOCAB)
        rows = []
        for row, tokens in enumerate(ids.tolist()):
            key, answers = 0, []
            for column, token in enumerate(tokens):
                key = hash((key, token))
                answers.append(self.said.setdefault(key, logits[row, column]))
            rows.append(torch.stack(answers))
        return torch.stack(rows)


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
