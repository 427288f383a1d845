"""Files in somebody's work tree, seen and replaced without ever following a symbolic link.

Every step from the top of the tree to a file is opened by descriptor and refuses links, so that a folder swapped for a
link between a check and a write cannot lead out of the tree. A file is replaced by rename, never written in place: a
write cut short would leave an empty file that nobody recognises. The temporary file lies outside the tree when the
file system allows it, so that a kill leaves no litter among the user's files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from mcp_server.nouns.errors import WorkspaceError

LITTER = ".autoresearch~"  # ends the name of a temporary file that had to lie beside its target
_STALE_SECONDS = 3600.0


class Hash(Protocol):
    def update(self, data: bytes, /) -> object: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True)
class Seen:
    """What lies at a path. `oid` is git's name for the bytes as they are, no filter applied; regular files only."""

    kind: Literal["absent", "file", "symlink", "folder", "special"]
    oid: str = ""
    executable: bool = False
    size: int = 0
    content: bytes | None = None  # None when larger than the limit asked for


ABSENT = Seen("absent")


@contextlib.contextmanager
def _folder(tree: Path, path: str, create: bool = False) -> Iterator[tuple[int, str]]:
    """A descriptor of the folder that holds `path`, and the last part of `path`. OSError when a link is in the way."""
    *parents, name = path.split("/")
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parents:
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, dir_fd=fd)
            step = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = step
        yield fd, name
    finally:
        os.close(fd)


def _through_link(tree: Path, path: str) -> bool:
    """Whether a parent of `path` is a symbolic link."""
    here = tree
    for part in path.split("/")[:-1]:
        here = here / part
        if here.is_symlink():
            return True
    return False


def look(tree: Path, path: str, start_hash: Callable[[int], Hash], keep_bytes: int = 0) -> Seen:
    """See what lies at `path`; up to `keep_bytes` of a file's content come along. Raises OSError (unreadable)."""
    try:
        with _folder(tree, path) as (folder, name):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                return Seen("symlink")
            if stat.S_ISDIR(status.st_mode):
                return Seen("folder")
            if not stat.S_ISREG(status.st_mode):
                return Seen("special")  # never opened: a pipe would block, a device would act
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return ABSENT
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            return Seen("symlink") if _through_link(tree, path) else ABSENT
        raise
    with os.fdopen(fd, "rb") as file:
        for _ in range(5):
            status = os.fstat(fd)
            file.seek(0)
            digest, left, kept = start_hash(status.st_size), status.st_size, []
            while chunk := file.read(min(left, 1 << 20)) if left else file.read(1):
                digest.update(chunk)
                left -= len(chunk)
                if status.st_size <= keep_bytes:
                    kept.append(chunk)
                if left < 0:
                    break
            if left == 0:
                content = b"".join(kept) if status.st_size <= keep_bytes else None
                return Seen("file", digest.hexdigest(), bool(status.st_mode & 0o100), status.st_size, content)
    raise WorkspaceError(f"{path} is being written while it is read. Try again when the writer is done.")


def replace(tree: Path, path: str, content: bytes, executable: bool, staging: Path) -> None:
    """Put `content` at `path` by rename; an existing file keeps its permissions and owner. Raises OSError."""
    with _folder(tree, path, create=True) as (folder, name):
        old: os.stat_result | None = None
        with contextlib.suppress(FileNotFoundError):
            old = os.stat(name, dir_fd=folder, follow_symlinks=False)
        temporary, source = _stage(folder, name, staging)
        try:
            with os.fdopen(temporary, "wb") as file:
                file.write(content)
                file.flush()
                mode = stat.S_IMODE((old or os.fstat(file.fileno())).st_mode)
                mode = mode | ((mode & 0o444) >> 2) if executable else mode & ~0o111
                if old is not None:
                    with contextlib.suppress(PermissionError):  # not ours to give away: then it is ours, as with git
                        os.fchown(file.fileno(), old.st_uid, old.st_gid)
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            if isinstance(source, Path):
                os.rename(source, name, dst_dir_fd=folder)
            else:
                os.rename(source, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(source, dir_fd=None if isinstance(source, Path) else folder)
            raise
        os.fsync(folder)


def _stage(folder: int, name: str, staging: Path) -> tuple[int, Path | str]:
    """An open temporary file: in `staging` if that is the target's file system, else beside the target."""
    staging.mkdir(parents=True, exist_ok=True)
    sweep(staging)
    if os.stat(staging).st_dev == os.fstat(folder).st_dev:
        source = staging / f"{os.getpid()}-{secrets.token_hex(6)}"
        return os.open(source, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), source
    beside = f".{name[:200]}{LITTER}"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside, dir_fd=folder)  # what an earlier kill left
    return os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder), beside


def sweep(staging: Path) -> None:
    """Remove what killed processes left in a folder of temporary things, once it is surely nobody's."""
    if not staging.is_dir():
        return
    for left in staging.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - left.lstat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


def remove(tree: Path, path: str) -> None:
    """Delete the file at `path`, and the folders that this leaves empty, as git does. Raises OSError."""
    with _folder(tree, path) as (folder, name):
        os.unlink(name, dir_fd=folder)
        os.fsync(folder)
    parent = path.rpartition("/")[0]
    while parent:
        try:
            with _folder(tree, parent) as (folder, name):
                os.rmdir(name, dir_fd=folder)
        except OSError:
            return  # not empty: it stays
        parent = parent.rpartition("/")[0]
