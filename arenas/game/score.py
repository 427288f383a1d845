"""Win rate of a program at Connect Four against three opponents, from drawn openings, each side once.

The program runs in a process of its own and is stopped while others think; its moves are timed by its parent, on the
processor. An illegal or late move loses the game. Units are openings: two games, so that who begins is no luck.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from asking import Program, code_kb
from board import dropped, full, legal, won
from confined import Failed, has_walls, shield
from opponents import Player, greedy, hidden_taste, planner
from units import Draw, coarse, drawn, kept, mean_of

RULES: dict[str, Any] = json.loads(Path("rules.json").read_text("utf-8"))
MOST_FORFEITS = 0.1  # of the games; beyond, the program is not one that plays
PATIENCE_SECONDS = 10.0  # on the wall, for a move that never ends


def opening(draw: Draw) -> tuple[int, int]:
    """A position after some moves at random that nobody has won or can win at once."""
    while True:
        mine, theirs = 0, 0
        for _ in range(RULES["opening_moves"]):
            mine, theirs = theirs, dropped(mine, theirs, draw.choice(legal(mine, theirs)))
        threats = [(mine, theirs), (theirs, mine)]
        if not any(won(dropped(one, other, column)) for one, other in threats for column in legal(one, other)):
            return mine, theirs


class Forfeit(Exception):
    """The program lost a game by an illegal or a late move."""


def asked(program: Program, mine: int, theirs: int) -> int:
    """The program's move. Raises Forfeit; Failed when it is gone."""
    column = program.ask("move", mine, theirs, RULES["move_seconds"], seconds=PATIENCE_SECONDS)
    if program.took > RULES["move_seconds"] or type(column) is not int or column not in legal(mine, theirs):
        raise Forfeit
    return column


def game(program: Program, opponent: Player, start: tuple[int, int], first: bool) -> float:
    """1 for a win of the program, 0.5 for a draw, 0 for a loss. Raises Forfeit."""
    mine, theirs, ours = *start, first
    while not full(mine, theirs):
        column = asked(program, mine, theirs) if ours else opponent(mine, theirs)
        mine, theirs, ours = theirs, dropped(mine, theirs, column), not ours
        if won(theirs):
            return 0.0 if ours else 1.0
    return 0.5


def match(program: Program, name: str, opponent: Player) -> tuple[list[float], int]:
    """(points of each opening, 0 to 1, both sides played; games lost by a forfeit). Raises Failed."""
    draw, units, forfeits = drawn(f"openings {name}"), [], 0
    for _ in range(RULES["openings"]):
        start, points = opening(draw), 0.0
        for first in (True, False):
            try:
                points += game(program, opponent, start, first)
            except Forfeit:
                forfeits += 1
        units.append(points / 2)
    return units, forfeits


def main() -> int:
    shield()
    taste = kept("hidden.json", lambda: hidden_taste(Draw(os.urandom(16).hex())))
    opponents = {
        "greedy": greedy(drawn("greedy")),
        "planner": planner(drawn("planner"), RULES["planner_depth"]),
        "hidden": planner(drawn("hidden"), RULES["hidden_depth"], taste),
    }
    units: dict[str, list[float]] = {}
    forfeits = 0
    try:
        for name, opponent in opponents.items():
            with Program("player.py", "board.py") as program:  # a fresh one for each opponent
                units[name], lost = match(program, name, opponent)
                forfeits += lost
        games = 2 * RULES["openings"] * len(opponents)
        if forfeits > MOST_FORFEITS * games:
            raise Failed("forfeits", f"{forfeits} of {games} games were lost by an illegal or a late move.")
    except Failed as failure:
        code, detail = failure.args
        print(json.dumps({"rejected": code, "detail": detail}))
        return 0
    score, interval = mean_of([unit for found in units.values() for unit in found])
    secondary = {f"against_{name}": round(statistics.fmean(found), 3) for name, found in units.items()}
    secondary |= {"forfeits": float(forfeits), "code_kb": code_kb("player.py"), "walls": float(has_walls())}
    print(json.dumps({**coarse(score, interval), "secondary": secondary}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
