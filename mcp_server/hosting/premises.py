"""The one folder that a lab server works on: a bare repository, with tokens and audit log in a folder inside it.

There is no other state. Several servers may work on one folder, and any of them may die: what is accepted is what refs
say, and what was coming in lies in a folder of the server that took it, which the next one takes away.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mcp_server.community.wire.store import Store, make_bare
from mcp_server.nouns.errors import CommunityError
from mcp_server.nouns.files import private_folder, try_lock
from mcp_server.nouns.paths import Place

SPARE_BYTES = 256 * 2**20  # of the disk, below which nothing is taken


@dataclass(frozen=True)
class Premises:
    """The places of one lab server. folder: the bare repository."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> Premises:
        """The repository in a folder; made where there is none. Raises CommunityError, GitError."""
        try:
            if not folder.exists() or not any(folder.iterdir()):
                folder.rmdir() if folder.exists() else None
                make_bare(folder)
            elif not (folder / "HEAD").exists() or not (folder / "objects").is_dir():
                raise CommunityError(f"{folder} is no bare git repository and not empty. Name a new folder.")
            private_folder(folder / "autoresearch")
        except OSError as error:
            raise CommunityError(f"{folder} cannot be served from: {error.strerror}. Name another folder.") from None
        return cls(folder)

    @property
    def store(self) -> Store:
        return Store(self.folder)

    tokens = Place("autoresearch", "tokens.json")  # who may come in, by the digest of a token
    tokens_lock = Place("autoresearch", "tokens.lock")
    # who did what, a line of JSON each; written before what it tells of is done
    audit = Place("autoresearch", "audit.jsonl")
    incoming = Place("autoresearch", "incoming")  # what is coming in: a folder for each server that lives

    def is_full(self) -> bool:
        return shutil.disk_usage(self.folder).free < SPARE_BYTES


class Room:
    """The folder of one server at work. What servers that are gone left behind is taken away when one comes."""

    def __init__(self, premises: Premises) -> None:
        private_folder(premises.incoming)
        for left in premises.incoming.iterdir():
            if (lock := try_lock(left / "lock")) is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)
        self.folder = Path(tempfile.mkdtemp(dir=premises.incoming))
        lock = try_lock(self.folder / "lock")
        if lock is None:  # another server that came in this moment took it for left behind
            raise CommunityError("Another server is starting on this folder. Start again.")
        self._lock = lock

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
