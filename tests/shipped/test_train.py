"""The file under research, as shipped: causal, stateless, paired, and sealed so that a scorer can load it."""

from __future__ import annotations

import gc
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F

import prepare
from benchmarks.sweep import STEPS, moves
from mcp_server.edits.movable import evaluated
from tests.shipped.models import LENGTH, ROOT, clues_of, trained, validation_rows

# --- what a scorer relies on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["S", "L", "SL"])
@pytest.mark.parametrize("length", [LENGTH, 45])
def test_no_logit_depends_on_a_later_token(train: ModuleType, pattern: str, length: int) -> None:
    train.WINDOW_PATTERN = pattern
    model, tokens = trained(train), validation_rows(4, length)
    with torch.no_grad():
        before = model(tokens)
        for t in (0, 1, 15, 16, 17, length - 2):
            changed = tokens.clone()
            changed[:, t + 1 :] = torch.randint(train.VOCAB, changed[:, t + 1 :].shape)
            after = model(changed)
            assert torch.equal(before[:, : t + 1], after[:, : t + 1])
            assert not torch.equal(before[:, t + 1 :], after[:, t + 1 :])


def test_no_logit_depends_on_another_row_or_an_earlier_call(train: ModuleType) -> None:
    model, tokens = trained(train), validation_rows(4)
    with torch.no_grad():
        first = model(tokens)
        others = torch.randint(train.VOCAB, tokens.shape)
        others[2] = tokens[2]
        assert torch.equal(model(others)[2], first[2])
        assert torch.equal(model(tokens), first)


def test_a_row_cut_short_is_answered_alike(train: ModuleType) -> None:
    model, tokens = trained(train), validation_rows(4)
    with torch.no_grad():
        whole, short = model(tokens), model(tokens[:, :20])
    torch.testing.assert_close(short, whole[:, :20], atol=1e-4, rtol=0)


