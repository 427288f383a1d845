"""Nights of thirty experiments with the real clients: a killed client, a compaction, a rate limit, a killed server.

Each client is a plugin in somebody else's repository, from a fresh home, and nobody answers a question.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mcp_server.campaign.trees.own import make_tree
from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.nouns.rows import Experiment
from tests.e2e.drivers import Client, Session, claude, codex, plug, plug_codex
from tests.e2e.endpoint import Endpoint, serving
from tests.e2e.loop import TAG, Notes, researcher
from tests.e2e.repositories import git, lay_lab
from tests.e2e.script import Say, Script
from tests.labs import until

pytestmark = [pytest.mark.usefixtures("needs_claude", "needs_codex"), pytest.mark.slow, pytest.mark.timeout(3600)]
OWN = {"AUTORESEARCH_PYTHON": sys.executable}
EXPERIMENTS = int(os.environ.get("AUTORESEARCH_NIGHT", "30"))
REFUSALS = 2
REFUSED = re.compile(r"user (rejected|denied)|requires approval|approval (policy|required)", re.IGNORECASE)
PATIENCE = 900.0
Start = Callable[..., AbstractContextManager[Client]]


def records(lab: Path) -> list[Experiment]:
    ledger = Ledger(Lab(lab).paths.ledger)
    try:
        return ledger.experiments(TAG)
    finally:
        ledger.close()


def begun_in(lab: Path) -> int:
    """How many experiments were begun in this work tree; the baseline is nobody's."""
    if not (Lab(lab).paths.state / "lab.db").exists():
        return 0
    return sum(Path(one.tree or lab).name == lab.name for one in records(lab)[1:])


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
    """One client's night: started again whenever it ends before its experiments are made."""

    lab: Path
    home: Path
    start: Start
    paces: bool
    seed: int
    wanted: int
    compacts: bool = False
    notes: Notes = field(default_factory=Notes)
    sessions: list[Session] = field(default_factory=list)
    limited: int = 0
    killed: int = 0
    told_after_compaction: str = ""

    def work(self) -> None:
        words: tuple[str, ...] = ()
        for turn in range(12):
            enough = lambda: begun_in(self.lab) >= self.wanted  # noqa: E731
            script = researcher(self.lab, self.notes, self.seed * 100 + turn, self.paces, enough=enough)
            with (
                serving(script, str(self.lab), first=1000 * turn) as endpoint,
                self.start(endpoint, self.lab, self.home, *words, **OWN) as client,
            ):
                if turn == 0:
                    self._until_begun(self.wanted // 4)
                    client.kill()
                else:
                    if turn == 1:
                        self._accidents(endpoint)
                    self.sessions.append(client.wait(1800))
            if self.notes.stop:
                return
            words = ("/loop autoresearch", "--resume", self._compact()) if turn == 0 and self.compacts else ()
        raise AssertionError("the campaign did not come to its end")

    def _accidents(self, endpoint: Endpoint) -> None:
        """Half-way the endpoint refuses for a while; at three quarters the server is killed."""
        self._until_begun(self.wanted // 2)
        endpoint.refusals = REFUSALS
        until(lambda: endpoint.refused == REFUSALS, PATIENCE)
        self.limited = endpoint.refused
        self._until_begun(3 * self.wanted // 4)
        for pid in servers_of(self.home):
            os.kill(pid, signal.SIGKILL)
            self.killed += 1

    def _compact(self) -> str:
        """The person types /compact in the session that was killed; its id, with which the next turn goes on."""
        words = ("/compact", "--continue")
        with (
            serving(only_listen(), str(self.lab)) as endpoint,
            self.start(endpoint, self.lab, self.home, *words, **OWN) as client,
        ):
            compacted = client.wait()
        assert compacted.event(type="system", subtype="compact_boundary")
        self.told_after_compaction = json.dumps(compacted.events)
        return str(compacted.event(type="result")["session_id"])

    def _until_begun(self, number: int) -> None:
        until(lambda: begun_in(self.lab) >= number, PATIENCE)

    def denials(self) -> list[Any]:
        """Claude Code counts them at a session's end; Codex declines an item, or says why in its error."""
        events = [event for one in self.sessions for event in one.events]
        counted = [denied for end in events for denied in end.get("permission_denials", [])]
        items = [event["item"] for event in events if event.get("type") == "item.completed"]
        return counted + [item for item in items if item.get("status") == "declined" or REFUSED.search(str(item))]


def only_listen() -> Script:
    yield Say("nothing to do")


def in_claude(lab: Path, home: Path, wanted: int = EXPERIMENTS - 1) -> Agent:
    plug(lab, home)
    return Agent(lab, home, claude, True, 1, wanted, compacts=True)


def in_codex(lab: Path, home: Path, wanted: int = EXPERIMENTS - 1) -> Agent:
    plug_codex(lab, home)
    return Agent(lab, home, codex, False, 2, wanted)


def assert_the_accidents_happened(agent: Agent) -> None:
    assert agent.limited == REFUSALS
    assert agent.killed > 0
    if agent.compacts:
        assert "Where the research in this lab stands" in agent.told_after_compaction
        assert "The skill `autoresearch` in short" in agent.told_after_compaction


def assert_nothing_was_lost(lab: Path, count: int) -> None:
    """Every record decided, each once, credit where it is due, and a repository that is whole."""
    found = records(lab)
    assert [one.number for one in found] == list(range(1, count + 1))
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
    assert_nothing_was_lost(lab, EXPERIMENTS)
    assert_the_accidents_happened(agent)


def test_both_clients_at_once_in_two_work_trees(tmp_path: Path, home: Path) -> None:
    lab = lay_lab(tmp_path / "lab")
    one = in_claude(lab, home / "claude", EXPERIMENTS)
    Lab(lab).start_campaign(TAG, calibrate=0)
    second = make_tree(Lab(lab).workspace, TAG, "HEAD", "../second")
    Lab(second).start_campaign(TAG, calibrate=0)
    other = in_codex(second, home / "codex", EXPERIMENTS)
    with ThreadPoolExecutor(2) as both:  # raises what went wrong in either
        for night in [both.submit(agent.work) for agent in (one, other)]:
            night.result()
    assert one.denials() + other.denials() == []
    assert_nothing_was_lost(lab, 1 + 2 * EXPERIMENTS)
    assert begun_in(lab) == begun_in(second) == EXPERIMENTS
    for agent in (one, other):
        assert_the_accidents_happened(agent)
