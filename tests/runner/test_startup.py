"""What learns before the budget is said to begin belongs to it: by the budget's own clock, wherever it ran."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from mcp_server.nouns.records import Budget, RunResult, RunState
from mcp_server.runner.process.clock import Moment, Order, Stopwatch, free_startup
from tests.labs import SEQUENTIAL, TRAIN, begin, edit, finish, make_lab
from tests.runs import HONEST, RunFolder

CPU = Budget(seconds=60, clock="cpu", startup_seconds=120)
WALL = Budget(seconds=60, clock="wall", startup_seconds=120)


def at(monotonic: float, cpu: float = 0.0) -> Moment:
    return Moment(monotonic, monotonic, cpu)


@pytest.mark.parametrize("trained", [10.0, 30.0])
def test_processor_seconds_before_the_mark_beyond_the_unchanged_codes_are_charged(trained: float) -> None:
    watch = Stopwatch(CPU, at(0), free_startup(CPU, usual_seconds=3.0))
    watch.start_mark(at(40, cpu=3.0 + trained))
    assert watch.elapsed(at(40, cpu=3.0 + trained)) == pytest.approx(trained, abs=0.6)
    stretch = watch.finish(at(200), cpu=3.0 + trained + 60)
    assert stretch.charged_seconds == pytest.approx(trained, abs=0.6)
    assert stretch.reason == "over_budget"


def test_an_honest_start_up_is_not_charged_nor_is_one_of_which_nothing_is_known() -> None:
    for usual, used in ((3.0, 3.3), (None, 500.0)):
        watch = Stopwatch(CPU, at(0), free_startup(CPU, usual))
        watch.start_mark(at(10, cpu=used))
        assert watch.elapsed(at(10, cpu=used)) == 0
        assert watch.finish(at(70), cpu=used + 60).charged_seconds == 0


def test_waiting_is_not_charged_on_the_processor_clock_and_is_on_the_wall() -> None:
    for budget, charged in ((CPU, 0.0), (WALL, 30.0 - free_startup(WALL, 3.0))):
        watch = Stopwatch(budget, at(0), free_startup(budget, 3.0))
        watch.start_mark(at(30, cpu=3.0))
        assert watch.elapsed(at(30, cpu=3.0)) == pytest.approx(charged)


def test_a_mark_that_never_comes_is_not_charged_twice() -> None:
    watch = Stopwatch(CPU, at(0), free_startup(CPU, 3.0))
    stretch = watch.finish(at(50), cpu=50)
    assert (stretch.train_seconds, stretch.charged_seconds, stretch.startup_seconds) == (50, 0, None)


def test_a_late_mark_is_charged_up_to_where_the_budget_began() -> None:
    watch = Stopwatch(Budget(seconds=60, clock="cpu", startup_seconds=20), at(0), free_startup(CPU, 3.0))
    assert watch.order(at(20, cpu=18)) is Order.GO_ON
    watch.start_mark(at(30, cpu=28))
    assert watch.elapsed(at(30, cpu=28)) == pytest.approx(28 - free_startup(CPU, 3.0))


def test_what_is_free_is_named_once_and_is_small() -> None:
    assert free_startup(CPU, None) == math.inf
    assert free_startup(CPU, 3.0) - 3.0 <= 0.01 * CPU.seconds
    assert free_startup(WALL, 30.0) - 30.0 <= 10.0


# -- the real supervisor on trainers that learn where no budget counts -------------------------------------------------

BURN = """
import os, threading, time

def burn(seconds):  # of this process's processor time
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
"""
USED = 0.9  # seconds of the processors
LEARNS = {
    "before the mark": f"burn({USED})",
    "in a thread": f"thread = threading.Thread(target=burn, args=({USED},))\nthread.start()\nthread.join()",
    "in a child": f"if os.fork() == 0:\n    burn({USED})\n    os._exit(0)\nos.wait()",
    "in a child that nobody waits for": (
        "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nours, theirs = os.pipe()\n"
        f"if os.fork() == 0:\n    burn({USED})\n    os._exit(0)\nos.close(theirs)\nos.read(ours, 1)"
    ),
    "in a grandchild": f"if os.fork() == 0:\n    if os.fork() == 0:\n        burn({USED})\n        os._exit(0)\n"
    "    os.wait()\n    os._exit(0)\nos.wait()",
}


def trained(folder: Path, learns: str, **budget: Any) -> RunResult:
    """A run of an honest trainer that does this first, in a campaign whose unchanged code needs 0.1 s to start."""
    run = RunFolder(
        root=folder,
        train=f"{BURN}\n{learns}\n{HONEST}",
        spec={"usual_spent_seconds": 0.1},
        budget={"seconds": 20, "clock": "cpu", "startup_seconds": 60, **budget},
    )
    return run.carry_out()


@pytest.mark.parametrize("where", LEARNS)
def test_learning_before_the_mark_is_charged_wherever_it_runs(where: str, tmp_path: Path) -> None:
    result = trained(tmp_path, LEARNS[where])
    assert result.state is RunState.SCORED, result.detail
    assert result.charged_seconds == pytest.approx(USED, abs=0.5)
    assert result.train_seconds is not None
    assert result.train_seconds >= result.charged_seconds
    assert "startup_charged" in result.flags


def test_learning_before_the_mark_that_fills_the_budget_ends_the_run(tmp_path: Path) -> None:
    result = trained(tmp_path, "burn(3.3)", seconds=0.2)  # an exit may be 2 s late
    assert (result.state, result.reason) == (RunState.TIMEOUT, "over_budget")
    assert "before the start mark" in result.detail


def test_a_start_up_that_only_sleeps_is_free_on_the_processor_clock(tmp_path: Path) -> None:
    result = trained(tmp_path, "time.sleep(1)")
    assert result.state is RunState.SCORED
    assert result.charged_seconds < 0.1


# -- through the verbs of a lab: what the unchanged code needs is what its baseline needed -----------------------------

MARKED = TRAIN.replace(
    "out = pathlib",
    "EARLY = 0.0  # processor seconds before the budget begins\n"
    "while time.process_time() < EARLY:\n    pass\n"
    'os.write(int(os.environ["AUTORESEARCH_MARKS"]), b\'{"event": "start"}\\n\')\nout = pathlib',
)


def test_a_candidate_is_charged_for_what_its_baseline_did_not_need(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", train=MARKED, more=SEQUENTIAL)
    try:
        begin(lab)
        edit(lab, EARLY=1.2, KNOB=2.0)
        number = lab.run_experiment("learn before the budget begins").experiment
        finish(lab, number)
        with lab.reading() as (bench, _, _):
            (baseline, *_), (candidate, *_) = (bench.ledger.runs("first", one) for one in (1, number))
        assert baseline.result is not None
        assert candidate.result is not None
        assert baseline.result.charged_seconds == 0
        assert baseline.result.startup_spent_seconds is not None
        assert baseline.result.startup_spent_seconds < 1.0
        # on a busy machine the allowance on the wall ends first: what follows is training without being charged
        assert candidate.result.train_seconds == pytest.approx(1.0, abs=0.4)
        assert "startup_charged" in candidate.result.flags
    finally:
        lab.close()
