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
ENOUGH_NODES = 400.0


def quality(package: Path) -> float:
    """From 0 to 1, by counting: documented functions, short ones, little code."""
    trees = [ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    nodes = sum(1 for tree in trees for _ in ast.walk(tree))
    if not functions:
        return 0.0
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
