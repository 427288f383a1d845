"""The arena's checks: commands that must pass before a keep. A failed check costs the keep, never the score."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from mcp_server.runner.environment import Surroundings, for_check
from mcp_server.runner.process.limits import Crossed, Limits
from mcp_server.runner.process.listen import hear
from mcp_server.runner.process.logs import excerpt
from mcp_server.runner.process.stop import Stop

DETAIL_BYTES = 1500


@dataclass(frozen=True)
class Checked:
    """Which checks failed, each as a sentence with the last lines it printed."""

    failed: tuple[str, ...]
    cancelled: bool = False


def run_checks(around: Surroundings, limits: Limits, stop: Stop) -> Checked:
    """Run every check, shut in, in the snapshot; each may take as long as scoring may. Raises OSError."""
    failed: list[str] = []
    for command in around.spec.checks:
        around.renew_scratch()
        confinement, seconds = for_check(around, limits.tasks), around.spec.score_seconds
        argv = around.command_line(command, around.paths.work)
        ending, status, words = hear(argv, confinement, around.tier, seconds, limits, stop)
        if ending == "cancelled":
            return Checked(tuple(failed), cancelled=True)
        why = _why(ending, status, seconds)
        if why:
            failed.append(f"The check `{shlex.join(command)}` {why}: {excerpt(words, DETAIL_BYTES).strip()}")
    return Checked(tuple(failed))


def _why(ending: Crossed | str, exit_status: int, seconds: float) -> str:
    if isinstance(ending, Crossed):
        return f"was stopped ({ending.detail})"
    if ending == "late":
        return f"took longer than {seconds:g} seconds"
    return f"ended with status {exit_status}" if exit_status != 0 else ""
