"""Runs a command of this repository in a copy of it and prints one number: `NAME: 0.93`.

Written by `autoresearch init`; the constants say what is measured. It is frozen: what counts is the one of the
campaign's first version. The code under test runs inside the command, so its number is claimed by the run.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = "python train.py"  # for bash, in the copy
NAME = "score"  # how the number is called; cpu_seconds is not read but measured
FILE = ""  # where the command writes it (JSON, JSON lines, CSV or TSV); empty: what it prints is read
REPEATS = 1  # cpu_seconds is the least of so many

NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"


def printed(text: str, name: str) -> float | None:
    """The last `name: 1.5`, `name = 1.5`, `"name": 1.5` or `name 1.5` of what was printed."""
    found = re.findall(rf"(?<![\w.]){re.escape(name)}[\"']?\s*[:= ]\s*{NUMBER}(?![\w.])", text)
    return float(found[-1]) if found else None


def written(text: str, name: str) -> float | None:
    """The number of that name in a file: JSON's first, a table's or JSON lines' last."""
    try:
        return inside(json.loads(text), name)
    except ValueError:
        pass
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        return next((one for line in reversed(lines) if (one := inside(json.loads(line), name)) is not None), None)
    except ValueError:
        pass
    between = "\t" if "\t" in lines[0] else ","
    heads = [one.strip().strip('"') for one in lines[0].split(between)]
    return float(lines[-1].split(between)[heads.index(name)]) if name in heads and len(lines) > 1 else None


def inside(value: object, name: str) -> float | None:
    """The first number of that name, however deep it lies."""
    if isinstance(value, dict):
        own = value.get(name)
        if isinstance(own, (int, float)) and not isinstance(own, bool):
            return float(own)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((one for part in parts if (one := inside(part, name)) is not None), None)


def once() -> tuple[float, str, str]:
    """Processor seconds of one run of the command in a copy of the tree, what it printed, and the file's text."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        shutil.copytree(".", tree, symlinks=True, ignore=shutil.ignore_patterns(".git"))
        if FILE:
            (tree / FILE).unlink(missing_ok=True)  # an old one would be measured again
        before = os.times()
        # `python` is the one that runs this: where there is no environment, Debian has a python3 alone
        command = f'python() {{ {shlex.quote(sys.executable)} "$@"; }}; export -f python; {COMMAND}'
        done = subprocess.run(["bash", "-c", command], cwd=tree, stdout=subprocess.PIPE, text=True, errors="replace")
        after = os.times()
        print(done.stdout, end="", flush=True)
        if done.returncode:
            sys.exit(f"{COMMAND} ended with {done.returncode}")
        text = (tree / FILE).read_text(errors="replace") if FILE and (tree / FILE).is_file() else ""
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent, done.stdout, text


def main() -> None:
    runs = [once() for _ in range(REPEATS)]
    _, said, text = runs[-1]
    if NAME == "cpu_seconds":
        value: float | None = min(one for one, _, _ in runs)
    else:
        value = written(text, NAME) if FILE else printed(said, NAME)
    if value is None:
        sys.exit(f"{COMMAND} left no number {NAME} in {FILE or 'what it printed'}")
    print(f"\n---\n{NAME}: {value!r}")


if __name__ == "__main__":
    main()
