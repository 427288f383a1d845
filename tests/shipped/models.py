"""What the tests of train.py look at: models of which every part matters, and rows of text."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import torch

import prepare

ROOT = Path(prepare.__file__).parent
LENGTH = 64


def trained(train: ModuleType) -> torch.nn.Module:
    """A model of which every part matters: nothing is left at zero, and the text is counted."""
    model = train.build_model()
    prepare.initialise(model, lambda name, tensor: 0.3 if tensor.ndim > 1 else None)
    with torch.no_grad():
        model.grams.normal_(generator=prepare.generator("grams"))
        train.read_halves(model)
    return model


def clues_of(train: ModuleType, model: torch.nn.Module, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """What the network is shown for all places of the rows."""
    places = train.everywhere(tokens)
    return model.clues(tokens, places, train.matches(tokens, places))


def validation_rows(rows: int, length: int = LENGTH) -> torch.Tensor:
    stream = np.fromfile(prepare.data_folder() / "sealed" / "val.bin", dtype="<u2")
    return torch.from_numpy(stream[: rows * length].astype(np.int64)).view(rows, length)
