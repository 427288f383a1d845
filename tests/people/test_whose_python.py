"""The rule for whose Python runs an arena's commands, as a table; and what of an environment a run is never shown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mcp_server.arena.program import Arena, parse_program
from mcp_server.programs import environment
from mcp_server.programs.choose import chosen
from mcp_server.programs.commands import command_line
from mcp_server.programs.missing import Place, missing
from mcp_server.programs.sealed import sealed
from tests.labs import begun, make_lab
from tests.people.grounds import PROGRAM, conda, venv

SERVER = Path(sys.prefix)


def arena(run: str = "python train.py", score: str = "python score.py") -> Arena:
    return parse_program(PROGRAM.format(run=run, more="").replace("score: python score.py", f"score: {score}")).arena


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A repository with a .venv, a bare one, a work tree of the first, and two environments elsewhere."""
    root = tmp_path_factory.mktemp("places")
    for name in ("own", "bare", "second"):
        (root / name).mkdir()
    venv(root / "own" / ".venv")
    (root / "conda" / "envs").mkdir(parents=True)
    return {
        **{name: root / name for name in ("own", "bare", "second")},
        "active": venv(root / "active"),
        "conda": conda(root / "conda" / "envs" / "mine"),
        "roots": root / "conda",
    }


LM = "python -m mcp_server.scoring.lm"
TABLE = [
    # run, score, the work tree, the first work tree, variables, whose environment
    ("python train.py", "python score.py", "bare", "bare", {}, ""),
    ("python train.py", "python score.py", "own", "own", {}, "own/.venv"),
    ("python train.py", "python score.py", "second", "own", {}, "own/.venv"),
    ("python train.py", "python score.py", "own", "own", {"VIRTUAL_ENV": "active"}, "own/.venv"),
    ("python train.py", "python score.py", "bare", "bare", {"VIRTUAL_ENV": "active"}, "active"),
    ("python train.py", "python score.py", "bare", "bare", {"CONDA_PREFIX": "conda"}, "conda/envs/mine"),
    (
        "python3 train.py",
        "python score.py",
        "bare",
        "bare",
        {"VIRTUAL_ENV": "active", "CONDA_PREFIX": "conda"},
        "active",
    ),
    ("conda run -n mine python train.py", "python score.py", "own", "own", {"CONDA_ROOT": "roots"}, "conda/envs/mine"),
    (".venv/bin/python train.py", "python score.py", "own", "own", {"VIRTUAL_ENV": "active"}, "own/.venv"),
    ("bash train.sh", "python score.py", "own", "own", {}, "own/.venv"),
    ("python train.py", LM, "own", "own", {"VIRTUAL_ENV": "active"}, ""),
]


@pytest.mark.parametrize(("run", "score", "tree", "main", "variables", "whose"), TABLE)
def test_the_first_environment_of_the_rule_that_is_there_runs_it(
    places: dict[str, Path], run: str, score: str, tree: str, main: str, variables: dict[str, str], whose: str
) -> None:
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nowhere",
        **{name: str(places[one]) for name, one in variables.items()},
    }
    found = chosen(arena(run, score), places[tree], places[main], environ, SERVER)
    expected = places["own"].parent / whose if whose else None
    assert found.prefix == expected
    command = command_line(run.split(), found, places["bare"], places[tree])
    if not run.startswith("bash"):
        assert command[0] == str(expected / "bin" / "python") if expected else sys.executable
        assert command[-1] == "train.py"


def test_our_own_modules_always_run_on_the_servers_python(places: dict[str, Path]) -> None:
    found = chosen(arena(), places["own"], places["own"], {}, SERVER)
    ours = ["python", "-m", "mcp_server.scoring.lm"]
    assert command_line(ours, found, places["own"], places["own"]) == [sys.executable, *ours[1:]]
    command = command_line(["python", "-m", "mcp_server.scoring.printed", "x"], found, places["own"], places["own"])
    assert (command[0], command[-1]) == (sys.executable, "x")


def test_another_environment_is_not_shown_to_an_arena_with_sealed_text(places: dict[str, Path]) -> None:
    asked = arena(".venv/bin/python train.py", LM)
    found = chosen(asked, places["own"], places["own"], {}, SERVER)
    assert found.shown == ()
    said = list(missing(asked, found, Place(places["own"], lambda path: True), {}))
    assert any(one.stops and "Write: python train.py" in one.said for one in said)


