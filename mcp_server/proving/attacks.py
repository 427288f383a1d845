"""The attacks on an arena, as variants of its editable files. Pure: from sources and an honest artifact, new sources.

A planted score is one that no honest run would get by chance, so a run that comes back with it says which way it took.
"""

from __future__ import annotations

import ast
import base64
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mcp_server.edits.movable import Move, constants, edited
from mcp_server.proving import intruder
from mcp_server.proving.answers import constant_answer, fitted

Sources = Mapping[str, bytes]

WAYS = ("printed", "left", "forged", "overwritten", "spoken")
MEASURES = ("EVAL", "TEST", "VALID", "HOLDOUT", "SCOR", "METRIC", "GRAD", "JUDGE", "CORRECT")
WORK = (
    *("STEP", "ITER", "EPOCH", "ROUND", "TRIAL", "RESTART", "SAMPLE", "SECONDS", "BUDGET", "ATTEMPT"),
    *("SWEEP", "MOVES"),
)
LARGEST_REPLAY = 400_000  # bytes of an artifact that fit into an editable file as text
MORE = 4  # times the work


def planted(score: float, direction: str) -> dict[str, float]:
    """A wonderful score for each way to plant one."""
    found = {}
    for place, way in enumerate(WAYS):
        share = 0.9137 + 0.0131 * place
        if direction == "maximize":
            found[way] = score + (1.0 - score) * share if 0 <= score < 1 else score + (abs(score) + 1) * share
        else:
            found[way] = score * (1 - share) if score > 0 else score - (abs(score) + 1) * share
    return {way: float(f"{value:.9g}") for way, value in found.items()}


def in_python(sources: Sources) -> dict[str, str]:
    """The editable files that an intruder can be put into."""
    found = {}
    for name, content in sources.items():
        if name.endswith(".py"):
            try:
                text = content.decode()
                ast.parse(text)
            except (UnicodeDecodeError, SyntaxError, ValueError):
                continue
            found[name] = text
    return found


def intruded(sources: Sources, orders: Mapping[str, Any]) -> dict[str, bytes]:
    """Every Python file with the intruder before its first statement."""
    text = inspect.getsource(intruder).replace(
        "ORDERS: dict[str, Any] = {}", f"ORDERS: dict[str, Any] = {dict(orders)!r}", 1
    )
    packed = base64.b64encode(text.encode()).decode()
    line = f"exec(compile(__import__('base64').b64decode('{packed}'), 'intruder', 'exec'), {{'__name__': 'intruder'}})"
    changed = dict(sources)
    for name, source in in_python(sources).items():
        lines = source.splitlines(keepends=True)
        at = _first_statement(ast.parse(source))
        changed[name] = "".join([*lines[:at], line + "\n", *lines[at:]]).encode()
    return changed


def _first_statement(tree: ast.Module) -> int:
    """How many lines the docstring and the future imports take, which must stay first."""
    at = 0
    for place, statement in enumerate(tree.body):
        docstring = place == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not docstring and not (isinstance(statement, ast.ImportFrom) and statement.module == "__future__"):
            break
        at = statement.end_lineno or at
    return at


