"""Which paths an arena means: exact files, folders ("src/") and globs ("src/**/*.py"), as a pure decision.

Patterns are relative to the top of the repository, with "/" between parts and case told apart. `*` and `?` stay inside
one folder, `**` crosses folders, a name without wildcards means that file or everything below that folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from mcp_server.nouns.errors import WorkspaceError

_WILD = re.compile(r"[*?\[]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def is_safe_path(path: str) -> bool:
    """Whether a relative path stays in its tree and out of every `.git`, whatever the file system folds."""
    parts = path.split("/")
    # git itself refuses these names in an index; a tree object can still hold them, and we write trees ourselves
    return all(part not in ("", ".", "..") and part.rstrip(" .").lower() not in (".git", "git~1") for part in parts)


def _regex(pattern: str) -> str:
    """A regular expression for one glob."""
    out, i = "", 0
    while i < len(pattern):
        if pattern.startswith("**/", i) and (i == 0 or pattern[i - 1] == "/"):
            out, i = out + r"(?:[^/]+/)*", i + 3
        elif pattern[i:] == "**" and (i == 0 or pattern[i - 1] == "/"):
            out, i = out + r".+", i + 2
        elif pattern[i] == "*":
            out, i = out + r"[^/]*", i + 1
        elif pattern[i] == "?":
            out, i = out + r"[^/]", i + 1
        elif pattern[i] == "[" and (end := pattern.find("]", i + 2)) > 0:
            body = pattern[i + 1 : end].replace("\\", r"\\").replace("[", r"\[").replace("&", r"\&").replace("~", r"\~")
            negated, body = body[0] in "!^", body.lstrip("!^") or r"\^"
            out, i = out + (rf"[^/{body}]" if negated else f"(?!/)[{body}]"), end + 1
        else:
            out, i = out + re.escape(pattern[i]), i + 1
    return out


@dataclass(frozen=True)
class Patterns:
    """A checked list of patterns. Raises WorkspaceError on one that could leave the tree or says nothing."""

    items: tuple[str, ...]

    def __post_init__(self) -> None:
        for item in self.items:
            if not item or _CONTROL.search(item) or "\\" in item or not is_safe_path(item.removesuffix("/")):
                raise WorkspaceError(
                    f"{item[:200]!r} is not a path inside the repository. Write it relative to the repository's top, "
                    "with '/' between folders and without '..', like train.py, src/ or src/**/*.py."
                )
        _ = self._expression

    @classmethod
    def of(cls, patterns: Iterable[str] | Patterns) -> Patterns:
        return patterns if isinstance(patterns, Patterns) else cls(tuple(patterns))

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        alternatives = []
        for item in self.items:
            if item.endswith("/"):
                alternatives.append((_regex(item) if _WILD.search(item) else re.escape(item)) + ".+")
            elif _WILD.search(item):
                alternatives.append(_regex(item))
                alternatives.append(re.escape(item))  # a file may really be called "a[1].py"
            else:
                alternatives.append(re.escape(item) + "(?:/.+)?")
        try:
            return re.compile("|".join(f"(?:{one})" for one in alternatives) or r"(?!)", re.DOTALL)
        except re.error as error:
            raise WorkspaceError(
                f"The patterns {', '.join(self.items)[:200]} cannot be read: {error}. "
                "Use only *, ?, ** and [abc] as wildcards."
            ) from error

    def match(self, path: str) -> bool:
        """Whether `path` is meant by any of the patterns."""
        return self._expression.fullmatch(path) is not None

    @property
    def plain(self) -> tuple[str, ...]:
        """Those that name one file (or one folder, if that is what lies there)."""
        return tuple(item for item in self.items if not item.endswith("/") and not _WILD.search(item))

    @property
    def wide(self) -> tuple[str, ...]:
        """The fixed beginnings of the others: folders to look through; "" is the whole tree."""
        bases = []
        for item in self.items:
            if item in self.plain:
                continue
            wild = _WILD.search(item)
            fixed = item[: wild.start()] if wild else item
            bases.append(fixed.rpartition("/")[0])
        return tuple(dict.fromkeys(bases))

    @property
    def roots(self) -> tuple[str, ...]:
        """Files and folders below which every match lies; nothing means the whole tree."""
        roots = tuple(dict.fromkeys((*self.plain, *self.wide)))
        return () if "" in roots else roots
