"""Run folders for tests: what a lab would lay out, tiny trainers, and the real supervisor on them."""

from __future__ import annotations

import itertools
import os
import select
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp_server.engines import local
from mcp_server.nouns.files import locked, try_lock
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import Budget, RunProgress, RunResult, RunSpec

# leaves one file, says when it begins and one step: the least an honest trainer does
HONEST = """
import json, os
marks = os.fdopen(int(os.environ["AUTORESEARCH_MARKS"]), "w")
print(json.dumps({"event": "start"}), file=marks, flush=True)
with open(os.path.join(os.environ["AUTORESEARCH_OUT"], "answer.txt"), "w") as file:
    file.write("0.5")
print(json.dumps({"event": "step", "step": 1, "tokens": 64, "loss": 1.25}), file=marks, flush=True)
"""
# the score is the number that the trainer left
SCORE = """
import json, os, pathlib
print(json.dumps({"score": float(pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"], "answer.txt").read_text())}))
"""

INCUMBENT = 3
NET = 120  # seconds; on a busy machine even a start takes long, and what is about a limit names its own

_tickets = itertools.count(1)


@dataclass
class RunFolder:
    """One run of a make-believe lab below `root`, ready to be started."""

    root: Path
    train: str = HONEST
    score: str = SCORE
    number: int = 1
    incumbent: str | None = None  # code of experiment INCUMBENT, trained beside
    spec: dict[str, Any] = field(default_factory=dict)
    budget: dict[str, Any] = field(default_factory=dict)

    @property
    def paths(self) -> RunPaths:
        return RunPaths(self.root / "lab" / ".git" / "autoresearch" / "runs" / "tag" / "1" / str(self.number))

    def lay_out(self) -> RunPaths:
        paths = self.paths
        places = [(paths.work, "train.py", self.train), (paths.trusted, "score.py", self.score)]
        paired: dict[str, Any] = {}
        if self.incumbent is not None:
            places.append((paths.incumbent(INCUMBENT), "train.py", self.incumbent))
            paired = {"incumbent": INCUMBENT, "pairing": "side_by_side"}
        for place, name, text in places:
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(textwrap.dedent(text))
        fields: dict[str, Any] = {
            "campaign": "tag",
            "experiment": 1,
            "run": self.number,
            "ticket": next(_tickets),
            "queue": self.root / "lab" / ".git" / "autoresearch" / "queue",
            "seed": 7,
            "run_command": ("python", "train.py"),
            "score_command": ("python", "score.py"),
            "budget": Budget(**{"seconds": NET, "startup_seconds": NET, "grace_seconds": 2, **self.budget}),
            "devices": ("cpu",),
            "editable": ("train.py",),
            "score_seconds": NET,
        }
        RunSpec(**{**fields, **paired, **self.spec}).write(paths.spec)
        return paths

    def start(self) -> int:
        """Launch the supervisor as a lab does; its pid."""
        paths = self.lay_out() if not self.paths.spec.exists() else self.paths
        alive = try_lock(paths.alive)
        assert alive is not None
        try:
            return local.start(paths, alive)
        finally:
            os.close(alive)

    def wait(self) -> RunResult:
        """The result of a started run, once its supervisor is gone."""
        with locked(self.paths.alive):
            assert self.paths.result.exists(), self.paths.supervisor_log.read_text()
            result: RunResult = RunResult.read(self.paths.result)
            return result

    def carry_out(self) -> RunResult:
        """Start and wait."""
        self.start()
        return self.wait()

    def wait_for(self, phase: str, pid: int) -> RunProgress:
        """Progress once it has come to `phase`, watching that the supervisor lives meanwhile."""
        life = os.pidfd_open(pid)
        try:
            while True:
                if self.paths.progress.exists():
                    progress: RunProgress = RunProgress.read(self.paths.progress)
                    if progress.phase == phase:
                        return progress
                ended, _, _ = select.select([life], [], [], 0.01)
                assert not ended, f"the supervisor ended before it came to {phase}"
        finally:
            os.close(life)
