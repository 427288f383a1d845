"""Each tracker, read back with its own library: one run an attempt, nothing doubled, the decided one updated."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("target", "module"), [("parquet", "pyarrow"), ("tensorboard", "tensorboard"), ("mlflow", "mlflow")]
)
def test_a_library_that_is_missing_is_asked_for_by_its_extra(
    target: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for name in [one for one in sys.modules if one.startswith(f"{module}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NotNow, match=rf"extra `{target}`.*\[{target}\]"):
        targets.export(target, [KEPT], str(tmp_path / "x"), "night")
    assert list(tmp_path.iterdir()) == []


def test_the_command_loads_no_tracker(tmp_path: Path) -> None:
    code = "import sys, mcp_server.commands.research.exporting; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy: set[Any] = {"pandas", "pyarrow", "mlflow", "tensorboard", "wandb", "trackio"}
    assert not heavy & set(loaded)
