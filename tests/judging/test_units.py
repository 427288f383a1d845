"""Evidence per example: what the examples behind a score say of a gain, and how `decide` takes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks import units as simulated
from mcp_server.judging.belief import Widths
from mcp_server.judging.decide import decide
from mcp_server.judging.effects import Effects
from mcp_server.judging.further.units import MANY, as_shares, paired
from mcp_server.judging.verdict import Decision, Evidence, Policy, Record

PROVEN = Record(5.0, True)
EFFECTS = Effects(typical=0.0015)


def sides(better: int, worse: int, count: int) -> tuple[dict[str, float], dict[str, float]]:
    """Right answers of a candidate and its incumbent at an accuracy of about 0.8."""
    names = [str(number) for number in range(count)]
    theirs = {name: float(place >= count // 5) for place, name in enumerate(names)}
    ours = dict(theirs)
    for name in names[:better]:
        ours[name] = 1.0
    for name in names[count - worse :]:
        ours[name] = 0.0
    return ours, theirs


def judged(better: int, worse: int, count: int, **more: Any) -> Any:
    ours, theirs = sides(better, worse, count)
    given: dict[str, Any] = {
        "candidate": {0: sum(ours.values()) / count},
        "incumbent": {0: sum(theirs.values()) / count},
        "widths": Widths.unknown(EFFECTS).measured(0.0, 12),
        "policy": Policy(EFFECTS),
        "record": PROVEN,
        "equal": 12,
        "units": paired({0: ours}, {0: theirs}, 1.0),
        **more,
    }
    return decide(Evidence(**given))


def test_examples_are_paired_by_name_and_counted() -> None:
    ours, theirs = sides(12, 3, 400)
    found = paired({7: ours}, {7: theirs}, 1.0)
    assert found is not None
    assert (found.count, found.better, found.worse) == (400, 12, 3)
    assert found.gain == pytest.approx(9 / 400)
    assert [name for name, gain in found.flipped if gain < 0] == ["397", "398", "399"]
    # a loss turns round
    turned = paired({7: theirs}, {7: ours}, -1.0)
    assert turned is not None
    assert (turned.better, turned.worse) == (12, 3)


def test_examples_are_paired_by_seed_too_and_else_by_name_alone() -> None:
    easy, hard = {"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 0.0, "b": 0.0, "c": 0.0}
    assert paired({1: easy, 2: hard}, {1: easy, 2: hard}, 1.0).error == 0.0  # type: ignore[union-attr]
    assert paired({1: easy}, {2: hard}, 1.0).gain == 1.0  # type: ignore[union-attr]
    assert paired({1: {"a": 1.0, "z": 1.0}}, {1: {"a": 0.0, "y": 1.0}}, 1.0) is None  # one is none


def test_contributions_that_add_up_say_the_same_as_those_that_average() -> None:
    added = [({"a": 0.1, "b": 0.3}, 0.4), ({"a": 0.0, "b": 0.0}, 0.0)]
    averaged = [({"a": 0.2, "b": 0.6}, 0.4), ({"a": 0.0, "b": 0.0}, 0.0)]
    assert as_shares(added) == as_shares(averaged) == [{"a": 0.2, "b": 0.6}, {"a": 0.0, "b": 0.0}]


def test_the_same_gain_is_kept_where_the_examples_agree_and_not_where_they_do_not() -> None:
    """Where no seed has a part in the score, every gain was one; now it has to hold on other inputs."""
    assert judged(20, 1, 400).decision is Decision.KEEP
    verdict = judged(30, 11, 400)
    assert judged(5, 3, 400).code == "within_units"
    assert judged(5, 3, 400, units=None).decision is Decision.KEEP
    assert verdict.interval[0] < verdict.gain < verdict.interval[1]
    assert verdict.width == pytest.approx(verdict.units.error)


def test_a_verdict_stands_on_the_larger_spread() -> None:
    seeds = Widths.unknown(EFFECTS).measured(40 * 0.03**2, 40)
    loud = judged(20, 1, 400, widths=seeds, equal=0)
    assert loud.decision is not Decision.KEEP
    assert loud.width > judged(20, 1, 400).width
    assert loud.width == pytest.approx(judged(20, 1, 400, widths=seeds, equal=0, units=None).width)


def test_examples_that_are_all_there_are_say_nothing_of_others() -> None:
    """Rules of a rubric are no sample: a gain on one of them is a gain."""
    ours, theirs = sides(1, 0, 10)
    units = paired({0: ours}, {0: theirs}, 1.0)
    assert units is not None
    assert judged(1, 0, 10, units=units).decision is Decision.DISCARD
    assert judged(1, 0, 10, units=replace(units, sample=False)).decision is Decision.KEEP


def test_no_run_is_spent_on_the_same_examples_when_they_are_what_is_in_doubt() -> None:
    assert judged(8, 3, 400, record=Record()).orders == ()
    assert judged(8, 3, 400).orders == ()


def test_large_examples_that_gain_most_are_no_doubt_about_a_gain_of_all() -> None:
    sizes = {f"document {number}": float(1 + number % 30) for number in range(2 * MANY)}
    gained = {name: 0.99 * size for name, size in sizes.items()}
    found = paired({0: gained}, {0: sizes}, -1.0)
    assert found is not None
    assert found.error < 1e-6 < found.gain
    assert found.better == len(sizes)


@pytest.mark.parametrize("count", [3, 10, 100, 400])
def test_null_changes_are_kept_at_or_under_the_nominal_rate(count: int) -> None:
    kinds = [kind for kind in simulated.KINDS if kind.name in ("examples", "right answers that flip")]
    cells = [simulated.cell(kind, count, 3, 60, seed=5) for kind in kinds]
    assert max(cell.first for cell in cells) == 0.0
    assert sum(cell.proven for cell in cells) / len(cells) <= 0.08  # 5 %, and luck
    assert max(cell.bootstrap for cell in cells) > 0.1  # what a bootstrap over repeats keeps of the same


def test_pairing_shows_a_gain_with_six_times_fewer_examples() -> None:
    needed = [simulated.examples_needed(pair, seed=3, reps=40) for pair in (True, False)]
    assert needed[1] / needed[0] > 4.5
