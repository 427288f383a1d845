"""Nights of thirty experiments with the real clients: a killed client, a killed server, a rate limit on the way.

Each client is a plugin in somebody else's repository, from a fresh home, and nobody answers a question.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcp_server.campaign.own_tree import make_tree
from mcp_server.entries import Experiment
from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from tests.e2e.drivers import Client, Session, claude, codex, plug, plug_codex
from tests.e2e.endpoint import Endpoint, serving
from tests.e2e.loop import TAG, Notes, researcher
from tests.e2e.repositories import git, lay_lab
from tests.labs import until

pytestmark = [pytest.mark.usefixtures("needs_claude", "needs_codex"), pytest.mark.slow, pytest.mark.timeout(3600)]
OWN = {"AUTORESEARCH_PYTHON": sys.executable}
EXPERIMENTS = int(os.environ.get("AUTORESEARCH_NIGHT", "30"))
Start = Callable[[Endpoint], AbstractContextManager[Client]]


def records(lab: Path) -> list[Experiment]:
    ledger = Ledger(Lab(lab).paths.ledger)
    try:
        return ledger.experiments(TAG)
    finally:
        ledger.close()


def begun(lab: Path, number: int) -> bool:
    return (Lab(lab).paths.state / "lab.db").exists() and len(records(lab)) >= number


def servers_of(home: Path) -> list[int]:
    """Our servers that a client with this home started."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().split(b"\0")
            ours = f"HOME={home}".encode() in (place / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if ours and b"mcp_server" in words:
            found.append(int(place.name))
    return found


@dataclass
class Agent:
    """One client's night: started again whenever it ends before the campaign does."""

    lab: Path
    home: Path
    start: Start
    paces: bool
    skill: str
    seed: int
    accidents: bool = True
    notes: Notes = field(default_factory=Notes)
    sessions: list[Session] = field(default_factory=list)

    def work(self) -> None:
        third = EXPERIMENTS // 4
        for turn in range(12):
            script = researcher(self.lab, self.notes, self.seed * 100 + turn, self.paces, self.skill)
            with serving(script, str(self.lab)) as endpoint, self.start(endpoint) as client:
                if self.accidents and turn == 0:
                    until(lambda: begun(self.lab, third))
                    client.kill()
                    continue
                if self.accidents and turn == 1:
                    until(lambda: begun(self.lab, 2 * third))
                    for pid in servers_of(self.home):
                        os.kill(pid, signal.SIGKILL)
                if self.accidents and turn == 2:
                    until(lambda: begun(self.lab, 3 * third))
                    endpoint.refusals = 2
                self.sessions.append(client.wait(1800))
            if self.notes.stop:
                return
        raise AssertionError("the campaign did not come to its end")

    def denials(self) -> list[Any]:
        ends = [event for one in self.sessions for event in one.events if event.get("type") == "result"]
        return [denied for end in ends for denied in end.get("permission_denials", [])]


def in_claude(lab: Path, home: Path, seed: int = 1, accidents: bool = True) -> Agent:
    plug(lab, home)
    return Agent(lab, home, lambda endpoint: claude(endpoint, lab, home, **OWN), True, "autoresearch", seed, accidents)


def in_codex(lab: Path, home: Path, seed: int = 2, accidents: bool = True) -> Agent:
    plug_codex(lab, home)
    start = partial(_codex, lab, home)
    return Agent(lab, home, start, False, "autoresearch", seed, accidents)


def _codex(lab: Path, home: Path, endpoint: Endpoint) -> AbstractContextManager[Client]:
    return codex(endpoint, lab, home, **OWN)


def assert_nothing_was_lost(lab: Path) -> None:
    """Every record decided, each once, credit where it is due, and a repository that is whole."""
    found = records(lab)
    assert [one.number for one in found] == list(range(1, EXPERIMENTS + 1))
    assert all(one.decision is not None and one.settled for one in found)
    kept = [one for one in found if one.decision == "keep"]
    subjects = git(lab, "log", "--reverse", "--format=%s", f"main..autoresearch/{TAG}").splitlines()
    assert subjects == [f"Experiment {one.number}: {one.description}" for one in kept]
    assert git(lab, "fsck", "--strict", "--no-dangling") == ""


@pytest.mark.parametrize("begin", [in_claude, in_codex], ids=["claude", "codex"])
def test_a_night_of_thirty_experiments(tmp_path: Path, home: Path, begin: Callable[[Path, Path], Agent]) -> None:
    lab = lay_lab(tmp_path / "lab", experiments=EXPERIMENTS)
    agent = begin(lab, home)
    agent.work()
    assert agent.denials() == []
    assert_nothing_was_lost(lab)


def test_both_clients_at_once_in_two_work_trees(tmp_path: Path, home: Path) -> None:
    lab = lay_lab(tmp_path / "lab", experiments=EXPERIMENTS)
    one = in_claude(lab, home / "claude", accidents=False)
    Lab(lab).start_campaign(TAG, calibrate=0)
    second = make_tree(Lab(lab).workspace, TAG, "HEAD", "../second")
    Lab(second).start_campaign(TAG, calibrate=0)
    other = in_codex(second, home / "codex", accidents=False)
    threads = [threading.Thread(target=agent.work) for agent in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.denials() == []
    assert_nothing_was_lost(lab)
    trees = {experiment.tree for experiment in records(lab)[1:]}
    assert {Path(tree).name for tree in trees} == {"lab", "second"}
