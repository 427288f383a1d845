"""Inside a host: weights go in by name and shape, and what a model is able to do is found out by trying."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mcp_server.scoring.host import BadOutput, Server, fill

CPU = torch.device("cpu")


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 4)
        self.out = nn.Linear(4, 11, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.embed(ids))


class Selective(Tied):
    """Can answer for one column per row."""

    wrong = 0.0

    def forward(self, ids: torch.Tensor, columns: torch.Tensor | None = None) -> torch.Tensor:
        if columns is None:
            return super().forward(ids)
        return super().forward(ids)[torch.arange(len(ids)), columns] + self.wrong


def server(model: nn.Module) -> Server:
    return Server(model, CPU, 11)


@pytest.mark.parametrize("names", [("embed.weight",), ("out.weight",), ("embed.weight", "out.weight")])
def test_tied_weights_are_filled_by_either_name_or_both(names: tuple[str, ...]) -> None:
    weights = torch.randn(11, 4)
    model = Tied()
    fill(model, dict.fromkeys(names, weights))
    assert torch.equal(model.out.weight, weights)
    assert torch.equal(model.embed.weight, weights)


@pytest.mark.parametrize("saved_compiled", [True, False])
@pytest.mark.parametrize("built_compiled", [True, False])
def test_compiling_a_model_changes_no_name(saved_compiled: bool, built_compiled: bool) -> None:
    weights = torch.randn(11, 4)
    model = Tied()
    # what torch.compile does to names, without its half minute of imports; abuse/models/honest_compiled.py is real
    wrapped = nn.ModuleDict({"_orig_mod": model}) if built_compiled else model
    fill(wrapped, {f"{'_orig_mod.' if saved_compiled else ''}embed.weight": weights})
    assert torch.equal(model.embed.weight, weights)


def test_weights_of_another_dtype_are_converted() -> None:
    model = Tied()
    fill(model, {"embed.weight": torch.full((11, 4), 1.5, dtype=torch.bfloat16)})
    assert model.embed.weight.dtype is torch.float32
    assert (model.embed.weight == 1.5).all()


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({}, "missing"),
        ({"embed.weight": torch.zeros(11, 4), "extra": torch.zeros(1)}, "extra"),
        ({"embed.weight": torch.zeros(4, 11)}, r"\(4, 11\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(tensors: dict[str, torch.Tensor], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        fill(Tied(), tensors)


def test_claims_and_answers_are_one_distribution() -> None:
    ids = np.random.default_rng(0).integers(0, 11, (3, 8)).astype(np.uint16)
    with torch.inference_mode():
        asked = server(Tied())
        claims = asked.claims(ids, ids)
        logits = asked.answers(ids, np.array([0, 5, 7])).astype(np.float64)
    picked = logits[np.arange(3), ids[np.arange(3), [0, 5, 7]]] - np.log(np.exp(logits).sum(1))
    assert np.allclose(claims[np.arange(3), [0, 5, 7]], picked, atol=1e-6)


def test_an_answer_for_one_column_is_used_only_if_it_is_right() -> None:
    with torch.inference_mode():
        right, wrong = server(Selective()), server(Selective())
        wrong.model.wrong = 1.0  # type: ignore[assignment]
        right.rehearse(4, 64)
        wrong.rehearse(4, 64)
    assert right.selective
    assert not wrong.selective


def test_a_model_that_insists_on_its_length_is_asked_at_that_length() -> None:
    class Stubborn(Tied):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            assert ids.shape[1] == 64
            return super().forward(ids)

    with torch.inference_mode():
        assert server(Stubborn()).rehearse(4, 64)["narrow"] is False
        assert server(Tied()).rehearse(4, 64)["narrow"] is True


def test_a_model_that_depends_on_the_length_of_a_row_is_asked_at_full_length() -> None:
    class Scaled(Tied):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return super().forward(ids) * ids.shape[1]

    with torch.inference_mode():
        assert server(Scaled()).rehearse(4, 64)["narrow"] is False


def test_what_is_no_tensor_of_logits_is_named() -> None:
    class Pair(Tied):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return (super().forward(ids), torch.zeros(()))  # type: ignore[return-value]

    with torch.inference_mode(), pytest.raises(BadOutput, match="tuple"):
        server(Pair()).rehearse(2, 8)


def test_the_coarsest_dtype_of_a_model_is_reported() -> None:
    with torch.inference_mode():
        assert server(Tied()).rehearse(2, 8)["precision"] == "float32"
        assert server(Tied().to(torch.bfloat16)).rehearse(2, 8)["precision"] == "bfloat16"
