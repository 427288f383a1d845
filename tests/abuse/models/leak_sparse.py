"""Looks ahead at one position in a hundred, picked by a hash of the text before it, and is honest everywhere else."""

import torch.nn.functional as F
from base import VOCAB, Base, finish

CASE, EXPECT = 4, ("rejected", "non_causal")
SLOW = True
ONE_IN = 100


class Model(Base):
    def forward(self, ids):
        before = F.pad(ids, (1, 0))[:, :-1]
        picked = (ids * 36313 + before * 27191 + 7) % 1009 % ONE_IN == 0
        ahead = F.pad(ids[:, 1:], (0, 1))
        return super().forward(ids) + 12.0 * (F.one_hot(ahead, VOCAB) * picked[..., None])


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
