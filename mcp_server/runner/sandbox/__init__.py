"""The shutting in of untrusted commands: one interface, three tiers, and a probe that really tries what is forbidden.

`wrap` turns a command line into one that runs confined; `probe` says which tier this machine offers and why. The tiers
are told apart in `bubblewrap` (T2) and `confine` (T1 and T0). A tier is never lowered in silence: `wrap` is told which
one to use, and the run's record says which one it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.nouns.records import Tier
from mcp_server.runner.sandbox import bubblewrap, landlock
from mcp_server.runner.sandbox.confinement import Confinement
from mcp_server.runner.sandbox.probe import TierReport, probe

__all__ = ["Confinement", "TierReport", "probe", "wrap"]


def wrap(argv: Sequence[str], confinement: Confinement, tier: Tier) -> list[str]:
    """The command line that runs `argv` shut in; the caller spawns it with `pass_fds=confinement.fds` in a new session.

    Paths are the same inside as outside. Only `confinement.env` is seen inside, whatever the caller's environment.
    """
    if tier is Tier.T2:
        return bubblewrap.wrap(argv, confinement)
    return landlock.wrap(argv, confinement, restrict=tier is Tier.T1)
