"""What a machine lacks of what Python code asks for, from its text alone: a GPU, packages. Starts nothing."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mcp_server.nouns.records import UserEnvironment
from mcp_server.runner.machine.devices import available

ASKS_FOR_CUDA = re.compile(
    r"""torch\.cuda\.(?!is_available)|device\(["']cuda|device=["']cuda|\.cuda\(\)|\.to\(["']cuda"""
)
ASKS_FOR_MLX = re.compile(r"^\s*(?:from|import) mlx\b", re.MULTILINE)
MAY_DO_WITHOUT = re.compile(r"torch\.cuda\.is_available\(\)")


def lacks(sources: Sequence[str], found: UserEnvironment, tree: Path) -> list[str]:
    """Sentences, each about one thing that the code needs and this machine has not."""
    text = "\n".join(sources)
    said = []
    cards = [name for name in available() if name.startswith("cuda")]
    if ASKS_FOR_CUDA.search(text) and not MAY_DO_WITHOUT.search(text) and not cards:
        said.append("This machine lacks an NVIDIA GPU, which the code asks for (torch.cuda).")
    if ASKS_FOR_MLX.search(text) and sys.platform != "darwin":
        said.append("This machine lacks an Apple GPU, which the code asks for (mlx).")
    absent = [name for name in _imported(sources) if not _there(name, found, tree)]
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
