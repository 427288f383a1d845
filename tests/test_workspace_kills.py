"""Killed anywhere, the workspace heals: the verb that was cut short succeeds when called again, and nothing is lost.

A child process lives a campaign, writing each intent down before its effect, as the ledger does. It is killed at a
random moment, alone or with its whole process group, as clients do. Afterwards the open intent is called again, at
once, while a git of the dead may still be at work. Then everything must agree: the branch holds what was kept, the
vault what was tried, git finds no damage, no lock is left, and the user's files are what they were, byte for byte.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
import traceback
from pathlib import Path

import pytest
from pydantic import BaseModel

from mcp_server.nouns.files import write_atomically
from mcp_server.repo.workspace import Workspace
from tests.repositories import DATE, UserRepository

PATTERNS = ("train.py", "src/")
TAG = "t"


class Intent(BaseModel):
    """What is about to be done with one attempt, and how far it is known to have come."""

    number: int
    keep: bool
    tip: str
    candidate: str = ""
    commit: str = ""
    done: bool = False


class Journal(BaseModel):
    first: str
    intents: list[Intent] = []

    @property
    def tip(self) -> str:
        return next((intent.commit for intent in reversed(self.intents) if intent.commit), self.first)

    @property
    def open(self) -> Intent | None:
        return self.intents[-1] if self.intents and not self.intents[-1].done else None

    def write(self, place: Path) -> None:
        write_atomically(place, self.model_dump_json().encode())


def live(folder: Path, place: Path) -> None:
    """Edit, snapshot, then keep or revert, for ever."""
    journal = Journal.model_validate_json(place.read_bytes())
    while True:
        number = len(journal.intents) + 1
        edit(folder, number)
        journal.intents.append(Intent(number=number, keep=number % 2 == 1, tip=journal.tip))
        journal.write(place)
        finish(folder, place, journal, journal.intents[-1])


def edit(folder: Path, number: int) -> None:
    """What an agent does between two experiments: one file changes, one comes, one goes."""
    staging = folder / ".git"  # an editor may die too; its litter shall not be what this test looks at
    for path, content in (("train.py", f"LR = {number}\n"), (f"src/new{number}.py", "1\n")):
        write_atomically(staging / "edited", content.encode())
        os.replace(staging / "edited", folder / path)
    for old in (folder / "src").glob("new*.py"):
        if old.name != f"new{number}.py":
            old.unlink()


def finish(folder: Path, place: Path, journal: Journal, intent: Intent) -> None:
    """Carry out an intent, from wherever it stopped."""
    workspace = Workspace(folder)
    if not intent.candidate:
        found = workspace.vault(TAG).get(intent.number)
        if found is None:
            words = f"try {intent.number}"
            found = workspace.snapshot(PATTERNS, intent.tip, words, DATE, tag=TAG, number=intent.number).commit
        intent.candidate = found
        journal.write(place)
    if intent.keep:
        words = f"keep {intent.number}"
        outcome = workspace.keep(TAG, intent.candidate, intent.tip, words, DATE, PATTERNS)
        assert outcome.status in ("kept", "already"), outcome
        assert outcome.index == "fresh", outcome
        assert outcome.commit is not None
        intent.commit = outcome.commit
    else:
        outcome_left = workspace.revert(PATTERNS, intent.candidate, intent.tip).left
        assert outcome_left == ()
    intent.done = True
    journal.write(place)


def killed_child(folder: Path, place: Path, draw: random.Random) -> None:
    """Let a child live for a moment, and kill it."""
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            live(folder, place)
        except BaseException:
            place.with_suffix(".error").write_text(traceback.format_exc())
        finally:
            os._exit(1)
    time.sleep(draw.uniform(0.002, 0.4))  # the moment of the kill, anywhere in a round or two
    if draw.random() < 0.5:
        with contextlib.suppress(ProcessLookupError):  # it has not become a group yet
            os.killpg(child, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    error = place.with_suffix(".error")
    assert not error.exists(), error.read_text()


def kill_rounds(tmp_path: Path, rounds: int, seed: int) -> list[str]:
    """Where each kill struck."""
    user = UserRepository.make(tmp_path / "lab")
    Workspace(user.folder).begin(TAG, user.head(), PATTERNS)
    user.write("stashed.txt", "1\n").git("stash", "push", "-q", "-u", "--", "stashed.txt")
    user.write("staged.txt", "staged\n").git("add", "staged.txt")
    user.write("notes.txt", "dirty\n").write("untracked.txt", "untracked\n")
    place = tmp_path / "journal.json"
    Journal(first=user.head()).write(place)
    theirs, their_status = _theirs(user), [line for line in user.status().splitlines() if line.endswith(".txt")]
    draw, struck = random.Random(seed), []
    for _ in range(rounds):
        killed_child(user.folder, place, draw)
        journal = Journal.model_validate_json(place.read_bytes())
        intent = journal.open
        struck.append("between" if intent is None else ("keep" if intent.keep else "revert") + intent.candidate[:1])
        if intent is not None:
            finish(user.folder, place, journal, intent)
            assert user.status().splitlines() == their_status
        kept = [f"keep {intent.number}" for intent in journal.intents if intent.keep]
        branch = user.git("log", "--reverse", "--format=%s", f"autoresearch/{TAG}").splitlines()
        assert branch == ["first", *kept]
        assert set(Workspace(user.folder).vault(TAG)) == {intent.number for intent in journal.intents}
        assert _theirs(user) == theirs
        assert list((user.folder / ".git").rglob("*.lock")) == []
    assert user.git("stash", "list").count("\n") == 1
    user.git("fsck", "--strict")
    return struck


def _theirs(user: UserRepository) -> dict[str, tuple[int, bytes]]:
    return {path: what for path, what in user.files().items() if path.endswith(".txt")}


def test_killed_at_random_it_finishes_what_it_began(tmp_path: Path) -> None:
    struck = kill_rounds(tmp_path, rounds=40, seed=1)
    assert len(set(struck)) > 1


@pytest.mark.faults
def test_killed_three_hundred_times_it_finishes_what_it_began(tmp_path: Path) -> None:
    kill_rounds(tmp_path, rounds=300, seed=time.time_ns())