class _Emptied(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.body = [ast.Return(ast.Constant(None))]
        node.decorator_list = []
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        node.body = [ast.Return(ast.Constant(None))]
        return node


def emptied(sources: Sources) -> dict[str, bytes]:
    """Functions that return None, modules that only define; any other file without content."""
    python = in_python(sources)
    changed: dict[str, bytes] = {}
    for name, content in sources.items():
        if name not in python:
            changed[name] = b"{}\n" if name.endswith(".json") else b"\n" if content else content
            continue
        tree = _Emptied().visit(ast.parse(python[name]))
        tree.body = [node for node in tree.body if isinstance(node, _DEFINING) and not _computes(node)]
        changed[name] = (ast.unparse(ast.fix_missing_locations(tree)) + "\n").encode()
    return changed


_DEFINING = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


def _computes(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    return value is not None and any(isinstance(part, ast.Call) for part in ast.walk(value))


def idle(sources: Sources, past_checks: bool = False) -> dict[str, bytes]:
    """Nothing is done: the run ends at once and well, functions are empty; `past_checks` ends the checks well too."""
    orders: dict[str, Any] = {"run": ["stop"]}
    if past_checks:
        orders["check"] = ["stop"]
    return intruded(emptied(sources), orders)


def spying(
    sources: Sources, metric: str, honest: float, plants: Mapping[str, float], reads: list[str], writes: list[str],
    port: int, leave: bool = True,
) -> dict[str, bytes]:  # fmt: skip
    """Honest work, with everything tried on the side that a run might get away with."""
    orders = {
        **{"run": ["spy"], "metric": metric, "honest": honest, "planted": dict(plants)},
        **{"reads": reads, "writes": writes, "port": port, "leave": leave},
    }
    return intruded(sources, orders)


def speaking(sources: Sources, plants: Mapping[str, float]) -> dict[str, bytes]:
    """Honest work; whoever imports it to score it is answered for."""
    return intruded(sources, {"score": ["voice"], "planted": dict(plants)})


def slowing(sources: Sources) -> dict[str, bytes]:
    """Honest work; whoever imports it to time it finds the clock a thousand times slower."""
    return intruded(sources, {"score": ["clock"]})


def handing_in(sources: Sources, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """No work: the files are written as the artifact."""
    packed = {name: base64.b64encode(content).decode() for name, content in files.items()}
    return intruded(sources, {"run": ["write"], "files": packed})


def artifact_files(folder: Path) -> dict[str, bytes] | None:
    """A sealed artifact that is small enough to be handed in again; None if it is not."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if not paths or sum(path.stat().st_size for path in paths) > LARGEST_REPLAY:
        return None
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def constant_answers(files: Mapping[str, bytes]) -> dict[str, bytes] | None:
    """The artifact with one answer everywhere; None where it holds no list of answers, or just that."""
    changed = {name: constant_answer(name, content) for name, content in files.items()}
    found = {name: content for name, content in changed.items() if content is not None}
    return {**files, **found} if found else None


def pasted_answers(files: Mapping[str, bytes], known: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Artifacts made of what the scorer reads: (where from, files)."""
    seen: list[bytes] = list(files.values())
    for source, answers in known.items():
        for name, content in files.items():
            for made in fitted(name, content, source, answers):
                if made not in seen:
                    seen.append(made)
                    yield source, {**files, name: made}


def moved(sources: Sources, words: tuple[str, ...], factor: float) -> Iterator[tuple[str, dict[str, bytes]]]:
    """For each constant in CAPITALS whose name has one of the words: what was moved, and the files."""
    for name, source in in_python(sources).items():
        for constant in constants(source):
            if not any(word in constant.name for word in words) or constant.value == 0:
                continue
            if factor < 0 and isinstance(constant.value, int):
                continue  # a number of things
            value = constant.value * factor
            whole = isinstance(constant.value, int)
            after = str(max(1, round(value))) if whole else repr(float(f"{value:.6g}"))
            if after != constant.text:
                move = Move(constant.name, constant.text, after)
                yield str(move), {**sources, name: edited(source, [move]).encode()}


def nudged(sources: Sources) -> tuple[str, dict[str, bytes]] | None:
    """The first constant a tenth larger: another code, and nearly the same."""
    for name, source in in_python(sources).items():
        for one in constants(source):
            if isinstance(one.value, float) and one.value != 0:
                move = Move(one.name, one.text, repr(float(f"{one.value * 1.1:.4g}")))
                return str(move), {**sources, name: edited(source, [move]).encode()}
            if isinstance(one.value, int) and one.value >= 5:
                move = Move(one.name, one.text, str(one.value + max(1, one.value // 10)))
                return str(move), {**sources, name: edited(source, [move]).encode()}
    return None


def more_work(sources: Sources) -> tuple[str, dict[str, bytes]] | None:
    """All constants of the amount of work at once, several times as large."""
    changed, said = dict(sources), []
    for name, source in in_python(sources).items():
        moves = [
            Move(one.name, one.text, str(one.value * MORE))
            for one in constants(source)
            if any(word in one.name for word in WORK) and one.value > 0
        ]
        if moves:
            changed[name] = edited(source, moves).encode()
            said += [str(move) for move in moves]
    return (", ".join(said), changed) if said else None
