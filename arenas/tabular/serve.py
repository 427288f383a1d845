"""Serves one half of the model to the scorer: `serve.py FOLDER fit` or `serve.py FOLDER predict`, arrays as bytes.

It runs in a process of its own, which from the import on belongs to the model. Nothing is decided here.
"""

from __future__ import annotations

import os
import struct
import sys

import numpy as np

LENGTH = struct.Struct("<Q")
PIXELS = 64


def main() -> None:
    folder, half = sys.argv[1:]
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the model prints goes nowhere
    sys.path.insert(0, folder)
    import model

    def say(content: bytes) -> None:
        answers.write(LENGTH.pack(len(content)) + content)
        answers.flush()

    def take() -> bytes:
        return questions.read(*LENGTH.unpack(questions.read(LENGTH.size)))

    say(b"ready")
    if half == "fit":
        rows = np.frombuffer(take()).reshape(-1, PIXELS + 2)  # pixels, label, seed
        say(bytes(model.fit(rows[:, :PIXELS].copy(), rows[:, PIXELS].astype(np.int64), int(rows[0, -1]))))
        return
    trained = take()
    say(b"loaded")
    while True:  # until the scorer ends it
        images = np.frombuffer(take()).reshape(-1, PIXELS).copy()
        say(np.asarray(model.predict(trained, images), dtype=np.float64).tobytes())


if __name__ == "__main__":
    main()
