"""What the arenas share: draws that cannot be guessed, intervals over units, a drawer, a program behind walls."""

from __future__ import annotations

import json
import math
import random
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.arenas.scorers import Scorer, module


def test_a_draw_is_the_same_for_its_words_only_and_spread_evenly() -> None:
    units = module("game", "units")
    one = [units.Draw("a seed").random() for _ in range(2)]
    assert one[0] == one[1] != units.Draw("another").random()
    draw = units.Draw("a seed")
    found = [draw.random() for _ in range(4000)]
    assert abs(statistics.fmean(found) - 0.5) < 0.02
    assert abs(statistics.pstdev(found) - 12**-0.5) < 0.01
    assert all(0 <= number < 1 for number in found)
    assert sorted({draw.choice("abc") for _ in range(60)}) == ["a", "b", "c"]
    assert abs(statistics.fmean(draw.gauss(0.0, 1.0) for _ in range(2000))) < 0.08


def test_another_seed_another_split_and_another_question_are_other_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    units, found = module("game", "units"), []
    for drawn, split, what in (("a", "val", "x"), ("b", "val", "x"), ("a", "test", "x"), ("a", "val", "y")):
        monkeypatch.setenv("AUTORESEARCH_DRAW", drawn)
        monkeypatch.setenv("AUTORESEARCH_SPLIT", split)
        found.append(units.drawn(what).random())
    assert len(set(found)) == 4


def test_the_interval_over_units_holds_the_truth_nineteen_times_in_twenty() -> None:
    units, draw = module("game", "units"), random.Random(5)
    held = 0
    for _ in range(400):
        _, (low, high) = units.mean_of([draw.gauss(1.0, 2.0) for _ in range(60)])
        held += low <= 1.0 <= high
    assert 0.91 < held / 400 < 0.98
    some = [draw.gauss(1.0, 2.0) for _ in range(60)]
    mean, wide = units.mean_of(some)
    again, jackknifed = units.jackknife(statistics.fmean, some)
    assert (again, jackknifed) == (pytest.approx(mean), pytest.approx(wide))
    assert units.mean_of([3.0]) == (3.0, [3.0, 3.0])
    assert not math.isnan(units.jackknife(statistics.fmean, [1.0])[0])


def test_what_is_drawn_once_is_the_same_for_scorers_that_ask_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units, made = module("game", "units"), []
    monkeypatch.setenv("AUTORESEARCH_HANDOVER", str(tmp_path))

    def make() -> float:
        made.append(1)
        return random.random()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: units.kept("world.json", make), range(8)))
    assert (len(found), len(made)) == (1, 1)
    assert json.loads((tmp_path / "world.json").read_text()) in found


LOOKS = """
import os
from board import legal
VARIABLES = {"AUTORESEARCH_DRAW", "AUTORESEARCH_HANDOVER", "AUTORESEARCH_SNAPSHOT"}
def move(mine, theirs, seconds):
    seen = [name for name in WAYS if opened(name)]
    return legal(mine, theirs)[0] if not seen and not VARIABLES & set(os.environ) else 99
def opened(name):
    try:
        open(name).read()
    except OSError:
        return False
    return True
"""


def test_a_program_reads_its_own_files_and_no_other(tmp_path: Path) -> None:
    """Were any of these open to it, it would answer no column and lose every game as a forfeit."""
    scorer = Scorer("game", tmp_path, {"rules.json": {"openings": 1}})
    ways = [str(place / name) for place in (scorer.trusted, scorer.snapshot) for name in ("opponents.py", "player.py")]
    ways += ["/proc/self/environ", "/proc/1/cmdline", str(scorer.drawer / "hidden.json"), "opponents.py", "program.md"]
    assert scorer.ask({"player.py": f"WAYS = {ways!r}\n{LOOKS}"})["secondary"]["forfeits"] == 0.0
