"""What travels between the lab's machine and a node: tar files in pieces, whole or not at all, and paths put right.

A parcel is unpacked by hand: regular files, folders, and from us links too. Nothing in it can reach outside its folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from mcp_server.nouns.records import RunSpec

PIECE_BYTES = 16 * 2**20  # of a parcel, at once in memory
ITEM = "it"  # what lies on a shelf


def pack(entries: Sequence[tuple[Path, str]], parcel: Path) -> int:
    """Write what there is of (place, name) into the file `parcel`; its size. Raises OSError."""
    parcel.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tarfile.open(parcel, "w", format=tarfile.PAX_FORMAT) as tar:
        for place, name in entries:
            if place.exists():
                tar.add(place, name, recursive=True)
    return parcel.stat().st_size


def unpack(parcel: Path, folder: Path, moved: Mapping[Path, Path] | None = None) -> None:
    """Lay a parcel out in `folder`, over what is there. Links are made only with `moved`, which puts their ends right.

    Raises OSError, or ValueError for a parcel that holds anything else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tarfile.open(parcel) as tar:
        for member in tar:
            parts = PurePosixPath(member.name).parts
            if member.name.startswith("/") or ".." in parts or not parts:
                raise ValueError(f"{member.name!r} in a parcel leads out of it")
            place = folder.joinpath(*parts)
            if not place.parent.resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"{member.name!r} in a parcel goes through a link")
            if member.isdir():
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            elif member.isreg():
                _file(tar, member, place)
            elif member.issym() and moved is not None:
                target = Path(member.linkname)
                place.unlink(missing_ok=True)
                place.symlink_to(relocated(target, moved) if target.is_absolute() else target)
            elif member.islnk() and ".." not in PurePosixPath(member.linkname).parts:
                place.unlink(missing_ok=True)  # two names of one file within the parcel
                shutil.copy2(folder.joinpath(*PurePosixPath(member.linkname.lstrip("/")).parts), place)
            else:
                raise ValueError(f"{member.name!r} in a parcel is no file")


def _file(tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    content = tar.extractfile(member)
    assert content is not None  # it is a regular one
    with open(place, "xb") as file:
        shutil.copyfileobj(content, file, 2**20)
    os.chmod(place, member.mode & 0o755)
    os.utime(place, (member.mtime, member.mtime))


def relocated(path: Path, moved: Mapping[Path, Path]) -> Path:
    """Where `path` of the lab's machine lies on the node: below the longest of the moved places that holds it."""
    for place in sorted(moved, key=lambda one: len(one.parts), reverse=True):
        if path == place or path.is_relative_to(place):
            return moved[place] / path.relative_to(place)
    return path


def for_node(spec: RunSpec, moved: Mapping[Path, Path], devices: tuple[str, ...]) -> RunSpec:
    """The spec as the node's supervisor has to read it. Pure."""
    told = {
        name: str(relocated(Path(value), moved)) if value.startswith("/") else value
        for name, value in spec.scorer_environment.items()
    }
    return spec.model_copy(
        update={
            "queue": relocated(spec.queue, moved),
            "data": None if spec.data is None else relocated(spec.data, moved),
            "readable": tuple(relocated(place, moved) for place in spec.readable),
            "in_home": {name: relocated(place, moved) for name, place in spec.in_home.items()},
            "scorer_environment": told,
            "devices": devices,
            "tree": None,
        }
    )


def needed(spec: RunSpec, folder: Path) -> list[Path]:
    """What a run reads besides its own folder: the corpus and the arena's readable places, the outer ones of nested."""
    named = [*(() if spec.data is None else (spec.data,)), *spec.readable, *spec.in_home.values()]
    places = dict.fromkeys(place for place in named if not place.is_relative_to(folder) and place.exists())
    return [place for place in places if not any(place != one and place.is_relative_to(one) for one in places)]


def fingerprint(place: Path) -> str:
    """Which version of a folder or file this is: names, sizes and times of all in it, links by where they lead."""
    digest = hashlib.sha256()
    for name, path in _listing(place):
        state = os.lstat(path)
        what = os.readlink(path) if path.is_symlink() else f"{state.st_size} {state.st_mtime_ns // 10**9}"
        digest.update(f"{name}\0{what}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _listing(place: Path) -> Iterator[tuple[str, Path]]:
    place = place.resolve()
    if not place.is_dir():
        yield "", place
        return
    for folder, folders, names in os.walk(place):
        folders.sort()
        for name in sorted((*names, *(one for one in folders if os.path.islink(os.path.join(folder, one))))):
            path = Path(folder, name)
            yield path.relative_to(place).as_posix(), path


def piece(parcel: Path, offset: int) -> bytes:
    """The bytes of a parcel from `offset` on, as many as go at once. Raises OSError."""
    with open(parcel, "rb") as file:
        file.seek(offset)
        return file.read(PIECE_BYTES)


def last(content: bytes) -> bool:
    """Whether nothing comes after this piece."""
    return len(content) < PIECE_BYTES


def take(parcel: Path, offset: int, content: bytes) -> None:
    """Write a piece at its place; what lay beyond it is an older attempt's. Raises OSError."""
    parcel.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(parcel, "r+b" if parcel.exists() else "w+b") as file:
        file.truncate(offset)
        file.seek(offset)
        file.write(content)
