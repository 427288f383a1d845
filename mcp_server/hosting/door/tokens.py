"""Who may come in: tokens by name, each with a role, a lab, a rate and a size. Only their digests are stored.

A token is 32 random bytes, so its plain SHA-256 tells nobody anything. The file is read again whenever it has changed:
a token that was revoked elsewhere is worth nothing with the next request.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from pydantic import Field

from mcp_server.hosting.premises import Premises
from mcp_server.nouns.errors import CommunityError
from mcp_server.nouns.files import locked
from mcp_server.nouns.records import Record
from mcp_server.nouns.text import clean_line

BEGINS = "arlab_"  # so that who finds one somewhere knows what it is
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class May(StrEnum):
    """What a token is good for. Each includes the ones before it."""

    READ = "read"  # fetch journals, look at pages, feed and metrics
    PUBLISH = "publish"  # one lab's journal and leases
    ADMIN = "admin"  # any lab's journal and leases, tokens and audit log

    def allows(self, what: May) -> bool:
        return list(May).index(self) >= list(May).index(what)


class Token(Record):
    """One entry. lab: whose journal it publishes; "" until it has published one, and for others' eyes alone."""

    name: str
    may: May
    digest: str
    lab: str = ""
    made: str = ""
    ends: str = ""  # UTC; "" for never
    per_second: float = Field(default=20.0, gt=0, le=10_000)  # requests
    push_mb: float = Field(default=32.0, gt=0, le=4096)  # the largest push


ANYBODY = Token(name="anybody", may=May.READ, digest="")


class Book(Record):
    """All tokens, by name."""

    tokens: dict[str, Token] = Field(default={})


class Tokens:
    """The tokens of one folder."""

    def __init__(self, premises: Premises) -> None:
        self._premises = premises
        self._stamp: tuple[int, int, int] | None = None
        self._by_digest: dict[str, Token] = {}

    def known(self, given: str, now: datetime) -> Token | None:
        """Whose token it is; None for nobody's, or one that is over."""
        self._look()
        found = self._by_digest.get(digest(given))
        return found if found is not None and (not found.ends or now < datetime.fromisoformat(found.ends)) else None

    def _look(self) -> None:
        try:
            said = self._premises.tokens.stat()
        except FileNotFoundError:
            self._by_digest, self._stamp = {}, None
            return
        stamp = (said.st_mtime_ns, said.st_size, said.st_ino)
        if stamp != self._stamp:
            self._by_digest = {one.digest: one for one in self.all()}
            self._stamp = stamp

    def all(self) -> list[Token]:
        """By name. Raises CommunityError."""
        return [one for _, one in sorted(_read(self._premises.tokens).tokens.items())]

    def add(
        self,
        name: str,
        may: May,
        now: datetime,
        *,
        lab: str = "",
        days: float | None = None,
        per_second: float = 20.0,
        push_mb: float = 32.0,
    ) -> str:
        """Make a token; its text, which is shown this once. Raises CommunityError."""
        if not _NAME.fullmatch(name):
            raise CommunityError(f"{clean_line(name, 40)!r} is no name of a token: letters, digits, '.', '_' and '-'.")
        text = BEGINS + secrets.token_urlsafe(32)
        ends = (now + timedelta(days=days)).isoformat(timespec="seconds") if days is not None else ""
        made = Token(
            name=name,
            may=may,
            digest=digest(text),
            lab=lab,
            made=now.isoformat(timespec="seconds"),
            ends=ends,
            per_second=per_second,
            push_mb=push_mb,
        )
        with locked(self._premises.tokens_lock):
            book = _read(self._premises.tokens)
            if name in book.tokens:
                raise CommunityError(f"There is a token {name} already. Revoke it, or choose another name.")
            Book(tokens={**book.tokens, name: made}).write(self._premises.tokens)
        return text

    def revoke(self, name: str) -> None:
        """Raises CommunityError."""
        with locked(self._premises.tokens_lock):
            book = _read(self._premises.tokens)
            if name not in book.tokens:
                raise CommunityError(f"There is no token {clean_line(name, 40)!r}. `token list` shows those there are.")
            Book(tokens={key: one for key, one in book.tokens.items() if key != name}).write(self._premises.tokens)

    def bind(self, name: str, lab: str) -> bool:
        """The token publishes for this lab from now on; False where it does for another, or is gone."""
        with locked(self._premises.tokens_lock):
            book = _read(self._premises.tokens)
            found = book.tokens.get(name)
            if found is None or found.lab not in ("", lab):
                return False
            if not found.lab:
                bound = found.model_copy(update={"lab": lab})
                Book(tokens={**book.tokens, name: bound}).write(self._premises.tokens)
        return True


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> Book:
    try:
        return Book.read(path)
    except FileNotFoundError:
        return Book()
    except (OSError, ValueError) as error:
        raise CommunityError(f"{path} cannot be read: {error}. Put a copy back, or move it away.") from None
