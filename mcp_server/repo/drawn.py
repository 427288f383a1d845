"""Which files are views that this lab drew, and where it draws when the place is somebody's.

A file counts as ours by the digest it was drawn with, or by this lab's mark inside it. What we did not draw is never
written over: where git does not know it, it is moved beside its place; where git tracks it, or it is no file, it stays
and the view is drawn in the state folder. A report or a paper goes where a person wants it: there, too, a file that is
not as this lab left it is moved aside.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.paths import LabPaths
from mcp_server.repo.workspace import Workspace

_BEFORE = (b"<!--ar:", b"\texperiment\tscore\tmetric\t", b"Matplotlib")  # in what versions drew that kept no record
_RECORD = "drawn.json"
_REMEMBERED = 2  # digests of each view: the one before a kill and the one after


def lab_mark(lab: str) -> str:
    """What a drawing of this lab carries where it has room for it."""
    return f"autoresearch lab {lab}"


def place_of(paths: LabPaths, name: str) -> Path:
    """Where a view is drawn: in the work tree, or in the state folder while its place is taken."""
    elsewhere = _folder(paths) / name
    return elsewhere if elsewhere.exists() else paths.tree / name


def leave(workspace: Workspace, folder: Path, files: Mapping[str, bytes]) -> tuple[list[str], list[str]]:
    """Write what a person asked for into `folder`; the paths, and which files were moved aside for it, in words.

    Raises NotNow where it cannot be written.
    """
    paths, said = workspace.paths, []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            place = folder / name
            if not _as_left(paths, place, content):
                moved = _free(place, "autoresearch")
                os.rename(place, moved)
                said.append(f"{name} was there and is not as this lab left it; it is kept as {moved.name}.")
            _remember(_folder(paths, folder) / _RECORD, name, content)
            write_atomically(place, content)
    except OSError as error:
        why = error.strerror or error
        raise NotNow(f"{folder} cannot be written: {why}. Name another folder with --out.") from None
    return [str(folder / name) for name in files], said


def keep_out(workspace: Workspace, path: Path) -> None:
    """Have git ignore a folder or file of the work tree that is about to be made; one that is there is the user's."""
    if path.is_relative_to(workspace.paths.tree) and not path.exists():
        place = re.sub(r"([\\*?\[])", r"\\\1", path.relative_to(workspace.paths.tree).as_posix())
        workspace.ignore([f"/{place}"])


def _as_left(paths: LabPaths, path: Path, content: bytes) -> bool:
    if not os.path.lexists(path):
        return True
    if path.is_symlink() or not path.is_file():
        return False
    before = path.read_bytes()
    return before == content or _drew(paths, path.name, before)


def _drew(paths: LabPaths, name: str, content: bytes) -> bool:
    # a lab that was moved finds its record under the old place's name
    records, digest = (paths.state / "views").glob(f"*/{_RECORD}"), hashlib.sha256(content).hexdigest()
    return any(digest in _known(record).get(name, []) for record in records)


def _known(record: Path) -> dict[str, list[str]]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(record.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


def _remember(record: Path, name: str, content: bytes) -> None:
    """Before it is drawn, so that a kill in between leaves no stranger."""
    digest, known = hashlib.sha256(content).hexdigest(), _known(record)
    if digest not in known.get(name, []):
        known[name] = [*known.get(name, []), digest][-_REMEMBERED:]
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(record, json.dumps(known).encode())


def _folder(paths: LabPaths, drawn_in: Path | None = None) -> Path:
    return paths.state / "views" / hashlib.sha256(str(drawn_in or paths.tree).encode()).hexdigest()[:12]


class Drawn:
    """What was drawn in one work tree, remembered in the state folder."""

    NAMES = ("results.tsv", "learnings.md", "progress.png")

    def __init__(self, workspace: Workspace, lab: str, upgraded: bool) -> None:
        """upgraded: an older version drew here, which kept no digests."""
        self.workspace, self.paths, self._mark = workspace, workspace.paths, lab_mark(lab).encode()
        self._record = _folder(self.paths) / _RECORD
        self._upgraded = upgraded and not self._record.exists()
        self._seen: dict[str, tuple[int, int, int]] = {}  # looked at in this process, and ours

    def note(self, name: str, content: bytes) -> None:
        """Remember what is about to be drawn."""
        _remember(self._record, name, content)

    def make_room(self, tag: str) -> list[str]:
        """See that each view has a place to be drawn; what was found there, in words. Raises OSError."""
        said = []
        for name in self.NAMES:
            path, elsewhere = self.paths.tree / name, _folder(self.paths) / name
            if self._ours(path):
                if elsewhere.exists():
                    elsewhere.unlink()  # its place is free again
            elif elsewhere.exists():
                continue
            elif path.is_dir() or self.workspace.git.index([name]):
                elsewhere.parent.mkdir(parents=True, exist_ok=True)
                elsewhere.touch()
                said.append(f"{name} is your own and stays as it is; this lab draws its view at {elsewhere}.")
            else:
                said.append(f"{name} was here and not drawn by this lab; it is kept as {self._beside(path, tag)}.")
        return said

    def _beside(self, path: Path, tag: str) -> str:
        """Move a file out of the way, under a name that is free."""
        place = _free(path, tag)
        os.rename(path, place)
        return place.name

    def keep_copy(self, path: Path, tag: str) -> str:
        """A copy beside a view of ours that a person wrote more into than the ledger takes; its name."""
        place = _free(path, tag)
        shutil.copy2(path, place)
        return place.name

    def _ours(self, path: Path) -> bool:
        try:
            state = path.lstat()
        except OSError:
            return True  # nothing is there
        stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
        if self._seen.get(path.name) == stamp:
            return True
        if path.is_symlink() or not path.is_file():
            return False
        content = path.read_bytes()
        ours = (
            self._mark in content
            or _drew(self.paths, path.name, content)
            or (self._upgraded and any(sign in content for sign in _BEFORE))
        )
        if ours:
            self._seen[path.name] = stamp
        return ours


def _free(path: Path, tag: str) -> Path:
    place, turn = path.with_name(f"{path.name}.before-{tag}"), 1
    while place.exists() or place.is_symlink():
        turn += 1
        place = path.with_name(f"{path.name}.before-{tag}-{turn}")
    return place
