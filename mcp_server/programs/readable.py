"""The further files that an arena lets its runs read, laid where the code looks for them.

`readable: [data]` is the repository's folder `data`, whether git knows it or not: a run finds it at `data`, and by its
whole path. What lies in the home (`~/.cache/x`) is found in the run's own home too. The snapshot's files win.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

MOST_LINKS = 2000  # of one folder, looked through for what leads out of it


def sources(paths: Sequence[str], tree: Path, main: Path) -> tuple[Path, ...]:
    """Where each entry of `readable` lies: relative to this work tree, else to the repository's first one."""
    return tuple(_source(Path(path).expanduser(), tree, main) for path in paths)


def _source(path: Path, tree: Path, main: Path) -> Path:
    places = [Path(os.path.normpath(folder / path)) for folder in dict.fromkeys((tree, main))]
    return next((place for place in places if place.exists()), places[0])


def shown(places: Sequence[Path]) -> tuple[Path, ...]:
    """All that has to be readable for these: the places, what their names lead to, and what links in them lead to."""
    found: dict[Path, None] = {}
    for place in places:
        if place.exists():
            found |= dict.fromkeys((place, place.resolve(), *_leading_out(place)))
    return tuple(found)


def _leading_out(place: Path) -> Iterator[Path]:
    if not place.is_dir():
        return
    with contextlib.suppress(OSError):
        for turn, child in enumerate(os.scandir(place)):
            if turn >= MOST_LINKS:
                return
            if child.is_symlink():
                target = Path(child.path).resolve()
                if target.exists() and not target.is_relative_to(place.resolve()):
                    yield target


def lay(places: Sequence[Path], roots: Sequence[Path], folder: Path) -> None:
    """Link what lies below one of `roots` into `folder`, by the same relative path. Raises OSError."""
    for place in places:
        root = next((one for one in roots if place != one and place.is_relative_to(one)), None)
        if root is not None and place.exists():
            _link(place, folder / place.relative_to(root))


def _link(source: Path, place: Path) -> None:
    if place.is_symlink() or (place.exists() and not (place.is_dir() and source.is_dir())):
        return  # the snapshot has it
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(source.resolve(), place)
        return
    for child in sorted(source.iterdir()):
        _link(child, place / child.name)


def in_home(places: Sequence[Path], home: Path) -> dict[str, Path]:
    """What lies in the person's home, by its path there: a run has a home of its own."""
    below = [place for place in places if place != home and place.is_relative_to(home) and place.exists()]
    return {place.relative_to(home).as_posix(): place.resolve() for place in below}
