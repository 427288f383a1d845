"""Answers what the scorer asks, by a model command of yours, outside of every sandbox: it may use the network.

    python answer_outside.py .git/autoresearch/handover/prompt -- claude -p

Start it beside the loop, from your own copy of this file. Each question is asked once; its text goes to the command's
standard input and nowhere else: it is never part of a command line. The command runs in an empty folder. Take its tools
away as well: the prompt is an agent's, and a model that may read files would look up what the messages are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 120.0  # for one answer
LOOK_SECONDS = 1.0


def attend(folder: Path, command: list[str]) -> int:
    """Answer every question that has none; how many were answered. One that fails stays for the next look."""
    done = 0
    for path in sorted((folder / "questions").glob("*.json")):
        answer = folder / "answers" / path.name
        if not answer.exists():
            text = json.loads(path.read_text("utf-8"))["text"]
            try:
                found = answered(command, text)
            except (OSError, subprocess.SubprocessError) as failure:
                print(f"{path.name}: {failure}", file=sys.stderr)
                continue
            answer.parent.mkdir(exist_ok=True)
            beside = answer.with_name(f".{answer.name}")
            beside.write_text(json.dumps({"said": found.stdout}), "utf-8")
            os.replace(beside, answer)
            done += 1
        path.unlink()
    return done


def answered(command: list[str], text: str) -> subprocess.CompletedProcess[str]:
    """What the command says in an empty folder; it may name files of this one. Raises OSError, SubprocessError."""
    words = [str(Path(word).resolve()) if Path(word).is_file() else word for word in command]
    with tempfile.TemporaryDirectory() as empty:
        return subprocess.run(words, input=text, capture_output=True, text=True, timeout=SECONDS, check=True, cwd=empty)


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        sys.exit("usage: python answer_outside.py HANDOVER_FOLDER -- COMMAND...    until Ctrl-C")
    while True:
        attend(Path(sys.argv[1]), sys.argv[3:])
        time.sleep(LOOK_SECONDS)
