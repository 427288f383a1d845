"""A hopeless run is stopped, and next to none that would have won."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mcp_server.judging import abort
from mcp_server.judging.abort import Past, earned, gap, margin, replay, rule
from mcp_server.nouns.records import AbortRule, CurvePoint, RunState, Status
from mcp_server.runner.process.marks import Marks
from tests.labs import TRAIN, attempt, begun, edit, finish, make_lab
from tests.runs import HONEST, RunFolder


def curve(behind: float, steps: int = 300, tokens: int = 100, noise: float = 0.3) -> tuple[CurvePoint, ...]:
    """What the supervisor keeps of a run whose loss falls to 2, and stays `behind` nats above that of others."""
    rows, marks = random.Random(5), Marks()
    for step in range(steps):
        loss = 2 + 5 * 0.98**step + behind + noise * rows.gauss(0, 1)  # the same rows for every run
        marks.feed(f'{{"event": "step", "step": {step}, "tokens": {step * tokens}, "loss": {loss}}}\n'.encode(), step)
    return marks.curve()


def campaign(random: random.Random, runs: int, scatter: float) -> list[Past]:
    """A past as campaigns have it: most ideas harm a little, some much, a few help; the gap foretells the end."""
    found = []
    for _ in range(runs):
        worse = random.choice([-0.01, 0.0, 0.02, 0.05, 0.3]) * random.expovariate(1)
        found.append(Past(gap=2 * worse + random.gauss(0, scatter), worse=worse + random.gauss(0, 0.005)))
    return found


@pytest.mark.quick
def test_the_gap_is_what_one_run_is_behind_another_on_the_same_rows() -> None:
    assert gap(curve(0.25), curve(0.0)) == pytest.approx(0.25, abs=0.02)
    assert gap(curve(0.0), curve(0.0)) == 0.0


@pytest.mark.quick
def test_a_gap_hardly_depends_on_how_long_the_other_run_is() -> None:
    # 100 steps leave 100 points, 300 steps leave 75 that are means of four
    assert gap(curve(0.1, steps=101), curve(0.0)) == pytest.approx(0.1, abs=0.08)  # batches differ by 0.3


@pytest.mark.quick
def test_a_run_too_short_to_reach_the_look_has_no_gap() -> None:
    assert gap(curve(0.1, steps=60), curve(0.0)) is None


@pytest.mark.quick
def test_nothing_is_stopped_before_the_past_is_long_enough() -> None:
    past = campaign(random.Random(1), abort.FEWEST_PAST, scatter=0.01)
    assert earned(past) is not None
    assert earned(past[:-1]) is None
    assert rule(curve(0.0), past[:-1]) is None


@pytest.mark.quick
def test_gaps_that_say_nothing_stop_nothing() -> None:
    numbers = random.Random(2)
    assert earned([Past(numbers.gauss(0, 1), numbers.gauss(0, 1)) for _ in range(60)]) is None


@pytest.mark.quick
def test_no_limit_lies_below_a_gap_from_which_a_run_came_back() -> None:
    for seed in range(50):
        past = campaign(random.Random(seed), 40, scatter=0.02)
        limit = margin(past)
        assert limit is None or limit >= max((run.gap for run in past if run.worse <= 0), default=0.0)


@pytest.mark.quick
def test_of_the_runs_that_would_have_won_fewer_than_two_in_a_hundred_are_stopped() -> None:
    """On later runs that the rule has not learnt from; and it stops a good part of the others."""
    stopped = lost = won = runs = 0
    for seed in range(150):
        numbers = random.Random(seed)
        past = campaign(numbers, 40, scatter=0.03)
        limit = earned(past)
        for run in campaign(numbers, 40, scatter=0.03):
            runs += 1
            won += run.worse <= 0
            if limit is not None and run.gap > limit:
                stopped += 1
                lost += run.worse <= 0
    assert lost < 0.02 * won
    assert stopped > 0.1 * runs


@pytest.mark.quick
def test_a_replay_judges_each_run_by_the_others() -> None:
    past = [Past(0.01 * i, 0.01 * i - 0.02) for i in range(30)]
    assert replay([*past, Past(5.0, -1.0)])[1] == 1  # had it not been known, it would have been stopped
    assert earned([*past, Past(5.0, -1.0)]) is None


TELLING = (
    HONEST.replace("64", "100")
    + """
for step in range(2, 40):
    print(json.dumps({"event": "step", "step": step, "tokens": 100 * step, "loss": 3.0}), file=marks, flush=True)
import time
time.sleep(600)
"""
)


def test_a_run_too_far_behind_is_stopped_and_says_what_that_saved(tmp_path: Path) -> None:
    spec = {"abort": AbortRule(begin=700, end=1000, loss=2.0, margin=0.5)}
    result = RunFolder(tmp_path, train=TELLING, spec=spec, budget={"seconds": 300}).carry_out()
    assert (result.state, result.reason, result.score) == (RunState.CANCELLED, "hopeless", None)
    assert "1,000 tokens" in result.detail
    assert result.saved_seconds is not None
    assert result.train_seconds is not None
    assert result.saved_seconds == pytest.approx(300 - result.train_seconds, abs=0.002)
    assert result.saved_seconds > 0


def test_a_run_a_little_behind_goes_on(tmp_path: Path) -> None:
    spec = {"abort": AbortRule(begin=700, end=1000, loss=2.0, margin=1.5)}
    train = TELLING.replace("time.sleep(600)", "")
    assert RunFolder(tmp_path, train=train, spec=spec).carry_out().state is RunState.SCORED


def test_a_campaign_earns_the_rule_from_its_own_runs_and_shows_what_it_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(abort, "FEWEST_PAST", 5)
    marks = """
marks = os.fdopen(int(os.environ["AUTORESEARCH_MARKS"]), "w")
for step in range(31):
    mark = {"event": "step", "step": step, "tokens": 10 * step, "loss": abs(KNOB - 3)} if step else {"event": "start"}
    print(json.dumps(mark), file=marks, flush=True)
"""
    train = TRAIN.replace("time.sleep(SECONDS)", marks + "time.sleep(SECONDS)")
    lab = make_lab(tmp_path / "lab", train=train, more="keep: {confirm: never}\n")
    begun(lab)
    for knob in (0.9, 0.8, 1.1, 0.7, 0.6):
        attempt(lab, KNOB=knob, description=f"knob {knob}")
    assert "0 stopped" in lab.lab_status().early_abort
    edit(lab, KNOB=-20.0, SECONDS=60.0)
    number = lab.run_experiment("far away").experiment
    found = finish(lab, number)
    assert (found.status, found.reason) == (Status.CANCELLED, "hopeless")
    assert lab.commit_or_revert(number).decision == "reverted"
    assert "1 stopped" in lab.lab_status().early_abort
