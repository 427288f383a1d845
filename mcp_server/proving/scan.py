"""What is seen of an arena without attacking it: what its scorer opens, what is editable or not frozen. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from mcp_server.arena.program import Arena
from mcp_server.nouns.text import object_in
from mcp_server.proving.evidence import Finding, Severity
from mcp_server.repo.patterns import Patterns

SAYS = "autoresearch-proof:"
SECRET = re.compile(
    r"answer|label|truth|target|hidden|secret|gold|expected|solution|holdout|held_out|(^|[_/-])key", re.I
)
CODE = (".py", ".pyc", ".sh", ".so", ".js", ".c", ".h", ".toml", ".cfg")


@dataclass(frozen=True)
class Watched:
    """What a scorer did: the files it opened, by where they lie, and whether it started other programs."""

    trusted: frozenset[str] = frozenset()
    snapshot: frozenset[str] = frozenset()
    artifact: frozenset[str] = frozenset()
    started: bool = False
    seen: bool = False  # whether it could be watched at all


def told(text: str) -> dict[str, list[object]]:
    """What an intruder or the watcher said, by name. The text is a log that somebody else may have written into."""
    found: dict[str, list[object]] = {}
    for line in text.splitlines():
        said = object_in(line.removeprefix(SAYS)) if line.startswith(SAYS) else None
        for name, value in (said or {}).items():
            found.setdefault(str(name), []).append(value)
    return found


def watched(text: str) -> Watched:
    """The watcher's report."""
    said = told(text)
    if "trusted" not in said:
        return Watched()

    def paths(name: str) -> frozenset[str]:
        value = said.get(name, [[]])[-1]
        return frozenset(str(path) for path in value) if isinstance(value, list) else frozenset()

    return Watched(paths("trusted"), paths("snapshot"), paths("artifact"), bool(said.get("started", [0])[-1]), True)


def program_files(command: str, files: Iterable[str]) -> list[str]:
    """The files of the repository that a command names."""
    known = set(files)
    found = []
    words = shlex.split(command)
    for place, word in enumerate(words):
        name = PurePosixPath(word).as_posix().removeprefix("./")
        if place and words[place - 1] == "-m":
            name = word.replace(".", "/") + ".py"
        if name in known:
            found.append(name)
    return found


def check_files(command: str, files: Iterable[str]) -> list[str]:
    """The files that decide in a check: its program, or the tests it runs. What it only looks at is none of them."""
    words, known = shlex.split(command), list(files)
    if any(PurePosixPath(word).name in ("pytest", "py.test", "unittest") for word in words):
        places = [
            word.rstrip("/") for word in words if any(name == word or name.startswith(f"{word}/") for name in known)
        ]
        tests = [
            name for name in known if re.fullmatch(r"test_.*\.py|.*_test\.py|conftest\.py", PurePosixPath(name).name)
        ]
        return [name for name in tests if not places or any(name == p or name.startswith(f"{p}/") for p in places)]
    program = words[1] if len(words) > 1 and words[0] in ("python", "python3", "bash", "sh", "node") else words[0]
    return [name for name in (program.removeprefix("./"),) if name in known]


def scan(arena: Arena, files: tuple[str, ...], untracked: tuple[str, ...], watch: Watched) -> list[Finding]:
    """The findings that follow from the contract, the list of files and what the scorer opened."""
    editable, frozen = Patterns.of(arena.editable), Patterns.of(arena.frozen)
    found: list[Finding] = []
    judges = dict.fromkeys(program_files(arena.score, files))
    for check in arena.checks:
        judges.update(dict.fromkeys(check_files(check, files)))
    read = sorted(path for path in watch.trusted if path in set(files))
    judges.update(dict.fromkeys(path for path in read if path.endswith(CODE)))
    ours = [path for path in judges if editable.match(path)]
    if ours:
        found.append(
            Finding(
                "scorer_editable", Severity.BLOCKS,
                f"{_some(ours)} {'is' if len(ours) == 1 else 'are'} part of the judge and editable.",
                "Take it out of `editable` and name it in `frozen`. Who imports the attempt from the scorer's folder "
                "measures the first commit for ever: run the one in $AUTORESEARCH_SNAPSHOT, in its own process.",
            )
        )  # fmt: skip
    data = [path for path in read if not path.endswith(CODE) and editable.match(path)]
    if data:
        found.append(
            Finding(
                "data_editable", Severity.BLOCKS,
                f"The scorer reads {_some(data)} of the first commit, and the same path is editable.",
                "What measures belongs into `frozen`; what is measured is read from $AUTORESEARCH_ARTIFACT or "
                "$AUTORESEARCH_SNAPSHOT.",
            )
        )  # fmt: skip
    loose = [path for path in (*judges, *read) if not editable.match(path) and not frozen.match(path)]
    loose = list(dict.fromkeys(path for path in loose if not path.endswith(".pyc") and path != "program.md"))
    if loose:
        found.append(
            Finding(
                "not_frozen", Severity.WARNS,
                f"{_some(loose)} measure{'s' if len(loose) == 1 else ''} and {'is' if len(loose) == 1 else 'are'} not "
                "in `frozen`: a change of it in the work tree would pass unnoticed.",
                f"frozen: [{', '.join([*arena.frozen, *loose][:8])}]",
            )
        )  # fmt: skip
    new = [path for path in untracked if path in judges or path in read or editable.match(path) or path == "program.md"]
    if new:
        found.append(
            Finding(
                "not_committed", Severity.WARNS, f"{_some(new)} {'is' if len(new) == 1 else 'are'} not in git yet.",
                "A campaign begins from a commit: git add, git commit.",
            )
        )  # fmt: skip
    return found


def suspects(watch: Watched, run_opened: Iterable[str], arena: Arena) -> tuple[list[str], list[str]]:
    """Files beside the scorer that only it opens: (those whose name says that they are answers, the others)."""
    editable, theirs = Patterns.of(arena.editable), set(run_opened)
    only = [
        path
        for path in sorted(watch.trusted)
        if not path.endswith(CODE) and path not in theirs and not editable.match(path) and not path.startswith(".git/")
    ]
    telling = [path for path in only if SECRET.search(path)]
    return telling, [path for path in only if path not in telling]


def known_to_scorer(watch: Watched, files: Mapping[str, bytes], command: str) -> dict[str, bytes]:
    """What answers could be taken from: the data that the scorer opens and its own source."""
    names = [path for path in sorted(watch.trusted) if path in files and not path.endswith(".pyc")]
    names += [path for path in program_files(command, files) if path not in names]
    return {name: files[name] for name in names}


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")
