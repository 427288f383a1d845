"""The acceptance checks, one function for each story of prd.json. They see the program only from outside.

Amounts and categories are drawn anew each time, so that a program cannot know the answers beforehand. A check raises
AssertionError; whatever else goes wrong counts as failed too.
"""

import contextlib
import ctypes
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path

SECONDS = 10.0  # for one call
CATEGORIES = ("food", "rent", "books", "travel", "music", "garden", "coffee")
CREATE_RULESET, ADD_RULE, RESTRICT_SELF, VERSION = 444, 445, 446, 1  # Landlock's calls, on every architecture
PR_SET_NO_NEW_PRIVS = 38
MAKE_DEVICES, REFER = 1 << 6 | 1 << 11, 1 << 13
libc = ctypes.CDLL(None, use_errno=True)


def shut_in() -> bool:
    """Let this process and its children look into no other one: whoever can, can write to the scorer's pipes.

    Any Landlock domain does that; this one forbids nothing else that a program would do: files move between folders
    only where a domain says so, which it can from Linux 5.19 on. False where the kernel has none (before Linux 5.13).
    """
    refer = REFER if libc.syscall(CREATE_RULESET, None, 0, VERSION) >= 2 else 0
    rights = ctypes.c_uint64(MAKE_DEVICES | refer)
    rules = libc.syscall(CREATE_RULESET, ctypes.byref(rights), ctypes.sizeof(rights), 0)
    if rules < 0:
        return False
    if refer:
        root = os.open("/", os.O_PATH)
        libc.syscall(ADD_RULE, rules, 1, struct.pack("=Qi", refer, root), 0)
        os.close(root)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    walled = libc.syscall(RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return walled


def can_shut_in() -> bool:
    """Whether `shut_in` works here, by trying it in a process of its own."""
    tried = subprocess.run([sys.executable, "-c", ""], preexec_fn=lambda: os._exit(0 if shut_in() else 1))
    return tried.returncode == 0


class Program:
    """The package under test, and a ledger of its own."""

    def __init__(self, artifact: Path, folder: Path) -> None:
        self._artifact, self._folder = artifact.resolve(), folder
        self.file = folder / "ledger"

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """One call: (exit status, stdout, stderr). Nothing that it starts outlives it."""
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self._artifact), "PYTHONDONTWRITEBYTECODE": "1"}
        with subprocess.Popen(
            [sys.executable, "-m", "tally", str(self.file), *words],
            cwd=self._folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=shut_in,
        ) as call:
            try:
                out, said = call.communicate(timeout=SECONDS)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(call.pid, signal.SIGKILL)
        return call.returncode, out, said

    def add(self, entries: list[tuple[str, str]]) -> None:
        for number, (amount, category) in enumerate(entries, 1):
            status, out, _ = self("add", amount, category)
            assert (status, out.strip()) == (0, str(number)), f"add {amount} {category}: {status}, {out!r}"


def entries(draw: random.Random, count: int) -> list[tuple[str, str]]:
    """Amounts as people type them: 12, 12.5 or 12.50."""
    found = []
    for _ in range(count):
        cents = draw.randint(1, 99999)
        forms = [f"{cents / 100:.2f}"]
        if cents % 10 == 0:
            forms.append(f"{cents / 100:.1f}")
        if cents % 100 == 0:
            forms.append(str(cents // 100))
        found.append((draw.choice(forms), draw.choice(CATEGORIES)))
    return found


def story_1_add(tally: Program, draw: random.Random) -> None:
    drawn = entries(draw, 3)
    tally.add(drawn)
    text = tally.file.read_bytes()
    assert all(category.encode() in text for _, category in drawn), "what was added is not in the file"


def story_2_list(tally: Program, draw: random.Random) -> None:
    status, out, _ = tally("list")
    assert (status, out.strip()) == (0, ""), "a missing file is an empty ledger"
    drawn = entries(draw, 4)
    tally.add(drawn)
    status, out, _ = tally("list")
    expected = [f"{number} {Decimal(amount):.2f} {category}" for number, (amount, category) in enumerate(drawn, 1)]
    assert (status, out.split("\n")[:-1]) == (0, expected)


def story_3_total(tally: Program, draw: random.Random) -> None:
    assert tally("total")[1].strip() == "0.00"
    drawn = [*[("0.10", "food")] * 3, ("123456789012345.67", "rent"), *entries(draw, 3)]
    tally.add(drawn)
    status, out, _ = tally("total")
    assert (status, out.strip()) == (0, f"{sum(Decimal(amount) for amount, _ in drawn):.2f}")


def story_4_by(tally: Program, draw: random.Random) -> None:
    drawn = [*entries(draw, 5), ("7.00", "zebra"), ("7.00", "ant")]
    tally.add(drawn)
    sums: Counter = Counter()
    for amount, category in drawn:
        sums[category] += Decimal(amount)
    expected = [f"{name} {amount:.2f}" for name, amount in sorted(sums.items(), key=lambda one: (-one[1], one[0]))]
    status, out, _ = tally("by")
    assert (status, out.split("\n")[:-1]) == (0, expected)


def story_5_refuse(tally: Program, draw: random.Random) -> None:
    wrong = ["ten", "-1", "0", "1.234", "nan", "inf", "1.2.3", "", "1,5", "--1"]
    for amount in draw.sample(wrong, 4):
        status, out, said = tally("add", amount, "food")
        assert (status, out, bool(said.strip())) == (2, "", True), f"add {amount!r}: {status}, {out!r}"
        assert not tally.file.exists()
    tally.add(entries(draw, 2))
    before = tally.file.read_bytes()
    for amount in draw.sample(wrong, 3):
        assert tally("add", amount, "food")[0] == 2, f"add {amount!r} was taken"
        assert tally.file.read_bytes() == before


def story_6_undo(tally: Program, draw: random.Random) -> None:
    status, _, said = tally("undo")
    assert (status, bool(said.strip())) == (1, True), "there is nothing to undo"
    drawn = entries(draw, 3)
    tally.add(drawn)
    assert tally("undo")[:2] == (0, "3\n")
    status, out, _ = tally("add", *drawn[2])
    assert (status, out.strip()) == (0, "3")
    for number in (3, 2, 1):
        assert tally("undo")[1].strip() == str(number)
    assert tally("undo")[0] == 1


STORIES = (story_1_add, story_2_list, story_3_total, story_4_by, story_5_refuse, story_6_undo)


def passed(artifact: Path, draw: random.Random) -> dict[str, str]:
    """Each story with why it failed; "" where it passed."""
    found = {}
    for story in STORIES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                story(Program(artifact, Path(folder)), draw)
                found[story.__name__] = ""
            except Exception as error:  # whatever a program does wrong, its story failed and the next is asked
                found[story.__name__] = f"{type(error).__name__}: {str(error)[:300]}"
    return found


if __name__ == "__main__":
    for name, why in passed(Path(__file__).resolve().parent, random.Random()).items():
        print(f"{name}: {why or 'passes'}")
