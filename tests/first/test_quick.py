"""Half a minute of demonstration, from a wheel in an environment of its own; and how an installation is named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.edits.movable import Move
from mcp_server.programs.installed import requirement
from mcp_server.researcher.habits import Trial
from mcp_server.researcher.listed import in_order, recorded
from mcp_server.setup.newlab import template
from tests.e2e.repositories import lay_release

BEGIN = template("packing").files["pack.py"].read_text().replace("STARTS = 1 ", "STARTS = 6 ")


def test_every_recorded_step_fits_where_the_demonstration_begins_and_after_those_before_it() -> None:
    apart = [step.applied(BEGIN) for step in recorded()]
    assert None not in apart
    source, trials = BEGIN, list[Trial]()
    for step in recorded():
        idea = in_order(recorded(), source, trials)
        assert idea is not None
        assert idea.description == step.title
        compile(idea.source, "pack.py", "exec")
        trials.append(Trial(len(trials), (Move(step.title, "", ""),), "kept"))
        source = idea.source
    assert in_order(recorded(), source, trials) is None


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ({"url": "file:///home/me/lab%20x", "dir_info": {"editable": True}}, '--editable "/home/me/lab x[train]"'),
        ({"url": "file:///tmp/a-1-py3-none-any.whl", "archive_info": {}}, '"/tmp/a-1-py3-none-any.whl[train]"'),
        (
            {"url": "https://host/me/it", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            '"autoresearch[train] @ git+https://host/me/it@abc"',
        ),
        ({"url": "https://host/a.whl", "archive_info": {}}, '"autoresearch[train] @ https://host/a.whl"'),
    ],
)
def test_a_sentence_names_what_was_installed_and_from_where(
    origin: dict[str, object], told: str, tmp_path: Path
) -> None:
    assert requirement("train", origin, tmp_path) == told


def test_a_source_tree_that_nobody_installed_is_named_by_its_folder(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    assert requirement("train", {}, tmp_path) == f'--editable "{tmp_path}[train]"'


def test_nobody_is_told_to_install_a_name_that_is_not_ours() -> None:
    root = Path(__file__).resolve().parents[2]
    texts = [path for folder in ("mcp_server", "docs", "skills", "arenas") for path in (root / folder).rglob("*.*")]
    told = [
        path.relative_to(root).as_posix()
        for path in [*texts, root / "README.md", root / "prepare.py"]
        if path.suffix in (".py", ".md", ".sh", ".html") and _names_it(path.read_text("utf-8"))
    ]
    assert told == []


def _names_it(text: str) -> bool:
    """Whether the bare name is asked of an index; with an address behind it, it is ours."""
    return re.search(r"pip install [\"']?autoresearch(\[\w+\])?(?! @)[\"'\s`]", text) is not None


@pytest.mark.slow  # the demonstration itself; half a minute where nothing else runs
def test_the_quick_demonstration_keeps_something_and_ends_with_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTORESEARCH_CHART", raising=False)
    done = CliRunner().invoke(cli, ["-C", str(tmp_path), "demo", "--quick", "--json"], catch_exceptions=False)
    _holds(json.loads(done.stdout), tmp_path / "demo-lab")


@pytest.mark.slow  # an environment of its own, filled from an index
def test_a_wheel_brings_all_that_the_quick_demonstration_needs(tmp_path: Path) -> None:
    release = lay_release(tmp_path / "release")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=release, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    bin_ = tmp_path / "venv" / "bin"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    subprocess.run([bin_ / "pip", "install", "--quiet", str(wheel)], check=True)
    assert subprocess.run([bin_ / "python", "-c", "import torch"], capture_output=True).returncode
    (tmp_path / "work").mkdir()
    demo = [bin_ / "autoresearch", "demo", "--quick", "--json"]
    aside = ("PYTHONPATH", "VIRTUAL_ENV", "AUTORESEARCH_CHART")
    kept = {name: value for name, value in os.environ.items() if name not in aside}
    done = subprocess.run(demo, cwd=tmp_path / "work", env=kept, capture_output=True, text=True, check=True)
    _holds(json.loads(done.stdout), tmp_path / "work" / "demo-lab")
    refused = subprocess.run([bin_ / "autoresearch", "demo"], cwd=tmp_path, env=kept, capture_output=True, text=True)
    assert f'pip install "{wheel}[train]"' in refused.stderr


def _holds(reply: dict[str, object], folder: Path) -> None:
    rows: list[dict[str, object]] = reply["experiments"]  # type: ignore[assignment]
    assert [row["status"] for row in rows].count("kept") >= 1
    assert len(rows) == 4
    assert all(row["score"] for row in rows)
    files: list[str] = reply["files"]  # type: ignore[assignment]
    assert [Path(path).name for path in files] == ["report.md", "progress.png", "report.html"]
    assert all((folder / "report" / Path(path).name).stat().st_size > 1000 for path in files)
