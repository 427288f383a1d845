"""autoresearch.frame(): the attempts for pandas."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest

import autoresearch
from mcp_server.exporting.to_frame import framed
from mcp_server.nouns.errors import NotNow
from tests.exporting.made import CURVE, rows
from tests.labs import attempt, begun, make_lab


def notebook(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is known after all cells of the shipped notebook ran in a lab."""
    page = json.loads((Path(__file__).parents[2] / "examples/notebooks/attempts.ipynb").read_text())
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for cell in page["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    return names


def test_a_lab_is_a_frame_and_the_notebook_runs_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    attempt(lab, "two", KNOB=2.0)
    lab.close()
    shown = notebook(tmp_path / "lab", monkeypatch)
    assert shown["kept"].experiment.tolist() == [2]
    assert shown["by_constant"]["constant.KNOB"]["max"].tolist()[-1] == 3.0
    found = autoresearch.frame(tmp_path / "lab")
    assert found[["experiment", "status", "score", "constant.KNOB"]].values.tolist() == [
        [1, "kept", 4.0, 1.0],
        [2, "kept", 1.0, 2.0],
    ]
    assert found.gain.iloc[1] == 3.0
    assert len(autoresearch.frame(lab.paths.tree, campaign="first")) == 2
    assert len(autoresearch.frame(lab.paths.tree, every=True)) == 2


def test_columns_have_types_and_are_there_without_attempts() -> None:
    found = framed(rows())
    assert found.opened_at.dtype == pandas.DatetimeTZDtype(tz="UTC") or str(found.opened_at.dtype).endswith("UTC]")
    assert found.curve.iloc[2] == CURVE
    assert found.gain_low.tolist()[2] == 0.25
    assert list(framed([]).columns)[:3] == ["id", "lab", "campaign"]


def test_without_pandas_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(NotNow, match="extra `frame`"):
        framed([])
