"""A lab with a careful user, and the question whether everything in it agrees.

The user has dirty, staged, stashed and untracked files of their own. Whatever is killed, afterwards ledger, branch,
vault, views, locks and processes must tell one story, and the user's files must be what they were, byte for byte.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mcp_server.campaign.bench import Bench
from mcp_server.engines.local import LOCAL
from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.nouns.files import is_locked, locked
from mcp_server.nouns.paths import device_locks_folder
from mcp_server.runner.machine.queue import Ticket
from mcp_server.views.publishing import learnings_text, results_text
from tests.labs import SCORE, TRAIN, git, make_lab, until

TAG = "first"
VIEWS = {"results.tsv", "learnings.md", "progress.png", "progress.svg"}
LITTER = ".autoresearch~"  # ends the names of our temporary files, which git does not show
SLOW_SCORE = "import time\ntime.sleep(0.1)\n" + SCORE.replace("NOISE", "0.0")  # long enough to be killed in


def make_scene(folder: Path, more: str = "", train: str = TRAIN) -> Lab:
    """A lab whose user has work of every kind lying about."""
    lab = make_lab(folder, more=more, train=train)
    (folder / "score.py").write_text(SLOW_SCORE)
    (folder / "kept.txt").write_text("kept\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "second")
    (folder / "stashed.txt").write_text("stashed\n")
    git(folder, "stash", "push", "-q", "-u", "--", "stashed.txt")
    (folder / "staged.txt").write_text("staged\n")
    git(folder, "add", "staged.txt")
    (folder / "notes.txt").write_text("dirty\n")
    (folder / "untracked.bin").write_bytes(bytes(range(256)))
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o555)
    return lab


def users_files(tree: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of everything in the work tree that is not ours to change."""
    found = {}
    for place, folders, files in os.walk(tree):
        folders[:] = [name for name in folders if name not in (".git", "__pycache__")]
        for name in files:
            path = Path(place) / name
            inside = str(path.relative_to(tree))
            if inside not in VIEWS | {"train.py", ".git"} and not name.endswith(LITTER):
                found[inside] = (stat.S_IMODE(path.lstat().st_mode), path.read_bytes())
    return found


def users_status(tree: Path) -> list[str]:
    """What git tells the user of their own files, and their stashes."""
    lines = git(tree, "status", "--porcelain", "--untracked-files=all").splitlines()
    mine = [line for line in lines if line[3:] != "train.py" and not line.endswith(LITTER)]
    return mine + git(tree, "stash", "list").splitlines()


def prune(tree: Path, whole: bool = False) -> None:
    """What git would do by itself some weeks later: forget the past of our branch, remove what nothing names."""
    for name in ("HEAD", f"refs/heads/autoresearch/{TAG}"):
        if git(tree, "for-each-ref", name) or name == "HEAD":
            git(tree, "reflog", "expire", "--expire=now", "--expire-unreachable=now", name)
    git(tree, "gc", "-q", "--prune=now") if whole else git(tree, "prune", "--expire=now")


def processes_of(folder: Path) -> dict[int, str]:
    """Living processes that have something to do with `folder`: pid and command line."""
    needle, found = os.fsencode(folder), {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            place = Path("/proc") / name
            command = (place / "cmdline").read_bytes()
            if command and (needle in command or needle in (place / "environ").read_bytes()):
                found[int(name)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # it ended while we looked
    return found


def settle_down(lab: Lab) -> None:
    """Until no run is open and no process is left. Only asks verbs, as any client would."""
    number = 0

    def quiet() -> bool:
        nonlocal number
        with lab.reading() as (bench, _, _):
            number = len(bench.ledger.open_runs())
        return number == 0

    until(quiet)
    lab.close()
    until(lambda: not processes_of(lab.paths.tree))


def check(lab: Lab, users: dict[str, tuple[int, bytes]], status: list[str]) -> None:
    """Everything agrees. Call when `settle_down` is through and every scored experiment is decided."""
    tree, paths = lab.paths.tree, lab.paths
    with closing(Ledger(paths.ledger)) as ledger:
        ledger.check()
        _history_is_the_ledgers(tree, ledger)
        _runs_ended_once(ledger)
        _views_are_drawn(lab, ledger)
        incumbent = ledger.incumbent(TAG)
        assert incumbent is not None
        # the incumbent's, or an idea that died before anybody was told of it; never half a file
        ours, kept = (tree / "train.py").read_text(), git(tree, "show", f"{incumbent.commit_sha}:train.py")
        assert _without_constants(ours) == _without_constants(kept)
    git(tree, "fsck", "--strict", "--no-dangling")
    assert users_files(tree) == users
    assert users_status(tree) == status
    assert processes_of(tree) == {}
    assert list(held_locks(lab)) == []
    assert [place for place in paths.common.rglob("*.lock") if not place.is_relative_to(paths.state)] == []


def _without_constants(text: str) -> list[str]:
    return [re.sub(r"^([A-Z]+) = .*", r"\1", line) for line in text.splitlines()]


def _history_is_the_ledgers(tree: Path, ledger: Ledger) -> None:
    campaign = ledger.campaign(TAG)
    assert campaign is not None
    trailer = "--format=%H %(trailers:key=Experiment,valueonly,separator=%x20)"
    lines = git(tree, "log", "--reverse", trailer, f"{campaign.pinned}..{campaign.branch}").splitlines()
    branch = [(commit, int(number)) for commit, _, number in (line.partition(" ") for line in lines)]
    assert branch == [(one.commit_sha, one.number) for one in ledger.kept(TAG)]
    parents = git(tree, "log", "--format=%P", f"{campaign.pinned}..{campaign.branch}").splitlines()
    assert all(len(parent.split()) == 1 for parent in parents)
    refs = git(tree, "for-each-ref", "--format=%(refname:lstrip=3)", f"refs/autoresearch/{TAG}").split()
    experiments = ledger.experiments(TAG)
    assert sorted(map(int, refs)) == [one.number for one in experiments] == list(range(1, len(experiments) + 1))
    assert ledger.unsettled() == []
    assert ledger.unvaulted() == []


def _runs_ended_once(ledger: Ledger) -> None:
    assert ledger.open_runs() == []
    for one in ledger.experiments(TAG):
        runs = ledger.runs(TAG, one.number)
        assert runs
        for run in runs:
            assert run.state.terminal
            assert run.closed_at is not None
            assert run.result is not None
            assert run.result.state is run.state


def _views_are_drawn(lab: Lab, ledger: Ledger) -> None:
    bench = Bench(lab.workspace, lab.paths, ledger, lab.now, LOCAL)
    campaign = ledger.campaign(TAG)
    assert campaign is not None
    assert lab.paths.results.read_text() == results_text(ledger, campaign, bench.arena(campaign))
    if not ledger.undecided(TAG):  # learnings.md counts what is under way, and is drawn again when it is decided
        assert lab.paths.learnings.read_text() == learnings_text(ledger, TAG)


def held_locks(lab: Lab) -> Iterator[Path]:
    """Locks of the lab and of the machine's devices that somebody still holds, and places in the queue."""
    paths = lab.paths
    for lock in [*paths.state.rglob("*.lock"), *device_locks_folder().glob("*.lock")]:
        if is_locked(lock):
            yield lock
    if paths.queue.exists():
        # whoever is last removes what the dead left; so does the next supervisor
        last = Ticket(paths.queue, 10**9, ("cpu",))
        assert last.free_to_take() == ("cpu",)
        last.close()
    with locked(paths.lock):
        pass
