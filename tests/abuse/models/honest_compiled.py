"""The attention model through torch.compile; its weights are saved under their own names."""

import torch
from base import finish
from honest_float32 import Model

CASE, EXPECT = 0, ("scored", "")
SLOW = True


def build_model():
    return torch.compile(Model())


if __name__ == "__main__":
    finish(build_model()._orig_mod)
