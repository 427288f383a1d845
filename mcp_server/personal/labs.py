"""Which labs this user has on this machine: one small file each, written when a lab is opened, read by the page of all.

A file names places and nothing of what was researched. Any number of processes write at once, each the file of its own
lab and whole; nothing depends on them, so a lab whose file is lost is noted again when it is opened next.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import private_folder, write_atomically
from mcp_server.nouns.paths import LabPaths, labs_folder

MOST = 60  # labs; those that were not opened for longest are forgotten, where many lie in one folder first
FORGOTTEN_DAYS = 14.0  # of a lab that is gone: long enough for somebody who was on holiday to read so
AGAIN_SECONDS = 3600.0  # a lab that is in use is not noted with every verb
FILE_BYTES = 16_000
NAME_CHARACTERS = 40


class Known(BaseModel):
    """One lab, as it was opened last. The text of the file is anybody's who has this user's rights."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    tree: Path  # the work tree it was opened in
    common: Path  # git's common folder, in which the lab's state lies
    lab: str = Field(max_length=64, pattern=r"^[0-9a-f]*$")  # the random name of its ledger
    at: datetime

    @property
    def key(self) -> str:
        """As an address names it: the folder's name, and a few digits that tell equal names apart."""
        return key_of(self.common)

    @property
    def folder(self) -> Path:
        """Where a person finds it: the repository, whichever of its work trees is there."""
        return self.common.parent if self.common.name == ".git" else self.common

    @property
    def paths(self) -> LabPaths:
        """In the work tree of last time, or in the repository's own where that one is gone."""
        return LabPaths(self.common, self.tree if os.path.isdir(self.tree) else self.folder)

    @property
    def here(self) -> bool:
        return os.path.isfile(self.paths.ledger)  # one that may not be entered is none


def key_of(common: Path) -> str:
    """The name of a lab in addresses, and of its file."""
    folder = common.parent if common.name == ".git" else common
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.name)[:NAME_CHARACTERS].strip("-") or "lab"
    return f"{plain}-{hashlib.sha256(os.fsencode(common)).hexdigest()[:8]}"


def introduce(paths: LabPaths, now: datetime) -> None:
    """Note that this lab is here, once it has a ledger. Never raises: whoever opened a lab has something else to do."""
    folder = labs_folder()
    if folder is None or not os.path.isfile(paths.ledger):
        return
    with contextlib.suppress(OSError, ValueError, AutoresearchError):
        file = folder / f"{key_of(paths.common)}.json"
        known = _read(file)
        if known and known.tree == paths.tree and 0 <= (now - known.at).total_seconds() < AGAIN_SECONDS:
            return
        with contextlib.closing(Ledger(paths.ledger, looking=True)) as ledger:
            found = Known(tree=paths.tree, common=paths.common, lab=ledger.lab, at=now)
        private_folder(folder)
        write_atomically(file, found.model_dump_json().encode(), 0o600)
        _forget(folder, now)


def known_labs() -> list[Known]:
    """All that were noted, the one that was opened last first. A file that cannot be read is left out."""
    folder = labs_folder()
    found = [known for file in _files(folder) if (known := _read(file)) is not None] if folder is not None else []
    return sorted(found, key=lambda one: one.at, reverse=True)[:MOST]


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.glob("*.json") if not file.name.startswith(".")]


def _read(file: Path) -> Known | None:
    with contextlib.suppress(OSError, ValueError):
        with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as opened:
            known = Known.model_validate_json(opened.read(FILE_BYTES))
        # a file is of the lab it is named after, and times can be compared
        whole = known.tree.is_absolute() and known.common.is_absolute() and known.at.tzinfo is not None
        return known if whole and f"{known.key}.json" == file.name else None
    return None


def _forget(folder: Path, now: datetime) -> None:
    """Remove what is too much, and what has been gone for long. A folder with very many labs, such as a tournament's,
    makes room for its own."""
    known = {file: one for file in _files(folder) if (one := _read(file)) is not None}
    newest = sorted(known, key=lambda file: known[file].at, reverse=True)
    beside: dict[Path, list[Path]] = {}
    for file in newest:
        beside.setdefault(known[file].folder.parent, []).append(file)
    newest.sort(key=lambda file: beside[known[file].folder.parent].index(file))
    old = (file for file, one in known.items() if (now - one.at).total_seconds() > FORGOTTEN_DAYS * 86_400)
    for file in {*newest[MOST:], *(file for file in old if not known[file].here)}:
        file.unlink(missing_ok=True)
