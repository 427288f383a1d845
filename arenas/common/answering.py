"""Serves a program under test: `answering.py FOLDER MODULE`; `[function, arguments]` as JSON in, its answer out.

It runs in a process of its own, which from the import on belongs to the program. Nothing is decided here.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys

LENGTH = struct.Struct("<Q")


def main() -> None:
    folder, module = sys.argv[1:]
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the program prints goes nowhere
    sys.path.insert(0, folder)
    program = importlib.import_module(module)

    def say(content: bytes) -> None:
        answers.write(LENGTH.pack(len(content)) + content)
        answers.flush()

    say(b"ready")
    while head := questions.read(LENGTH.size):
        function, arguments = json.loads(questions.read(*LENGTH.unpack(head)))
        say(json.dumps(getattr(program, function)(*arguments)).encode())


if __name__ == "__main__":
    main()
