"""What one round of catching up found and did, and how one thing that failed is kept from stopping the others."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from mcp_server.nouns.errors import AutoresearchError

log = logging.getLogger(__name__)


@dataclass
class CaughtUp:
    """What catching up found and did."""

    changed: bool = False
    problems: list[str] = field(default_factory=list)
    restored: dict[tuple[str, int], list[str]] = field(default_factory=dict)  # files written back, by experiment
    left: dict[tuple[str, int], list[str]] = field(default_factory=dict)  # files edited since, by experiment


@contextlib.contextmanager
def each(done: CaughtUp, what: str) -> Iterator[None]:
    """One thing that cannot be done must not keep the others from being done."""
    try:
        yield
    except (AutoresearchError, OSError) as error:
        log.warning("%s: %s", what, error)
        done.problems.append(f"{what}: {error}")