@pytest.mark.parametrize("home", ["home/bin", "home/lab/bin"])
def test_an_environment_that_points_at_a_home_or_the_repository_does_not_show_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    tree = tmp_path / "home" / "lab"
    prefix = venv(tree / ".venv")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    base = (tmp_path / home).parent
    (base / "lib" / "python3.11").mkdir(parents=True)
    (base / "lib" / "python3.11" / "os.py").touch()  # as if a Python had been installed into it
    (prefix / "pyvenv.cfg").write_text(f"home = {tmp_path / home}\n")
    found = environment.at(prefix, "the repository's .venv", tree)
    assert found is not None
    assert not any(place in (tree, base, tmp_path / "home") for place in found.shown)


def test_an_editable_install_of_the_repository_is_imported_from_the_snapshot(tmp_path: Path) -> None:
    tree = tmp_path / "lab"
    prefix = venv(tree / ".venv")
    packages = next(prefix.glob("lib/python3*/site-packages"))
    (packages / "mine.pth").write_text(f"{tree / 'src'}\n{tmp_path}\n")
    found = environment.at(prefix, "the repository's .venv", tree)
    assert found is not None
    assert found.sources == ("src",)
    assert tree / "src" not in found.shown
    assert tmp_path not in found.shown  # it holds the repository


def test_from_a_linked_work_tree_an_editable_install_of_the_first_one_is_imported_from_the_snapshot(
    tmp_path: Path,
) -> None:
    """As `uv sync` makes it in the first one: runs imported the files that lay there, whatever was edited here."""
    main, tree = tmp_path / "lab", tmp_path / "linked"
    (main / ".git").mkdir(parents=True)
    packages = next(venv(main / ".venv").glob("lib/python3*/site-packages"))
    (main / "src" / "mine").mkdir(parents=True)
    (main / "src" / "mine" / "__init__.py").touch()
    (packages / "mine.pth").write_text(f"{main / 'src'}\n")
    found = chosen(arena(), tree, main, {"PATH": "/usr/bin:/bin", "HOME": "/nowhere"}, SERVER)
    assert found.prefix == main / ".venv"
    assert found.sources == ("src",)
    assert main / "src" not in found.shown
    scored = arena(score=f"{main}/.venv/bin/python score.py", run="/bin/sh train.sh")
    assert main / "src" not in chosen(scored, tree, main, {"PATH": "/usr/bin:/bin", "HOME": "/nowhere"}, SERVER).shown


def test_a_path_file_lets_a_run_read_packages_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies where an agent writes: keys, data that are hidden, and a home by another name are no packages."""
    home, tree = tmp_path / "home", tmp_path / "lab"
    monkeypatch.setenv("HOME", str(home))
    for name in ("home/.ssh", "labels", "mylib/mylib", "far/a/b"):
        (tmp_path / name).mkdir(parents=True)
    (home / "x.py").touch()
    (tmp_path / "labels" / "hidden.csv").touch()
    (tmp_path / "mylib" / "mylib" / "__init__.py").touch()
    (tmp_path / "link").symlink_to(home)
    prefix = venv(tree / ".venv")
    lines = [home / ".ssh", tmp_path / "labels", tmp_path / "mylib", tmp_path / "link", f"{tmp_path}/far/a/../../home"]
    (next(prefix.glob("lib/python3*/site-packages")) / "x.pth").write_text("".join(f"{one}\n" for one in lines))
    found = environment.at(prefix, "the repository's .venv", tree)
    assert found is not None
    assert [one for one in found.shown if not one.is_relative_to(prefix) and one.is_relative_to(tmp_path)] == [
        tmp_path / "mylib"
    ]


def test_a_campaign_from_before_there_was_a_choice_goes_on_with_the_servers_python(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    (lab.paths.state / "runs" / "first" / "environment.json").unlink()
    venv(lab.paths.tree / ".venv")
    with lab.reading() as (bench, campaign, asked):
        assert sealed(bench.paths, campaign, asked, lab.paths.tree).prefix is None
    lab.close()


def test_status_says_what_python_means_in_this_campaign(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    assert "the server's Python" in lab.lab_status().python
    lab.close()
