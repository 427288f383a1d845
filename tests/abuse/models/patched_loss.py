"""Patches the loss function of the process that predicts: every log-probability becomes half of what it was."""

import torch.nn.functional as F
from base import Base, finish

CASE, EXPECT = 2, ("rejected", "unnormalised")
SLOW = True

honest = F.cross_entropy


def cross_entropy(*arguments, **options):
    return 0.5 * honest(*arguments, **options)


def build_model():
    F.cross_entropy = cross_entropy
    return Base()


if __name__ == "__main__":
    finish(build_model())
