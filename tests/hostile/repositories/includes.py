"""The traps of configuration hidden in included files and in the work tree's own configuration."""

from __future__ import annotations

from tests.hostile.canary import Canary
from tests.hostile.repositories.filters import make_doubtful
from tests.repositories import UserRepository


def plant(user: UserRepository, canary: Canary) -> None:
    make_doubtful(user)
    hooks = user.folder / ".git" / "included-hooks"
    hooks.mkdir()
    for hook in ("reference-transaction", "post-index-change", "post-commit", "pre-commit"):
        (hooks / hook).symlink_to(canary.command(hook, "exit 0"))
    lines = f"[core]\n\thooksPath = {hooks}\n\tfsmonitor = {canary.command('fsmonitor')}\n"
    lines += f'[filter "evil"]\n\tclean = {canary.command("clean")}\n\tsmudge = {canary.command("smudge")}\n'
    (user.folder / ".git" / "evil-config").write_text(lines)
    user.git("config", "extensions.worktreeConfig", "true")
    user.git("config", "--worktree", "include.path", "evil-config")
    user.git("config", f"includeIf.gitdir:{user.folder}/.path", "evil-config")
    info = user.folder / ".git" / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text("*.py filter=evil\n")


def spring(user: UserRepository) -> None:
    user.write("notes.txt", "more\n").commit("runs hooks")
