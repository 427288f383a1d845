"""Clean, smudge and process filters on every file, required ones, from attributes in three places.

Every file bears a date in the future: whenever git writes the index it doubts them all and looks again, filtered.
"""

from __future__ import annotations

import os

from tests.hostile.canary import Canary
from tests.repositories import UserRepository


def make_doubtful(user: UserRepository) -> None:
    for path in user.files():
        os.utime(user.folder / path, (2**31 - 9, 2**31 - 9))
    user.git("update-index", "--refresh")


def plant(user: UserRepository, canary: Canary) -> None:
    make_doubtful(user)
    for driver in ("evil", "lfs", "na=me"):
        user.git("config", f"filter.{driver}.clean", canary.command(f"{driver}-clean"))
        user.git("config", f"filter.{driver}.smudge", canary.command(f"{driver}-smudge"))
        user.git("config", f"filter.{driver}.required", "true")
    user.git("config", "filter.long.process", canary.command("process", "exit 1"))
    everywhere = user.folder / ".git" / "everywhere"
    everywhere.write_text("* filter=evil\n")
    user.git("config", "core.attributesFile", str(everywhere))
    info = user.folder / ".git" / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text("prepare.py filter=lfs\nnotes.txt filter=na=me\nsrc/deep/er.py filter=long\n")
    user.write("data/.gitattributes", "* filter=lfs\n").write("data/weights.bin", "pointer\n")


def spring(user: UserRepository) -> None:
    user.write("notes.txt", "more\n").git("add", "notes.txt", check=False)
