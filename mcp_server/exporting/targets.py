"""Which targets there are, where each goes unless that is said, and the way into them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_server.exporting.done import Done
from mcp_server.exporting.rows import Row

FOLDER = "exports"  # beside the lab's files, as `report` writes `report`


@dataclass(frozen=True)
class Target:
    """One tool. `place`: a file or folder; `variable`: what the tool's own users name another place with."""

    place: str
    words: str
    variable: str = ""

    def where(self, out: str | None, folder: Path) -> str:
        """Where it goes: as told, as the tool's own variable says, or below `folder`/exports."""
        told = out or (os.environ.get(self.variable) if self.variable else None)
        if told is None:
            return str((folder / FOLDER / self.place).resolve())
        return told if "://" in told else str((folder / Path(told).expanduser()).resolve())


TARGETS = {
    "csv": Target("attempts.csv", "a CSV file"),
    "jsonl": Target("attempts.jsonl", "a file of JSON lines"),
    "parquet": Target("attempts.parquet", "a Parquet file"),
    "tensorboard": Target("tensorboard", "event files for TensorBoard"),
    "mlflow": Target("mlflow.db", "runs in MLflow", "MLFLOW_TRACKING_URI"),
    "wandb": Target("wandb", "runs of Weights & Biases", "WANDB_DIR"),
    "trackio": Target("trackio", "runs in Trackio", "TRACKIO_DIR"),
}


def export(target: str, rows: Sequence[Row], where: str, project: str) -> Done:
    """Bring the attempts there: new ones are added, changed ones updated, nothing is doubled. Raises NotNow."""
    module = importlib.import_module(f"mcp_server.exporting.kinds.to_{target}")
    done: Done = module.export(rows, where, project)
    return done