@pytest.mark.parametrize("pattern", ["S", "L", "SL"])
@pytest.mark.parametrize("length", [LENGTH, 20])
def test_one_place_of_a_row_alone_is_answered_alike(train: ModuleType, pattern: str, length: int) -> None:
    train.WINDOW_PATTERN = pattern
    model, tokens = trained(train), validation_rows(6, length)
    columns = torch.tensor([0, 1, 9, length // 2, length - 2, length - 1])
    with torch.no_grad():
        whole, picked = model(tokens), model(tokens, columns=columns)
    torch.testing.assert_close(picked, whole[torch.arange(6), columns], atol=1e-4, rtol=0)


def test_a_model_is_rebuilt_from_its_text_and_its_state_alone(train: ModuleType) -> None:
    model, tokens = trained(train), validation_rows(2)
    again = train.build_model()
    assert all((tensor == 0).all() or name in ("residual", "input") for name, tensor in again.state_dict().items())
    again.load_state_dict(model.state_dict(), strict=True)
    with torch.no_grad():
        assert torch.equal(again(tokens), model(tokens))


def test_logits_are_float32_for_every_token_of_the_vocabulary(train: ModuleType) -> None:
    logits = trained(train)(validation_rows(2))
    assert logits.shape == (2, LENGTH, prepare.meta().vocab_size)
    assert logits.dtype == torch.float32


# --- attention, loss, optimizers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [48, 50, 16, 5])
def test_folded_windows_give_what_a_masked_attention_gives(train: ModuleType, length: int) -> None:
    q, k, v = torch.randn(3, 2, 3, length, 8)
    at = torch.arange(length)
    seen = (at[:, None] >= at) & (at[:, None] - at < 16)
    wanted = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
    torch.testing.assert_close(train.attend(q, k, v, 16), wanted)


def test_the_fused_attention_of_other_devices_agrees_with_the_products_of_a_cpu(train: ModuleType) -> None:
    q, k, v = torch.randn(3, 2, 3, 20, 8)
    causal = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(train.soft_lookup(q, k, v, None), causal)


def test_what_is_written_by_hand_has_the_value_and_the_gradient_of_single_operations(train: ModuleType) -> None:
    def turned(x: torch.Tensor) -> torch.Tensor:
        angle = torch.arange(9)[:, None, None] * train.ROPE_BASE ** (-torch.arange(4) / 4)
        a, b = x.chunk(2, -1)
        return torch.cat([a * angle.cos() + b * angle.sin(), b * angle.cos() - a * angle.sin()], -1)

    ways = {
        "norm": (lambda x: train.norm(x, 1.3), lambda x: 1.3 * F.rms_norm(x, (8,))),
        "rotate": (train.rotate, turned),
        "relu²": (train.squared_relu, lambda x: F.relu(x).square()),
    }
    whole, g = torch.randn(2, 9, 5, 8), torch.randn(2, 9, 3, 8)
    for name, both in ways.items():
        found = []
        for way in both:
            given = whole.clone().requires_grad_()
            answer = way(given[:, :, 1:4])  # a part of a wider tensor, as queries and keys are
            answer.backward(g)
            found.append((answer.detach(), given.grad))
        for ours, plain in zip(*found, strict=True):
            torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5, msg=lambda said, name=name: f"{name}: {said}")


def test_importing_the_file_leaves_the_collector_of_garbage_on(train: ModuleType) -> None:
    assert gc.isenabled()


@pytest.mark.parametrize("softcap", [0.0, 3.0])
def test_the_chunked_loss_has_the_value_and_the_gradients_of_the_plain_one(train: ModuleType, softcap: float) -> None:
    train.SOFTCAP = softcap
    model, (tokens, targets) = trained(train), next(prepare.batches(3))
    clues, practice = clues_of(train, model, tokens), torch.rand(targets.numel())
    gradients = []
    for chunk in (0, 50):  # 192 positions: the last chunk is not full
        train.CHUNK = chunk
        grams = model.grams[clues.slots].requires_grad_()
        loss, chances, _ = model.loss(tokens, targets, clues, grams, practice)
        (2 * loss).backward()
        learnt = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        gradients.append([loss.detach(), chances, grams.grad, *learnt])
        model.zero_grad()
    for chunked, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(chunked, plain, atol=1e-5, rtol=1e-4)


def test_every_parameter_is_updated_by_exactly_one_group(train: ModuleType) -> None:
    model = train.build_model()
    updated = [p for optimizer in train.optimizers(model) for group in optimizer.groups for p in group[0]]
    assert sorted(map(id, updated)) == sorted(map(id, model.parameters()))


def test_orthogonalised_matrices_have_singular_values_near_one(train: ModuleType) -> None:
    for shape in ((3, 16, 64), (2, 64, 16)):
        values = torch.linalg.svdvals(train.orthogonalise(torch.randn(shape)))
        assert values.min() > 0.4
        assert values.max() < 1.4


def test_row_adagrad_moves_the_rows_it_was_given_and_no_others(train: ModuleType) -> None:
    table = torch.zeros(10, 4)
    optimizer = train.RowAdagrad(table, lr=0.5)
    optimizer.step(torch.tensor([[3, 7]]), torch.ones(1, 2, 4), scale=1.0)
    assert (table[[3, 7]] == -0.5).all()
    assert table[[0, 1, 2, 4, 5, 6, 8, 9]].count_nonzero() == 0


def test_rates_fall_to_their_end_with_the_budget(train: ModuleType) -> None:
    scales = [train.schedule(used / 100) for used in range(101)]
    assert max(scales) == 1
    assert scales[-1] == pytest.approx(train.FINAL_LR)
    assert scales[50:] == sorted(scales[50:], reverse=True)


def test_an_added_block_draws_for_itself_alone(train: ModuleType) -> None:
    def drawn() -> dict[str, torch.Tensor]:
        model = train.build_model()
        prepare.initialise(model, train.deviation)
        return model.state_dict()

    train.DEPTH = 2
    fewer = drawn()
    train.DEPTH += 1
    more = drawn()
    same = {name for name in fewer if name in more and fewer[name].shape == more[name].shape}
    assert len(more) > len(fewer)
    assert {"embed.weight", "blocks.0.qkv.weight", "blocks.1.up.weight"} <= same
    assert all(torch.equal(fewer[name], more[name]) for name in same)


@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.usefixtures("_surroundings")
def test_the_presets_of_other_devices_learn_in_miniature_on_a_cpu(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    """No such device is needed for most of the text: sizes shrink, switches stay. Tracing shows what would compile."""
    monkeypatch.setenv("AUTORESEARCH_DEVICE", device)
    spec = importlib.util.spec_from_file_location("train_elsewhere", ROOT / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.DEPTH, module.WIDTH, module.WINDOW = 3, 16 * module.HEADS, 16
    module.COUNT_SLOTS, module.GRAM_SLOTS, module.GRAM_WIDTH = 2**14, 2**10, 8
    monkeypatch.setattr(module, "DEVICE", "cpu")
    model = module.build_model()
    prepare.initialise(model, module.deviation)
    model.arithmetic = torch.bfloat16
    everyone, table = module.optimizers(model), module.RowAdagrad(model.grams, module.GRAM_LR)
    practice, batches = module.read_halves(model), prepare.batches(4, folds=2)
    monkeypatch.setattr(module, "BATCH", 2)
    torch._dynamo.utils.counters.clear()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    traced = module.compiled(model, "aot_eager") if device == "cuda" else model.loss
    assert not torch._dynamo.utils.counters["graph_break"]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    losses = []
    for _ in range(8):
        tokens, targets = next(batches)
        with torch.compiler.set_stance("fail_on_recompile"):  # all of it was compiled before the budget began
            loss, nats, grams, slots = module.losses(model, traced, tokens, targets, practice)
            loss.backward()
        table.step(slots, grams.grad, 1.0)
        for optimizer in everyone:
            optimizer.step(1.0)
        model.zero_grad()
        losses.append((loss.detach() - nats).item())
    assert losses[-1] < losses[0] - 0.7  # by how much, depends on the corpus that this Python's library makes
    with torch.no_grad():
        assert model(tokens).dtype == torch.float32


def test_the_sweep_moves_twenty_numbers_of_the_shipped_file() -> None:
    steps = {move.name: move for (move,) in moves(list(STEPS))}
    assert len(steps) == 20
    for move in steps.values():
        assert evaluated(move.before) != evaluated(move.after)
    together = moves(["MOMENTUM=0.8,DEPTH"])
    assert [[(move.name, move.after) for move in one] for one in together] == [[("MOMENTUM", "0.8"), ("DEPTH", "2")]]


# --- whole runs -------------------------------------------------------------------------------------------------------


def run_train(**environment: str) -> subprocess.CompletedProcess[str]:
    small = {"AUTORESEARCH_BUDGET_SECONDS": "2", "AUTORESEARCH_CLOCK": "cpu", "AUTORESEARCH_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(ROOT / "train.py")], capture_output=True, text=True, env=os.environ | small | environment
    )


def test_by_hand_a_run_prints_the_summary_block_and_beats_a_model_that_knows_nothing() -> None:
    done = run_train()
    assert done.returncode == 0, done.stderr
    block = dict(re.findall(r"^(\w+): +(\S+)$", done.stdout.partition("---\n")[2], re.MULTILINE))
    assert list(block) == [
        *("val_bpb", "training_seconds", "total_seconds", "peak_vram_mb", "mfu_percent"),
        *("total_tokens_M", "num_steps", "num_params_M", "depth"),
    ]
    stored = prepare.meta().splits["val"]
    nothing_known = math.log2(prepare.meta().vocab_size) * stored["tokens"] / stored["bytes"]
    assert float(block["val_bpb"]) < 0.8 * nothing_known
    assert float(block["training_seconds"]) < 2


def test_in_a_lab_a_run_seals_weights_that_a_fresh_model_loads(train: ModuleType, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    done = run_train(AUTORESEARCH_OUT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "val_bpb" not in done.stdout
    for name in ("COUNT_SLOTS", "GRAM_SLOTS"):  # the run had the shipped sizes
        setattr(train, name, shipped(name))
    model = train.build_model()
    model.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    assert model(validation_rows(2)).isfinite().all()
    assert json.loads((tmp_path / "summary.json").read_text())["num_steps"] > 1


def shipped(knob: str) -> int:
    text = re.search(rf"^{knob} = (?:pick\(cpu=)?([\d* ]+)", (ROOT / "train.py").read_text(), re.MULTILINE)
    assert text is not None
    return int(eval(text[1].strip(), {}))


def test_without_a_corpus_a_run_says_how_to_make_one(tmp_path: Path) -> None:
    done = run_train(AUTORESEARCH_CACHE=str(tmp_path))
    assert done.returncode != 0
    assert "python prepare.py" in done.stderr
    assert "Traceback" not in done.stderr
