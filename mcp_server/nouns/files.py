"""Files that are whole or absent, locks that cannot outlive their process, and folders that nobody else can read."""

from __future__ import annotations

import contextlib
import csv
import errno
import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

LITTER = ".autoresearch~"  # ends the name of a temporary file that had to lie beside its target
_STALE_SECONDS = 3600.0
OTHERS = 0o077  # rights of everybody but the owner


def private_folder(path: Path) -> None:
    """Have a folder at `path` that only its owner may enter; folders made on the way there are private too.

    One that is there already is mended, if it is ours. Raises PermissionError for a link, or a folder of somebody else:
    in a folder like /tmp anybody may have made it first, to read what we write or to have it written elsewhere.
    """
    for folder in (*reversed(path.parents), path):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
    trouble = not_ours(path)
    if trouble:
        raise PermissionError(errno.EPERM, trouble, str(path))
    mend(path)


def not_ours(path: Path) -> str:
    """Why `path` is no folder of ours, or "". Root may use a user's: it is the user's lab that root works in then."""
    state = os.lstat(path)
    if not stat.S_ISDIR(state.st_mode):
        return "a link or a file stands where our folder should"
    if state.st_uid not in (os.getuid(), 0) and os.getuid() != 0:
        return f"the folder belongs to another user (uid {state.st_uid})"
    return ""


def private_file(path: Path) -> None:
    """Have a file at `path`, empty if it is new, that only its owner may read. Raises OSError.

    One that is there is not opened: closing it again would drop every POSIX lock that this process has on it, and with
    them SQLite's. Another process would then take itself for the last reader of a database and remove its log, into
    which we still write.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    mend(path)


def mend(*paths: Path) -> None:
    """Take everybody else's rights away. What is not there, not ours or on a read-only disk stays as it is."""
    for path in paths:
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(os.stat(path).st_mode)
            if mode & OTHERS:
                os.chmod(path, mode & ~OTHERS)


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `content`: temporary file beside it, fsync, rename, fsync of the folder. Raises OSError."""
    _sweep(path)
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=LITTER)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    settle(path.parent)


def settle(path: Path) -> None:
    """Have the disk write a file through. Raises OSError."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_quickly(path: Path, text: str) -> None:
    """Replace a file that nobody needs for the truth; a disk that refuses it is let off."""
    # one writer per run, so one name will do, and a killed writer leaves no litter
    temporary = path.with_name(f".{path.name}.new")
    with contextlib.suppress(OSError):
        temporary.write_bytes(text.encode(errors="replace"))
        os.replace(temporary, path)


@contextlib.contextmanager
def csv_fields(longest: int) -> Iterator[None]:
    """Let the cells of a table have so many characters meanwhile: Python has one limit for a whole process."""
    before = csv.field_size_limit(longest)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def text_of(path: Path) -> str:
    """What a file says; "" where it is not there or cannot be read."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _sweep(path: Path) -> None:
    """Remove what killed writers of `path` left beside it, once it is surely nobody's."""
    with contextlib.suppress(OSError):
        for name in os.listdir(path.parent):
            if name.startswith(f".{path.name}.") and name.endswith(LITTER):
                left = path.parent / name
                if time.time() - left.lstat().st_mtime > _STALE_SECONDS:
                    left.unlink()


def remove(folder: Path) -> None:
    """Remove a folder, whatever a run made of it: shut or sealed, and deeper than Python recurses. Raises OSError."""
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):
        if os.path.lexists(folder):
            subprocess.run(["chmod", "-R", "u+rwx", "--", folder], capture_output=True)  # follows no links
            done = subprocess.run(["rm", "-rf", "--", folder], capture_output=True, text=True)
            if done.returncode:
                raise OSError(errno.EIO, done.stderr.strip()[:300], str(folder)) from None


def open_lock(path: Path) -> int:
    """A descriptor to lock with flock; close-on-exec, so that no child keeps the lock by accident.

    A link is not followed: whoever made it could have any file of ours created or held. Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def try_lock(path: Path) -> int | None:
    """The descriptor that holds an exclusive flock on `path`, or None while somebody else does. Close it to let go."""
    fd = open_lock(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def share_lock(path: Path) -> int:
    """A descriptor that holds a shared flock on `path`, as any number of processes may. Close it to let go.

    It waits for whoever only looks whether somebody is there, which takes no time. Raises OSError.
    """
    fd = open_lock(path)
    fcntl.flock(fd, fcntl.LOCK_SH)
    return fd


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock. A held lock cannot outlive its process; a pid can be reused."""
    if not path.exists():
        return False
    fd = try_lock(path)
    if fd is None:
        return True
    os.close(fd)
    return False


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive flock on `path`, waiting for it."""
    fd = open_lock(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
