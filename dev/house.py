"""Draws the house: which room may know which, and what every module is. `python -m dev.house` (`--check` compares).

A room is a folder of `mcp_server/`, or a module at its top. Every room stands on a floor; an import goes to a lower
floor or stays in its room. What docs/house.md shows is read from the code: the imports, those inside functions and the
names given to `importlib.import_module` too. A test fails on an import that goes up, and on a page that is stale.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "mcp_server"
PAGE = ROOT / "docs" / "house.md"

LINES_OF_A_MODULE = 500
LINES_OF_A_FUNCTION = 60
MODULES_OF_A_FOLDER = 14

# A folder inside a room may stand lower than its room: what runs are started with is needed by rooms below the runner.
FLOORS = {
    "nouns": 0,
    **dict.fromkeys(("edits", "repo", "ledger", "arena", "runner.machine", "runner.sandbox"), 1),
    **dict.fromkeys(("judging", "memory", "personal", "programs", "secrecy"), 2),
    "runner": 3,
    "engines": 3,
    **dict.fromkeys(("scoring", "campaign", "community"), 4),
    **dict.fromkeys(("views", "proving", "histories", "suggesting"), 5),
    "exporting": 5,
    **dict.fromkeys(("lab", "setup", "pulls"), 6),
    **dict.fromkeys(("researcher", "ralph", "faces"), 7),
    **dict.fromkeys(("server", "dashboard", "tournament", "reviewing", "hosting"), 8),
    "commands": 9,
    "cli": 10,
    "__main__": 11,
}

# Who alone may import what, by the beginning of the importing module's name.
ALONE = {
    "torch": ("scoring.host", "scoring.checkpoint", "views.sample"),
    "sqlite3": ("ledger",),
    "ray": ("engines.ray.cluster",),
    "anyio": ("faces", "server", "dashboard", "researcher", "hosting"),
}
PURE = ("judging", "edits", "memory")  # these decide from what they are handed
EFFECTS = frozenset({"os", "subprocess", "sqlite3", "socket", "shutil", "tempfile"})

# How one experiment goes through the house, and the function that does each step.
WAY = [
    ("The agent edits the editable files and calls the tool or the command.", "mcp_server.lab:Lab.run_experiment"),
    ("First, in every verb: what happened meanwhile is taken in.", "mcp_server.campaign.upkeep.recovery:catch_up"),
    ("The rules in force are read.", "mcp_server.arena.program:parse_program"),
    (
        "The edit is checked, and answered with the earlier result where it was tried.",
        "mcp_server.campaign.intake:open_experiment",
    ),
    ("The edit becomes a commit that nothing loses.", "mcp_server.repo.workspace:Workspace.snapshot"),
    ("The experiment and its run are written down.", "mcp_server.ledger.experiments:Experiments.open_experiment"),
    (
        "The run's folder is laid out and its supervisor started; now the server may die.",
        "mcp_server.campaign.runs.dispatch:launch",
    ),
    ("Where the supervisor runs is the engine's affair.", "mcp_server.engines:Engine.launch"),
    ("The supervisor: its place in the queue, the device, the answer.", "mcp_server.runner.run:Run.carry_out"),
    ("The trainer in its walls, on its budget.", "mcp_server.runner.trainer:Trainer"),
    ("What it left is sealed before anything of the validation is shown.", "mcp_server.runner.seal:seal"),
    ("The score command is asked.", "mcp_server.runner.scorer:Asked.answer"),
    ("The next verb, whoever calls it, takes the result in.", "mcp_server.ledger.runs:Runs.close_run"),
    ("The evidence is gathered.", "mcp_server.campaign.evidence:gather"),
    ("Whether the change is kept is decided here, from the evidence alone.", "mcp_server.judging.decide:decide"),
    ("The decision is written down before git moves.", "mcp_server.campaign.decide:intend"),
    ("Git follows, as it would after a crash.", "mcp_server.campaign.upkeep.settling:settle_decisions"),
    ("A keep is a commit on the campaign's branch.", "mcp_server.repo.workspace:Workspace.keep"),
    ("What was learned is remembered.", "mcp_server.memory.admission:admit"),
]


@dataclass(frozen=True)
class Module:
    """One file of the package. Names leave `mcp_server.` out."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def caption(self) -> str:
        """The first sentence of its docstring: what it is, without what it promises."""
        return " ".join((ast.get_docstring(self.tree) or "").partition("\n\n")[0].split())

    @property
    def lines(self) -> int:
        return len(self.path.read_text("utf-8").splitlines())

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """The full names that it imports anywhere, as written; `from a import b` is `a.b`."""
        return tuple(self._imported())

    def _imported(self) -> Iterator[str]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
                "import_module",
                "__import__",
            ):
                # a name put together at run time shows at least its beginning, which says the room
                said = [one.value for given in node.args for one in ast.walk(given) if isinstance(one, ast.Constant)]
                yield from (one.rstrip(".") for one in said if isinstance(one, str))


