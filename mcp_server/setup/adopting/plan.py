"""Adoption, first as a plan that can be read, then carried out: program.md, and the past into the memory.

Nothing of theirs is changed but program.md, above whose text the arena is written; what stood there stays in git, or
beside it. Carried out twice, the second time changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.arena.frontmatter import has_front_matter
from mcp_server.arena.metrics import Better
from mcp_server.arena.program import Arena, load_program, parse_program
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import NotNow, WorkspaceError
from mcp_server.nouns.files import locked, write_atomically
from mcp_server.nouns.paths import LabPaths
from mcp_server.programs.check import looked_over
from mcp_server.programs.lacks import lacks
from mcp_server.programs.uv import find_uv
from mcp_server.repo.workspace import Workspace
from mcp_server.setup.adopting import elsewhere, pi, reference
from mcp_server.setup.adopting.found import Found, Hint, program

RESULTS = "results.tsv"
NO_SHAPE = (
    "is neither a repository of karpathy/autoresearch's shape (train.py with prepare.py or a program.md, or a "
    "program.md that says which file alone may be edited and which script is run) nor one of pi-autoresearch's "
    "(.auto/measure.sh with .auto/prompt.md). `autoresearch init` proposes an arena for any repository."
)


@dataclass(frozen=True)
class Plan:
    """What would be done. `text`: program.md as it would be written; None where it is an arena's already."""

    paths: LabPaths
    kind: str
    arena: Arena
    text: str | None
    rows: tuple[elsewhere.Row, ...]  # of the past, that the memory does not hold yet
    known: int  # rows of the past that it holds
    python: str
    lacking: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """What somebody says of the arena that the repository does not say, or says otherwise."""

    metric: str = ""
    direction: Better | None = None
    editable: tuple[str, ...] = ()


def plan(folder: Path, wanted: Wanted | None = None) -> Plan:
    """What adopting the repository in `folder` would do. Raises AutoresearchError; nothing is changed."""
    wanted = wanted or Wanted()
    workspace = Workspace(folder)
    paths = workspace.paths
    tree = paths.tree
    head = workspace.resolve("HEAD")
    committed = set(workspace.git.entries(head))

    def tracked(path: str) -> bool:
        return path in committed or any(name.startswith(f"{path.rstrip('/')}/") for name in committed)

    text = _memo(paths.program)
    if text is not None and has_front_matter(text):
        if wanted != Wanted():
            raise NotNow(
                f"{paths.program.name} is an arena already, and what it says holds. Change its front matter there; "
                "--metric, --direction and --editable are for a repository that has none yet."
            )
        arena, written = load_program(paths.program).arena, None
        kind, notes = "an arena already", tuple[str, ...]()
    else:
        found = _recognised(tree, tracked, sorted(committed), wanted)
        if text and found.memo_from != paths.program.name:
            found = replace(found, memo=f"{text.rstrip()}\n\n{found.memo}")
        written = ends_like(program(found), paths.program)
        arena = parse_program(written).arena
        kind, notes = found.kind, found.notes
    environment, missing = looked_over(arena, tree, paths.common.parent, tracked)
    sources = [one for name in (*arena.editable, *arena.frozen) if (one := _memo(tree / name)) is not None]
    rows, of_past = _past(tree, arena)
    known = _known(paths)
    new = tuple(row for row in rows if row.text not in known)
    lost = [*(str(one) for one in missing), *lacks(sources, environment, tree)]
    lacking = tuple(dict.fromkeys(lost))
    return Plan(
        paths, kind, arena, written, new, len(rows) - len(new), environment.words(), lacking, (*notes, *of_past)
    )


def carry_out(chosen: Plan) -> list[str]:
    """Do what the plan says; what was done, in sentences. Raises AutoresearchError or OSError."""
    done = []
    if chosen.text is not None:
        write_atomically(chosen.paths.program, chosen.text.encode())
        done.append(f"Wrote the arena into {chosen.paths.program.name}, above the text that stood there.")
    if chosen.rows:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with locked(chosen.paths.lock):
            ledger = Ledger(chosen.paths.ledger)
            try:
                ledger.check()
                for row in chosen.rows:
                    ledger.add_learning(None, None, row.text, ["elsewhere", row.status], elsewhere.SOURCE, at)
            finally:
                ledger.close()
        done.append(f"Took {len(chosen.rows)} attempts of the past into the memory, as tried elsewhere.")
    return done


def _recognised(tree: Path, tracked: Callable[[str], bool], files: list[str], wanted: Wanted) -> Found:
    uv = find_uv(os.environ) is not None or any((tree / name / "pyvenv.cfg").is_file() for name in (".venv", "venv"))
    logged = next((one for name in _logs(tree) if (one := elsewhere.log(tree, name)[0]) is not None), None)
    past = (logged.schema.metric, logged.schema.direction) if logged else ("", "")
    hint = Hint(wanted.metric, wanted.direction or "", *past)
    found = pi.recognise(tree, tracked, lambda: files, hint) or reference.recognise(tree, tracked, uv, hint)
    if found is None:
        raise WorkspaceError(f"{tree} {NO_SHAPE}")
    if wanted.editable:
        found = replace(found, editable=wanted.editable)
    if not found.editable:
        raise WorkspaceError(
            f"{found.memo_from} names no file in scope that git knows. Say which the agent may change: "
            "autoresearch adopt --editable FILE"
        )
    return _settled(found)


def _settled(found: Found) -> Found:
    """With a metric and its direction, which are asked for where nothing says them. Raises NotNow."""
    if not found.metric:
        could = f", and a run prints {', '.join(found.numbers[:8])}" if found.numbers else ""
        raise NotNow(
            f"Nothing in {found.memo_from} names the metric{could}. Say which number counts and which way is better: "
            "autoresearch adopt --metric NAME --direction minimize"
        )
    if not found.direction:
        raise NotNow(
            f"Nothing says which way {found.metric} is better. Say it: autoresearch adopt --direction minimize, or "
            "--direction maximize"
        )
    best = "lowest" if found.direction == "minimize" else "highest"
    return replace(found, goal=found.goal or f"{best} {found.metric}")


def ends_like(text: str, path: Path) -> str:
    """With the line ends that the file has now."""
    try:
        return text.replace("\n", "\r\n") if b"\r\n" in path.read_bytes() else text
    except OSError:
        return text


def _memo(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    except OSError:
        return None


def _logs(tree: Path) -> list[str]:
    return [name for name in (RESULTS, pi.place(tree, "log")) if name]


def _past(tree: Path, arena: Arena) -> tuple[list[elsewhere.Row], list[str]]:
    """What was tried, by the log's own words of its metric; where it has none, by the arena's."""
    rows, notes = [], []
    for name in _logs(tree):
        history, note = elsewhere.log(tree, name)
        if history is None and note:
            history, note = elsewhere.log(tree, name, direction=arena.metric.direction)
        if history is None and note:
            history, note = elsewhere.log(tree, name, arena.metric.name, arena.metric.direction)
        rows += elsewhere.lessons(history, name) if history else []
        notes += [note] if note else []
    return list(dict.fromkeys(rows)), notes


def _known(paths: LabPaths) -> set[str]:
    if not paths.ledger.exists():
        return set()
    ledger = Ledger(paths.ledger)
    try:
        return {one.text for one in ledger.learnings() if one.source == elsewhere.SOURCE}
    finally:
        ledger.close()
