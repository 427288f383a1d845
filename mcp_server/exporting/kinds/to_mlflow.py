"""MLflow: one run an attempt, found again by its tag; in a SQLite file unless another tracking URI is told.

Parameters and points of a curve are written once; a number that has changed gets a newer point, which is what MLflow
shows. The tag with the digest comes last, so that what was cut short is finished by the next export.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mcp_server.exporting.done import Done, library, sorted_out
from mcp_server.exporting.rows import Row
from mcp_server.nouns.errors import NotNow

EXTRA = "mlflow"
ID, DIGEST, CURVE = "autoresearch.id", "autoresearch.digest", "autoresearch.curve"
LOSS = "training loss"
AT_ONCE = 100  # parameters or tags that a server takes together; metrics: ten times as many
PAGE = 1000
TEXT = 5000  # characters of a tag
FAILED, STOPPED = ("crashed", "timeout", "rejected", "lost"), ("cancelled",)
OPEN = ("queued", "running", "pending", "scored", "confirming")


def export(rows: Sequence[Row], where: str, project: str) -> Done:
    """Raises NotNow."""
    # the library tells its makers of its use unless told otherwise; nothing leaves a lab that its person did not send
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    tracking, entities = library("mlflow.tracking", EXTRA), library("mlflow.entities", EXTRA)
    errors: tuple[type[Exception], ...] = (library("mlflow.exceptions", EXTRA).MlflowException, OSError, ImportError)
    uri = _uri(where)
    try:
        client = tracking.MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(project)
        experiment = found.experiment_id if found is not None else client.create_experiment(project)
        there = {run.data.tags[ID]: run for run in _runs(client, experiment) if ID in run.data.tags}
        known = {mark: run.data.tags.get(DIGEST, "") for mark, run in there.items()}
        new, changed, same = sorted_out(rows, known)
        for row in (*new, *changed):
            _write(client, entities, experiment, row, there.get(row.id))
    except errors as error:
        raise NotNow(
            f"MLflow at {uri} did not take the attempts: {str(error)[:300]}. Exporting again goes on from there."
        ) from None
    return Done(uri, len(new), len(changed), same, f"`mlflow ui --backend-store-uri {uri}` shows them.")


def _uri(where: str) -> str:
    """A path is a SQLite file; a folder that is there already is MLflow's older store of files."""
    if "://" in where:
        return where
    if Path(where).is_dir():
        return Path(where).as_uri()
    Path(where).parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{where}"


def _runs(client: Any, experiment: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([experiment], max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _write(client: Any, entities: Any, experiment: str, row: Row, run: Any) -> None:
    begun, over = _milliseconds(row.opened_at), _milliseconds(row.decided_at or row.opened_at)
    if run is None:
        run = client.create_run(experiment, start_time=begun, run_name=row.name, tags={ID: row.id})
    mark, had = run.info.run_id, run.data
    # nothing may become a parameter twice: MLflow refuses another value
    params = {name: value for name, value in _named(row.constants).items() if name not in had.params}
    upto = int(had.tags.get(CURVE, -1))
    points = [entities.Metric(LOSS, loss, begun + step, step) for step, loss in row.curve if step > upto]
    points += [
        entities.Metric(name, float(value), over, row.experiment)
        for name, value in _named(row.metrics).items()
        if had.metrics.get(name) != value
    ]
    tags = {name: str(value)[:TEXT] for name, value in row.facts.items() if name != "id" and value not in (None, "")}
    tags |= {"mlflow.source.git.commit": row.commit, "mlflow.user": row.client or "unknown"}
    if row.hypothesis:
        tags["mlflow.note.content"] = row.hypothesis
    for some in _parts([entities.Param(name, str(value)) for name, value in params.items()], AT_ONCE):
        client.log_batch(mark, params=some)
    for some in _parts(points, AT_ONCE * 5):
        client.log_batch(mark, metrics=some)
    for some in _parts([entities.RunTag(name, text) for name, text in tags.items()], AT_ONCE):
        client.log_batch(mark, tags=some)
    if row.status not in OPEN:
        ended = "FAILED" if row.status in FAILED else "KILLED" if row.status in STOPPED else "FINISHED"
        client.set_terminated(mark, ended, max(over, begun))
    if row.curve:
        client.set_tag(mark, CURVE, str(row.curve[-1][0]))
    client.set_tag(mark, DIGEST, row.digest)


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    """With names that MLflow takes, told apart where two become one."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        plain = re.sub(r"[^\w\-. :/]", "_", name)[:200]
        while plain in found:
            plain += "_"
        found[plain] = value
    return found


def _parts(some: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (some[begin : begin + size] for begin in range(0, len(some), size))


def _milliseconds(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)
