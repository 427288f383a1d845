"""One run of a file of `models/`: the real supervisor trains it, seals it and has it scored by the real evaluator."""

from __future__ import annotations

import ast
import shutil
from dataclasses import dataclass
from pathlib import Path

from mcp_server.records import RunResult
from tests.runs import RunFolder

MODELS = Path(__file__).parent / "models"
HELPERS = ("base.py", "honest_float32.py")  # frozen files that lie beside every train.py
POSITIONS = 256


@dataclass(frozen=True)
class Deed:
    """One file: what it tries, which case of the list of abuses it belongs to (0: honest), and what must happen."""

    name: str
    source: str
    tries: str
    case: int
    state: str
    reason: str


def deeds() -> list[Deed]:
    """Every file of the folder but base.py."""
    return [read(path) for path in sorted(MODELS.glob("*.py")) if path.name != "base.py"]


def read(path: Path) -> Deed:
    """The words and expectations that `path` gives of itself; nothing of it is run."""
    source = path.read_text()
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("(CASE, EXPECT)"):
            case, (state, reason) = ast.literal_eval(node.value)
            return Deed(path.stem, source, ast.get_docstring(tree) or "", case, state, reason)
    raise ValueError(f"{path} does not say what is expected of it")


def lay_out(deed: Deed, folder: Path, corpus: Path, positions: int = POSITIONS) -> RunFolder:
    """The run folder of `deed`, ready to start."""
    run = RunFolder(
        root=folder,
        train=deed.source,
        spec={
            "score_command": ("python", "-m", "mcp_server.scoring.lm"),
            "data": corpus,
            "audit_positions": positions,
            "score_seconds": 300,
            "scorer_environment": {"AUTORESEARCH_HOST_REPLY_SECONDS": "5"} if deed.reason == "host_stalled" else {},
        },
        budget={"seconds": 120, "startup_seconds": 120},
    )
    paths = run.lay_out()
    for helper in HELPERS:
        shutil.copy(MODELS / helper, paths.work / helper)
    return run


def carry_out(deed: Deed, folder: Path, corpus: Path, positions: int = POSITIONS) -> RunResult:
    """Train, seal and score `deed`."""
    return lay_out(deed, folder, corpus, positions).carry_out()
