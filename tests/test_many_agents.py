"""Agents in processes and work trees of their own share one lab: nothing is lost or done twice, turns are fair."""

from __future__ import annotations

import itertools
import os
import random
import statistics
import time
import traceback
from contextlib import closing
from pathlib import Path

import pytest

from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.nouns.records import RunResult
from tests.faults.agents import FAR, apart, knob_of, write_train
from tests.faults.scene import held_locks, processes_of
from tests.labs import begin, finish, git, make_lab, until

# the score of each attempt is its knob alone, so that two agents cannot have had the same idea
TAG = "first"


def live(tree: Path, who: int, experiments: int, seconds: float) -> None:
    """One agent's night: so many attempts, every third of them meant to be better than the incumbent."""
    lab = Lab(tree)
    lab.start_campaign(TAG)
    for turn in range(experiments):
        with lab.reading() as (bench, campaign, _):
            incumbent = bench.ledger.incumbent(campaign.tag)
            assert incumbent is not None
            text = (lab.workspace.blob(str(incumbent.commit_sha), "train.py") or b"").decode()
        unique = random.Random(f"{who} {turn}").random() / 1000  # sums of such steps never meet: no idea comes twice
        write_train(lab, text, knob_of(text) + (-3 - unique if turn % 3 == 0 else 3 + unique), seconds)
        number = lab.run_experiment(f"agent {who}, idea {turn}").experiment
        for _ in range(20):
            while lab.read_score(number).open:
                time.sleep(0.05)
            if lab.commit_or_revert(number).decision != "confirming":
                break
        lab.append_learnings(f"Agent {who} saw in turn {turn} what its step number {who * 100 + turn} does.", number)


def night(folder: Path, agents: int, experiments: int, seconds: float = 0.0) -> tuple[Lab, list[float]]:
    """The lab after it, and how long each agent's runs waited in the queue, on average."""
    lab = make_lab(folder / "lab", train=FAR)
    apart(lambda: begin(lab) and None)
    children = {}
    for who in range(agents):
        tree = folder / f"tree{who}"
        git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(tree), f"autoresearch/{TAG}")
        child = os.fork()
        if child == 0:
            try:
                live(tree, who, experiments, seconds)
                os._exit(0)
            except BaseException:
                (folder / f"error{who}").write_text(traceback.format_exc())
            finally:
                os._exit(1)
        children[child] = who
    for child in children:
        os.waitpid(child, 0)
    assert [place.read_text() for place in folder.glob("error*")] == []
    waits = {who: [] for who in range(agents)}  # type: dict[int, list[float]]
    with closing(Ledger(lab.paths.ledger)) as ledger:
        for one in ledger.experiments(TAG)[1:]:
            who = int(one.description.split()[1].rstrip(","))
            waits[who] += [
                run.result.queue_seconds
                for run in ledger.runs(TAG, one.number)
                if run.result and run.result.queue_seconds is not None and run.purpose == "first"
            ]
    return lab, [statistics.fmean(waits[who]) for who in range(agents)]


def agrees(lab: Lab, agents: int, experiments: int) -> None:
    """Every attempt exactly once, everywhere; a linear branch; one run at a time on the one device."""
    tree, total = lab.paths.tree, 1 + agents * experiments
    spans: list[tuple[str, str]] = []
    with closing(Ledger(lab.paths.ledger)) as ledger:
        ledger.check()
        found = ledger.experiments(TAG)
        assert [one.number for one in found] == list(range(1, total + 1))
        said = [one.description for one in found[1:]]
        assert sorted(said) == sorted(
            f"agent {who}, idea {turn}" for who in range(agents) for turn in range(experiments)
        )
        assert ledger.open_runs() == ledger.unsettled() == ledger.unvaulted() == []
        assert all(one.decision in ("keep", "revert") for one in found)
        assert len(ledger.learnings()) == total - 1
        kept = [(one.commit_sha, str(one.number)) for one in ledger.kept(TAG)]
        for one in found:
            for run in ledger.runs(TAG, one.number):
                assert isinstance(run.result, RunResult)
                assert run.result.started_at is not None
                assert run.result.ended_at is not None
                spans.append((run.result.started_at, run.result.ended_at))
    trailer = "--format=%H %P %(trailers:key=Experiment,valueonly,separator=%x20)"
    lines = [line.split() for line in git(tree, "log", "--reverse", trailer, f"main..autoresearch/{TAG}").splitlines()]
    assert [(commit, number) for commit, _, number in lines] == kept
    assert all(parent == before for (_, parent, _), (before, _, _) in zip(lines[1:], lines, strict=False))
    refs = git(tree, "for-each-ref", "--format=%(refname:lstrip=3)", f"refs/autoresearch/{TAG}").split()
    assert sorted(map(int, refs)) == list(range(1, total + 1))
    git(tree, "fsck", "--strict", "--no-dangling")
    spans.sort()
    assert all(ended <= begun for (_, ended), (begun, _) in itertools.pairwise(spans)), "a shared device"
    until(lambda: not processes_of(lab.paths.tree))
    assert list(held_locks(lab)) == []


def told(waits: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    spread = max(waits) / max(min(waits), 1e-9)
    with capsys.disabled():
        each = ", ".join(f"{wait:.2f}" for wait in waits)
        print(f"\nmean wait in the queue by agent: {each} s; the longest is {spread:.2f} times the shortest")


def test_four_agents_share_a_lab_and_nothing_is_lost_or_done_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab, waits = night(tmp_path, agents=4, experiments=3)
    agrees(lab, agents=4, experiments=3)
    told(waits, capsys)


@pytest.mark.faults
def test_eight_agents_share_a_lab_and_nothing_is_lost_or_done_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab, waits = night(tmp_path, agents=8, experiments=25, seconds=0.5)  # long enough for a queue
    agrees(lab, agents=8, experiments=25)
    told(waits, capsys)
    assert max(waits) < 1.5 * min(waits)  # a queue in order of arrival serves everybody alike


def test_an_agent_that_waits_is_served_before_one_that_came_later(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", train=FAR)
    begin(lab)
    numbers = []
    for turn in range(4):
        write_train(lab, FAR, 900.0 - turn, 0.1)
        numbers.append(lab.run_experiment(f"idea {turn}").experiment)
    for number in numbers:
        finish(lab, number)
    with lab.reading() as (bench, campaign, _):
        begun = [bench.ledger.runs(campaign.tag, number)[0].result for number in numbers]
    stamps = [one.started_at for one in begun if one is not None]
    ends = [one.ended_at for one in begun if one is not None]
    assert stamps == sorted(stamps, key=str)
    assert ends == sorted(ends, key=str)
