"""Tolerances: a lab's own over the package's, and the measuring of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.records import Tier
from mcp_server.runner.sandbox import probe
from mcp_server.scoring import calibrate as calibrating
from mcp_server.scoring.calibrate import FLOORS, Reading, calibrate, table, write_table
from mcp_server.scoring.tolerances import Entry, Table, read
from tests.runner.cards import Card, installed
from tests.scoring.tiny import write_corpus


def test_a_backend_that_nobody_calibrated_gets_a_wider_tolerance_and_says_so() -> None:
    packaged = read(None)
    assert packaged.known("cpu", "float32")
    assert not packaged.known("cuda", "bfloat16")
    assert packaged.find("cuda", "bfloat16").largest > packaged.find("cpu", "bfloat16").largest


def test_a_labs_calibration_replaces_the_entries_that_it_measured(tmp_path: Path) -> None:
    own = tmp_path / "state" / "tolerances.json"
    write_table(own, Table(entries={"cuda/bfloat16": Entry(largest=0.05, mean=0.001)}))
    write_table(own, Table(entries={"cuda/float32": Entry(largest=0.005, mean=0.0001)}))
    merged = read(own)
    assert merged.find("cuda", "bfloat16").largest == 0.05
    assert merged.find("cuda", "float32").largest == 0.005
    assert merged.find("cpu", "float32") == read(None).find("cpu", "float32")


def test_a_table_that_is_none_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("{")
    with pytest.raises(AutoresearchError, match="calibrate"):
        read(tmp_path / "table")


def test_a_tolerance_is_what_was_seen_with_a_margin_and_never_below_the_floor() -> None:
    entries = table({"cuda/float32": Reading(0.01, 0.0, False), "cuda/bfloat16": Reading(0.0, 0.0, False)}).entries
    assert entries["cuda/float32"].largest == pytest.approx(0.08)
    assert entries["cuda/float32"].mean == FLOORS["float32"].mean
    assert entries["cuda/bfloat16"] == FLOORS["bfloat16"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_honest_models_answers_on_a_cpu_lie_far_within_the_packages_tolerance(dtype: str, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    (name, reading), *more = calibrate(corpus, "cpu", 1, probe().tier, dtypes=(dtype,)).items()
    assert (name, more) == (f"cpu/{dtype}", [])
    tolerance = read(None).find("cpu", dtype)
    assert reading.largest < tolerance.largest / 20
    assert reading.mean < tolerance.mean / 20


def test_the_calibration_shows_its_hosts_one_card_as_a_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, str]] = []

    def calibrated(corpus: Path, device: str, threads: int, tier: Tier, gpus: tuple[int, ...]) -> dict[str, Reading]:
        seen.append((gpus, os.environ["CUDA_VISIBLE_DEVICES"]))
        return {}

    monkeypatch.setattr(calibrating, "calibrate", calibrated)
    with installed(tmp_path, monkeypatch, Card(), Card(uuid="GPU-3c4d", file=3)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")  # in a sandbox with that card alone there is no second one
        assert calibrating.main(["--table", str(tmp_path / "table.json"), "--device", "cuda"]) == 0
    assert seen == [((3,), "GPU-3c4d")]
