"""The one command for a card, as far as a machine without one can run it: every step, in miniature."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from dev import gpu
from mcp_server.nouns.paths import cache_folder
from mcp_server.runner.machine import nvidia

ROOT = Path(__file__).parents[1]
PREPARED = cache_folder()  # as it is before a test gets one of its own


def test_without_a_card_it_says_so_and_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nvidia, "cards", lambda: ())
    assert gpu.main([str(tmp_path / "gpu.json")]) == 2
    assert "--cpu" in capsys.readouterr().err
    assert not (tmp_path / "gpu.json").exists()


def test_a_step_that_fails_says_why_and_one_without_time_is_left_out(tmp_path: Path) -> None:
    report = gpu.Report(tmp_path / "gpu.json", time.monotonic() + 60)
    report.step("good", 1, lambda: {"score": 1.0})
    report.step("bad", 1, lambda: 1 // 0)
    report.step("long", 3600, lambda: None)
    told = json.loads((tmp_path / "gpu.json").read_text())
    assert told["good"]["found"] == {"score": 1.0}
    assert "ZeroDivisionError" in told["bad"]["where"]
    assert "3600" in told["long"]["left_out"]


@pytest.mark.parametrize("sizes", [gpu.REFERENCE, gpu.MINIATURE.sizes])
def test_the_references_sizes_are_put_into_sound_code(sizes: dict[str, int], tmp_path: Path) -> None:
    text = gpu.resized(tmp_path, sizes).read_text()
    compile(text, "reference_sizes.py", "exec")
    assert all(f"\n{name} = {value}\n" in text for name, value in sizes.items())
    assert 'set_float32_matmul_precision("high")' in text


def test_the_script_is_sound_bash() -> None:
    subprocess.run(["bash", "-n", ROOT / "dev" / "gpu.sh"], check=True)


@pytest.mark.slow
def test_every_step_runs_in_miniature_on_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (PREPARED / "current").exists():
        pytest.skip("no corpus is prepared: `make setup` does it")
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(PREPARED))
    out = tmp_path / "gpu.json"
    answer = subprocess.run([ROOT / "dev" / "gpu.sh", "--cpu", out], capture_output=True, text=True)
    told = json.loads(out.read_text())
    wrong = {name: one for name, one in told.items() if "found" not in one}
    # a processor without a compiler cannot take the compiled step
    assert not wrong.keys() - {"one_step"}, wrong
    assert answer.returncode == bool(wrong)
    assert len(told) == 11
    assert told["preset_long"]["found"]["score"] < told["preset_short"]["found"]["score"]
    assert len(told["pairs"]["found"]["differences"]) == 2
