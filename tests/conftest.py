"""Every test has its own cache, locks and configuration, so that tests never meet each other or the user."""

from __future__ import annotations

import gc
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.quick import FORBIDDEN, is_quick, reaches_outside

if TYPE_CHECKING:  # imported where they are used, for --quick does without
    from tests.played import Clock, Played


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only what is pure (tests/quick.py), in under a minute")


def pytest_configure(config: pytest.Config) -> None:
    for name in ("LABS", "CHART", "DASHBOARD"):
        os.environ[f"AUTORESEARCH_{name}"] = "off"  # labs of a whole module are made before `_alone` is asked
    if config.getoption("quick"):
        sys.addaudithook(_stay_inside)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if config.getoption("quick") and collection_path.name.startswith("test_") and not is_quick(collection_path):
        return True
    return None  # somebody else's question


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("quick"):
        items[:] = [one for one in items if one.get_closest_marker("quick") or not reaches_outside(one.path)]


def pytest_collection_finish() -> None:
    gc.freeze()  # the modules of all tests and what they import stay: no later look for garbage goes through them


_inside = False  # whether a test runs that may not leave this process


def _stay_inside(event: str, given: tuple[Any, ...]) -> None:
    if _inside and event in FORBIDDEN:
        raise AssertionError(f"a quick test called {event}{given[:1]}: it belongs among the others (tests/quick.py)")


@pytest.fixture
def _quick(request: pytest.FixtureRequest) -> Iterator[None]:
    """What holds a quick test to its promise."""
    global _inside
    _inside = request.config.getoption("quick")
    yield
    _inside = False


@pytest.fixture(scope="session", autouse=True)
def _warm() -> Iterator[None]:
    """What supervisors start from: before any lab of a module is made."""
    from tests.warm import warm

    with warm():
        yield


_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, _quick: None) -> Path:
    folder = tmp_path_factory.getbasetemp() / "alone" / str(next(_numbers))  # `mktemp` reads all that there is
    folder.mkdir(parents=True)
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(folder / "cache"))
    monkeypatch.setenv("AUTORESEARCH_LOCKS", str(folder / "locks"))
    monkeypatch.setenv("AUTORESEARCH_LABS", str(folder / "labs"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))  # nobody who runs the tests is told of them
    monkeypatch.setenv("AUTORESEARCH_CHART", "off")  # a test about the chart turns it on
    monkeypatch.setenv("AUTORESEARCH_DASHBOARD", "off")  # and so for the live page
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for name in ("AUTORESEARCH_PROJECT", "CLAUDE_PROJECT_DIR", "AUTORESEARCH_WAIT_SECONDS", "AUTORESEARCH_CAMPAIGN"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    """A time that stands still until a test moves it."""
    from tests.played import Clock

    return Clock()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """Supervisors that a test plays."""
    from mcp_server.engines import local
    from tests.played import Played

    played = Played()
    monkeypatch.setattr(local, "start", played.launch)
    yield played
    played.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if "not e2e" in config.getoption("markexpr") and not config.getoption("quick"):
        terminalreporter.write_line("Tests that drive the real clients (Claude Code, Codex and others): make e2e")
