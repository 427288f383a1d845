"""What a compiler keeps of its work, handed from the unchanged code to every later run, and from no run to another.

A trainer that calls `torch.compile` pays for it in every slot unless it finds what was compiled before. But a
compiler's folder is code, which whoever finds it executes, and a place to leave weights. So each run has a folder of
its own, a copy that goes with it; what is copied comes from the campaign's unchanged code alone, and is what lay there
when its budget began to count, give or take a look. Nothing that an edit wrote gets there.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import time
from pathlib import Path

from mcp_server.nouns.files import remove

log = logging.getLogger(__name__)

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"  # Triton's folder lies in it
MOST_BYTES, MOST_ENTRIES, MOST_DEPTH = 1_000_000_000, 10_000, 16  # of what is handed on; of more, nothing is
MOST_SECONDS = 2.0  # for its copying, while the run's clock is not looked at; after more it would count as stopped


def lay(shared: Path, own: Path, leaves: bool) -> bool:
    """Make a run's folder, where there is something to find or it `leaves` something; whether it finds something.

    Copies, no links: a run may write in its folder. What cannot be copied is compiled anew. Raises OSError.
    """
    found = shared.is_dir()
    if found:
        try:
            shutil.copytree(shared, own)
        except OSError:  # somebody removes it at this moment; where the disk is full the run will say so
            log.warning("what was compiled cannot be had", exc_info=True)
            remove(own)
            found = False
    if leaves and not found:
        own.mkdir()
    return found


def take(own: Path, into: Path) -> None:
    """Copy what lies in the folder of a living trainer: files alone, and nothing by a link or a name that moves.

    Leaves nothing where that is too much or cannot be done: whatever a trainer lays there, its run goes on.
    """
    try:
        whole = _take(own, into, time.monotonic() + MOST_SECONDS)
    except OSError:  # a name too long, a folder that is shut, a full disk, one that is far away
        log.warning("what was compiled is not kept", exc_info=True)
        whole = False
    if not whole:
        shutil.rmtree(into, ignore_errors=True)


def _take(own: Path, into: Path, ends: float) -> bool:
    entries = size = 0
    for place, _, names, folder in os.fwalk(own):  # follows no links, and looks before it goes deeper
        inside = Path(place).relative_to(own)
        entries += 1 + len(names)
        if entries > MOST_ENTRIES or len(inside.parts) > MOST_DEPTH:
            return False
        (into / inside).mkdir()
        for name in names:
            size += _copy(name, folder, into / inside / name, MOST_BYTES - size, ends)
            if size > MOST_BYTES:
                return False
    return True


def _copy(name: str, folder: int, target: Path, most: int, ends: float) -> int:
    """Copy a file of an open folder, if it is one, no link, and not larger than `most`; its bytes. Raises OSError, also
    where it is not done at `ends` (monotonic).
    """
    try:
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:  # a link, or a compiler has renamed its file, now that it is whole
        return 0
    with open(opened, "rb") as source:
        state = os.fstat(opened)
        if not stat.S_ISREG(state.st_mode) or state.st_nlink > 1:
            return 0
        if state.st_size > most:
            return state.st_size
        with open(target, "xb") as file:
            left = state.st_size  # it may grow meanwhile
            while left > 0 and (part := source.read(min(left, 1 << 20))):
                if time.monotonic() > ends:
                    raise TimeoutError(f"{name} and what came before take more than {MOST_SECONDS:g} s to copy")
                left -= file.write(part)
        # a compiled library need not be executable, and is as its maker left it
        os.chmod(target, 0o755 if state.st_mode & stat.S_IXUSR else 0o644)
    return state.st_size


def publish(taken: Path, shared: Path) -> None:
    """Hand what was taken to all later runs, unless another run of the unchanged code has. Raises OSError."""
    if not any(place.is_file() for place in taken.rglob("*")):
        return
    shared.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(taken, shared)
    except OSError:
        if not shared.is_dir():
            raise
