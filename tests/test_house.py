"""The house stands as drawn: imports go down, modules stay small, docs/house.md is what the code says."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from dev import house


@functools.cache
def found() -> dict[str, house.Module]:
    """Read once, and only where it is asked for: whoever collects tests imports this module."""
    return house.modules()


def planted(tmp_path: Path, name: str, source: str) -> dict[str, house.Module]:
    """Today's house with one more module."""
    file = tmp_path / house.PACKAGE / Path(*name.split(".")).with_suffix(".py")
    file.parent.mkdir(parents=True)
    file.write_text(source)
    return found() | {name: house.modules(tmp_path)[name]}


def test_imports_go_down_or_stay_in_their_room() -> None:
    assert house.upward(found()) == []


@pytest.mark.parametrize(
    "source",
    [
        "from mcp_server.lab import Lab",
        "from mcp_server import lab",
        "import mcp_server.lab",
        "def late():\n    from mcp_server.lab import Lab",
        "import importlib\nlate = lambda: importlib.import_module('mcp_server.lab')",
        "from importlib import import_module\nlate = lambda one: import_module('mcp_server.lab' if one else 'json')",
    ],
)
def test_an_import_that_goes_up_is_found_wherever_it_stands(tmp_path: Path, source: str) -> None:
    said = [one for one in house.upward(planted(tmp_path, "judging.planted", source)) if "planted" in one]
    assert said == ["judging.planted (judging, floor 2) imports lab (lab, floor 6)"]


def test_an_import_of_a_command_chosen_at_run_time_is_found(tmp_path: Path) -> None:
    source = "import importlib\nlate = lambda name: importlib.import_module(f'mcp_server.commands.{name}')"
    said = [one for one in house.upward(planted(tmp_path, "views.tables.planted", source)) if "planted" in one]
    assert said == ["views.tables.planted (views, floor 5) imports commands (commands, floor 9)"]


def test_a_module_that_stands_in_no_room_is_found(tmp_path: Path) -> None:
    assert "helpers stands in no room" in house.upward(
        planted(tmp_path, "helpers", "from mcp_server.nouns import errors")
    )


def test_only_some_rooms_know_the_database_torch_the_event_loop_and_the_system() -> None:
    assert house.out_of_place(found()) == []


@pytest.mark.parametrize("library", ["sqlite3", "subprocess", "os", "torch", "anyio.to_thread"])
def test_what_decides_can_do_nothing_else(tmp_path: Path, library: str) -> None:
    said = house.out_of_place(planted(tmp_path, "judging.planted", f"def late():\n    import {library}"))
    assert said
    assert "judging.planted" in said[0]


def test_nothing_is_too_large_to_be_read_in_one_look() -> None:
    assert house.too_large(found()) == []


def test_what_is_too_large_is_found(tmp_path: Path) -> None:
    lines = "\n".join(["def long():"] + ["    pass"] * house.LINES_OF_A_MODULE)
    said = house.too_large(planted(tmp_path, "views.tables.planted", lines))
    assert {"views.tables.planted has 501 lines", "views.tables.planted.long has 501 lines"} <= set(said)


def test_every_module_says_in_its_first_words_what_it_is() -> None:
    assert [one.name for one in found().values() if one.path.name != "__init__.py" and not one.caption] == []


def test_the_page_of_the_house_says_what_the_code_says() -> None:
    assert house.PAGE.read_text("utf-8") == house.page(found()), "python -m dev.house writes it"
