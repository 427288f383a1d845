"""Patches the loss function by less than any single answer is checked for; the mean of a thousand answers shows it."""

import torch.nn.functional as F
from base import Base, finish

CASE, EXPECT = 2, ("rejected", "unnormalised")

honest = F.cross_entropy


def cross_entropy(*arguments, **options):
    return honest(*arguments, **options) - 0.0008


def build_model():
    F.cross_entropy = cross_entropy
    return Base()


if __name__ == "__main__":
    finish(build_model())
