"""Which test modules are pure, by rule: none of what they import, however far, can start a process or open a socket.

`make quick` collects these alone (`pytest --quick`). Of a module that reaches further those tests are taken that are
marked `quick`, one by one or all by `pytestmark`. Either way a test that starts a process or listens all the same fails
there, so that what is quick stays so.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = ("mcp_server", "tests", "benchmarks", "dev", "prepare", "train")
# modules with which one leaves one's own process, or that take seconds to import
OUTSIDE = frozenset(
    {"subprocess", "multiprocessing", "socket", "asyncio", "anyio", "mcp", "git", "uvicorn", "playwright", "torch"}
)
FORBIDDEN = ("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system", "socket.bind")


def is_quick(module: Path) -> bool:
    """Whether any test of a module is collected by `--quick`."""
    return "pytest.mark.quick" in module.read_text(encoding="utf-8") or not reaches_outside(module)


@functools.cache
def reaches_outside(module: Path) -> bool:
    """Whether anything that a module imports, lazily too, is one of `OUTSIDE`."""
    seen, waiting = {module}, [module]
    while waiting:
        ours, others = _imports(waiting.pop())
        if others & OUTSIDE:
            return True
        waiting += ours - seen
        seen |= ours
    return False


@functools.cache
def _imports(module: Path) -> tuple[frozenset[Path], frozenset[str]]:
    """(files of this project, top-level names of everything else)."""
    text = module.read_text(encoding="utf-8")
    if "import_module(" in text:
        return frozenset(), OUTSIDE  # it may import anything
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    ours = {file for name in names if name.split(".")[0] in OURS for file in _files(name)}
    return frozenset(ours), frozenset(name.split(".")[0] for name in names) - {*OURS}


def _files(name: str) -> list[Path]:
    """The module's own file and those of the packages around it, which are imported first."""
    parts = name.split(".")
    places = [ROOT.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
    return [place for place in (*places, ROOT.joinpath(*parts).with_suffix(".py")) if place.is_file()]