def modules(root: Path = ROOT) -> dict[str, Module]:
    """All modules of the package under `root`, by name; a folder's `__init__` has the folder's name."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        name = ".".join(path.relative_to(root / PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":
            found[name] = Module(name, path, ast.parse(path.read_text("utf-8")))
    return found


def room_of(name: str) -> str | None:
    """The room of a module: the longest beginning of its name that stands on a floor."""
    parts = name.split(".")
    for beginning in (".".join(parts[:length]) for length in range(len(parts), 0, -1)):
        if beginning in FLOORS:
            return beginning
    return None


def arrows(found: dict[str, Module]) -> set[tuple[str, str]]:
    """Which module imports which, within the package."""
    drawn = set()
    for module in found.values():
        for full in module.imports:
            name = full.removeprefix(f"{PACKAGE}.")
            if name == full:
                continue
            while name not in found and "." in name:  # what is imported from a module, or a name only begun
                name = name.rpartition(".")[0]
            if name in found and name != module.name:
                drawn.add((module.name, name))
    return drawn


def upward(found: dict[str, Module]) -> list[str]:
    """The imports that go neither down nor stay in their room, in words."""
    said = []
    for above, below in sorted(arrows(found)):
        first, second = room_of(above), room_of(below)
        if first is None or second is None:
            said.append(f"{above if first is None else below} stands in no room")
        elif first != second and FLOORS[second] >= FLOORS[first]:
            said.append(f"{above} ({first}, floor {FLOORS[first]}) imports {below} ({second}, floor {FLOORS[second]})")
    return list(dict.fromkeys(said))


def out_of_place(found: dict[str, Module]) -> list[str]:
    """Imports of what only some rooms may know, in words."""
    said = []
    for module in found.values():
        for full in sorted(set(module.imports)):
            top = full.partition(".")[0]
            if top in ALONE and not module.name.startswith(ALONE[top]):
                said.append(f"{module.name} imports {top}")
            if top in EFFECTS and room_of(module.name) in PURE:
                said.append(f"{module.name} imports {top}")
    return said


def too_large(found: dict[str, Module]) -> list[str]:
    """Modules, folders and functions that nobody reads in one look, in words."""
    said = [f"{one.name} has {one.lines} lines" for one in found.values() if one.lines > LINES_OF_A_MODULE]
    folders = [one.path.parent for one in found.values()]
    said += [
        f"{one.name} has {folders.count(one)} modules"
        for one in dict.fromkeys(folders)
        if folders.count(one) > MODULES_OF_A_FOLDER
    ]
    for module in found.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LINES_OF_A_FUNCTION:
                    said.append(f"{module.name}.{node.name} has {lines} lines")
    return said


def defined(found: dict[str, Module], place: str) -> Module | None:
    """The module of `package.module:Class.function`, if that is defined there."""
    name, _, wanted = place.removeprefix(f"{PACKAGE}.").partition(":")
    body: list[ast.stmt] = found[name].tree.body if name in found else []
    for part in wanted.split("."):
        node = next((one for one in body if getattr(one, "name", None) == part), None)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return None
        body = node.body
    return found[name]


def page(found: dict[str, Module]) -> str:
    """docs/house.md."""
    lines = [
        "# The house",
        "",
        "<!-- Written by `python -m dev.house` from the code; edit that. -->",
        "",
        "A room is a folder of `mcp_server/`. An import goes to a lower floor or stays in its room; a test holds this.",
        "",
        "## The way of one experiment",
        "",
    ]
    for number, (words, place) in enumerate(WAY, 1):
        module = defined(found, place)
        assert module is not None, f"{place} is not there"
        link = module.path.relative_to(ROOT).as_posix()
        lines.append(f"{number}. {words} [`{place.partition(':')[2]}`](../{link})")
    lines += ["", "## The floors", "", "| floor | rooms |", "|---|---|"]
    standing = {room_of(name) for name in found}
    for floor in sorted(set(FLOORS.values()), reverse=True):
        rooms = [f"`{one}`" for one, number in FLOORS.items() if number == floor and one in standing]
        if rooms:
            lines.append(f"| {floor} | {', '.join(rooms)} |")
    lines += ["", "## The rooms", ""]
    folder = None
    # the modules at the top first, then folder by folder
    for module in sorted(found.values(), key=lambda one: (one.path.parent.relative_to(ROOT).parts, one.path.name)):
        if module.path.parent != folder:
            folder = module.path.parent
            lines += ["", f"### {folder.relative_to(ROOT).as_posix()}/", ""]
            if module.path.name == "__init__.py" and module.caption:
                lines += [module.caption, ""]
        if module.path.name != "__init__.py":
            link = module.path.relative_to(ROOT).as_posix()
            lines.append(f"- [`{module.path.name}`](../{link}): {module.caption}")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if the page is stale")
    found = modules()
    text = page(found)
    if parser.parse_args(arguments).check:
        stale = not PAGE.is_file() or PAGE.read_text("utf-8") != text
        if stale:
            print(f"{PAGE.relative_to(ROOT)} is stale; `python -m dev.house` writes it.", file=sys.stderr)
        return int(stale)
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
