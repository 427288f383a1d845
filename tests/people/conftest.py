"""Played supervisors for every test here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.people.played import Played, playing


@pytest.fixture
def played() -> Iterator[Played]:
    with playing() as found:
        yield found
