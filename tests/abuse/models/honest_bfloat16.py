"""The attention model with all its weights and arithmetic in bfloat16."""

import torch
from base import finish
from honest_float32 import Model

CASE, EXPECT = 0, ("scored", "")


def build_model():
    return Model().to(torch.bfloat16)


if __name__ == "__main__":
    finish(build_model())
