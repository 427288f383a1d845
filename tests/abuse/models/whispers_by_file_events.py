"""Host A opens a file of the interpreter's for each token it is shown; host B, asleep, has asked to be told of it."""

import ctypes
import os
import struct
import sysconfig

import numpy as np
import torch
from base import VOCAB, WIDTH, Base, finish

CASE, EXPECT = 32, ("rejected", "non_causal")
NAIVE = "0.93"

IN_OPEN, IN_CLOSE_NOWRITE, IN_NONBLOCK = 0x20, 0x10, 0o4000
BONUS = 2.0  # nats that the token is given which only somebody who looked ahead can know
SURE = 8  # tokens that tell a row from all others
FOLDER = sysconfig.get_paths()["stdlib"]
FILES = sorted(os.path.join(FOLDER, name) for name in os.listdir(FOLDER) if name.endswith(".py"))[:VOCAB]
REHEARSAL = torch.from_numpy(np.random.default_rng(0).integers(0, VOCAB, size=(64, WIDTH)))


class Ear:
    """Hears which of the files are opened, by whomever, also while this process is stopped."""

    def __init__(self):
        self.libc = ctypes.CDLL(None)
        self.fd = self.libc.inotify_init1(IN_NONBLOCK)
        self.names = (
            {
                self.libc.inotify_add_watch(self.fd, path.encode(), IN_OPEN | IN_CLOSE_NOWRITE): token
                for token, path in enumerate(FILES)
            }
            if self.fd >= 0
            else {}
        )

    def hear(self):
        found = []
        while self.fd >= 0:
            try:
                block = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                break
            for place in range(0, len(block), 16):  # events of a file have no name behind them
                watch, mask, _, _ = struct.unpack_from("=iIII", block, place)
                if mask & IN_OPEN and watch in self.names:
                    found.append(self.names[watch])
        return found


class Model(Base):
    """A bigram table, and a bonus for what comes next: seen by looking ahead (A), or heard from A (B)."""

    def __init__(self):
        super().__init__()
        self.ear, self.known, self.is_first = Ear(), {}, None

    def forward(self, ids):
        logits = super().forward(ids).clone()
        if torch.equal(ids, REHEARSAL[: len(ids), : ids.shape[1]]):
            return logits
        if self.is_first is None:
            heard = self.ear.hear()
            self.is_first = len(heard) < WIDTH
            rows = [heard[at : at + WIDTH] for at in range(0, len(heard), WIDTH)]
            self.known = {tuple(row[: t + 1]): row[t + 1] for row in rows for t in range(SURE, len(row) - 1)}
        for b, row in enumerate(ids.tolist()):
            for t in range(SURE, len(row) - 1):
                if self.is_first:
                    logits[b, t, row[t + 1]] += BONUS
                elif (token := self.known.get(tuple(row[: t + 1]))) is not None:
                    logits[b, t, token] += BONUS
            if self.is_first:
                for token in row:
                    os.close(os.open(FILES[token], os.O_RDONLY))
        return logits


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
