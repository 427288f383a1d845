"""The published tasks that are rebuilt here: what their scorers accept, to the last digit, and what they refuse."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.external.__main__ import HERE, TASKS, lab_of
from mcp_server.arena.program import load_program


def _laid_out(name: str, folder: Path) -> Path:
    """A task's lab, without the lab."""
    task = next(task for task in TASKS if task.name == name)
    for file, source in lab_of(task).files.items():
        shutil.copyfile(source, folder / file)
    return folder


def _run(script: str, folder: Path, **environment: str) -> str:
    around = {**os.environ, "OMP_NUM_THREADS": "1", "AUTORESEARCH_OUT": str(folder), **environment}
    command = [sys.executable, script]
    return subprocess.run(command, cwd=folder, env=around, capture_output=True, text=True, check=True).stdout


def _scored(name: str, folder: Path, artifact: Any, file: str) -> dict[str, Any]:
    """What the task's scorer says of an artifact."""
    _laid_out(name, folder)
    (folder / file).write_text(json.dumps(artifact))
    found: dict[str, Any] = json.loads(_run("score.py", folder, AUTORESEARCH_ARTIFACT=str(folder)))
    return found


@pytest.mark.parametrize("name", [task.name for task in TASKS])
def test_each_task_is_a_lab_whose_first_version_finds_something_that_counts(name: str, tmp_path: Path) -> None:
    folder = _laid_out(name, tmp_path)
    arena = load_program(folder / "program.md").arena
    assert arena.frozen
    assert all((folder / frozen).is_file() for frozen in arena.frozen)
    _run("solve.py", folder, AUTORESEARCH_BUDGET_SECONDS="0.4", AUTORESEARCH_SEED="1")
    found = json.loads(_run("score.py", folder, AUTORESEARCH_ARTIFACT=str(folder)))
    task = next(task for task in TASKS if task.name == name)
    assert math.isfinite(found["score"])
    assert (found["score"] <= task.published + 1e-5) if task.larger else (found["score"] >= task.published - 1e-5)


def test_the_published_tour_by_nearest_neighbour_is_reproduced_to_the_last_digit(tmp_path: Path) -> None:
    sys.path.insert(0, str(HERE / "tours"))
    try:
        import cities
    finally:
        sys.path.remove(str(HERE / "tours"))
    tours = [cities.nearest_neighbour(places) for places in cities.maps()]
    assert _scored("tours", tmp_path, tours, "tours.json") == {"score": pytest.approx(13.875696168157484, abs=5e-15)}


def test_circles_whose_radii_sum_to_4_01_are_refused(tmp_path: Path) -> None:
    radius = 4.01 / 26
    grid = [[radius + (which % 6) * 0.138, radius + (which // 6) * 0.17, radius] for which in range(26)]
    found = _scored("circles", tmp_path, grid, "circles.json")
    assert found["rejected"] == "infeasible"
    assert "overlap" in found["detail"]


@pytest.mark.parametrize(
    ("name", "file", "artifact", "says"),
    [
        ("rectangle", "circles.json", [[0.1 + 0.2 * (n % 7), 0.1 + 0.2 * (n // 7), 0.1] for n in range(21)], None),
        ("rectangle", "circles.json", [[0.1 + 0.21 * n, 0.1, 0.1] for n in range(21)], "perimeter"),
        ("rectangle", "circles.json", [[0.1 * n, 0.5, -0.1] for n in range(21)], "negative"),
        ("distances", "points.json", [[0.0, 0.0]] * 16, "the same"),
        ("distances", "points.json", [[0.0, 0.0]] * 15, "exactly 16"),
        ("tammes", "points.json", [[0.0, 0.0, 0.0]] * 50, "no direction"),
        ("tours", "tours.json", [list(range(200))] * 7 + [[0] * 200], "every city"),
        ("tours", "tours.json", [list(range(200))] * 7, "8 tours"),
        ("tours", "tours.json", [[True, *range(1, 200)]] * 8, "whole numbers"),
        ("network", "network.json", [[0, 1]], "not sorted"),
        ("network", "network.json", [[1, 0]], "low < high"),
        ("network", "network.json", [[0, 11]], "low < high"),
    ],
)
def test_what_a_scorer_refuses_it_names(name: str, file: str, artifact: Any, says: str | None, tmp_path: Path) -> None:
    found = _scored(name, tmp_path, artifact, file)
    if says is None:  # touching circles, written as doubles: the fractions overlap by a rounding error, or they do not
        assert found.get("rejected") == "infeasible" or found["score"] == pytest.approx(2.1)
    else:
        assert says in found["detail"]


@pytest.mark.parametrize("text", ["[[NaN, 0.0]]", "[[1e999, 0.0]]", "[[", "[" * 100_000, "{}", "null"])
def test_what_is_no_number_is_refused(text: str, tmp_path: Path) -> None:
    folder = _laid_out("distances", tmp_path)
    (folder / "points.json").write_text(text)
    assert "rejected" in json.loads(_run("score.py", folder, AUTORESEARCH_ARTIFACT=str(folder)))


def test_a_distance_on_the_sphere_is_rounded_against_the_one_who_hands_it_in(tmp_path: Path) -> None:
    """Two opposite rings of 25: the closest two are neighbours in a ring, whose distance is known in closed form."""
    ring = [(math.cos(2 * math.pi * n / 25), math.sin(2 * math.pi * n / 25)) for n in range(25)]
    points = [[x * 3.0, y * 3.0, side * 3.0] for side in (1, -1) for x, y in ring]
    truth = 2 * math.sin(math.pi / 25) / math.sqrt(2)
    found = _scored("tammes", tmp_path, points, "points.json")["score"]
    assert truth - 1e-12 < found <= truth + 1e-15


def test_the_best_network_that_is_known_counts_35(tmp_path: Path) -> None:
    """One of the networks that are public; that none is smaller was proved by Harder (2020)."""
    best = (
        "0-9 1-6 2-4 3-7 5-8 0-1 3-5 4-10 6-9 7-8 1-3 2-5 4-7 8-10 0-4 1-2 3-7 5-9 6-8 0-1 2-6 4-5 7-8 9-10 "
        "2-4 3-6 5-7 8-9 1-2 3-4 5-6 7-8 2-3 4-5 6-7"
    )
    network = [[int(wire) for wire in one.split("-")] for one in best.split()]
    found = _scored("network", tmp_path, network, "network.json")
    assert found == {"score": 35.0}
