"""Runs a command of this repository in a copy of it and prints one number: `NAME: 0.93`.

Written by `autoresearch init`; the constants say what is measured. It is frozen: what counts is the one of the
campaign's first version. The code under test runs inside the command, so its number is claimed by the run.
"""

import csv
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = "python train.py"  # for bash, in the copy
NAME = "score"  # how the number is called there; cpu_seconds is not read but measured
METRIC = "score"  # and in program.md
FILE = ""  # where the command writes it (JSON, JSON lines, CSV or TSV); empty: what it prints is read
REPEATS = 1  # cpu_seconds is the least of so many

# 1.5, 1e-3, 12,345; and nan, or the number from before a training diverged would be taken for its score
NUMBER = r"([-+]?(?:(?:\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|(?i:nan|inf(?:inity)?)\b))"


def printed(text: str, name: str) -> float | None:
    """The last `name: 1.5`, `name = 1.5`, `"name": 1.5` or `name 1.5` of what was printed."""
    found = re.findall(rf"(?<![\w.]){re.escape(name)}[\"']?\s*[:= ]\s*{NUMBER}(?![\d_]|\.\d)", text)
    return float(found[-1].replace(",", "")) if found else None


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
    heads, *rows = csv.reader(lines, delimiter="\t" if "\t" in lines[0] else ",")
    at = next((place for place, head in enumerate(heads) if head.strip() == name), len(heads))
    # loggers leave a cell empty where a row has no such number
    return next((float(row[at]) for row in reversed(rows) if len(row) > at and row[at].strip()), None)


def inside(value: object, name: str) -> float | None:
    """The first number of that name, however deep it lies; null is what some write for NaN."""
    if isinstance(value, dict) and name in value:
        own = value[name]
        if own is None:
            return math.nan
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
        # `python` and `python3` are the one that runs this, as they are in program.md
        own = f'{{ {shlex.quote(sys.executable)} "$@"; }}'
        command = f"python() {own}; python3() {own}; export -f python python3; {COMMAND}"
        done = subprocess.run(["bash", "-c", command], cwd=tree, stdout=subprocess.PIPE, text=True, errors="replace")
        after = os.times()
        print(done.stdout, end="", flush=True)
        if done.returncode:
            sys.exit(f"{COMMAND} ended with {done.returncode}")
        text = (tree / FILE).read_text("utf-8-sig", errors="replace") if FILE and (tree / FILE).is_file() else ""
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
    print(f"\n---\n{METRIC}: {value!r}")


if __name__ == "__main__":
    main()
