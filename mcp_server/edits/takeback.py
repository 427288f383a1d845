"""Whether a candidate was made from older files than the incumbent's, told from the edit alone. Pure.

Every place where the older files and the incumbent differ is looked up in the candidate: it has the older text there,
the incumbent's, or another. A candidate that has the older text somewhere and the incumbent's nowhere was not made from
the incumbent: it takes back what was kept, and its own idea would be measured together with that loss.
"""

from __future__ import annotations

import ast
import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

Sources = Mapping[str, bytes]
_Opcodes = Sequence[tuple[str, int, int, int, int]]


@dataclass(frozen=True)
class Agreement:
    """Of the places where the incumbent differs from older files: where a candidate has the one, where the other."""

    older: int
    incumbent: int


def agreement(older: Sources, incumbent: Sources, candidate: Sources) -> Agreement:
    """Compare line by line, comments and layout aside."""
    old = new = 0
    for path in older.keys() | incumbent.keys():
        was, now, there = (_lines(path, files.get(path)) for files in (older, incumbent, candidate))
        if was == now:
            continue
        of_older, of_incumbent = _opcodes(was, there), _opcodes(now, there)
        for first, after, first_now, after_now in _places(_opcodes(was, now)):
            # what was only added, or only taken away, can be looked for on one side alone
            has_old = _untouched(of_older, first, after) if after > first else None
            has_new = _untouched(of_incumbent, first_now, after_now) if after_now > first_now else None
            old += has_old if has_old is not None else not has_new
            new += has_new if has_new is not None else not has_old
    return Agreement(old, new)


def behind(kept: Sequence[tuple[int, Sources]], candidate: Sources) -> int | None:
    """The number of the kept experiment that a candidate was made from, where that is not the last of `kept`."""
    *earlier, (_, incumbent) = kept
    found, most = None, 0
    for number, files in reversed(earlier):
        place = agreement(files, incumbent, candidate)
        if place.incumbent:
            break  # something that was kept since is in it
        if place.older > most:
            found, most = number, place.older
    return found


@functools.lru_cache(maxsize=256)  # the kept files are compared with every attempt, and parsing them takes the time
def _lines(path: str, content: bytes | None) -> tuple[str, ...]:
    text = (content or b"").decode("utf-8", "replace")
    if path.endswith(".py"):
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            text = ast.unparse(ast.parse(text))
    return tuple(line.rstrip() for line in text.splitlines() if line.strip())


@functools.lru_cache(maxsize=64)
def _opcodes(before: tuple[str, ...], after: tuple[str, ...]) -> _Opcodes:
    return SequenceMatcher(None, before, after, autojunk=False).get_opcodes()


def _places(opcodes: _Opcodes) -> list[tuple[int, int, int, int]]:
    """Each place of a change; lines that were replaced one for one are places of their own, as constants are."""
    found = []
    for kind, first, after, first_now, after_now in opcodes:
        if kind == "replace" and after - first == after_now - first_now:
            found += [(first + i, first + i + 1, first_now + i, first_now + i + 1) for i in range(after - first)]
        elif kind != "equal":
            found.append((first, after, first_now, after_now))
    return found


def _untouched(opcodes: _Opcodes, first: int, after: int) -> bool:
    return any(kind == "equal" and begin <= first and after <= end for kind, begin, end, _, _ in opcodes)
