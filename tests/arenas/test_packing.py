"""The packing arena: what its verifier takes and refuses, and a campaign that reaches a sum above 2.5."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.arenas.campaigns import ROOT, attempt, best, research

ARENA = ROOT / "arenas" / "packing"
GRID = [[(0.5 + x) / 6, (0.5 + y) / 6, 1 / 12] for x in range(6) for y in range(6)][:26]


def answer(folder: Path, text: str | None) -> dict[str, Any]:
    """What the scorer says of a circles.json."""
    if text is not None:
        (folder / "circles.json").write_text(text)
    environment = {**os.environ, "AUTORESEARCH_ARTIFACT": str(folder)}
    command = [sys.executable, str(ARENA / "score.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def changed(which: int, circle: list[Any]) -> str:
    return json.dumps([circle if place == which else one for place, one in enumerate(GRID)])


def test_the_sum_is_recomputed_from_the_coordinates(tmp_path: Path) -> None:
    eighths = [[(0.5 + x) / 8, (0.5 + y) / 8, 1 / 16] for x in range(8) for y in range(8)][:26]  # exact in binary
    assert answer(tmp_path, json.dumps(eighths))["score"] == 26 / 16  # touching is allowed


CHEATS = {
    "an overlap of 1e-12": changed(0, [0.5, 0.5, 0.1]),
    "nothing": None,
    "not JSON": "circles",
    "NaN": changed(3, [0.3, 0.3, float("nan")]),
    "infinity": changed(3, [0.3, 0.3, float("inf")]),
    "a number beyond a double": json.dumps(GRID).replace(str(GRID[0][2]), "1e999", 1),
    "a truth in place of a number": changed(3, [0.3, True, 0.01]),
    "text in place of a number": changed(3, [0.3, "0.3", 0.01]),
    "a negative radius": changed(0, [0.1, 0.1, -0.01]),
    "a crossed wall": changed(0, [0.0, 0.1, 0.01]),
    "a missing circle": json.dumps(GRID[:25]),
    "a circle too many": json.dumps([*GRID, [0.99, 0.99, 0.0]]),
    "another shape": json.dumps({"score": 9.9}),
    "depth": "[" * 30_000,
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_what_is_no_packing_is_refused(cheat: str, tmp_path: Path) -> None:
    said = answer(tmp_path, CHEATS[cheat])
    assert set(said) == {"rejected", "detail"}
    assert said["rejected"] in ("infeasible", "bad_output")


@pytest.mark.parametrize(("beyond", "taken"), [(0.0, True), (1e-12, False), (2**-53, False)])
def test_there_is_no_tolerance(beyond: float, taken: bool, tmp_path: Path) -> None:
    eighths = [[(0.5 + x) / 8, (0.5 + y) / 8, 1 / 16] for x in range(8) for y in range(8)][:26]
    eighths[9][2] += beyond
    assert ("score" in answer(tmp_path, json.dumps(eighths))) == taken


@pytest.mark.slow
def test_eight_experiments_pass_two_and_a_half_and_a_cheat_is_refused(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    outcome, words = research("packing", lab, experiments=16)
    assert len(outcome.rows) - 1 >= 8, words
    first = outcome.rows[1].score
    assert first is not None
    assert best(outcome) > max(first, 2.5), words

    source = (lab / "pack.py").read_text()
    cheat = source.replace("float(r)]", "float(r) + 1e-3]")
    assert cheat != source
    found, decision = attempt(lab, {"pack.py": cheat})
    assert (found.status, found.reason) == ("rejected", "infeasible")
    assert decision.decision != "kept"
    assert (lab / "pack.py").read_text() == source
