"""TensorBoard: a folder of event files for each attempt: its curve, numbers, constants as hparams, and a page of text.

A folder is written again when its attempt has changed; what it says stands beside the events, written last.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mcp_server.exporting.done import Done, library, sorted_out
from mcp_server.exporting.rows import Row
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.text import table

SAYS = "autoresearch.id"  # in each folder: the attempt's id and digest
EXTRA = "tensorboard"


def export(rows: Sequence[Row], where: str, project: str) -> Done:
    """Raises NotNow."""
    library("tensorboard", EXTRA)
    root = Path(where)
    try:
        known = {}
        for one in root.glob(f"*/{SAYS}"):
            mark, _, digest = one.read_text().strip().partition(" ")
            known[mark] = digest
        new, changed, same = sorted_out(rows, known)
        for row in (*new, *changed):
            folder = root / _folder(row)
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
            _write(folder, row)
            (folder / SAYS).write_text(f"{row.id} {row.digest}\n")
    except OSError as error:
        raise NotNow(f"{root} cannot be written: {error.strerror or error}. Name another place with --out.") from None
    return Done(where, len(new), len(changed), same, f"`tensorboard --logdir {where}` shows them.")


def _folder(row: Row) -> str:
    return re.sub(r"[^\w.-]", "_", f"{row.campaign}-{row.experiment}-{row.id[:6]}")


def _write(folder: Path, row: Row) -> None:
    protocol = library("tensorboard.compat.proto.event_pb2", EXTRA)
    summaries = library("tensorboard.compat.proto.summary_pb2", EXTRA)
    writer = library("tensorboard.summary.writer.event_file_writer", EXTRA).EventFileWriter(str(folder))
    at = datetime.fromisoformat(row.opened_at).timestamp()

    def add(summary: Any, step: int = 0) -> None:
        writer.add_event(protocol.Event(wall_time=at, step=step, summary=summary))

    def scalar(name: str, value: float) -> Any:
        return summaries.Summary(value=[summaries.Summary.Value(tag=name, simple_value=value)])

    try:
        hparams = library("tensorboard.plugins.hparams.summary_v2", EXTRA)
        told = {name: "none" if value is None else value for name, value in row.constants.items()}
        add(hparams.hparams_pb(told, trial_id=row.id, start_time_secs=at))
        add(_page(row, summaries))
        for step, loss in row.curve:
            add(scalar("training loss", loss), step)
        for name, value in row.metrics.items():
            add(scalar(name, value), row.experiment)
    finally:
        writer.close()


def _page(row: Row, summaries: Any) -> Any:
    """The single values as a table, in the Text tab."""
    told = [(name, str(value)) for name, value in row.facts.items() if value not in (None, "")]
    text = table(
        ("", ""), [(name, f"`{' '.join(said.replace('|', '/').replace('`', '').split())}`") for name, said in told]
    )
    metadata = library("tensorboard.plugins.text.metadata", EXTRA).create_summary_metadata("attempt", "")
    tensor = library("tensorboard.util.tensor_util", EXTRA).make_tensor_proto([text.encode()])
    return summaries.Summary(value=[summaries.Summary.Value(tag="attempt", metadata=metadata, tensor=tensor)])
