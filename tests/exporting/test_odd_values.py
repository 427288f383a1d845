"""What agents may write into a source, in files that people open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mcp_server.exporting.kinds import to_csv, to_jsonl, to_parquet
from mcp_server.exporting.rows import HELD_BACK, constants_of, without_secrets
from tests.exporting.made import rows


def test_a_file_of_json_lines_is_added_to_whatever_stands_in_its_texts(tmp_path: Path) -> None:
    """What Python takes for the end of a line is none in JSON: the second export called the file a stranger's."""
    row = replace(rows()[0], unit="a\u2028b\x85c\x1cd")
    where = str(tmp_path / "attempts.jsonl")
    assert to_jsonl.export([row], where, "x").new == 1
    assert to_jsonl.export([row], where, "x").unchanged == 1


@pytest.mark.parametrize("constants", [{"MASK": 2**64 - 1}, {"MASK": -(2**70), "OTHER": 1}])
def test_a_whole_number_of_any_size_fits_into_a_parquet_file(tmp_path: Path, constants: dict[str, int]) -> None:
    pytest.importorskip("pyarrow")
    some = [replace(rows()[0], constants=constants), replace(rows()[1], constants={"MASK": 3})]
    where = str(tmp_path / "attempts.parquet")
    assert to_parquet.export(some, where, "x").new == 2
    assert to_parquet.export(some, where, "x").new == 0


def test_a_constant_that_python_cannot_hash_is_text() -> None:
    assert constants_of({"ODD": "{[]: 1}"}, ()) == {"ODD": "{[]: 1}"}


@pytest.mark.parametrize("begins", to_csv.FORMULA)
def test_no_cell_begins_like_a_formula(tmp_path: Path, begins: str) -> None:
    where = tmp_path / "attempts.csv"
    to_csv.export([replace(rows()[0], description=f"{begins}cmd")], str(where), "x")
    assert f"'{begins}cmd" in where.read_bytes().decode()


def test_what_looks_like_a_secret_is_sent_to_no_tracker() -> None:
    """An agent wrote it into a constant, or a person into the command of an agent."""
    plain, token = rows()[0], "sk-ant-api03-" + "x1Y" * 12
    told = replace(plain, command=f"agent --key {token}", moved="WANDB_API_KEY: 1 → 2", description="twice the rate")
    found = without_secrets(replace(told, constants={"WANDB_API_KEY": "0123456789abcdef0123456789abcdef", "LR": 0.1}))
    assert (found.command, found.moved, found.constants["WANDB_API_KEY"]) == 3 * (HELD_BACK,)
    assert (found.description, found.constants["LR"]) == ("twice the rate", 0.1)
    assert without_secrets(plain) is plain
