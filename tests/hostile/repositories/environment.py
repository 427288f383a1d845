"""The environment of a git hook or a wrapper: programs and places named in variables."""

from __future__ import annotations

from tests.hostile.canary import Canary
from tests.repositories import UserRepository

NAMES = (
    *("GIT_EXTERNAL_DIFF", "GIT_PAGER", "PAGER", "GIT_EDITOR", "EDITOR", "VISUAL", "GIT_ASKPASS", "SSH_ASKPASS"),
    *("GIT_SSH", "GIT_SSH_COMMAND", "GIT_PROXY_COMMAND", "GIT_SEQUENCE_EDITOR"),
)


def plant(user: UserRepository, canary: Canary) -> None:
    """Nothing in the repository; see `variables`."""


def variables(canary: Canary) -> dict[str, str]:
    found = {name: canary.command(name) for name in NAMES}
    hooks = canary.cage / "hooks"
    hooks.mkdir()
    for hook in ("reference-transaction", "post-index-change"):
        (hooks / hook).symlink_to(canary.command(hook, "exit 0"))
    return {**found, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": str(hooks)}


def spring(user: UserRepository) -> None:
    user.write("train.py", "LR = 5\n").git("diff")
