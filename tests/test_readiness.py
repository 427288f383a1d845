"""The readiness map: properties, quadrants, advice, files with mistakes, and labels that do not overlap."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mcp_server.cli import cli
from mcp_server.nouns.errors import ArenaError
from mcp_server.setup.readiness import (
    ASSIST,
    FIELD,
    LOOP,
    RUBRIC,
    Process,
    parse_processes,
    placed,
    read_processes,
    shipped_example,
)
from mcp_server.views.chart.map import draw
from mcp_server.views.chart.places import MapRequest, Place

ONE = """\
processes:
  - name: letters
    automatic: 60
    iteration: 2 days
    bounded: 5
    safe: 5
    traces: 5
"""
CORNERS = (LOOP.words, FIELD.words, RUBRIC.words, ASSIST.words)


def process(**changes: object) -> Process:
    usual = {"name": "x", "automatic": 90, "iteration": "5 minutes", "bounded": 8, "safe": 8, "traces": 8}
    return Process.model_validate({**usual, **changes})


def test_the_shipped_examples_fall_where_one_would_look_for_them() -> None:
    found = {one.process.name: one for one in map(placed, read_processes(shipped_example()))}
    assert {name for name, one in found.items() if one.quadrant is LOOP} == {
        *("LLM training", "code generation", "supply routing", "moderation"),
        *("portfolio rules", "lead ranking", "game playing", "prompt tuning"),
    }
    assert {name for name, one in found.items() if one.quadrant is FIELD} == {"ad bidding", "A/B copy"}
    assert found["contract review"].quadrant is RUBRIC
    assert {name for name, one in found.items() if one.quadrant is ASSIST} == {"negotiation", "therapy"}
    order = sorted(found, key=lambda name: -found[name].ripe)
    assert (order[0], order[-1]) == ("LLM training", "therapy")
    shipped = {"bidding": "ad bidding", "ads": "A/B copy", "contracts": "contract review", "prompt": "prompt tuning"}
    shipped |= {"ranking": "lead ranking", "game": "game playing", "backtest": "portfolio rules"}
    assert [found[name].template for name in shipped.values()] == list(shipped)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90 s", 90), ("5 minutes", 300), ("2h", 7200), ("1.5 days", 129600), ("3 months", 7776000), (12, 12)],
)
def test_durations_are_written_as_people_write_them(written: object, seconds: float) -> None:
    assert process(iteration=written).iteration == seconds


def test_the_weakest_property_weighs_most_and_money_counts_as_speed() -> None:
    assert placed(process(safe=0)).ripe < placed(process(safe=4)).ripe - 1.5
    assert placed(process(cost=5000)).speed < 2 < placed(process(cost=0.05)).speed
    assert placed(process(iteration=1)).speed == 10
    assert placed(process(iteration="1 year")).speed == 0


def test_a_weak_property_is_named_in_the_advice_and_slow_ones_get_the_delayed_template() -> None:
    assert "simulator" in placed(process(safe=2)).advice
    assert placed(process(iteration="3 days", produces="text")).template == "delayed"
    assert placed(process(produces="plan")).template == "packing"
    assert placed(process(automatic=5, iteration="3 days")).template == ""


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("automatic: 60", "automatic: 160"), 3, "must be 100 or less"),
        (("iteration: 2 days", "iteration: soon"), 4, "must be a duration"),
        (("traces: 5", "traces: 5\n    speed: 3"), 8, "unknown key"),
        (("    safe: 5\n", ""), 2, "`processes.safe` is missing"),
        (("safe: 5", "safe: 5\n    safe: 6"), 7, "given twice"),
        (("safe: 5", "safe: [5"), 7, "not valid YAML"),
        (("processes:", "process:"), 1, "unknown key"),
    ],
)
def test_a_mistake_is_refused_with_its_line(change: tuple[str, str], line: int, said: str) -> None:
    with pytest.raises(ArenaError) as caught:
        parse_processes(ONE.replace(*change), "work.yaml")
    assert f"work.yaml, line {line}: " in str(caught.value)
    assert said in str(caught.value)


def labels(places: list[Place], folder: Path) -> int:
    """Draw and check: how many labels there are, corners included."""
    found = draw(MapRequest(tuple(places), folder / "map.png", 6 * 3600.0, 50.0, CORNERS))
    for one, other in itertools.combinations(found, 2):
        assert not one.box.overlaps(other.box), (one.text, other.text)
    return len(found)


def test_the_shipped_map_names_every_process_and_no_label_covers_another(tmp_path: Path) -> None:
    found = [placed(one) for one in read_processes(shipped_example())]
    spots = [Place(one.process.name, one.process.iteration, one.process.automatic, one.ripe) for one in found]
    assert labels(spots, tmp_path) == len(spots) + 4
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.size == (1440, 960)


@settings(max_examples=4, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 3e7), st.floats(0, 100)), min_size=1, max_size=14))
def test_no_label_covers_another_wherever_the_processes_are(
    tmp_path_factory: pytest.TempPathFactory, spots: list[tuple[float, float]]
) -> None:
    named = [Place(f"process number {at}", seconds, share, 5.0) for at, (seconds, share) in enumerate(spots)]
    labels(named, tmp_path_factory.mktemp("map"))


def test_the_command_draws_the_map_and_prints_its_own_example(tmp_path: Path) -> None:
    printed = CliRunner().invoke(cli, ["readiness", "--example"])
    (tmp_path / "mine.yaml").write_text(printed.output)
    done = CliRunner().invoke(cli, ["-C", str(tmp_path), "readiness", "mine.yaml", "--out", "map.svg", "--json"])
    assert done.exit_code == 0, done.output
    reply = json.loads(done.output)
    assert reply["processes"][0]["name"] == "LLM training"
    assert "<svg" in (tmp_path / "map.svg").read_text()
    refused = CliRunner().invoke(cli, ["-C", str(tmp_path), "readiness", "mine.yaml", "--out", "map.txt"])
    assert refused.exit_code == 1
    missing = CliRunner().invoke(cli, ["-C", str(tmp_path), "readiness", "none.yaml"])
    assert (missing.exit_code, "cannot be read" in missing.output) == (1, True)
