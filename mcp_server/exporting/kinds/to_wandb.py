"""Weights & Biases: one run an attempt, offline unless WANDB_MODE says otherwise; `wandb sync` sends it.

A run has its attempt's id there too, so what is sent a second time is the same run. What was written stands in a file
of ours beside the runs: an attempt that has changed gets another offline part, with its new numbers and no point of the
curve again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcp_server.exporting.done import Done, library, sorted_out
from mcp_server.exporting.rows import Row
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import write_atomically

EXTRA = "wandb"
NOTES = "autoresearch.json"  # by project and id: the digest, and the last step of the curve that was told
MODES = ("offline", "online")


def export(rows: Sequence[Row], where: str, project: str) -> Done:
    """Raises NotNow."""
    if not os.environ.get("WANDB_MODE"):  # empty is no mode to the library
        os.environ["WANDB_MODE"] = MODES[0]
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # nothing leaves a lab that its person did not send
    wandb = library("wandb", EXTRA)
    mode = os.environ["WANDB_MODE"]
    if mode not in MODES:
        raise NotNow(f"WANDB_MODE is {mode!r}; an export can be {' or '.join(MODES)}.")
    root = Path(where)
    try:
        root.mkdir(parents=True, exist_ok=True)
        notes: dict[str, dict[str, Any]] = json.loads(_text(root / NOTES))
        mine = {key.rpartition("/")[2]: note for key, note in notes.items() if key.rpartition("/")[0] == project}
        new, changed, same = sorted_out(rows, {mark: str(note["digest"]) for mark, note in mine.items()})
        for row in (*new, *changed):
            upto = int(mine.get(row.id, {}).get("step", -1))
            _write(wandb, root, project, mode, row, upto)
            last = row.curve[-1][0] if row.curve else upto
            notes[f"{project}/{row.id}"] = {"digest": row.digest, "step": max(last, upto)}
            write_atomically(root / NOTES, json.dumps(notes, indent=1).encode())
    except (OSError, ValueError, KeyError, wandb.Error) as error:
        raise NotNow(f"W&B at {where} did not take the attempts: {str(error)[:300]}.") from None
    look = f"`wandb sync {where}/wandb/offline-run-*` sends them." if mode == "offline" else ""
    return Done(where, len(new), len(changed), same, look)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else "{}"


def _write(wandb: Any, root: Path, project: str, mode: str, row: Row, upto: int) -> None:
    settings = wandb.Settings(
        silent=True, console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True, save_code=False
    )
    run = wandb.init(
        project=project,
        id=row.id,
        name=row.name,
        group=row.campaign,
        notes=row.hypothesis or None,
        tags=[word for word in (row.kind, row.status, row.label) if word],
        config=dict(row.constants),
        dir=str(root),
        mode=mode,
        resume="allow",
        reinit="create_new",
        settings=settings,
        allow_val_change=True,
    )
    for step, loss in row.curve:
        if step > upto:
            run.log({"training loss": loss}, step=step)
    run.summary.update({name: value for name, value in row.facts.items() if value is not None})
    run.summary.update(row.metrics)
    run.finish(exit_code=0 if row.status not in ("crashed", "timeout", "rejected", "lost") else 1)
