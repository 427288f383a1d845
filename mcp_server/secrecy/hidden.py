"""The paths that are hidden from every run on a corpus, because they hold copies of its sealed text."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from mcp_server.runner.sandbox.confinement import interpreter_paths

FILE = Path("sealed") / "hide.json"  # in the folder of a prepared corpus


def hidden_copies(corpus: Path | None) -> tuple[Path, ...]:
    """What to leave out of a sandbox; nothing for a corpus of an older version, or text that lies nowhere else."""
    if corpus is None:
        return ()
    try:
        listed = [str(path) for path in json.loads((corpus / FILE).read_text())["paths"]]
    except FileNotFoundError:
        return ()
    return tuple(Path(path) for path in dict.fromkeys((*listed, *_by_other_names(listed, interpreter_paths()))))


def _by_other_names(paths: Sequence[str], roots: Sequence[Path]) -> list[str]:
    """The same paths below roots that are reached through a link, as uv's and Homebrew's interpreters are."""
    linked = {str(root): os.path.realpath(root) for root in roots if os.path.realpath(root) != str(root)}
    return [
        name + path[len(real) :] for name, real in linked.items() for path in paths if path.startswith(real + os.sep)
    ]
