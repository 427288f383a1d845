"""Notices edits of program.md, styles and learnings.md when they happen; everything is still correct without it.

Every verb reads the files it needs anyway. Watching only tells clients sooner, so a machine where it cannot run (no
inotify watches left) loses nothing but that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

log = logging.getLogger(__name__)

WATCHED = ("program.md", "learnings.md")
STYLES = "styles"


class _Told(FileSystemEventHandler):
    def __init__(self, tree: Path, tell: Callable[[str], None]) -> None:
        self._tree, self._tell = tree, tell

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("created", "modified", "moved", "deleted"):
            return
        for place in (event.src_path, event.dest_path):
            path = Path(str(place))
            if path.parent == self._tree and path.name in WATCHED:
                self._tell(path.name)
            elif path.parent == self._tree / STYLES and path.suffix == ".md":
                self._tell(f"{STYLES}/{path.name}")


def watch(tree: Path, tell: Callable[[str], None]) -> Callable[[], None]:
    """Call `tell(name)` from a thread of its own whenever a watched file of `tree` changes; returns how to stop."""
    observer: BaseObserver = Observer()
    told = _Told(tree, tell)
    try:
        observer.schedule(told, str(tree))
        if (tree / STYLES).is_dir():
            observer.schedule(told, str(tree / STYLES))
        observer.start()
    except OSError as error:
        log.warning("Edits of %s are not watched: %s. They apply from the next call all the same.", tree, error)
        return lambda: None

    def stop() -> None:
        observer.stop()
        observer.join(timeout=2)

    return stop
