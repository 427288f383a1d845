"""What `readable` may never open to a run: sealed data, the ledgers of all labs, the caches.

Whatever program.md or a person says. A folder is refused when it is such a place, lies in one, or holds one, and it is
looked at where its links lead. It is asked when a campaign begins, when its rules are amended, and again when a run is
laid out, for a link may point elsewhere by then.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.paths import LabPaths, cache_folder

LEDGER = Path("autoresearch") / "lab.db"  # below a git folder
CACHE = "the cache of corpora"
THEIRS = ("data", "tokenizer")  # what karpathy/autoresearch keeps in a cache folder of the same name
MOST_ENTRIES = 20_000  # looked at in one folder, the nearest first: a lab deeper in a larger one is not found


def readable_folders(readable: Sequence[str], paths: LabPaths, corpus: str | None) -> tuple[Path, ...]:
    """The folders that program.md names, where their links lead. Raises ArenaError for one that must stay closed."""
    places = {"this lab's ledger and runs": paths.state, CACHE: cache_folder()}
    if corpus:
        places["the sealed corpus"] = Path(corpus)
    closed = {what: place.expanduser().resolve() for what, place in places.items()}
    found = []
    for name in readable:
        folder = Path(name).expanduser()
        folder = (folder if folder.is_absolute() else paths.tree / folder).resolve()
        for what, place in closed.items():
            if what == CACHE and folder.is_relative_to(place) and _theirs(folder, place):
                continue
            if folder == place or place in folder.parents or folder in place.parents:
                _refuse(name, f"{what} ({place})")
        ledger = _ledger_around(folder) or _ledger_within(folder)
        if ledger is not None:
            _refuse(name, f"a lab's ledger ({ledger})")
        found.append(folder)
    return tuple(found)


def _theirs(folder: Path, cache: Path) -> bool:
    """Whether this is the reference project's data, which it keeps where our corpora lie."""
    inside = folder.relative_to(cache).parts
    return bool(inside) and inside[0] in THEIRS and not (cache / inside[0] / "sealed").exists()


def _refuse(name: str, what: str) -> None:
    raise ArenaError(
        f"readable: {name} would open {what} to the runs, and no key can. Name a narrower folder in program.md."
    )


def _ledger_around(folder: Path) -> Path | None:
    """The ledger of a lab in whose state folder this lies."""
    for parent in (folder, *folder.parents):
        if parent.name == LEDGER.parent.name and (parent / LEDGER.name).exists():
            return parent / LEDGER.name
    return None


def _ledger_within(folder: Path) -> Path | None:
    """The first ledger found below, nearest first; links are not followed, for a run cannot follow them either."""
    left, waiting = MOST_ENTRIES, deque([folder])
    while waiting and left > 0:
        here = waiting.popleft()
        if (here / LEDGER).exists():
            return here / LEDGER
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    left -= 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
        except OSError:
            continue  # what we cannot list a run of ours cannot either
    return None
