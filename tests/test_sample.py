"""The view of a language model: what it writes on from a prompt, the same draws for every attempt."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from mcp_server.views.sample import written_on
from tests.scoring.tiny import Run, sealed_run, write_corpus

ROOT = Path(__file__).resolve().parents[1]


def test_it_leaves_the_prompt_and_what_the_sealed_model_writes_on_as_text(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "corpus")
    letters = [bytes([byte]) for byte in range(33, 33 + 63)]
    stored = {"pattern": r"\S+|\s+", "tokens": [base64.b64encode(one).decode() for one in letters]}
    (data / "public" / "tokenizer.json").write_text(json.dumps({**stored, "special": {"<|bos|>": 63}}))
    shutil.rmtree(data / "sealed")  # it is not shown
    run = sealed_run(tmp_path, data)
    shown = [sampled(run, tmp_path / name) for name in ("first", "again")]
    assert shown[0].startswith("HELLO▏")
    assert "tokens at temperature 0.8" in shown[0]
    assert shown[0] == shown[1]


def sampled(run: Run, place: Path) -> str:
    place.mkdir()
    environment = run.environment(PYTHONPATH=str(ROOT), AUTORESEARCH_VIEW=str(place), LANG="C.UTF-8")
    command = [sys.executable, "-m", "mcp_server.views.sample", "HELLO"]
    subprocess.run(command, env=environment, check=True, cwd=place)
    assert os.listdir(place) == ["view.txt"]
    return (place / "view.txt").read_text()


class Next(torch.nn.Module):
    """Sure that the token after x is x + 1, and told how much it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.widths: list[int] = []

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        self.widths.append(ids.size(1))
        return 1000.0 * torch.nn.functional.one_hot((ids + 1) % 10, 10).float()


def test_no_document_ends_enough_is_enough_and_no_more_than_a_row_is_seen() -> None:
    model = Next()
    tokens = written_on(model, [0, 5], width=4, most=20, seconds=60.0)
    assert tokens[:4] == [6, 7, 8, 9]
    assert 0 not in tokens  # which would begin another document
    assert len(tokens) == 20
    assert model.widths[:5] == [2, 3, 4, 4, 4]
    assert written_on(model, [0, 5], width=4, most=100, seconds=0.0) == []
