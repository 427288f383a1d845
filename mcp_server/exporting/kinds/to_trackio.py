"""Trackio: one run an attempt in its local store. A run whose attempt has changed is written again in its place."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mcp_server.exporting.done import Done, library, sorted_out
from mcp_server.exporting.rows import Row
from mcp_server.nouns.errors import NotNow

EXTRA = "trackio"
ID, DIGEST = "autoresearch.id", "autoresearch.digest"
FOLDER = "TRACKIO_DIR"
ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")  # what the environment says of other places is not followed


def export(rows: Sequence[Row], where: str, project: str) -> Done:
    """Raises NotNow."""
    with _at(where):
        trackio = library("trackio", EXTRA)
        held = library("trackio.utils", EXTRA).TRACKIO_DIR
        if Path(held) != Path(where):
            raise NotNow(f"This process writes to Trackio's folder {held} already. Export to {where} from another one.")
        try:
            there = _runs(trackio, project)
            known = {mark: str(run.config.get(DIGEST, "")) for mark, run in there.items()}
            new, changed, same = sorted_out(rows, known)
            for row in (*new, *changed):
                if row.id in there:
                    there[row.id].delete()
                _write(trackio, project, row)
        except (OSError, ValueError, RuntimeError) as error:
            raise NotNow(f"Trackio at {where} did not take the attempts: {str(error)[:300]}.") from None
    look = f'`TRACKIO_DIR={where} trackio show --project "{project}"` shows them.'
    return Done(where, len(new), len(changed), same, look)


@contextlib.contextmanager
def _at(where: str) -> Iterator[None]:
    """Its folder is what the variable says when it is first imported; what it prints is nobody's answer."""
    Path(where).mkdir(parents=True, exist_ok=True)
    for name in ELSEWHERE:
        os.environ.pop(name, None)
    os.environ[FOLDER] = where
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _runs(trackio: Any, project: str) -> dict[str, Any]:
    """Those that an export wrote, by the attempt's id."""
    try:
        found = trackio.Api().runs(project)
    except ValueError:  # no such project yet
        return {}
    return {str(run.config[ID]): run for run in found if run.config and ID in run.config}


def _write(trackio: Any, project: str, row: Row) -> None:
    config = {**row.facts, **{f"constant.{name}": value for name, value in row.constants.items()}}
    run = trackio.init(
        project=project,
        name=row.name,
        group=row.campaign,
        config={**config, ID: row.id, DIGEST: row.digest},
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )
    for step, loss in row.curve:
        run.log({"training loss": loss}, step=step)
    if row.metrics:
        run.log(row.metrics, step=row.curve[-1][0] + 1 if row.curve else 0)
    trackio.finish()
