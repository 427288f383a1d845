"""`make abuse` tries the shipped arenas' cheats too: each test with a parameter that names one, in the same table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

NAMES = ("cheat", "how", "where")  # of a parameter that is a cheat


def named(item: pytest.Item) -> str:
    """The cheat that a test is about; empty for every other test."""
    spec = getattr(item, "callspec", None)
    return next((str(spec.params[name]) for name in NAMES if name in spec.params), "") if spec else ""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/arenas/" in item.nodeid and named(item):
            item.add_marker("abuse")


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> None:
    """A row of the table."""
    cheat = named(request.node)
    if cheat:
        arena = request.node.module.__name__.rpartition("test_")[2]
        record_property("abuse", [0, f"{arena}: {cheat}", "refused, or worth nothing", ""])
