"""One run of a file of `models/`: the real supervisor trains it, seals it and has it scored by the real evaluator."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.records import RunResult
from mcp_server.runner.sandbox import probe
from mcp_server.scoring import tolerances
from mcp_server.scoring.audit import Tolerance
from mcp_server.scoring.corpus import read_split
from mcp_server.scoring.evaluation import batch_rows
from mcp_server.scoring.remote import Setting
from tests.runs import RunFolder

MODELS = Path(__file__).parent / "models"
HELPERS = ("base.py", "honest_float32.py")  # frozen files that lie beside every train.py
POSITIONS = 256
# What `finish` of base.py leaves, without torch, which takes longer to import than all the rest of a run: for models
# whose only weights are the table. What they do, they do in their hosts.
COUNTER = "count.py"
COUNTING = """\
import json, os, pathlib
import numpy as np
from safetensors.numpy import save_file

data = pathlib.Path(os.environ["AUTORESEARCH_DATA"]) / "public"
meta = json.loads((data / "meta.json").read_text())
text = np.fromfile(data / meta["shards"][0], "<u2").astype(int)
counts = np.full((meta["vocab_size"], meta["vocab_size"]), 0.1, np.float32)
np.add.at(counts, (text[:-1], text[1:]), 1)
table = np.log(counts / counts.sum(1, keepdims=True))
save_file({"table.weight": table}, os.path.join(os.environ["AUTORESEARCH_OUT"], "model.safetensors"))
"""


@dataclass(frozen=True)
class Deed:
    """One file: what it tries, which case of the list of abuses it belongs to (0: honest), and what must happen."""

    name: str
    source: str
    tries: str
    case: int
    state: str
    reason: str
    slow: bool  # left to `make abuse`
    naive: str  # what the naive way would have scored, where the run itself does not tell

    @property
    def program(self) -> str:
        """What trains it."""
        more = re.search(r"\bnn\.[A-Z]|\.to\(|torch\.compile", self.source)
        return COUNTER if not more and self.source.endswith("    finish(build_model())\n") else "train.py"


def deeds() -> list[Deed]:
    """Every file of the folder but base.py."""
    return [read(path) for path in sorted(MODELS.glob("*.py")) if path.name != "base.py"]


def read(path: Path) -> Deed:
    """The words and expectations that `path` gives of itself; nothing of it is run."""
    source = path.read_text()
    tree = ast.parse(source)
    said = {
        ast.unparse(node.targets[0]): ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) in ("CASE, EXPECT", "(CASE, EXPECT)", "SLOW", "NAIVE")
    }
    case, (state, reason) = said.get("CASE, EXPECT") or said["(CASE, EXPECT)"]
    tries = ast.get_docstring(tree) or ""
    return Deed(path.stem, source, tries, case, state, reason, said.get("SLOW", False), said.get("NAIVE", ""))


def lay_out(deed: Deed, folder: Path, corpus: Path, positions: int = POSITIONS) -> RunFolder:
    """The run folder of `deed`, ready to start."""
    run = RunFolder(
        root=folder,
        train=deed.source,
        spec={
            "run_command": ("python", deed.program),
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
    (paths.work / COUNTER).write_text(COUNTING)
    return run


@dataclass(frozen=True)
class Hosted:
    """A sealed model, ready to be started as a host without a supervisor."""

    setting: Setting
    tolerance: Tolerance


def host_setting(deed: Deed, folder: Path, corpus: Path) -> Hosted:
    """Train `deed` without a budget and say how its hosts are started, for tests that look into an evaluation."""
    run = lay_out(deed, folder, corpus)
    artifact = run.paths.artifact
    artifact.mkdir()
    env = {**os.environ, "AUTORESEARCH_OUT": str(artifact), "AUTORESEARCH_DATA": str(corpus)}
    subprocess.run([sys.executable, deed.program], cwd=run.paths.work, env=env, check=True)
    split = read_split(corpus, "val")
    setting = Setting(
        snapshot=run.paths.work,
        weights=artifact / "model.safetensors",
        data=corpus,
        device="cpu",
        threads=1,
        rows=batch_rows(split, "cpu"),
        width=split.width,
        vocab=split.vocab_size,
        start_seconds=300,
        reply_seconds=300,
        tier=probe().tier,
    )
    return Hosted(setting, tolerances.read(None).find("cpu", "float32"))


def carry_out(deed: Deed, folder: Path, corpus: Path, positions: int = POSITIONS) -> RunResult:
    """Train, seal and score `deed`."""
    return lay_out(deed, folder, corpus, positions).carry_out()
