"""Killed at random, alone and by group, at every step of run, score, keep, revert and learn: the lab heals."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from mcp_server.judging.noise import EQUAL_RUNS
from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from tests.faults.agents import FAR, Agent, apart, begin_agent, decide, idea
from tests.faults.killing import Cast, cast, kill
from tests.faults.scene import TAG, check, make_scene, prune, settle_down, users_files, users_status
from tests.labs import begin

VICTIMS = ("server", "supervisor", "trainer", "evaluator", "all")
VERBS = ("status", "run", "score", "keep", "revert", "learn")
PHASES = ("waiting", "starting", "training", "sealing", "scoring")
PAIRED = "keep: {pairing: side_by_side}\n"
PAIRED_BRIEFLY = "keep: {pairing: side_by_side, confirm: never}\n"
AIM_SECONDS = 8.0  # then whatever is there is struck


def chosen(victim: str, agent: Agent, found: Cast) -> list[int]:
    """The pids a victim's name means now."""
    inner = [pid for pid, command in found.below if "train.py" in command or "score.py" in command]
    named = {
        "server": [agent.pid],
        "supervisor": [found.supervisor] if found.supervisor else [],
        "trainer": inner if found.phase in ("starting", "training") else [],
        "evaluator": inner if found.phase == "scoring" else [],
    }
    if victim == "all":
        everyone = [agent.pid, *named["supervisor"], *(pid for pid, _ in found.below)]
        return everyone
    return named[victim]


def strike(lab: Lab, agent: Agent, victim: str, step: str, group: bool, draw: random.Random) -> str:
    """Wait for the moment, and kill; what was struck, in words."""
    ends, found, there = time.monotonic() + AIM_SECONDS, Cast(), False
    while time.monotonic() < ends and not there:
        agent.listen()
        found = cast(lab.paths)
        there = step in (agent.step, found.phase) and bool(chosen(victim, agent, found))
        time.sleep(0.005)  # to look takes as long, and those who are looked at need the processor
    time.sleep(draw.uniform(0, 0.15) if step in VERBS else draw.uniform(0, 0.05))  # anywhere in the step
    found = cast(lab.paths)
    pids = chosen(victim, agent, found) or [agent.pid]
    who = victim if pids != [agent.pid] else "server"
    agent.listen()
    # the outermost and the innermost process of a sandbox die differently, so one of them is drawn
    for pid in pids if victim == "all" else [draw.choice(pids)]:
        kill(pid, group)
    return f"{who}{' group' if group else ''} in {agent.step}/{found.phase or 'no run'}"


def heal(tree: Path, turn: int, next_one: bool) -> None:
    """Another server comes and goes on: everything must be there, and the next iteration must work."""
    lab = Lab(tree)
    with lab.reading() as (bench, campaign, _):
        undecided = [one.number for one in bench.ledger.undecided(campaign.tag)]
    for number in undecided:
        assert decide(lab, number) in ("kept", "reverted")
    if next_one:
        idea(lab, True, 0.0)
        # it also sets back how long a run takes, which may look like work on older files
        number = lab.run_experiment(f"after round {turn}", insist=True).experiment
        said = decide(lab, number)
        assert said == "kept", lab.commit_or_revert(number).reason
    lab.lab_status()  # draws the views


def promised(tree: Path, promises: list[dict[str, object]]) -> None:
    """What a verb said is still true."""
    with closing(Ledger(Lab(tree).paths.ledger)) as ledger:
        lessons = Counter(one.text for one in ledger.learnings())
        for promise in promises:
            one = ledger.experiment(TAG, int(str(promise["experiment"])))
            if "description" in promise:
                assert one.description == promise["description"]
            if "decision" in promise:
                assert {"keep": "kept", "revert": "reverted"}[str(one.decision)] == promise["decision"]
            if "learning" in promise:
                assert lessons[str(promise["learning"])] == 1
        assert max(lessons.values(), default=1) == 1


def kill_rounds(folder: Path, rounds: int, seed: int, more: str = "", calibrate: int = EQUAL_RUNS) -> Counter[str]:
    """How often whom, where.

    So many equal runs show that the arena has no noise, and every gain is kept at once: after each fifth round a gain
    has to be, so fewer rounds need none.
    """
    lab = make_scene(folder, more, train=FAR)
    tree = lab.paths.tree
    apart(lambda: begin(lab, calibrate=calibrate) and None)
    users, status = users_files(tree), users_status(tree)
    draw, struck = random.Random(seed), Counter[str]()
    aims = [(victim, step) for victim in VICTIMS for step in (*VERBS, *PHASES) if possible(victim, step)]
    order: list[tuple[str, str]] = []
    for turn in range(rounds):
        order = order or draw.sample(aims, len(aims))
        victim, step = order.pop()
        agent = begin_agent(tree, draw.randrange(2**31))
        where = strike(lab, agent, victim, step, draw.random() < 0.5, draw)
        struck[where] += 1
        time.sleep(draw.choice((0.0, 0.0, 0.2)))  # survivors may do a little more
        agent.ask_to_stop()
        agent.end()
        prune(tree, whole=turn % 10 == 9)
        try:
            apart(partial(heal, tree, turn, turn % 5 == 4))
            apart(lambda: settle_down(Lab(tree)))
            apart(partial(promised, tree, agent.promises))
            apart(lambda: check(Lab(tree), users, status))
        except AssertionError as error:
            error.add_note(f"round {turn} of seed {seed}: aimed at {victim} in {step}, struck {where}")
            raise
    return struck


def possible(victim: str, step: str) -> bool:
    """Whether there can be such a victim at such a step: one agent does one thing at a time."""
    alive = {
        "trainer": ("starting", "training", "score"),
        "evaluator": ("scoring", "score"),
        "supervisor": ("run", "score", *PHASES),
    }
    return step in alive.get(victim, (*VERBS, *PHASES))


def test_killed_at_random_a_lab_heals_and_goes_on(tmp_path: Path) -> None:
    seed = int(os.environ.get("AUTORESEARCH_SEED_OF_KILLS", "1"))
    struck = kill_rounds(tmp_path / "lab", rounds=8, seed=seed)
    assert sum(struck.values()) == 8


def test_killed_at_random_a_lab_that_trains_in_pairs_heals_and_goes_on(tmp_path: Path) -> None:
    seed = int(os.environ.get("AUTORESEARCH_SEED_OF_KILLS", "1"))
    struck = kill_rounds(tmp_path / "lab", rounds=3, seed=seed, more=PAIRED_BRIEFLY, calibrate=0)
    assert sum(struck.values()) == 3


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_killed_a_hundred_times_a_lab_that_trains_in_pairs_heals_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = time.time_ns() % 2**31
    struck = kill_rounds(tmp_path / "lab", rounds=100, seed=seed, more=PAIRED)
    with capsys.disabled():
        print(f"\nseed {seed}, in pairs: {sum(struck.values())} kills")


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_killed_three_hundred_times_a_lab_heals_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = time.time_ns() % 2**31
    struck = kill_rounds(tmp_path / "lab", rounds=300, seed=seed)
    with capsys.disabled():
        print(f"\nseed {seed}: {sum(struck.values())} kills")
        for where, times in sorted(struck.items()):
            print(f"  {times:3d}  {where}")
