"""Every hook git knows, in the usual folder and in one that core.hooksPath names."""

from __future__ import annotations

from tests.hostile.canary import Canary
from tests.repositories import UserRepository

HOOKS = (
    *("applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "pre-merge-commit", "prepare-commit-msg"),
    *("commit-msg", "post-commit", "pre-rebase", "post-checkout", "post-merge", "pre-push", "pre-auto-gc"),
    *("post-rewrite", "post-index-change", "reference-transaction", "fsmonitor-watchman", "sendemail-validate"),
)


def plant(user: UserRepository, canary: Canary) -> None:
    configured = user.folder / ".git" / "more-hooks"
    configured.mkdir()
    for folder in (user.folder / ".git" / "hooks", configured):
        folder.mkdir(exist_ok=True)
        for hook in HOOKS:
            place = folder / hook
            place.unlink(missing_ok=True)
            place.symlink_to(canary.command(hook, "exit 0"))
    user.git("config", "core.hooksPath", str(configured))


def spring(user: UserRepository) -> None:
    user.write("notes.txt", "more\n").commit("runs hooks")
