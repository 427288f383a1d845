"""An open lab.db: the file, its migrations, one transaction per fact, and SQLite's complaints in words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcp_server.ledger.schema import STEPS, take
from mcp_server.nouns.errors import LedgerError
from mcp_server.nouns.files import mend, private_file, private_folder, replace_quickly

BUSY_SECONDS = 10.0


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing, whatever interrupts it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


class Store:
    """An open lab.db. Safe for many processes; one thread at a time (the lab holds its lock for each verb).

    Raises LedgerError when the file is damaged, newer than this code, or cannot be written.
    """

    def __init__(self, path: Path, *, looking: bool = False) -> None:
        """looking: nothing is written, neither a file beside the ledger nor a migration; an older one is refused."""
        self.path, self._whole = path, False
        self._untouched = self._is_as_left()
        try:
            if looking:
                self._look()
                return
            private_folder(path.parent)
            # the campaign's secret is in it; SQLite gives its journals the mode that the ledger has
            private_file(path)
            mend(*(path.with_name(path.name + ending) for ending in ("-wal", "-shm")))
            self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            # whoever drops a ledger without closing it is warned by Python 3.13; not at exit, where a fork ends, too
            weakref.finalize(self, self._db.close).atexit = False
            self._db.row_factory = sqlite3.Row
            with self._words():
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA foreign_keys = ON")
                self._migrate()
            self.lab: str = self._rows("SELECT id FROM lab")[0][0]  # this ledger's random name
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(
                f"The ledger {path} cannot be opened: {error}. Check the disk and its permissions."
            ) from None
        self._file = self._identity()

    def _look(self) -> None:
        """Open it to be read alone. Who reads while others write needs what lies beside the file; without a writer
        SQLite would make those files for us and leave them behind, so it is told that nobody writes."""
        written = self.path.with_name(f"{self.path.name}-wal").exists()
        uri = f"{self.path.absolute().as_uri()}?mode=ro{'' if written else '&immutable=1'}"
        self._db = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._db.close).atexit = False
        self._db.row_factory = sqlite3.Row
        with self._words():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version < len(STEPS):
                raise LedgerError(
                    f"The ledger {self.path} has schema {version}, this autoresearch has {len(STEPS)}: any command in "
                    "the lab, or its own page, brings it up to date."
                )
            self._refuse_newer(version)
        self.lab = self._rows("SELECT id FROM lab")[0][0]
        self._file = self._identity()

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def in_place(self) -> bool:
        """Whether the file that was opened is still the one at its path."""
        return self._file is not None and self._file == self._identity()

    def close(self) -> None:
        self._db.close()
        # not where another file was put in its place meanwhile: nobody has looked through that one
        if self._whole and self.in_place() and not self._is_as_left() and not self._beside("-wal").exists():
            with contextlib.suppress(OSError):  # it is looked at again, then
                written = self.path.stat()
                # a moment that the system's clock does not give: a write within the same tick has another
                os.utime(self.path, ns=(written.st_atime_ns, written.st_mtime_ns - 1))
                replace_quickly(self._beside("-checked"), self._stamp())

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)

    def _stamp(self) -> str:
        found = self.path.stat()
        return f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns}"

    def _is_as_left(self) -> bool:
        """Whether nobody has written the file since it was closed whole, by the last who had it open. One that was
        killed leaves its log."""
        try:
            return self._beside("-checked").read_text() == self._stamp() and not self._beside("-wal").exists()
        except (OSError, ValueError):
            return False

    def check(self, *, touched: bool = False) -> None:
        """Look for damage: all of the file is read. Raises LedgerError that names the place.

        touched: only where somebody may have written it since it was closed whole.
        """
        if touched and self._untouched:
            self._whole = True
            return
        with self._words():
            found = [row[0] for row in self._db.execute("PRAGMA quick_check(3)")]
        self._whole = found == ["ok"]
        if not self._whole:
            raise LedgerError(
                f"The ledger {self.path} is damaged: {'; '.join(found)}. Copy it away, restore a backup, or try "
                f"`sqlite3 lab.db .recover`; the vault refs and the run folders beside it are untouched."
            )

    def _migrate(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        self._refuse_newer(version)
        if version == len(STEPS):
            return
        with self._fact():
            # another process may have migrated while we waited for the lock
            for number, step in enumerate(STEPS, 1):
                if number > self._db.execute("PRAGMA user_version").fetchone()[0]:
                    take(self._db, step)
                    self._db.execute(f"PRAGMA user_version = {number}")

    def _refuse_newer(self, version: int) -> None:
        if version > len(STEPS):
            raise LedgerError(
                f"The ledger {self.path} has schema {version}; this autoresearch knows up to {len(STEPS)}. "
                "It was written by a newer version: upgrade autoresearch to use this lab."
            )

    @contextlib.contextmanager
    def _words(self) -> Iterator[None]:
        """SQLite's complaints as ours, with the place and what to do."""
        try:
            yield
        except sqlite3.OperationalError as error:
            advice = (
                "Free some space, then call again."
                if "full" in str(error)
                else "Call again; if it stays, look at the disk."
            )
            raise LedgerError(
                f"The ledger {self.path} could not be used: {error}. Nothing was recorded. {advice}"
            ) from None
        except sqlite3.DatabaseError as error:
            raise LedgerError(
                f"The ledger {self.path} is damaged: {error}. Copy it away and restore a backup; the vault refs and "
                "the run folders beside it are untouched."
            ) from None

    @contextlib.contextmanager
    def _fact(self) -> Iterator[None]:
        """One transaction: all of it or nothing."""
        with self._words(), transaction(self._db):
            yield

    def _write(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> int:
        """One statement as one fact; the id of the row that it made, if it made one."""
        with self._fact():
            return self._db.execute(sql, values).lastrowid or 0

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._words():
            return self._db.execute(sql, values).fetchall()
