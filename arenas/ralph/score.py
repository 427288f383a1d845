"""The score: how many stories pass, and below one story's worth, how tidy the code is.

The program runs in processes of its own; nothing of it is imported here, and it cannot look into this process to answer
in its place: Landlock keeps it from looking into any other process. Where the kernel has none, `shut_in` among the
secondary metrics is 0; `secondary: {shut_in: {min: 1}}` in program.md then blocks every keep.
"""

import ast
import json
import os
import random
import sys
from pathlib import Path

from acceptance import can_shut_in, passed

TIDY = 0.9  # of a story at most: a story always outweighs all tidiness
LONG_LINES = 25
LONG_TEXT = 200  # characters of a literal; more of it counts as code, for code can be kept in a text
ENOUGH_NODES = 400.0
HIDING = {"exec", "eval", "compile", "__import__", "marshal", "runpy", "importlib"}  # what runs code that is not seen


def quality(package: Path) -> float:
    """From 0 to 1, by counting: documented functions, short ones, little code. 0 where code hides from the count."""
    if any(path.is_symlink() or (path.is_file() and path.suffix != ".py") for path in package.rglob("*")):
        return 0.0
    trees = [ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))]
    everything = [node for tree in trees for node in ast.walk(tree)]
    functions = [node for node in everything if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    if not functions or HIDING & {node.id for node in everything if isinstance(node, ast.Name)}:
        return 0.0
    texts = [
        node.value for node in everything if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    ]
    nodes = len(everything) + sum(max(0, len(text) - LONG_TEXT) for text in texts)
    documented = sum(ast.get_docstring(function) is not None for function in functions) / len(functions)
    short = sum((one.end_lineno or 0) - one.lineno < LONG_LINES for one in functions) / len(functions)
    return (documented + short + ENOUGH_NODES / (ENOUGH_NODES + nodes)) / 3


def main() -> dict:
    artifact = Path(os.environ["AUTORESEARCH_ARTIFACT"])
    found = passed(artifact, random.SystemRandom())
    for name, why in found.items():
        print(f"{name}: {why or 'passes'}", file=sys.stderr)
    stories = sum(why == "" for why in found.values())
    try:
        tidy = quality(artifact / "tally") if stories else 0.0
    except (SyntaxError, ValueError, RecursionError):
        tidy = 0.0
    secondary = {name: float(why == "") for name, why in found.items()}
    return {
        "score": round(stories + TIDY * tidy, 4),
        "secondary": {"quality": round(tidy, 4), "shut_in": float(can_shut_in()), **secondary},
    }


if __name__ == "__main__":
    print(json.dumps(main()))
