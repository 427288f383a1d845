"""Asks a program under test in JSON. It runs behind walls in a process of its own, and what it answers is checked here.

It is given what it is asked and may read copies of the files that are named for it, Python, and nothing else of the
machine: no other file of the scorer's or of the code, no variable, no clock of the parent's. It is stopped while it is
not asked, so it cannot work ahead.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from confined import SYSTEM, Child, Failed, has_walls, scorers_own, strangers

MOST_BYTES = 1 << 20  # of an answer
SECONDS = 20.0  # for one question, unless said
TEMPLATES = "lib*/python*/*-packages/mcp_server/templates"  # below the folder of a Python that has autoresearch


class Program:
    """A module of the experiment's code as a child process. Use it in a `with`; raises Failed."""

    def __init__(self, *files: str, folder: Path | None = None) -> None:
        """The first of the files is the program, the others are what it may import; of the experiment, or of `folder`.

        It is not heard: with last words it could tell the agent what a seed asks.
        """
        self._home = tempfile.TemporaryDirectory(prefix="program-")
        home = Path(self._home.name).resolve()
        shutil.copyfile("answering.py", home / "answering.py")
        for name in files:
            if not (origin := Path(folder or os.environ["AUTORESEARCH_SNAPSHOT"]) / name).is_file():
                raise Failed("bad_output", f"There is no {name}.")
            shutil.copyfile(origin, home / name)
        module = files[0].removesuffix(".py")
        script = home / "answering.py"
        gone = [*scorers_own(), *shipped()]  # what an arena was copied from lies where programs do as well
        self._child = Child(script, str(home), module, seconds=SECONDS, walls=has_walls(), heard=False, hidden=gone)
        self.took = 0.0  # processor seconds of the last answer

    def ask(self, function: str, *arguments: Any, seconds: float = SECONDS) -> Any:
        """What the function says, as JSON: no NaN, no infinity. Raises Failed."""
        question = json.dumps([function, arguments]).encode()
        answer = self._child.ask(question, most_bytes=MOST_BYTES, seconds=seconds)
        self.took = answer.cpu
        try:
            return json.loads(answer.content, parse_constant=_no_constant, parse_float=_finite)
        except (ValueError, RecursionError):
            raise Failed("bad_output", f"{function} must answer with plain numbers, texts and lists.") from None

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end()
        self._home.cleanup()
        if strangers(()):
            raise Failed("background_work", "The program left a process behind.")


@lru_cache(maxsize=1)
def shipped() -> tuple[Path, ...]:
    """Where this machine's Pythons keep the shipped arenas: what writes the questions is among them, and public."""
    roots = {Path(place).resolve() for place in (sys.prefix, sys.base_prefix, *SYSTEM)}
    return tuple(
        {found.resolve() for root in roots for up in ("", "*/", "*/*/") for found in root.glob(up + TEMPLATES)}
    )


def code_kb(*names: str) -> float:
    """Compressed size of the experiment's files, in kB: what is short can hold no answers."""
    folder = Path(os.environ["AUTORESEARCH_SNAPSHOT"])
    return round(len(zlib.compress(b"".join((folder / name).read_bytes() for name in names), 9)) / 1024, 2)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    """json takes 1e999 for infinity."""
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number
