"""Where supervisors run: what every engine can do. It decides nothing; a lab, a proof and recovery ask it.

An engine is handed the folder of a run and knows nothing else of it. `local` is this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunResult


class Engine(Protocol):
    """Starts supervisors, tells whether they live, asks them to stop and brings what they found."""

    def launch(self, folder: RunPaths, lay_out: Callable[[], None]) -> None:
        """Have the folder laid out and start its supervisor; nothing is done where one lives.

        From the first step of `lay_out` on the run counts as alive. Raises OSError, and whatever `lay_out` raises.
        """

    def alive(self, folder: RunPaths) -> bool:
        """Whether the run has a living supervisor, or is just getting one."""

    def cancel(self, folder: RunPaths) -> None:
        """Ask the run to stop, or never to begin; it does so within a tick. Harmless to repeat. Raises OSError."""

    def fetch(self, folder: RunPaths) -> RunResult | None:
        """What came of the run; None before it has ended. Raises ValueError for a result that cannot be read."""
