"""Git's objects as bytes: trees that are read and changed, commits, and a pack of what is new. Pure.

With them one git stores all that an attempt adds; a git each for the blob, an index, the tree and the commit took most
of a verb's time. The formats are those of gitformat-pack(5) and of the objects themselves, which git promises not to
change; git checks what it is handed and writes it.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

FOLDER = "40000"  # a tree's mode within a tree
_KINDS = {"commit": 1, "tree": 2, "blob": 3}  # as packs number them
_CRUD = "".join(map(chr, range(33))) + ".,:;<>\"\\'"  # what git takes away from both ends of a name


class Entry(NamedTuple):
    """One path of a tree or an index: git's mode ("100644", "100755", "120000" link, "160000" submodule) and object."""

    mode: str
    oid: str


Tree = Mapping[bytes, Entry]  # one folder, by name


@dataclass
class Batch:
    """Objects to be stored together, by the name that git will give them."""

    algorithm: str
    objects: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def add(self, kind: str, content: bytes) -> str:
        """Have one more object stored; its name."""
        head = f"{kind} {len(content)}\0".encode()
        oid = hashlib.new(self.algorithm, head + content, usedforsecurity=False).hexdigest()
        self.objects[oid] = kind, content
        return oid

    def pack(self) -> bytes:
        """What `git unpack-objects` takes."""
        parts = [b"PACK" + struct.pack(">II", 2, len(self.objects))]
        for kind, content in self.objects.values():
            parts += [_head(_KINDS[kind], len(content)), zlib.compress(content, 1)]
        body = b"".join(parts)
        return body + hashlib.new(self.algorithm, body, usedforsecurity=False).digest()


def _head(kind: int, size: int) -> bytes:
    """An object's kind and size: four bits of the size first, then seven in each byte, the least ones before."""
    found, rest = [kind << 4 | size & 15], size >> 4
    while rest:
        found[-1] |= 128
        found.append(rest & 127)
        rest >>= 7
    return bytes(found)


def read_tree(content: bytes, digest_bytes: int) -> dict[bytes, Entry]:
    """One folder of a commit. Raises ValueError where it is cut short."""
    found, at = {}, 0
    while at < len(content):
        space = content.index(b" ", at)
        end = content.index(b"\0", space)
        oid = content[end + 1 : end + 1 + digest_bytes]
        if len(oid) != digest_bytes:
            raise ValueError("a tree object is cut short")
        found[content[space + 1 : end]] = Entry(content[at:space].decode(), oid.hex())
        at = end + 1 + digest_bytes
    return found


def _written(items: Tree) -> bytes:
    """The bytes of a folder; git orders a folder's name as if a slash followed it."""
    ordered = sorted(items.items(), key=lambda item: item[0] + (b"/" if item[1].mode == FOLDER else b""))
    return b"".join(b"%s %s\0%s" % (one.mode.encode(), name, bytes.fromhex(one.oid)) for name, one in ordered)


def walk(tree: str, read: Callable[[str], Tree], below: Sequence[bytes] = ()) -> Iterator[tuple[bytes, Entry]]:
    """Every file of a tree, by path; only those at or below some paths, if any are given."""
    wanted = [path.strip(b"/").split(b"/") for path in below]

    def look(oid: str, above: bytes, wanted: list[list[bytes]]) -> Iterator[tuple[bytes, Entry]]:
        for name, entry in read(oid).items():
            further = [path[1:] for path in wanted if path[0] == name]
            if wanted and not further:
                continue
            whole = not wanted or [] in further
            if entry.mode == FOLDER:
                yield from look(entry.oid, above + name + b"/", [] if whole else further)
            elif whole:
                yield above + name, entry

    yield from look(tree, b"", wanted)


def changed(tree: str | None, changes: Mapping[bytes, Entry | None], read: Callable[[str], Tree], batch: Batch) -> str:
    """The name of a tree like `tree` with some paths replaced or (None) gone; what is new of it is put in the batch."""
    parted = {tuple(path.split(b"/")): entry for path, entry in changes.items()}
    return _changed(tree, parted, read, batch) or batch.add("tree", b"")


def _changed(
    tree: str | None, changes: Mapping[tuple[bytes, ...], Entry | None], read: Callable[[str], Tree], batch: Batch
) -> str | None:
    items = dict(read(tree)) if tree else {}
    here = {path[0]: entry for path, entry in changes.items() if len(path) == 1}
    # removals first: a file may have become a folder of the same name
    for name in [name for name, entry in here.items() if entry is None]:
        if name in items and items[name].mode != FOLDER:
            del items[name]
    below: dict[bytes, dict[tuple[bytes, ...], Entry | None]] = {}
    for path, entry in changes.items():
        if len(path) > 1:
            below.setdefault(path[0], {})[path[1:]] = entry
    for name, inside in below.items():
        there = items.get(name)
        if there is not None and there.mode != FOLDER and not any(inside.values()):
            continue  # what is to go below a file is gone already
        oid = _changed(there.oid if there is not None and there.mode == FOLDER else None, inside, read, batch)
        if oid is None:
            items.pop(name, None)
        else:
            items[name] = Entry(FOLDER, oid)
    items.update({name: entry for name, entry in here.items() if entry is not None})
    return batch.add("tree", _written(items)) if items else None


def commit(tree: str, parents: Sequence[str], who: str, epoch: int, message: str) -> bytes:
    """A commit's bytes. who: "Name <address>", the author and the committer."""
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"{role} {who} {epoch} +0000" for role in ("author", "committer")]
    return ("\n".join(lines) + f"\n\n{message}").encode()


def plain_name(text: str) -> str:
    """A name or an address as git would write it into a commit."""
    return text.strip(_CRUD).replace("\n", "").replace("<", "").replace(">", "")
