"""Makes the change between two sets of files on a third one: path by path, text by text, conflicts with both sides."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcp_server.nouns.text import clean_block
from mcp_server.repo.git import Repository

MARK = 23  # characters of a conflict's marker: no text has such a line by itself
SIDE_CHARACTERS = 600  # of one side of a conflict that are said
MOST_TOLD = 3
MOST_CONFLICTS = 127  # that git counts in its exit status; any other says that it did not merge: a binary file, a kill


@dataclass(frozen=True)
class Conflict:
    """One place where both changed the same lines; a side without text has no such file, or no such lines."""

    path: str
    ours: str
    theirs: str

    def words(self) -> str:
        return f"{self.path}:\n  here:\n{_inset(self.ours)}\n  there:\n{_inset(self.theirs)}"


@dataclass
class Merged:
    """The files as they would be, and where they cannot be."""

    files: dict[str, bytes] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)

    def words(self) -> str:
        """The first conflicts, with both sides."""
        told = [one.words() for one in self.conflicts[:MOST_TOLD]]
        left = len(self.conflicts) - len(told)
        return "\n".join([*told, *([f"and {left} more"] if left else [])])


def merge(
    git: Repository,
    scratch: Path,
    now: Mapping[str, bytes],
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    theirs: bool = False,
) -> Merged:
    """`now` with the change from `before` to `after` made as well. scratch: a folder for files of a moment.

    theirs: where both changed the same lines the change's are taken; that they did is said all the same.
    """
    merged = Merged()
    for path in sorted(now.keys() | before.keys() | after.keys()):
        ours, base, there = now.get(path), before.get(path), after.get(path)
        if there == base or ours in (base, there):
            taken = there if ours == base else ours
            if taken is not None:
                merged.files[path] = taken
        elif ours is None or base is None or there is None:
            merged.conflicts.append(Conflict(path, _side(ours), _side(there)))
            if theirs and there is not None:
                merged.files[path] = there
        else:
            text, marked = _texts(git, scratch, (ours, base, there), theirs)
            merged.files[path] = text
            merged.conflicts += [] if marked is None else _conflicts(path, marked)
    return merged


def _texts(
    git: Repository, scratch: Path, texts: tuple[bytes, bytes, bytes], theirs: bool
) -> tuple[bytes, bytes | None]:
    """git's merge of three texts (ours, base, there), and the same with the conflicts marked; None without any.

    git takes changes of neighbouring lines for one, and constants stand on neighbouring lines: where a place has as
    many lines on each side, it is merged line by line.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        places = [Path(folder) / name for name in ("ours", "base", "theirs")]
        for place, content in zip(places, texts, strict=True):
            place.write_bytes(content)
        command = ["merge-file", "-p", f"--marker-size={MARK}", *(str(place) for place in places)]
        answer = git.ask(*command)
        if answer.code == 0:
            return answer.out, None
        if not 0 < answer.code <= MOST_CONFLICTS:
            return texts[2 if theirs else 0], b""
        marked = git.ask(command[0], "--diff3", *command[1:]).out
        by_line = _by_line(marked)
        if by_line is not None:
            return by_line, None
        if not theirs:
            return answer.out, answer.out
        taken = _by_line(marked, theirs=True)
        return (git.ask(command[0], "--theirs", *command[1:]).out if taken is None else taken), answer.out


def _by_line(marked: bytes, theirs: bool = False) -> bytes | None:
    """The text with every conflict merged line by line; None where one cannot be."""
    done: list[bytes] = []
    sides: list[list[bytes]] = []
    found = False
    for line in marked.splitlines(keepends=True):
        if line.startswith(b"<" * MARK):
            sides, found = [[]], True
        elif sides and line[:MARK] in (b"|" * MARK, b"=" * MARK):
            sides.append([])
        elif sides and line.startswith(b">" * MARK):
            if len(sides) != 3 or len({len(side) for side in sides}) != 1:
                return None
            for here, was, there in zip(*sides, strict=True):
                if was not in (here, there) and here != there and not theirs:
                    return None
                done.append(here if there == was else there)
            sides = []
        else:
            (sides[-1] if sides else done).append(line)
    return b"".join(done) if found and not sides else None


def _conflicts(path: str, text: bytes) -> list[Conflict]:
    """The places that git marked, or one without lines where it would not merge at all."""
    found: list[Conflict] = []
    sides: list[list[str]] = []
    for line in text.decode("utf-8", "replace").splitlines():
        if line.startswith("<" * MARK):
            sides = [[]]
        elif sides and line == "=" * MARK:
            sides.append([])
        elif sides and line.startswith(">" * MARK):
            found.append(Conflict(path, _shown(sides[0]), _shown(sides[-1])))
            sides = []
        elif sides:
            sides[-1].append(line)
    return found or [Conflict(path, "", "")]


def _shown(lines: Sequence[str]) -> str:
    return clean_block("\n".join(lines), SIDE_CHARACTERS)


def _side(content: bytes | None) -> str:
    return "" if content is None else _shown(content.decode("utf-8", "replace").splitlines())


def _inset(text: str) -> str:
    return "\n".join(f"    | {line}" for line in text.splitlines()) or "    (nothing)"
