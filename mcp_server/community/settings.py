"""Where a lab has joined, what may leave the house, how the last exchange went; and every file of it, named once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from mcp_server.nouns.errors import CommunityError, NotNow
from mcp_server.nouns.files import private_folder
from mcp_server.nouns.paths import Place
from mcp_server.nouns.records import Record
from mcp_server.nouns.text import clean_line

OFF = "AUTORESEARCH_COMMUNITY"  # `off`: nothing is exchanged or claimed by itself
PROTOCOLS = "file:ssh:https:http:git"  # never `ext`, which runs a command
_URL = re.compile(r"(?P<scheme>file|ssh|https|http|git)://\S+", re.IGNORECASE)
_SCP = re.compile(r"[A-Za-z0-9_][\w.-]*@?[\w.-]*:[^:\\]\S*")  # user@host:path

Kind = Literal["folder", "host", "bundle", "server"]  # server: one of ours, which bears more than a host


@dataclass(frozen=True)
class Places:
    """The folder of one lab. What is in `store` and `records` can be made again; the rest is the user's choice."""

    folder: Path

    @classmethod
    def of(cls, state: Path) -> Places:
        """state: `LabPaths.state`."""
        return cls(state / "community")

    settings = Place("joined.json")  # exists while the lab has joined: where to, and what may leave the house
    trust = Place("trust.json")  # the address book: whose word counts for what
    store = Place("exchange.git")  # A bare repository of all accepted journals, apart from the user's own
    quarantine = Place("quarantine")  # what came in and is not accepted yet
    records = Place("records.db")  # what the journals say, as a database; it can always be made again from them
    outbox = Place("posts.jsonl")  # posts of ours that no journal has yet, a line each
    outbox_lock = Place("posts.lock")  # held for the moment in which that file changes
    bounds = Place("bounds.json")  # how much of the own time goes into others' claims, where the user set it
    marks = Place("board.json")  # what of the board was read here, and whom this lab does not want to hear
    lock = Place("exchange.lock")  # held by the one exchange that is at work
    beside = Place("beside.lock")  # held for life by the process that exchanges beside running experiments
    last = Place("last.json")  # how the last exchange went, and when the next is due
    leases = Place("leases.json")  # what runs right now, here and elsewhere
    leases_lock = Place("leases.lock")  # held for the moment in which that file changes
    log = Place("exchange.log")
    scratch = Place("tmp")


class Settings(Record):
    """What `join` was told."""

    remote: str  # URL, or an absolute path
    kind: Kind
    name: str = ""  # what the lab calls itself to others
    key: Path | None = None  # None: the lab's own
    code: bool = True  # False: records only
    since: str = ""
    branches: bool = False  # the host refuses other refs: journals are branches there

    @property
    def shown(self) -> str:
        """The remote without a password."""
        return without_password(self.remote)


class Last(Record):
    """How exchanges went. Times are seconds since 1970."""

    read_at: float = 0.0  # the last that worked
    pushed_at: float = 0.0
    tried_at: float = 0.0
    failures: int = 0  # in a row
    trouble: str = ""  # of the last one
    problems: tuple[str, ...] = ()  # what was refused or held back, in the last one that worked
    labs: int = 0  # that told something lately


def read_settings(places: Places) -> Settings | None:
    """None while the lab has not joined. Raises CommunityError for a file that was damaged."""
    try:
        return Settings.read(places.settings)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CommunityError(
            f"{places.settings} cannot be read: {error}. `autoresearch community leave`, then join again."
        ) from None


def joined(places: Places) -> Settings:
    """Raises NotNow where the lab has not joined, and as `read_settings`."""
    settings = read_settings(places)
    if settings is None:
        raise NotNow("This lab has joined no community. `autoresearch community join FOLDER` or URL does.")
    return settings


def write_settings(places: Places, settings: Settings) -> None:
    private_folder(places.folder)
    settings.write(places.settings)


def read_last(places: Places) -> Last:
    """An empty one where there is none, or none that can be read: it decides nothing but when to try again."""
    try:
        return Last.read(places.last)
    except (OSError, ValueError):
        return Last()


def remote_of(given: str, at: Path) -> tuple[str, Kind]:
    """A remote as git takes it, and its kind. `at`: what relative paths start from. Raises CommunityError."""
    if given.startswith("-") or clean_line(given, 2000) != given or "::" in given:
        raise CommunityError(f"{clean_line(given, 80)!r} is no place to exchange with. {FORMS}")
    if _URL.fullmatch(given):
        if given.lower().startswith("file://"):
            return given, "folder"
        return given, "host"
    if "://" in given:
        raise CommunityError(f"{clean_line(given, 80)!r}: there is no such transport here. {FORMS}")
    path = Path(os.path.normpath(at.absolute() / os.path.expanduser(given)))
    if os.path.isfile(path):  # which answers for a name that no file can have, too
        return str(path), "bundle"
    if os.path.isdir(path):
        return str(path), "folder"
    if _SCP.fullmatch(given) and "/" not in given.partition(":")[0]:
        return given, "host"
    if path.suffix == ".bundle":
        raise CommunityError(f"There is no bundle {path}. `autoresearch community bundle FILE` writes one elsewhere.")
    return str(path), "folder"


FORMS = "Give a folder, a URL (ssh://, https://, git://, user@host:path), or a bundle file."


def without_password(url: str) -> str:
    if "://" not in url:
        return url
    parts = urlsplit(url)
    if parts.password is None and (parts.username is None or parts.scheme.lower() not in ("http", "https")):
        return url
    # over HTTP a name alone is a token: `https://ghp_…@github.com/…`
    who = f"{parts.username or ''}:***" if parts.password is not None else "***"
    return urlunsplit(parts._replace(netloc=f"{who}@{parts.netloc.rpartition('@')[2]}"))
