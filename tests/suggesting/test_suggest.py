"""Suggestions: ranges, what is known in words, what the optimiser would try; advice that is never run by itself."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.compare import runs_to, seeded
from mcp_server.cli import cli
from mcp_server.dashboard.feed import Feed
from mcp_server.edits.movable import Move
from mcp_server.edits.moves import moved
from mcp_server.researcher import classical, habits
from mcp_server.researcher.habits import Trial
from mcp_server.researcher.memo import hints
from mcp_server.suggesting import observations, optimiser
from mcp_server.suggesting.carried import Advice
from mcp_server.suggesting.landscape import Step, words
from mcp_server.suggesting.observations import numbers
from mcp_server.suggesting.optimiser import Observation, Seen, advise
from mcp_server.suggesting.space import space
from mcp_server.suggesting.surrogate import Surrogate
from tests.labs import begun, edit, finish, make_lab

SOURCE = """\
RATE = 0.1  # 0.01..1
BASE = 10_000  # between 1000 and 100000
DEPTH = 4
MOMENTUM = 0.9
WARMUP = 0.0
SEED = 7
NAME = "x"
"""


def test_a_range_is_taken_from_the_comment_the_name_or_around_the_value() -> None:
    found = {one.name: one for one in space(SOURCE)}
    assert (found["RATE"].low, found["RATE"].high, found["RATE"].log) == (0.01, 1.0, True)
    assert (found["BASE"].low, found["BASE"].high) == (1000.0, 100_000.0)
    assert (found["DEPTH"].low, found["DEPTH"].high) == (1.0, 16.0)
    assert found["MOMENTUM"].low == pytest.approx(0.6)
    assert found["MOMENTUM"].high == pytest.approx(0.975)
    assert (found["WARMUP"].low, found["WARMUP"].high) == (0.0, 0.2)
    assert set(found) == {"RATE", "BASE", "DEPTH", "MOMENTUM", "WARMUP"}, "a seed is left alone"
    for one in found.values():
        assert one.inside(one.value(0.37))
        assert one.place(one.value(0.5)) == pytest.approx(0.5, abs=0.2)


def test_a_range_grows_with_what_was_scored_and_shrinks_before_what_failed() -> None:
    wider = {one.name: one for one in space("DEPTH = 4\n", tried={"DEPTH": [24.0]})}["DEPTH"]
    assert wider.high == 36
    cut = {one.name: one for one in space("DEPTH = 4\n", failed={"DEPTH": [12.0]})}["DEPTH"]
    assert cut.high == 8


def test_numbers_that_overflow_are_neither_moved_nor_learnt_from() -> None:
    found = space(f"A = 1e308\nB = 1{'0' * 400}\nC = 2.0\nD = 4\n", tried={"C": [1e308]}, failed={"D": [math.inf]})
    assert {one.name: (one.low, one.high) for one in found} == {"C": (0.5, 8.0), "D": (1, 16)}


def test_what_divides_by_zero_or_overflows_is_no_number_and_can_be_recorded() -> None:
    assert numbers("1", "1 / 0") is None
    assert numbers("1", f"1{'0' * 400}") is None
    assert moved([("RATE", "1", f"1{'0' * 400}")]) == [("RATE", "other", 1.0, None)]


def test_what_is_known_is_said_in_words() -> None:
    steps = [
        Step("EMBED_LR", 0.1, 0.2, -0.05, 0.01),
        Step("MOMENTUM", 0.9, 0.95, 0.001, 0.01),
        Step("RATE", 0.1, 0.05, 0.04, 0.01),
    ]
    said = words(["EMBED_LR", "MOMENTUM", "RATE", "ROPE_BASE"], steps, {"EMBED_LR": 0.1, "RATE": 0.05})
    assert said == "flat in MOMENTUM; falling in EMBED_LR above 0.1; rising in RATE down to 0.05; untried: ROPE_BASE"


def test_the_same_is_advised_twice_and_something_else_while_it_runs() -> None:
    dimensions = space("RATE = 0.1\nDEPTH = 4\n")
    base = {"RATE": 0.1, "DEPTH": 4.0}
    known = [
        Observation({"RATE": 0.2, "DEPTH": 4.0}, base, -0.1, 0.02),
        Observation({"RATE": 0.1, "DEPTH": 8.0}, base, math.inf),
    ]
    first = advise(dimensions, known, 1, 2)
    assert first == advise(dimensions, known, 1, 2)
    assert first[0] != first[1]
    assert first[0]["RATE"] > 0.1, "what helped is followed"
    running = [*known, Observation(first[0], base, None)]
    assert first[0] not in advise(dimensions, running, 1, 2)


def known_of(*told: tuple[float, float, float, float | None]) -> list[Observation]:
    """Of (value, base's value, loss over it, its sd) of one constant."""
    return [Observation({"RATE": one}, {"RATE": base}, loss, sd) for one, base, loss, sd in told]


def believed(known: list[Observation]) -> dict[float, float]:
    """What is expected of each value that was seen, over 0.1."""
    dimension = space("RATE = 0.1\n")[0]
    seen = Seen.of([dimension], known)
    found = Surrogate.fitted(seen.places, seen.pairs, seen.losses, seen.sds).known
    found = found - found[0]
    return {
        round(dimension.value(float(at)), 3): float(loss) for at, loss in zip(seen.places[:, 0], found, strict=True)
    }


def test_differences_add_up_over_a_chain_of_incumbents_whatever_the_order() -> None:
    chain = known_of((0.15, 0.1, -1.0, 0.0), (0.2, 0.15, -1.0, 0.0), (0.3, 0.2, 1.5, 0.0))
    found = believed(chain)
    assert found == pytest.approx(believed(chain[::-1]), abs=1e-6)
    assert found[0.2] == pytest.approx(2 * found[0.15], rel=0.05)
    assert found[0.2] < found[0.3] < 0


def test_a_gain_within_its_noise_is_believed_less_and_one_of_unknown_noise_not_wholly() -> None:
    rest = ((0.2, 0.1, 1.0, 0.0), (0.05, 0.1, 1.0, 0.0))
    exact, noisy, unknown = (believed(known_of((0.15, 0.1, -1.0, sd), *rest))[0.15] for sd in (0.0, 2.0, None))
    assert exact == pytest.approx(-1.0, abs=0.05)
    assert exact < unknown
    assert exact < noisy


def test_what_failed_is_never_worth_another_try_though_all_else_was_better() -> None:
    found = believed(known_of((0.15, 0.1, -0.3, 0.01), (0.2, 0.1, -0.5, 0.01), (0.05, 0.1, math.inf, 0.0)))
    assert found[0.05] > 0 > found[0.15]


def test_no_constant_goes_further_than_a_probe_and_few_go_at_once() -> None:
    names = "ABCDEF"
    dimensions = space("".join(f"{name} = 1.0\n" for name in names))
    base = dict.fromkeys(names, 1.0)
    known: list[Observation] = []
    for number in range(2 * len(names)):
        values = advise(dimensions, known, number, 1)[0]
        steps = [abs(one.place(values[one.name]) - one.place(1.0)) for one in dimensions]
        assert max(steps) < optimiser.PROBE + 0.01
        assert 1 <= sum(step > 0 for step in steps) <= optimiser.MOST_MOVED + 1
        known.append(Observation(values, base, sum(math.log(one) for one in values.values())))
    assert {name for one in known for name in names if one.values[name] != 1.0} == set(names), "each was probed"


def test_the_researcher_tells_what_a_trial_was_made_on_and_how_sure_it_is() -> None:
    trials = [
        Trial(1, (Move("RATE", "0.1", "0.2"),), habits.KEPT, 0.5, 0.1),
        Trial(2, (Move("RATE", "0.2", "0.4"),), habits.UNKNOWN, -0.1, None),
        Trial(3, (Move("RATE", "0.2", "0.8"),), habits.UNKNOWN),  # it was not run
        Trial(4, (Move("RATE", "0.2", "1.6"),), habits.FAILED),
    ]
    assert classical.observations("RATE = 0.2\n", trials, "cpu") == [
        *known_of((0.2, 0.1, -0.5, 0.1), (0.4, 0.2, 0.1, None), (1.6, 0.2, math.inf, 0.0))
    ]
    assert habits.deviation((-1.96, 1.96)) == pytest.approx(1.0, abs=1e-4)
    assert habits.deviation(()) is None


def test_what_is_expected_of_a_place_that_was_seen_is_what_is_believed_of_it() -> None:
    draw = np.random.default_rng(1)
    places = draw.random((12, 9))
    places[:, 4:] = places[0, 4:]  # most constants were never moved
    pairs = np.array([(one, draw.integers(one)) for one in range(1, 12)])
    losses = (places**2).sum(axis=1)
    process = Surrogate.fitted(places, pairs, losses[pairs[:, 0]] - losses[pairs[:, 1]], np.full(11, 0.01))
    process = process.with_running(draw.random(9))
    assert process.expected(process.places) == pytest.approx(process.known - process.known[0], abs=0.01)


def test_advice_takes_the_newest_attempts_beside_what_they_were_made_on_however_long_the_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    for value in (5.0, 4.5, 4.0, 3.5, 6.0, 3.0):
        edit(lab, KNOB=value)
        number = lab.run_experiment(f"KNOB to {value}").experiment
        finish(lab, number)
        lab.commit_or_revert(number)
    monkeypatch.setattr(observations, "REMEMBERED", 3)
    with lab.reading() as (bench, campaign, arena):
        others = [("KNOB", "1.0", "2.0", 0.1, 0.01)] * 40
        found = observations.known(bench, campaign, arena.editable, "cpu", others)
    assert found is not None
    own = [(one.base["KNOB"], one.values["KNOB"]) for one in found.observations if not one.origin]
    assert own == [(4.0, 3.5), (3.5, 6.0), (3.5, 3.0)]
    assert len(found.observations) == 3 + observations.OTHERS


def test_beside_other_replies_the_optimiser_is_asked_only_where_enough_was_observed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    asked = []
    monkeypatch.setattr("mcp_server.suggesting.suggest.advise", lambda *told: asked.append(told) or [])
    assert lab.lab_status().suggestions == lab.recall("KNOB").suggestions == []
    assert asked == []
    lab.suggest()
    assert len(asked) == 1


def test_the_live_page_waits_for_no_suggestion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    asked = []
    monkeypatch.setattr(Advice, "carried", lambda *told: asked.append(told) or ([], ""))
    with closing(Feed(lab)) as feed:
        assert "status" in feed.news(feed.news(None)[0])[1]
        assert asked == []
        lab.lab_status()
        assert len(asked) == 1


def test_a_campaign_is_learnt_from_and_nothing_runs_by_itself(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    for value in (2.0, 4.5, 2.5, 3.5):
        edit(lab, KNOB=value)
        number = lab.run_experiment(f"KNOB to {value}").experiment
        finish(lab, number)
        lab.commit_or_revert(number)
    before = (lab.paths.tree / "train.py").read_bytes()
    reply = lab.suggest()
    assert reply.observations == 4
    assert reply.suggestions
    assert "KNOB" in reply.landscape
    assert (lab.paths.tree / "train.py").read_bytes() == before
    status = lab.lab_status()
    assert status.experiments["all"] == 5
    assert status.suggestions
    assert lab.recall("KNOB").suggestions == status.suggestions
    done = CliRunner().invoke(cli, ["-C", str(tmp_path / "lab"), "suggest"])
    assert done.exit_code == 0
    assert reply.suggestions[0].changes in done.output


def test_the_researcher_is_driven_by_the_optimiser_and_needs_fewer_runs() -> None:
    seeds = range(2)
    assert sum(runs_to(classical.propose, one) for one in seeds) <= 0.7 * sum(runs_to(seeded, one) for one in seeds)


def test_a_memo_says_what_to_move_first_and_what_never() -> None:
    told = hints("Notes.\n- Move first: RATE, `DEPTH`\nLeave alone: DEPTH\n")
    assert (told.first, told.alone) == ({"RATE"}, {"DEPTH"})
    source = "RATE = 0.1\nDEPTH = 4\nWIDTH = 64\n"
    ideas = [propose(source, [], 1, hints=told) for propose in (seeded, classical.propose)]
    knobs = [idea.knobs if idea else [] for idea in ideas]
    assert knobs[0]
    assert "DEPTH" not in knobs[0]
    assert knobs[1] == ["RATE"]
