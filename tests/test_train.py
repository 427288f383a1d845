"""The file under research, as shipped: causal, stateless, paired, and sealed so that a scorer can load it."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import prepare
from benchmarks.sweep import STEPS, moves
from mcp_server.edits.movable import evaluated
from mcp_server.scoring.host import Server

ROOT = Path(prepare.__file__).parent
LENGTH = 64


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny corpus of made-up sentences, with words that come back."""
    folder, rng = tmp_path_factory.mktemp("texts"), random.Random(0)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 7))) for _ in range(120)] + ["日本", "🦊"]
    for i in range(40):
        own = rng.sample(words, 25)
        (folder / f"{i}.txt").write_text("\n".join(" ".join(rng.choices(own, k=8)) for _ in range(60)))
    options = ["--vocab-size", "400", "--sequence-length", str(LENGTH), "--jobs", "1", "--cache", str(folder / "cache")]
    command = [sys.executable, str(ROOT / "prepare.py"), "--corpus", f"{folder}/*.txt", *options, "--no-search"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "cache"


@pytest.fixture(autouse=True)
def _surroundings(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(cache))
    monkeypatch.setenv("AUTORESEARCH_DEVICE", "cpu")
    monkeypatch.setenv("AUTORESEARCH_SEED", "7")
    monkeypatch.delenv("AUTORESEARCH_DATA", raising=False)
    monkeypatch.delenv("AUTORESEARCH_OUT", raising=False)


@pytest.fixture
def train(_surroundings: None) -> Iterator[ModuleType]:
    """A fresh import of train.py, with tables small enough for a test."""
    spec = importlib.util.spec_from_file_location("train", ROOT / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train"] = module
    spec.loader.exec_module(module)
    module.COUNT_SLOTS, module.WINDOW = 2**14, 16
    module.GRAM_SLOTS = min(module.GRAM_SLOTS, 2**10)
    yield module
    del sys.modules["train"]


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


# --- what is looked up ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
def test_copies_propose_what_followed_the_latest_same_context_of_the_row(train: ModuleType, order: int) -> None:
    tokens = torch.randint(5, (6, 50), generator=torch.Generator().manual_seed(1))
    places = train.everywhere(tokens)
    proposals, levels = train.copies(tokens, places, train.matches(tokens, places), order)
    for row, proposed in zip(tokens.tolist(), proposals.tolist(), strict=True):
        followers: dict[tuple[int, ...], int] = {}
        for t, token in enumerate(row):
            if t >= order:
                followers[tuple(row[t - order : t])] = token
            context = tuple(row[t - order + 1 : t + 1]) if t >= order - 1 else ()
            assert proposed[t] == followers.get(context, -1)
    assert ((levels > 0) == (proposals >= 0)).all()
    assert levels.max() < train.LEVELS


def smoothed(stream: list[int], longest: int, vocab: int) -> dict[tuple[int, ...], list[float]]:
    """Interpolated Kneser-Ney with three discounts, as its authors write it: context to probabilities."""
    followers: dict[tuple[int, ...], Counter[int]] = {}
    for i in range(longest, len(stream)):
        followers.setdefault(tuple(stream[i - longest : i]), Counter())[stream[i]] += 1
    levels = [followers]
    for _ in range(longest):
        shorter: dict[tuple[int, ...], Counter[int]] = {}
        for context, found in levels[-1].items():
            for token in found:
                shorter.setdefault(context[1:], Counter())[token] += 1
        levels.append(shorter)
    alone = [levels[-1][()][token] + 0.5 for token in range(vocab)]
    said = {(): [x / sum(alone) for x in alone]}
    for found in reversed(levels[:-1]):
        times = Counter(n for one in found.values() for n in one.values())
        y = times[1] / max(1, times[1] + 2 * times[2])
        less = [0.0] + [max(0.0, k - (k + 1) * y * times[k + 1] / max(1, times[k])) for k in (1, 2, 3)]
        for context, one in found.items():
            kept = {token: (n - less[min(n, 3)]) / one.total() for token, n in one.items()}
            left = 1 - sum(kept.values())
            said[context] = [kept.get(token, 0.0) + left * below for token, below in enumerate(said[context[1:]])]
    return said


def test_counts_say_what_their_authors_write(train: ModuleType) -> None:
    train.COUNT_ORDERS, train.COUNT_SLOTS, vocab = (1, 2, 3), 2**14, train.VOCAB
    stream = torch.randint(9, (3000,), generator=torch.Generator().manual_seed(2)).square() // 5
    wanted = smoothed(stream.tolist(), 3, vocab)
    tokens = torch.randint(9, (4, 40), generator=torch.Generator().manual_seed(3)).square() // 5
    tokens[:, 20] = 100  # a token the text does not have
    targets = torch.randint(13, tokens.shape, generator=torch.Generator().manual_seed(4))
    heard = train.hear(tokens, targets, train.count(stream))
    for row in range(4):
        for t in range(40):
            for order in range(4):
                context = tuple(tokens[row, max(0, t - order + 1) : t + 1].tolist()) if order else ()
                while context not in wanted:
                    context = context[1:]
                chance = heard.chances[row, t, order].item()
                assert chance == pytest.approx(wanted[context][targets[row, t]], rel=0.01)
                if order:
                    whole = t >= order - 1 and tuple(tokens[row, t - order + 1 : t + 1].tolist()) in wanted
                    assert (heard.levels[row, t, order - 1] > 0) == whole
    assert heard.levels.max() < train.LEVELS


def counted_plainly(train: ModuleType, stream: torch.Tensor) -> list[torch.Tensor]:
    """The tables of `count` by whole vectors, each order from all keys: slow, and simple enough to be believed."""

    def context(order: int) -> torch.Tensor:
        key = torch.zeros_like(stream)
        for back in range(order):
            key = (key + F.pad(stream, (back, 0))[: len(stream)] + 1) * 6364136223846793005
            key = key ^ (key >> 29)
        return key % 2**46 % 2**43

    at, found = torch.arange(train.COUNT_ORDERS[-1], len(stream)), []
    for i, order in reversed(list(enumerate(train.COUNT_ORDERS, 1))):
        pair, which, times = (
            ((i << 43) + context(order)[at - 1] << 16).add(stream[at]).unique(return_inverse=True, return_counts=True)
        )
        at = torch.empty_like(pair).scatter_(0, which, at)
        n = torch.bincount(times.clamp(max=5), minlength=6).tolist()
        y = n[1] / max(1, n[1] + 2 * n[2])
        less = torch.tensor([0.0] + [k - (k + 1) * y * n[k + 1] / max(1, n[k]) for k in (1, 2, 3)]).clamp(min=0)
        kept = times - less[times.clamp(max=3)]
        _, which = (pair >> 16).unique(return_inverse=True)
        total = torch.zeros_like(kept).index_add(0, which, times.float())[which]
        share = (kept / total).bfloat16()
        rest = (1 - torch.zeros_like(kept).index_add(0, which, share.float())[which]).clamp(min=0)
        level = 1 + 4 * total.log2().long().clamp(max=4) + torch.bucketize(rest, torch.tensor([0.1, 0.3, 0.6]))
        found.append((pair, share, rest, level.to(torch.uint8), total))
    pair, share, rest, level, total = (torch.cat(parts) for parts in zip(*reversed(found), strict=True))
    least = next(least for least in range(10**6) if (total > least).sum() <= train.COUNT_SLOTS)
    left = total > least
    alone = torch.bincount(stream[at], minlength=train.VOCAB) + 0.5
    tables = [F.pad(x[left], (train.COUNT_SLOTS - int(left.sum()), 0)) for x in (pair, share, rest, level)]
    return [x[None] for x in (*tables, alone / alone.sum())]


@pytest.mark.parametrize("slots", [2**18, 2**12])
def test_counts_are_to_the_last_digit_what_whole_vectors_give(train: ModuleType, slots: int) -> None:
    stream, train.COUNT_SLOTS = torch.from_numpy(np.concatenate(prepare.stretch()).astype(np.int64)), slots
    assert all(map(torch.equal, train.count(stream), counted_plainly(train, stream)))


def test_recent_tokens_count_less_the_farther_back_they_stood(train: ModuleType) -> None:
    train.RECENT_REACH = 5.0
    tokens = torch.tensor([[3, 4, 3, 5, 6, 3], [7, 7, 7, 7, 7, 7]])
    targets = torch.tensor([[4, 3, 5, 6, 3, 8], [7, 7, 7, 7, 7, 7]])
    recent = train.hear(tokens, targets, train.count(torch.arange(99) % 20)).chances[..., -1]
    assert (recent[0, [0, 2, 3, 5]] == 0).all()
    weight = [math.exp(-back / 5) for back in range(6)]
    assert recent[0, 1].item() == pytest.approx(weight[1] / sum(weight[:2]))
    assert recent[0, 4].item() == pytest.approx((weight[4] + weight[2]) / sum(weight[:5]))
    torch.testing.assert_close(recent[1], torch.ones(6))


def test_where_slots_are_few_the_rarest_contexts_are_left_out(train: ModuleType) -> None:
    stream = torch.from_numpy(np.concatenate(prepare.stretch()).astype(np.int64))
    train.COUNT_SLOTS = 2**20
    everything = train.count(stream)
    train.COUNT_SLOTS = 2**12
    few = train.count(stream)
    kept = few.pairs[few.pairs > 0]
    assert 0 < len(kept) <= 2**12
    assert set(kept.tolist()) < set(everything.pairs[everything.pairs > 0].tolist())
    assert (few.pairs[0].diff() >= 0).all()


def test_matches_are_all_earlier_places_with_the_same_token(train: ModuleType) -> None:
    tokens = torch.randint(4, (3, 30), generator=torch.Generator().manual_seed(1))
    found = train.matches(tokens, train.everywhere(tokens))
    wanted = []
    for row, text in enumerate(tokens.tolist()):
        for t in range(30):
            for s in (s for s in range(t) if text[s] == text[t]):
                length = next((n for n in range(1, s + 1) if text[s - n] != text[t - n]), s + 1)
                wanted.append((row * 30 + t, text[s + 1], min(length, train.MATCH_LENGTH)))
    assert list(zip(*(part.tolist() for part in found[:3]), strict=True)) == wanted
    picked = train.matches(tokens, torch.tensor([[29], [0], [11]]))
    places = [29, 30, 71]
    assert [(places[p], f, n) for p, f, n in zip(*(part.tolist() for part in picked[:3]), strict=True)] == [
        one for one in wanted if one[0] in places
    ]


def test_rows_of_one_half_practise_on_the_counts_of_the_other(train: ModuleType) -> None:
    model = train.build_model()
    practice = train.read_halves(model)
    halves = [torch.from_numpy(np.concatenate(prepare.stretch(half, 2)).astype(np.int64)) for half in (0, 1)]
    tokens, targets = next(prepare.batches(4, folds=2))
    together = train.hear(tokens, targets, practice)
    for half in (0, 1):
        apart = train.hear(tokens[half::2], targets[half::2], train.count(halves[1 - half]))
        assert torch.equal(together.chances[half::2], apart.chances)
        assert torch.equal(together.levels[half::2], apart.levels)
    assert all(map(torch.equal, model.counts, train.count(torch.cat(halves))))


def test_the_mixture_is_a_distribution_and_training_is_told_its_probabilities(train: ModuleType) -> None:
    model, (tokens, targets) = trained(train), next(prepare.batches(4))
    with torch.no_grad():
        answer = model(tokens)
        torch.testing.assert_close(answer.exp().sum(-1), torch.ones(tokens.shape), atol=1e-5, rtol=0)
        _, nats, _, _ = train.losses(model, model.loss, tokens, targets, model.counts)
        told = model(tokens, targets=targets)
    wanted = F.nll_loss(answer.flatten(0, 1), targets.flatten())
    torch.testing.assert_close(nats, wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(told, answer.gather(-1, targets[..., None])[..., 0], atol=1e-5, rtol=0)


def test_a_host_takes_the_short_ways_to_claims_and_answers(train: ModuleType) -> None:
    asked = Server(trained(train).eval(), torch.device("cpu"), train.VOCAB)
    with torch.inference_mode():
        asked.rehearse(4, LENGTH)
    assert asked.telling
    assert asked.selective


def test_only_the_weights_of_the_mixture_learn_what_the_network_says_from_the_mixture(train: ModuleType) -> None:
    """The network's head learns from its own error alone, and less where other voices were sure of the token."""
    model, (tokens, targets) = trained(train), next(prepare.batches(4))
    clues, heads = clues_of(train, model, tokens), []
    for focus in (0.0, 1.0):
        train.FOCUS = focus
        train.losses(model, model.loss, tokens, targets, model.counts)[0].backward()
        assert model.voice.weight.grad.count_nonzero() > 0
        heads.append(model.head.weight.grad.clone())
        model.zero_grad()
    ones = torch.ones(targets.numel())
    model.loss(tokens, targets, clues, model.grams[clues.slots], ones)[0].backward()
    torch.testing.assert_close(heads[0], model.head.weight.grad)
    assert heads[1].norm() < heads[0].norm()


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
