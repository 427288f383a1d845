"""Aliases with the names of the commands we use, pagers for them, and an editor, askpass and credential helper."""

from __future__ import annotations

from tests.hostile.canary import Canary
from tests.repositories import UserRepository

COMMANDS = (
    *("rev-parse", "ls-tree", "ls-files", "cat-file", "hash-object", "read-tree", "update-index", "write-tree"),
    *("commit-tree", "update-ref", "symbolic-ref", "for-each-ref", "rev-list", "diff-tree", "check-attr", "config"),
    *("merge-base", "log", "status", "sing"),
)


def plant(user: UserRepository, canary: Canary) -> None:
    for command in COMMANDS:
        user.git("config", f"alias.{command}", f"!{canary.command('alias')}")
        user.git("config", f"pager.{command}", canary.command("pager"))
    user.git("config", "core.pager", canary.command("pager"))
    user.git("config", "core.editor", canary.command("editor"))
    user.git("config", "core.askPass", canary.command("askpass"))
    user.git("config", "credential.helper", f"!{canary.command('credential')}")
    user.git("config", "sequence.editor", canary.command("editor"))


def spring(user: UserRepository) -> None:
    user.git("sing")
