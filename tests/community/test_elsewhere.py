"""What others tried is known here: recalled with whose it is, told in the status, answered instead of run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_server.community.statements import BOARD_CHARACTERS, lines
from mcp_server.community.wire.store import make_bare
from mcp_server.edits.families import families
from mcp_server.edits.moves import Direction, direction
from mcp_server.edits.ways import way
from mcp_server.ledger.foreign import Pooled
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.records import Kind
from tests.community.past import Past
from tests.labs import TRAIN, edit, until

WITH_RATES = TRAIN + "MATRIX_LR = 0.04\nWARMUP = 0.0\n"


@pytest.fixture
def two(tmp_path: Path) -> tuple[Past, Past]:
    """North has tried things; south knows."""
    make_bare(tmp_path / "remote.git")
    north, south = (Past(tmp_path / name, train=WITH_RATES) for name in ("north", "south"))
    for knob in (7.0, 8.0, 9.0):
        north.attempt("discarded", "raise it further", gain=-0.5, KNOB=knob)
    north.attempt("discarded", "a gentler step", gain=0.01, MATRIX_LR=0.03, lesson="half of it is enough")
    north.attempt("kept", "the winner", gain=3.0, score=1.0, WARMUP=0.1)
    for lab in (north, south):
        lab.join(tmp_path / "remote.git")
        lab.exchange()
    south.exchange()
    return north, south


def test_recall_finds_what_others_tried_and_says_whose_it_is(two: tuple[Past, Past]) -> None:
    _, south = two
    found = south.lab.recall("raise the learning rate of the matrices")
    assert "MATRIX_LR 0.04→0.03" in found.lines[0]
    assert "“a gentler step”" in found.lines[0]
    assert "half of it is enough" in found.lines[0]
    assert not found.lines[0].startswith("#")
    assert any("KNOB 1.0→8.0" in line for line in south.lab.recall(knobs=["KNOB"]).lines)
    for asked in ({"query": "a longer warm-up"}, {"query": "the winner"}, {"knobs": ["WARMUP"]}, {"query": "kept"}):
        (won,) = (line for line in south.lab.recall(**asked).lines if "the winner" in line)
        assert "kept" in won
        assert ", claimed: WARMUP 0.0→0.1" in won, "nobody has repeated it"


def test_the_status_tells_what_is_dead_claimed_and_untouched(two: tuple[Past, Past]) -> None:
    _, south = two
    told = "\n".join(south.lab.lab_status().community)
    assert "2 labs, 7 attempts" in told
    assert "dead: KNOB up (1 to 7…9): 0 of 3 helped, −0.5 ± " in told
    assert "claimed: WARMUP 0.0→0.1: +3" in told
    assert "untouched: SECONDS, SPREAD" in told


def test_the_very_code_of_another_lab_is_answered_and_run_only_where_one_insists(two: tuple[Past, Past]) -> None:
    _, south = two
    edit(south.lab, KNOB=7.0)
    with pytest.raises(NotNow, match=r"tried elsewhere.*/2 discarded −0\.5"):
        south.lab.run_experiment("my own idea")
    assert south.ledger.next_number(south.tag) == 2, "nothing was recorded"
    reply = south.lab.run_experiment("my own idea", insist=True)
    assert any("tried elsewhere" in words for words in reply.warnings)
    assert south.ledger.experiment(south.tag, reply.experiment).kind == Kind.RETEST
    south.lab.cancel_experiment(reply.experiment)
    until(lambda: not south.ledger.open_runs() or south.lab.lab_status().experiments is None)


def test_a_direction_that_failed_elsewhere_is_answered_with_the_odds(two: tuple[Past, Past]) -> None:
    _, south = two
    edit(south.lab, KNOB=5.5)
    with pytest.raises(NotNow, match=r"KNOB up .*0 of 3 helped.*advice.*insist"):
        south.lab.run_experiment("not as far as they went")


def test_what_nobody_tried_is_run_without_a_word(two: tuple[Past, Past]) -> None:
    _, south = two
    edit(south.lab, KNOB=0.5)  # down, and they went up
    reply = south.lab.run_experiment("the other way")
    assert not [words for words in reply.warnings if "lsewhere" in words]
    south.lab.cancel_experiment(reply.experiment)


def test_records_of_another_contract_say_nothing_here(two: tuple[Past, Past], tmp_path: Path) -> None:
    strange = Past(tmp_path / "strange", train=WITH_RATES, noise=0.5)  # the frozen scorer is another one
    strange.join(tmp_path / "remote.git")
    assert strange.exchange().received == 7
    assert "1 lab, 1 attempt of this contract" in strange.lab.lab_status().community[0]
    edit(strange.lab, KNOB=7.0)
    reply = strange.lab.run_experiment("what others tried by another measure")
    assert not [words for words in reply.warnings if "lsewhere" in words]
    strange.lab.cancel_experiment(reply.experiment)


def test_without_records_nothing_is_known_and_nothing_fails(tmp_path: Path) -> None:
    alone = Past(tmp_path / "alone")
    assert alone.lab.lab_status().community == []
    assert alone.lab.recall("the unchanged code").lines
    alone.places.folder.mkdir(parents=True)
    alone.places.records.write_bytes(b"no database")
    assert alone.lab.lab_status().community == []


def test_the_board_stays_short_whatever_the_community() -> None:
    told = [Pooled(f"CONSTANT_{n}", "up", 3, 0, 0, 3, 1, -0.1, 0.01, (1.0, 1.0), (2.0, 3.0), n) for n in range(3000)]
    found = lines(8, 9000, told, [], [f"NAME_{n}" for n in range(500)])
    assert sum(map(len, found)) + len(found) <= BOARD_CHARACTERS
    assert "more in recall" in found[0]


@pytest.mark.parametrize(
    ("before", "after", "way_"),
    [
        ("0.04", "0.05", Direction.UP),
        ("2**18", "2**17", Direction.DOWN),
        ("(0.8, 0.95)", "(0.9, 0.95)", Direction.UP),
        ("False", "True", Direction.ON),
        ("absent", "0.1", Direction.ON),
        ("'relu'", "'gelu'", Direction.OTHER),
        ("None", "0.1", Direction.ON),
        ("9**9**9", "1", Direction.OTHER),
    ],
)
def test_the_direction_of_a_constant(before: str, after: str, way_: Direction) -> None:
    assert direction(before, after) is way_


@pytest.mark.parametrize(
    ("text", "family", "way_"),
    [
        ("raise the LR of the matrices", "matrix_lr", Direction.UP),
        ("halve the batch", "batch", Direction.DOWN),
        ("weight decay 0.2 to 0.15", "weight_decay", Direction.DOWN),
        ("add 5% warm-up", "warmup", Direction.UP),
        ("two more layers", "depth", Direction.UP),
        ("turn gradient clipping off", "clip", Direction.DOWN),
        ("drop-out on the MLP", "dropout", Direction.OTHER),
        ("shorter sliding window", "window", Direction.DOWN),
        ("larger vocabulary", "vocab", Direction.UP),
        ("lower the momentum", "momentum", Direction.DOWN),
        ("a narrower model", "width", Direction.DOWN),
        ("smaller initialisation", "init", Direction.DOWN),
    ],
)
def test_families_are_found_by_their_synonyms(text: str, family: str, way_: Direction) -> None:
    assert family in families(text)
    assert way(text) is way_
