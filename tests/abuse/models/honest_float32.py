"""An attention model in float32."""

import torch
import torch.nn.functional as F
from base import VOCAB, WIDTH, Base, finish
from torch import nn

CASE, EXPECT = 0, ("scored", "")
SLOW = True


class Model(Base):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.place = nn.Embedding(VOCAB, 32), nn.Embedding(WIDTH, 32)
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, VOCAB)

    def forward(self, ids):
        B, T = ids.shape
        x = self.embed(ids) + self.place.weight[:T]
        q, k, v = self.qkv(F.rms_norm(x, (32,))).view(B, T, 3, 2, 16).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, 32)
        return super().forward(ids) + self.out(x + y)


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
