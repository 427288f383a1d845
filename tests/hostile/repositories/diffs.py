"""External diffs, text conversion with a cache, diff drivers and order files for every file."""

from __future__ import annotations

from tests.hostile.canary import Canary
from tests.repositories import UserRepository


def plant(user: UserRepository, canary: Canary) -> None:
    user.git("config", "diff.external", canary.command("external"))
    user.git("config", "diff.evil.command", canary.command("driver"))
    user.git("config", "diff.words.textconv", canary.command("textconv", 'cat "$1"'))
    user.git("config", "diff.words.cachetextconv", "true")
    user.git("config", "interactive.diffFilter", canary.command("interactive"))
    user.git("config", "merge.evil.driver", canary.command("merge"))
    user.git("config", "diff.noprefix", "true")
    user.git("config", "color.ui", "always")
    info = user.folder / ".git" / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text("train.py diff=evil merge=evil\n*.py diff=words\n")


def spring(user: UserRepository) -> None:
    user.write("train.py", "LR = 5\n").git("diff")
