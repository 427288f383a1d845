"""Plays against the two opponents that anybody may read, for the log of the run. It decides nothing."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from board import dropped, full, picture, won
from opponents import greedy, planner
from player import move

GAMES = 6


def main() -> None:
    draw = random.Random(int(os.environ.get("AUTORESEARCH_SEED", "0")))
    said = {}
    for name, opponent in (("greedy", greedy(draw)), ("planner", planner(draw))):
        points = 0.0
        for turn in range(GAMES):
            mine, theirs, ours = 0, 0, turn % 2 == 0
            while not full(mine, theirs) and not won(theirs):
                column = move(mine, theirs, 0.1) if ours else opponent(mine, theirs)
                mine, theirs, ours = theirs, dropped(mine, theirs, column), not ours
            points += 0.5 if not won(theirs) else 0.0 if ours else 1.0
        said[name] = points / GAMES
        print("\n".join(picture(mine, theirs)), f"\n{name}: {points} of {GAMES}\n")
    (Path(os.environ.get("AUTORESEARCH_OUT", ".")) / "games.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main()
