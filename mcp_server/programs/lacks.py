"""What a machine lacks of what Python code asks for, from its text alone: a GPU, packages. Starts nothing."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from mcp_server.nouns.records import UserEnvironment
from mcp_server.runner.machine.devices import available

ASKS_FOR_CUDA = re.compile(
    r"""torch\.cuda\.(?!is_available)|device\(["']cuda|device=["']cuda|\.cuda\(\)|\.to\(["']cuda"""
)
ASKS_FOR_MLX = re.compile(r"^\s*(?:from|import) mlx\b", re.MULTILINE)
# it asks whether there is one, or has a processor to choose
MAY_DO_WITHOUT = re.compile(
    r"""is_available\(|startswith\(\s*["']cuda|==\s*["']cuda["']|(?:\belse|\bor|\bdefault\s*=)\s*["']cpu["']"""
)


def needs_cuda(text: str) -> bool:
    """Whether code cannot do without an NVIDIA GPU."""
    return ASKS_FOR_CUDA.search(text) is not None and MAY_DO_WITHOUT.search(text) is None


def lacks(sources: Sequence[str], found: UserEnvironment, tree: Path, own: Collection[str] = ()) -> list[str]:
    """Sentences, each about one thing that the code needs and this machine has not.

    own: files of the repository; a module or package of the name of any is taken to be found, wherever it lies.
    """
    text = "\n".join(sources)
    said = []
    cards = [name for name in available() if name.startswith("cuda")]
    if needs_cuda(text) and not cards:
        said.append("This machine lacks an NVIDIA GPU, which the code asks for (torch.cuda).")
    if ASKS_FOR_MLX.search(text) and sys.platform != "darwin":
        said.append("This machine lacks an Apple GPU, which the code asks for (mlx).")
    known = {part.removesuffix(".py") for path in own for part in path.split("/")}
    absent = [name for name in _imported(sources) if name not in known and not _there(name, found, tree)]
    if absent:
        said.append(f"{found.python} ({found.source}) lacks the packages {', '.join(absent[:12])}.")
    return said


def _imported(sources: Sequence[str]) -> list[str]:
    names: dict[str, None] = {}
    for source in sources:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        for node in tree.body:
            if isinstance(node, ast.Import):
                names |= dict.fromkeys(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names[node.module.partition(".")[0]] = None
    return [name for name in names if name not in sys.stdlib_module_names]


def _there(name: str, found: UserEnvironment, tree: Path) -> bool:
    """Whether a module can be found by that name: beside the code, or in the environment's packages."""
    folders = [tree, *_packages(found)]
    return any(
        (folder / name).is_dir() or (folder / f"{name}.py").is_file() or any(folder.glob(f"{name}.*.so"))
        for folder in folders
    )


def _packages(found: UserEnvironment) -> Iterator[Path]:
    if found.prefix is None:
        yield from (Path(place) for place in sys.path if place.endswith("-packages"))
    else:
        yield from found.prefix.glob("lib*/python3*/site-packages")
