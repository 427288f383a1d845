"""The budget, lived through with made-up instants."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_server.nouns.records import Budget
from mcp_server.runner.process.clock import Moment, Order, Stopwatch

T0 = Moment(monotonic=1000.0, boottime=5000.0, cpu=0.0)


def at(seconds: float, cpu: float = 0.0, slept: float = 0.0) -> Moment:
    return Moment(T0.monotonic + seconds, T0.boottime + seconds + slept, cpu)


def walk(watch: Stopwatch, begin: float, end: float, busy: float = 1.0) -> list[tuple[float, Order]]:
    """Tick 20 times a second; every order that was not to go on, with its instant."""
    orders = []
    for tick in range(round(begin * 20), round(end * 20) + 1):
        order = watch.order(at(tick / 20, cpu=busy * tick / 20))
        if order is not Order.GO_ON:
            orders.append((tick / 20, order))
            if order is Order.KILL:
                break
    return orders


def test_the_budget_counts_from_the_start_mark() -> None:
    watch = Stopwatch(Budget(seconds=10, startup_seconds=60, grace_seconds=5), T0)
    assert walk(watch, 0, 7) == []
    watch.start_mark(at(7))
    assert walk(watch, 7, 18.9) == []
    stretch = watch.finish(at(18), cpu=9.0)
    assert (stretch.startup_seconds, stretch.train_seconds, stretch.reason) == (7.0, 11.0, "")


def test_a_trainer_that_goes_on_is_asked_and_then_killed_when_the_grace_ends() -> None:
    watch = Stopwatch(Budget(seconds=10, startup_seconds=60, grace_seconds=5), T0)
    watch.start_mark(at(0))
    assert walk(watch, 0, 60) == [(12.0, Order.ASK), (15.0, Order.KILL)]
    assert watch.finish(at(15), cpu=1.0).reason == "over_budget"


def test_no_grace_means_no_asking() -> None:
    watch = Stopwatch(Budget(seconds=10, startup_seconds=0, grace_seconds=0), T0)
    assert walk(watch, 0, 60) == [(10.0, Order.KILL)]


def test_a_late_start_mark_buys_no_time() -> None:
    watch = Stopwatch(Budget(seconds=10, startup_seconds=3, grace_seconds=2), T0)
    assert walk(watch, 0, 8) == []
    watch.start_mark(at(8))
    assert walk(watch, 8, 60)[-1] == (15.0, Order.KILL)
    stretch = watch.finish(at(15), cpu=1.0)
    assert stretch.startup_seconds == 8.0  # as it truly was
    assert stretch.train_seconds == pytest.approx(12.0)
    assert "startup_capped" in stretch.flags


def test_only_the_first_start_mark_counts() -> None:
    watch = Stopwatch(Budget(seconds=10, startup_seconds=60), T0)
    for second in range(9):
        watch.start_mark(at(second))
        watch.order(at(second + 0.5))
    assert watch.finish(at(10), cpu=0).train_seconds == 10.0


def test_a_command_that_never_says_it_starts_is_timed_from_its_launch() -> None:
    watch = Stopwatch(Budget(seconds=10, startup_seconds=60, grace_seconds=5), T0)
    assert walk(watch, 0, 30) == []  # it may still be starting
    stretch = watch.finish(at(30), cpu=1.0)
    assert (stretch.startup_seconds, stretch.train_seconds, stretch.reason) == (None, 30.0, "over_budget")


def test_an_exit_a_little_late_is_in_time() -> None:
    for seconds, late, reason in ((10, 1.9, ""), (10, 2.1, "over_budget"), (300, 8.9, ""), (300, 9.1, "over_budget")):
        watch = Stopwatch(Budget(seconds=seconds), T0)
        watch.start_mark(at(0))
        walk(watch, 0, seconds)
        walk(watch, seconds, seconds + late)
        assert watch.finish(at(seconds + late), cpu=0).reason == reason


def test_the_processor_clock_ignores_the_wall() -> None:
    watch = Stopwatch(Budget(seconds=10, clock="cpu", startup_seconds=60, grace_seconds=4), T0)
    watch.start_mark(at(0))
    assert walk(watch, 0, 39.9, busy=0.25) == []
    assert walk(watch, 40, 60, busy=0.25)[-1][1] is Order.KILL
    assert watch.finish(at(44), cpu=11.0).train_seconds == 11.0


def test_after_its_processor_seconds_a_sleeping_trainer_only_has_the_grace() -> None:
    watch = Stopwatch(Budget(seconds=10, clock="cpu", grace_seconds=4), T0)
    watch.start_mark(at(0))
    assert walk(watch, 0, 10) == []
    for tick in range(201, 400):
        order = watch.order(at(tick / 20, cpu=10.0))
        if order is Order.KILL:
            break
    assert tick / 20 == pytest.approx(14.0, abs=0.06)


def test_a_trainer_that_hardly_uses_the_processor_has_stalled() -> None:
    watch = Stopwatch(Budget(seconds=100, clock="cpu"), T0)
    watch.start_mark(at(0))
    assert walk(watch, 0, 30, busy=0.5) == []
    kills = [order for tick in range(600, 2000) if (order := watch.order(at(tick / 20, cpu=15.0))) is Order.KILL]
    assert kills
    assert watch.finish(at(100), cpu=15.0).reason == "stalled"


def test_ten_times_the_budget_on_the_wall_is_too_much() -> None:
    watch = Stopwatch(Budget(seconds=10, clock="cpu"), T0)
    watch.start_mark(at(0))
    (when, order), *_ = walk(watch, 0, 200, busy=0.05)
    assert order is Order.KILL
    assert when == pytest.approx(100, abs=0.2)


@pytest.mark.parametrize("clock", ["wall", "cpu"])
def test_a_machine_that_slept_leaves_the_run_unscored(clock: str) -> None:
    watch = Stopwatch(Budget(seconds=100, clock=clock), T0)
    watch.start_mark(at(0))
    assert walk(watch, 0, 5) == []
    assert watch.order(at(5.05, cpu=5, slept=3600)) is Order.KILL
    assert watch.finish(at(5.05, slept=3600), cpu=5).reason == "suspended"


def test_a_stopped_supervisor_is_noticed() -> None:
    for clock, reason in (("wall", "suspended"), ("cpu", "")):
        watch = Stopwatch(Budget(seconds=100, clock=clock), T0)
        watch.start_mark(at(0))
        walk(watch, 0, 5)
        watch.order(at(65, cpu=65))
        stretch = watch.finish(at(66), cpu=66)
        assert stretch.reason == reason  # processor time went on being counted
        assert "supervisor_stopped" in stretch.flags


def test_a_trainer_that_ended_while_the_supervisor_was_stopped_has_no_known_end() -> None:
    watch = Stopwatch(Budget(seconds=100), T0)
    watch.start_mark(at(0))
    walk(watch, 0, 5)
    assert watch.finish(at(65), cpu=1).reason == "suspended"


def test_the_time_of_day_plays_no_part() -> None:
    assert set(Moment.__dataclass_fields__) == {"monotonic", "boottime", "cpu"}
    shifted = replace(T0, boottime=T0.boottime)
    assert Stopwatch(Budget(seconds=1), shifted).order(at(0.5)) is Order.GO_ON
