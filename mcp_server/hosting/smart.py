"""Git's pack protocol as a receiver speaks it over HTTP: what refs there are, what is to move, what came of it. Pure.

Source: git's Documentation/gitprotocol-pack.txt and gitprotocol-http.txt. Fetches are left to git itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from mcp_server import __version__

ZERO = "0" * 40
MOST_COMMANDS = 256  # refs that one push moves
ABILITIES = f"report-status delete-refs ofs-delta object-format=sha1 agent=autoresearch/{__version__}"
_COMMAND = re.compile(rb"([0-9a-f]{40}) ([0-9a-f]{40}) (refs/[\x21-\x7e]{1,250})")


class Malformed(ValueError):
    """It is not what a git sends."""


@dataclass(frozen=True)
class Command:
    """One ref that is to move. `ZERO` stands for a ref that is not there."""

    ref: str
    old: str
    new: str


def packet(line: str) -> bytes:
    """One line as the protocol frames it."""
    body = line.encode()
    return b"%04x" % (len(body) + 4) + body


def announcement(refs: Mapping[str, str]) -> bytes:
    """The answer to "what may I push to": `GET /info/refs?service=git-receive-pack`."""
    rows = [f"{oid} {name}" for name, oid in sorted(refs.items())] or [f"{ZERO} capabilities^{{}}"]
    rows[0] += f"\0{ABILITIES}"
    lines = b"".join(packet(f"{row}\n") for row in rows)
    return packet("# service=git-receive-pack\n") + b"0000" + lines + b"0000"


def commands(body: IO[bytes]) -> list[Command]:
    """What a push is to move; the pack, if any, is what is left of the body. Raises Malformed."""
    found: list[Command] = []
    for line in _packets(body):
        said = _COMMAND.fullmatch(line.partition(b"\0")[0].rstrip(b"\n"))
        if said is None:
            raise Malformed("a push that moves no plain refs")
        found.append(Command(said[3].decode(), said[1].decode(), said[2].decode()))
        if len(found) > MOST_COMMANDS:
            raise Malformed(f"more than {MOST_COMMANDS} refs in one push")
    if len({one.ref for one in found}) != len(found):
        raise Malformed("a ref that is to move twice")
    return found


def _packets(body: IO[bytes]) -> Iterator[bytes]:
    """Lines up to the first flush."""
    while True:
        head = body.read(4)
        try:
            size = int(head, 16)
        except ValueError:
            raise Malformed("no line of git's protocol") from None
        if size == 0:
            return
        line = body.read(size - 4) if 4 < size <= 65520 else b""
        if not line or len(line) != size - 4:
            raise Malformed("a line that is cut")
        yield line


def objects_in(head: bytes) -> int:
    """How many objects a pack says it has, by its first 12 bytes. Raises Malformed."""
    if len(head) != 12 or head[:4] != b"PACK":
        raise Malformed("no pack")
    return int.from_bytes(head[8:], "big")


def report(trouble: str, refused: Mapping[str, str], asked: list[Command]) -> bytes:
    """What came of a push. trouble: why its objects were not taken, "" where they were; refused: why, by ref."""
    lines = [f"unpack {trouble or 'ok'}\n"]
    for one in asked:
        why = trouble or refused.get(one.ref, "")
        lines.append(f"ng {one.ref} {why}\n" if why else f"ok {one.ref}\n")
    return b"".join(map(packet, lines)) + b"0000"
