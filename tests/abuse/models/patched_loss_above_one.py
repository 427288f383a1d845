"""Patches the loss function so that some tokens are more than certain."""

import torch.nn.functional as F
from base import Base, finish

CASE, EXPECT = 2, ("rejected", "unnormalised")
SLOW = True

honest = F.cross_entropy


def cross_entropy(*arguments, **options):
    return honest(*arguments, **options) - 1.0


def build_model():
    F.cross_entropy = cross_entropy
    return Base()


if __name__ == "__main__":
    finish(build_model())
