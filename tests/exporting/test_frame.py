"""autoresearch.frame(): the attempts for pandas."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas
import pytest

import autoresearch
from mcp_server.exporting.to_frame import framed
from mcp_server.nouns.errors import NotNow
from tests.exporting.made import CURVE, rows
from tests.labs import attempt, begun, make_lab


def test_a_lab_is_a_frame(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    attempt(lab, "two", KNOB=2.0)
    lab.close()
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
