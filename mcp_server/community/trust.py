"""The address book of a lab: whose records are read, whose claims are worth a replication, on whose code is built.

A role includes the ones before it. A lab that nobody named has the role that `join` gave to strangers. A journal's
signature proves who wrote it, never that it is true; that is what replications are for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import Field, field_validator

from mcp_server.community.wire.keys import PublicKey
from mcp_server.ledger.foreign import LabRow
from mcp_server.nouns.errors import CommunityError
from mcp_server.nouns.exchanged import LAB_CHARACTERS, SHORT
from mcp_server.nouns.files import private_folder
from mcp_server.nouns.records import Record
from mcp_server.nouns.text import clean_line

FILE_BYTES = 100_000
_ID_LIKE = re.compile(rf"[0-9a-fA-F]{{{SHORT},{LAB_CHARACTERS}}}")
_LAB = re.compile(rf"[0-9a-f]{{{LAB_CHARACTERS}}}")


class Role(StrEnum):
    """What another lab's word is worth here."""

    NONE = "none"  # distrusted: not fetched, not shown
    READ = "read"  # its records are advice
    REPLICATE = "replicate"  # its claims may be repeated
    BUILD = "build"  # its code may be built on without asking

    def allows(self, what: Role) -> bool:
        return list(Role).index(self) >= list(Role).index(what)


class Trust(Record):
    """Who is known, by lab id. `strangers`: the role of everybody else."""

    strangers: Role = Role.READ
    roles: dict[str, Role] = Field(default={})
    keys: dict[str, str] = Field(default={})  # the key's line, where the user gave it
    names: dict[str, str] = Field(default={})  # what the user calls them

    @field_validator("roles", "keys", "names")
    @classmethod
    def _labs(cls, value: dict[str, object]) -> dict[str, object]:
        for lab in value:
            if not _LAB.fullmatch(lab):
                raise ValueError(f"{lab[:40]!r} is no lab id")
        return value

    def role(self, lab: str) -> Role:
        return self.roles.get(lab, self.strangers)

    def called(self, labs: Iterable[LabRow]) -> dict[str, str]:
        """What each lab is called, by its id: by the user, else by itself, which is text of a stranger."""
        return {row.lab: clean_line(self.names.get(row.lab) or row.name, 40) for row in labs}

    def named(self, lab: str, role: Role, key: str = "", name: str = "") -> Trust:
        """The book with one entry set."""
        return self.model_copy(
            update={
                "roles": {**self.roles, lab: role},
                "keys": {**self.keys, **({lab: key} if key else {})},
                "names": {**self.names, **({lab: name} if name else {})},
            }
        )


def read_trust(path: Path) -> Trust:
    """The book as it lies there; an empty one where there is none. Raises CommunityError."""
    try:
        return Trust.read(path)
    except FileNotFoundError:
        return Trust()
    except (OSError, ValueError) as error:
        raise CommunityError(f"{path} cannot be read: {error}. Mend it, or move it away and trust again.") from None


def write_trust(path: Path, trust: Trust) -> None:
    private_folder(path.parent)
    trust.write(path)


def keys_in(given: str) -> list[tuple[str, str]]:
    """(lab id, key line or "") of a key, a file of keys (`.pub`, allowed_signers), or a lab's id. Raises."""
    if _LAB.fullmatch(given):
        return [(given, "")]
    text = given
    if not given.startswith("ssh-"):
        try:
            with open(os.path.expanduser(given), "rb") as file:
                text = file.read(FILE_BYTES).decode("utf-8", "replace")
        except OSError as error:
            raise CommunityError(
                f"{clean_line(given, 80)} is no key, no lab id and no file that can be read ({error.strerror}). Give "
                "the line that `autoresearch community key` prints in the other lab, or a file with such lines."
            ) from None
    found = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            key = PublicKey.of_line(line)
        except ValueError as error:
            raise CommunityError(
                f"{clean_line(line, 60)}: {error}. Only Ed25519 keys name a lab; `autoresearch community key` prints "
                "one."
            ) from None
        found.append((key.lab, key.line))
    if not found:
        raise CommunityError(f"There is no key in {clean_line(given, 80)}. `autoresearch community key` prints one.")
    return found


def labs_meant(known: Mapping[str, str], given: str) -> list[tuple[str, str]]:
    """`keys_in` of a key or a file of keys; else the lab that is meant, without its key. Raises CommunityError."""
    if given.startswith("ssh-") or os.path.isfile(os.path.expanduser(given)):
        return keys_in(given)
    return [(given if _LAB.fullmatch(given) else lab_meant(known, given), "")]


def lab_meant(known: Mapping[str, str], given: str) -> str:
    """The lab that an id, its beginning or a name means. known: names by id. Raises CommunityError."""
    if given in known:
        return given
    # what reads like an id means no lab that only calls itself so
    named = "" if _ID_LIKE.fullmatch(given) else given
    found = [lab for lab, name in known.items() if given and (lab.startswith(given.lower()) or name == named != "")]
    if len(found) != 1:
        many = f"{len(found)} labs are called that" if found else "no lab here is called that"
        raise CommunityError(f"{clean_line(given, 40)!r}: {many}. `autoresearch community status` lists the labs.")
    return found[0]
