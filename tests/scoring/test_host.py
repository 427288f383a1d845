"""Inside a host: weights go in by name and shape, and what a model is able to do is found out by trying."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mcp_server.scoring.host import DTYPES, BadOutput, Server, fill, views

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


class Telling(Tied):
    """Can answer with the log-probability of each target."""

    wrong = 0.0

    def forward(self, ids: torch.Tensor, targets: torch.Tensor | None = None) -> torch.Tensor:
        if targets is None:
            return super().forward(ids)
        said = super().forward(ids).log_softmax(-1).gather(-1, targets[..., None])[..., 0]
        return said + self.wrong


class Losing(Tied):
    """As most models do: answers with a loss when it is given targets, and fails on some."""

    def forward(self, ids: torch.Tensor, targets: torch.Tensor | None = None) -> torch.Tensor:
        if targets is None:
            return super().forward(ids)
        return nn.functional.cross_entropy(super().forward(ids).flatten(0, 1), targets.flatten())


class Failing(Tied):
    def forward(self, ids: torch.Tensor, targets: torch.Tensor | None = None) -> torch.Tensor:
        assert targets is None, "only for training"
        return super().forward(ids)


def server(model: nn.Module) -> Server:
    return Server(model, CPU, 11)


def test_weights_are_what_the_library_reads(tmp_path: Path) -> None:
    stored = {name: torch.arange(6).to(dtype).view(2, 3) for name, dtype in DTYPES.items()}
    stored |= {"nothing": torch.empty(0, 4), "one": torch.tensor(1.5)}
    save_file(stored, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with open(tmp_path / "model.safetensors", "rb") as file:
        found = views(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    for name, tensor in load_file(tmp_path / "model.safetensors").items():
        assert torch.equal(found.pop(name), tensor)
    assert not found


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
        asked.model.register_forward_hook(lambda *given: given[2] + 1)  # every log-probability better by one
        assert np.allclose(asked.claims(ids, ids), claims, atol=1e-6)
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


def test_targets_are_given_only_to_a_model_that_answers_with_their_log_probabilities() -> None:
    ids, targets = np.random.default_rng(1).integers(0, 11, (2, 4, 64))
    cases = (Telling, 0.0, True), (Telling, 1.0, False), (Losing, 0.0, False), (Failing, 0.0, False)
    for kind, wrong, telling in cases:
        model = kind()
        model.wrong = wrong
        with torch.inference_mode():
            asked = server(model)
            plain = asked.claims(ids, targets)
            asked.rehearse(4, 64)
            assert asked.telling is telling
            assert np.allclose(asked.claims(ids, targets), plain, atol=1e-6)


def test_a_model_that_insists_on_its_length_is_asked_at_that_length() -> None:
    class Stubborn(Tied):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            assert ids.shape[1] == 64
            return super().forward(ids)

    with torch.inference_mode():
        assert server(Stubborn()).rehearse(4, 64)["narrow"] is False
        assert server(Tied()).rehearse(4, 64)["narrow"] is True


def test_a_model_that_compiles_for_each_length_is_asked_at_full_length() -> None:
    class Compiling(Tied):
        known = frozenset({64})

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            if ids.shape[1] not in self.known:
                time.sleep(0.3)
                self.known |= {ids.shape[1]}
            return super().forward(ids)

    with torch.inference_mode():
        assert server(Compiling()).rehearse(4, 64)["narrow"] is False


def test_a_rehearsal_asks_for_all_logits_of_a_whole_batch_once() -> None:
    class Counting(Selective):
        whole = 0

        def forward(self, ids: torch.Tensor, columns: torch.Tensor | None = None) -> torch.Tensor:
            self.whole += columns is None and ids.shape[1] == 64
            return super().forward(ids, columns)

    with torch.inference_mode():
        asked = server(model := Counting())
        asked.rehearse(4, 64)
    assert model.whole == 1


def test_a_model_that_depends_on_the_length_of_a_row_is_asked_at_full_length() -> None:
    class Scaled(Tied):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return super().forward(ids) * ids.shape[1]

    with torch.inference_mode():
        assert server(Scaled()).rehearse(4, 64)["narrow"] is False


@pytest.mark.parametrize(
    ("answered", "said"),
    [
        (lambda logits: (logits, torch.zeros(())), "tuple"),
        (lambda logits: logits.sum() * 0, r"float32 \(\)"),  # a loss of zero
        (lambda logits: logits[:, -1], r"\(2, 11\)"),
        (lambda logits: logits.long(), "int64"),
    ],
)
def test_what_is_no_tensor_of_logits_is_named(answered: Callable[[torch.Tensor], object], said: str) -> None:
    class Other(Tied):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return answered(super().forward(ids))  # type: ignore[return-value]

    with torch.inference_mode(), pytest.raises(BadOutput, match=said):
        server(Other()).rehearse(2, 8)


def test_the_coarsest_dtype_of_a_model_is_reported() -> None:
    with torch.inference_mode():
        assert server(Tied()).rehearse(2, 8)["precision"] == "float32"
        assert server(Tied().to(torch.bfloat16)).rehearse(2, 8)["precision"] == "bfloat16"
