"""What the arenas share: draws that cannot be guessed, intervals over units, a drawer, a program behind walls."""

from __future__ import annotations

import json
import math
import random
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.arenas.campaigns import ROOT
from tests.arenas.scorers import Scorer, module
from tests.labs import until


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


def test_with_few_units_the_interval_is_as_wide_as_students_t_says() -> None:
    wide = module("game", "units").wide
    for units, table in ((4, 3.182), (5, 2.776), (11, 2.228), (31, 2.042), (1001, 1.962)):
        assert wide(units) == pytest.approx(table, rel=0.01)


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
    ways += [
        str(ROOT / "arenas" / "game" / "opponents.py")
    ]  # on Python's path, where autoresearch runs from a checkout
    ways += ["/proc/self/environ", "/proc/1/cmdline", str(scorer.drawer / "hidden.json"), "opponents.py", "program.md"]
    assert scorer.ask({"player.py": f"WAYS = {ways!r}\n{LOOKS}"})["secondary"]["forfeits"] == 0.0


def test_what_autoresearch_ships_is_found_wherever_a_python_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator of questions is public; a program that could read it there would know them all."""
    asking = module("contracts", "asking")
    places = [tmp_path / folder / "mcp_server" / "templates" for folder in ("one/lib/python3.12/site-packages",)]
    places += [tmp_path / "two/venvs/own/lib64/python3.11/site-packages/mcp_server/templates"]
    for place in places:
        (place / "contracts").mkdir(parents=True)
    monkeypatch.setattr(asking.sys, "prefix", str(tmp_path / "one"))
    monkeypatch.setattr(asking, "SYSTEM", (str(tmp_path / "two"),))
    asking.shipped.cache_clear()
    assert set(places) <= set(asking.shipped())


BUSY_AFTERWARDS = """
import os, struct, time
def say(content):
    os.write(1, struct.pack("<Q", len(content)) + content)
say(b"ready")
while head := os.read(0, 8):
    os.read(0, *struct.unpack("<Q", head))
    say(b"done")
    ends = time.process_time() + 0.05
    while time.process_time() < ends:
        pass
"""


def test_what_is_done_behind_an_answers_back_is_paid_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy parent stops its child late; no version may use that time for nothing."""
    confined, script = module("game", "confined"), tmp_path / "busy.py"
    script.write_text(BUSY_AFTERWARDS)
    child = confined.Child(script)
    try:
        stop = child._stop
        monkeypatch.setattr(child, "_stop", lambda: until(lambda: child._processor_seconds() > busy + 0.04) and stop())
        busy = child._processor_seconds()
        first = child.ask(b"one", most_bytes=10, seconds=120.0)
        monkeypatch.setattr(child, "_stop", stop)
        second = child.ask(b"two", most_bytes=10, seconds=120.0)
    finally:
        child.end()
    assert first.cpu + second.cpu > 0.05


FORGING = """
import os, struct
def out(content, length=None, times=1):
    for fd in range(3, 20):  # the pipe is one of them; a program may find it
        try:  # in one piece: it is stopped as soon as the first answer is read
            os.write(fd, times * (struct.pack("<Q", len(content) if length is None else length) + content))
        except OSError:
            pass
"""
FORGED = {
    "what it saw, as the length of an answer": "out(b'', (mine * 64 + theirs + 2**40) % 2**62)",
    "infinity": "out(b'1e999')",
    "tomorrow's answer today": "out(b'3', times=2)",
}


@pytest.mark.parametrize("cheat", FORGED)
def test_what_is_written_to_the_pipe_itself_is_refused_and_tells_nothing(cheat: str, tmp_path: Path) -> None:
    scorer = Scorer("game", tmp_path, {"rules.json": {"openings": 1}})
    program = f"{FORGING}\ndef move(mine, theirs, seconds):\n    {FORGED[cheat]}\n    return 3\n"
    told = {json.dumps(scorer.ask({"player.py": program}, AUTORESEARCH_DRAW=draw)) for draw in ("c0ffee", "beef")}
    assert len(told) == 1  # whatever was asked
    assert json.loads(told.pop())["rejected"] == "bad_output"
