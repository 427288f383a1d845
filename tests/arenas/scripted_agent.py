"""An agent without a model: `python scripted_agent.py`, told by RALPH_SCRIPT what to do in each turn.

It has no memory but what the prompt and the files tell. A script is words such as "crash build hang": one for each
turn, the last one for all that follow.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

HEAD = '''"""`python -m tally FILE COMMAND`."""

import sys
from collections import Counter
from decimal import Decimal, InvalidOperation
from pathlib import Path


def read(path: Path) -> list[tuple[Decimal, str]]:
    """The entries, oldest first."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(Decimal(amount), category) for amount, _, category in (line.partition(" ") for line in lines)]


def main(words: list[str]) -> int:
    """Carry one command out; the exit status."""
    path, command, rest = Path(words[0]), words[1], words[2:]
    entries = read(path)
'''
PARTS = {
    5: """    if command == "add" and not valid(rest[0]):
        print(f"{rest[0]!r} is no amount", file=sys.stderr)
        return 2
""",
    1: """    if command == "add":
        with open(path, "a") as file:
            file.write(f"{rest[0]} {rest[1]}\\n")
        print(len(entries) + 1)
        return 0
""",
    2: """    if command == "list":
        for number, (amount, category) in enumerate(entries, 1):
            print(f"{number} {amount:.2f} {category}")
        return 0
""",
    3: """    if command == "total":
        print(f"{sum((amount for amount, _ in entries), Decimal(0)):.2f}")
        return 0
""",
    4: """    if command == "by":
        sums: Counter = Counter()
        for amount, category in entries:
            sums[category] += amount
        for category, amount in sorted(sums.items(), key=lambda one: (-one[1], one[0])):
            print(f"{category} {amount:.2f}")
        return 0
""",
    6: """    if command == "undo":
        if not entries:
            print("there is nothing to undo", file=sys.stderr)
            return 1
        path.write_text("".join(f"{amount} {category}\\n" for amount, category in entries[:-1]))
        print(len(entries))
        return 0
""",
}
VALID = '''

def valid(text: str) -> bool:
    """Whether it is a positive number with at most two decimals."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return False
    return amount.is_finite() and amount > 0 and amount == round(amount, 2)
'''
TAIL = """    return 3
{valid}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


def program(stories: set[int]) -> str:
    """A tally that does these stories."""
    body = "".join(text for story, text in PARTS.items() if story in stories)
    return HEAD + body + TAIL.format(valid=VALID if 5 in stories else "")


def passing(prompt: str) -> set[int]:
    """The stories of which the prompt says that they pass."""
    return {int(number) for number in re.findall(r"story_(\d)_\w+ 1\b", prompt)}


def note(words: str) -> None:
    with open("progress.txt", "a") as file:
        file.write(f"{words}\n")


def build(prompt: str) -> None:
    done = passing(prompt)
    story = min({1, 2, 3, 4, 5, 6} - done)
    Path("tally/__main__.py").write_text(program(done | {story}))
    note(f"- story {story}: built")


def claim(prompt: str) -> None:
    note("- everything is done")
    print("<promise>COMPLETE</promise>")


def cheat(prompt: str) -> None:
    """Move the goal, the tests and the branch."""
    text = Path("acceptance.py").read_text()
    Path("acceptance.py").write_text(re.sub(r"(?m)^    assert .*$", "    pass", text))
    Path("program.md").write_text(Path("program.md").read_text().replace("target: 6", "target: 1"))
    Path("score.py").unlink()
    Path("tally/__main__.py").write_text(program(passing(prompt)) + "\n# better\n")
    git = ["git", "-c", "user.name=Agent", "-c", "user.email=agent@example.com"]
    subprocess.run([*git, "commit", "-qam", "all stories done"], check=True)
    claim(prompt)


def hang(prompt: str) -> None:
    """Together with a process in a session of its own that nobody's group reaches, deaf to SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True)
    print("thinking", flush=True)
    time.sleep(600)


def crash(prompt: str) -> None:
    print("Traceback: out of ideas")
    sys.exit(1)


def limited(prompt: str) -> None:
    print("API Error: 429 rate limit exceeded, retry after 2 s")
    sys.exit(1)


if __name__ == "__main__":
    asked = sys.stdin.read() or sys.argv[-1]
    turns = os.environ["RALPH_SCRIPT"].split()
    word = turns[min(int(os.environ["AUTORESEARCH_ITERATION"]), len(turns)) - 1]
    globals()[word](asked)
    print(json.dumps({"type": "result", "result": f"did {word}", "total_cost_usd": 0.25}))
