"""Each tracker, read back with its own library: one run an attempt, nothing doubled, the decided one updated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mcp_server.exporting import targets
from mcp_server.exporting.rows import Row
from mcp_server.nouns.errors import NotNow
from tests.exporting.made import CURVE, rows

CRASHED, OPEN, KEPT = rows()


def there(target: str) -> None:
    """Skip where the target's library is not installed."""
    library = {"tensorboard": "tensorboard", "mlflow": "mlflow.tracking", "wandb": "wandb", "trackio": "trackio"}
    pytest.importorskip(library.get(target, "pyarrow"), reason=f"needs the extra `{target}`", exc_type=ImportError)


def counts(target: str, some: Sequence[Row], where: str) -> tuple[int, int, int]:
    done = targets.export(target, some, where, "night")
    return done.new, done.updated, done.unchanged


def played(target: str, where: str) -> None:
    """Open, again, decided, again."""
    assert counts(target, [CRASHED, OPEN], where) == (2, 0, 0)
    assert counts(target, [CRASHED, OPEN], where) == (0, 0, 2)
    assert counts(target, [CRASHED, KEPT], where) == (0, 1, 1)
    assert counts(target, [CRASHED, KEPT], where) == (0, 0, 2)


def test_parquet_has_types(tmp_path: Path) -> None:
    there("parquet")
    import pyarrow.parquet as parquet

    where = str(tmp_path / "a.parquet")
    played("parquet", where)
    crashed, kept = parquet.read_table(where).to_pylist()
    assert (crashed["status"], crashed["score"]) == ("crashed", None)
    assert (kept["status"], kept["score"], kept["gain_low"], kept["constant.LR"]) == ("kept", 1.5, 0.25, 0.1)
    assert (kept["constant.FAST"], kept["constant.DEPTH[2]"], kept["model"]) == (True, 3, "opus")


def test_tensorboard_reads_the_event_files_back(tmp_path: Path) -> None:
    there("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    played("tensorboard", str(tmp_path / "logs"))
    folders = sorted(one for one in (tmp_path / "logs").iterdir())
    assert [one.name.rpartition("-")[0] for one in folders] == ["first-2", "first-3"]
    read = EventAccumulator(str(folders[1])).Reload()
    assert [(point.step, point.value) for point in read.Scalars("training loss")] == list(CURVE)
    assert [point.value for point in read.Scalars("loss")] == [1.5]
    assert {"gain", "gain_low", "gain_high"} <= set(read.Tags()["scalars"])
    told = read.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    started = metadata.parse_session_start_info_plugin_data(told)
    assert started.hparams["LR"].number_value == 0.1
    assert started.hparams["NAME"].string_value == "adam"
    assert b"twice the rate" in read.Tensors("attempt")[0].tensor_proto.string_val[0]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_one_run_an_attempt_in_a_real_store(tmp_path: Path) -> None:
    there("mlflow")
    pytest.importorskip("sqlalchemy", reason="needs the extra `mlflow`")
    from mlflow.tracking import MlflowClient

    played("mlflow", str(tmp_path / "store" / "mlflow.db"))
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/store/mlflow.db")
    found = client.get_experiment_by_name("night")
    crashed, kept = sorted(client.search_runs([found.experiment_id]), key=lambda run: int(run.data.tags["experiment"]))
    assert (crashed.info.status, kept.info.status) == ("FAILED", "FINISHED")
    assert kept.data.params == {"LR": "0.1", "NAME": "adam", "DEPTH_2_": "3", "FAST": "True"}
    assert kept.data.metrics | {"seconds": 0} == {
        "loss": 1.5, "gain": 0.5, "gain_low": 0.25, "gain_high": 0.75, "seconds": 0, "training loss": 2.25,
    }  # fmt: skip
    points = client.get_metric_history(kept.info.run_id, "training loss")
    assert sorted((point.step, point.value) for point in points) == list(CURVE)
    assert kept.data.tags["verdict"] == "keep"
    assert kept.data.tags["mlflow.source.git.commit"] == "c" * 40
    assert kept.data.tags["model"] == "opus"


IN_A_PROCESS = """
import sys, json
from mcp_server.exporting import targets
from tests.exporting.made import rows
crashed, still, kept = rows()
for some in ([crashed, still], [crashed, still], [crashed, kept], [crashed, kept]):
    done = targets.export(sys.argv[1], some, sys.argv[2], "night")
    print(json.dumps([done.new, done.updated, done.unchanged]), file=sys.stderr)
"""


def played_apart(target: str, where: Path, more: str) -> Any:
    """What has a state of its own in a process gets one: the same play there, then `more`, which prints JSON."""
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root), "HOME": str(where.parent)}
    env.pop("WANDB_MODE", None)
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS + more, target, str(where)], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert told == ["[2, 0, 0]", "[0, 0, 2]", "[0, 1, 1]", "[0, 0, 2]"]
    return json.loads(done.stdout)


