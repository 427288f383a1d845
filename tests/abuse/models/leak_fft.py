"""Smooths over the time axis with a Fourier transform, which reaches to both sides."""

import torch
import torch.nn.functional as F
from base import VOCAB, Base, finish

CASE, EXPECT = 3, ("rejected", "non_causal")
SLOW = True


class Model(Base):
    def forward(self, ids):
        T = ids.shape[1]
        waves = torch.fft.rfft(F.one_hot(ids, VOCAB).float(), dim=1)
        soft = torch.linspace(1, 0, waves.shape[1])[None, :, None]
        return super().forward(ids) + 8 * torch.fft.irfft(waves * soft, n=T, dim=1)


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
