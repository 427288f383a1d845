"""A file system monitor of the repository's own, with an index that already trusts it."""

from __future__ import annotations

from tests.hostile.canary import Canary
from tests.repositories import UserRepository


def plant(user: UserRepository, canary: Canary) -> None:
    user.git("config", "core.fsmonitor", canary.command("fsmonitor", "printf '/\\0'"))
    user.git("config", "core.untrackedCache", "true")
    user.git("config", "core.fsmonitorHookVersion", "1")
    user.git("update-index", "--fsmonitor")


def spring(user: UserRepository) -> None:
    user.status()
