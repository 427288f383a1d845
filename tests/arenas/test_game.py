"""The game arena: rules, cheats, time on the other side's clock, a hidden opponent, and a campaign that beats both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.arenas.campaigns import ROOT, attempt, best, research
from tests.arenas.scorers import Scorer, module, stepped

HONEST = (ROOT / "arenas" / "game" / "player.py").read_text()
SMALL = {"rules.json": {"openings": 1, "move_seconds": 0.02}}
GOOD = ("take the place where they would win", "the middle is worth more", "less left to chance")
AHEAD = "look five moves ahead"


def instead(body: str) -> str:
    """A player whose `move` does something else; `honest` is what it did."""
    return f"{HONEST}\n\nhonest = move\n\n\ndef move(mine, theirs, seconds):\n    {body}\n"


CHEATS = {
    "a column that is none": ("forfeits", instead("return 9")),
    "a full column": ("forfeits", instead("return 3")),
    "a truth": ("forfeits", instead("return True if mine else honest(mine, theirs, seconds)")),
    "a victory": ("forfeits", instead("return {'won': True}")),
    "thinking for long": ("forfeits", instead("sum(range(4_000_000)); return honest(mine, theirs, seconds)")),
    "a clock of its own": (
        "forfeits",
        instead("import time; time.process_time = lambda: 0.0; sum(range(4_000_000)); return honest(mine, theirs, 1)"),
    ),
    "NaN": ("bad_output", instead("return float('nan')")),
    "the hidden opponent, read": ("host_died", instead("open({drawer!r} + '/hidden.json').read()")),
    "a helper that thinks on": ("host_died", instead("import os; os.fork(); return 3")),
    "stopping the parent": ("host_died", instead("import os; os.kill(os.getppid(), 19); return 3")),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_what_is_no_play_is_refused(cheat: str, tmp_path: Path) -> None:
    scorer = Scorer("game", tmp_path, SMALL)
    reason, program = CHEATS[cheat]
    said = scorer.ask({"player.py": program.replace("{drawer!r}", repr(str(scorer.drawer)))})
    assert said.get("rejected") == reason, said


def test_four_in_a_line_win_in_every_direction_and_lines_do_not_run_over_the_edge() -> None:
    board = module("game", "board")
    lines = [[0, 1, 2, 3], [0, 7, 14, 21], [0, 8, 16, 24], [3, 9, 15, 21], [38, 39, 40, 37]]
    assert all(board.won(sum(1 << cell for cell in line)) for line in lines)
    assert not board.won(sum(1 << cell for cell in [4, 5, 7, 8]))
    mine = theirs = 0
    for _ in range(6):
        mine, theirs = theirs, board.dropped(mine, theirs, 0)
    assert 0 not in board.legal(mine, theirs)
    assert board.picture(mine, theirs)[0][0] != "."


def test_a_better_player_wins_more_and_the_hidden_opponent_stays_the_labs(tmp_path: Path) -> None:
    scorer = Scorer("game", tmp_path, {"rules.json": {"openings": 6}})
    weak = scorer.ask()
    hidden = json.loads((scorer.drawer / "hidden.json").read_text())
    better = scorer.ask({"player.py": stepped("game", "player.py", *GOOD)})
    assert better["score"] > weak["score"] + 0.15
    assert json.loads((scorer.drawer / "hidden.json").read_text()) == hidden
    assert scorer.ask() == weak
    assert {"against_greedy", "against_planner", "against_hidden"} <= set(weak["secondary"])


@pytest.mark.slow
@pytest.mark.timeout(3600)  # a quarter of an hour on a busy machine
def test_ten_experiments_take_a_weak_player_to_one_that_beats_both(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    outcome, words = research("game", lab, experiments=12)
    assert len(outcome.rows) - 1 >= 8, words
    first = outcome.rows[1].score
    assert first is not None
    assert best(outcome) > first + 0.3, words
    source = (lab / "player.py").read_text()
    rates = Scorer("game", tmp_path / "again").ask({"player.py": source})["secondary"]
    assert min(rates["against_greedy"], rates["against_planner"]) > 0.5, (words, rates)
    late = "\n\nhonest = move\n\n\ndef move(mine, theirs, seconds):\n    if bin(mine | theirs).count('1') < 7:\n"
    late += "        sum(range(3 * 10**7))\n    return honest(mine, theirs, seconds)\n"
    found, decision = attempt(lab, {"player.py": source + late})
    assert (found.reason, decision.decision) == ("forfeits", "reverted")
