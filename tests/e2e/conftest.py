"""Fixtures of the tests with real clients: a home of its own, a lab, and a clear word where a client is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.clients import missing
from tests.e2e.repositories import commit_all


@pytest.hookimpl(tryfirst=True)  # before -m chooses by the marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What drives a real client is run by `make e2e`; the rest of this folder belongs to every run."""
    here = Path(__file__).parent
    for item in items:
        wanted = getattr(item, "fixturenames", ())
        if here in item.path.parents and any(name.startswith("needs_") for name in wanted):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home nobody has lived in."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def needs_claude() -> None:
    if missing("claude"):
        pytest.skip(missing("claude"))


@pytest.fixture
def needs_codex() -> None:
    if missing("codex"):
        pytest.skip(missing("codex"))


@pytest.fixture
def needs_inspector() -> None:
    if missing("inspector"):
        pytest.skip(missing("inspector"))


@pytest.fixture
def needs_conformance() -> None:
    if missing("conformance"):
        pytest.skip(missing("conformance"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one file."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "train.py").write_text("# a stand-in\nKNOB = 1\n")
    commit_all(folder)
    return folder