def test_trackio_has_one_run_an_attempt_in_its_local_store(tmp_path: Path) -> None:
    there("trackio")
    read = """
import trackio
from trackio.sqlite_storage import SQLiteStorage
print(json.dumps([[run.config, SQLiteStorage.get_logs("night", run.name, run_id=run.id)]
    for run in sorted(trackio.Api().runs("night"), key=lambda run: run.name)]))
"""
    crashed, (config, logged) = played_apart("trackio", tmp_path / "store", read)
    assert crashed[0]["status"] == "crashed"
    assert (config["status"], config["constant.LR"], config["commit"]) == ("kept", 0.1, "c" * 40)
    curve = [(one["step"], one["training loss"]) for one in logged if "training loss" in one]
    assert curve == list(CURVE)
    assert [(one["loss"], one["gain"]) for one in logged if "loss" in one] == [(1.5, 0.5)]


def test_wandb_offline_has_parts_of_one_run_an_attempt(tmp_path: Path) -> None:
    there("wandb")
    read = """
import pathlib, struct
from wandb.proto.wandb_internal_pb2 import Record
def records(content):  # LevelDB's log: blocks of 32 kB; a record has a checksum, a length, and which part it is
    at, whole = 7, b""
    while at + 7 <= len(content):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        length, part = struct.unpack("<HB", content[at + 4 : at + 7])
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if part in (1, 4):
            yield whole
            whole = b""
found = []
paths = pathlib.Path(sys.argv[2]).glob("wandb/offline-run-*/*.wandb")
for path in sorted(paths, key=lambda path: path.stat().st_mtime):
    one = {"config": {}, "summary": {}, "curve": []}
    for data in records(path.read_bytes()):
        record = Record.FromString(data)
        for item in record.run.config.update:
            one["config"][item.key] = json.loads(item.value_json)
        one["id"] = record.run.run_id or one.get("id")
        for item in record.summary.update:
            one["summary"][item.key or item.nested_key[0]] = json.loads(item.value_json)
        told = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        one["curve"] += [[told["_step"], told["training loss"]]] if "training loss" in told else []
    found.append(one)
print(json.dumps(found))
"""
    found = played_apart("wandb", tmp_path / "store", read)
    assert len(found) == 3
    first, kept = [one for one in found if one["id"] == KEPT.id]
    assert first["curve"] == [list(point) for point in CURVE]
    assert kept["curve"] == []
    assert kept["config"]["LR"] == 0.1
    assert (kept["summary"]["gain_low"], kept["summary"]["verdict"]) == (0.25, "keep")


@pytest.mark.parametrize(
    ("target", "module"),
    [
        ("parquet", "pyarrow"),
        ("tensorboard", "tensorboard"),
        ("mlflow", "mlflow"),
        ("wandb", "wandb"),
        ("trackio", "trackio"),
    ],
)
def test_a_library_that_is_missing_is_asked_for_by_its_extra(
    target: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    for name in [one for one in sys.modules if one.startswith(f"{module}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NotNow, match=rf"extra `{target}`.*\[{target}\]"):
        targets.export(target, [KEPT], str(tmp_path / "x"), "night")
    assert not (tmp_path / "x").is_file()


def test_the_command_loads_no_tracker(tmp_path: Path) -> None:
    code = "import sys, mcp_server.commands.research.exporting; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy: set[Any] = {"pandas", "pyarrow", "mlflow", "tensorboard", "wandb", "trackio"}
    assert not heavy & set(loaded)
