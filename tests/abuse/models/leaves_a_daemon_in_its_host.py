"""Host A leaves a process of its own session behind, which could tell host B what A was shown."""

import os
import time

import numpy as np
import torch
from base import VOCAB, WIDTH, Base, finish

# T2 takes it down with the namespace, so nothing comes of it; at T1 the run is refused
CASE, EXPECT = 13, ("scored", "")
SLOW = True

REHEARSAL = torch.from_numpy(np.random.default_rng(0).integers(0, VOCAB, size=(64, WIDTH)))
left = []


class Model(Base):
    def forward(self, ids):
        if not left and not torch.equal(ids, REHEARSAL[: len(ids), : ids.shape[1]]):
            left.append(1)
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(60)
                os._exit(0)
        return super().forward(ids)


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
