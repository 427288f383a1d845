"""Which way people's sentences move a constant: by values, words, factors and signs, each beside what it belongs to."""

from __future__ import annotations

import pytest

from mcp_server.edits.moves import Direction, sign
from mcp_server.edits.ways import way
from mcp_server.memory.recall import recall
from tests.test_memory import tried

UP = (
    "warmup longer", "LR x2", "2x LR", "raise the LR of the matrices", "batch 2^15 -> 2^16", "from six to eight layers",
    "depth from 8 up to 10", "rope base 10K to 200K", "warmdown 0.5 ⇒ 0.7", "momentum 0.95 to .97", "LR +10 %",
    "+2 layers", "bump up the batch size", "bring back the value embeddings", "dropout none -> 0.1",
    "init std -2 to -1", "vocab 8192 rather than 4096", "MLP hidden 4x to 4.5x (fewer steps)",
    "5% residual dropout — val_bpb regressed 1.883->1.934", "turn on label smoothing", "double the width",
    "1/4 to 1/2 short window", "DEPTH=10", "batch from 512K tokens to 1M tokens", "EMA 0.99 to 0.999",
    "learning rate: 0.01 => 0.02", "decay the weights harder: WD 0.1 to 0.2", "use a cosine schedule",
    "window SSLL->LLLL", "window pattern SSLL instead of SSSL", "raise SSSL to 'SL'",
    "different init for attention and MLP - smaller std for one and larger std for the other",
    "linear warm-up to 75 % instead of no warm-up", "different decay for different layers, smaller in the first",
)  # fmt: skip
DOWN = (
    "0.5->0.3 LR", "lr/2", "half the LR", "LR * 0.5", "weight decay off", "no warmup", "without dropout",
    "stop clipping gradients", "12 heads instead of 16", "0.02 MATRIX_LR (was 0.04)", "batch 2**19 → 2**18",
    "embedding lr 1e-3 → 3e-4", "LR -20%", "−1 layer", "dial back the weight decay",
    "Halve TOTAL_BATCH_SIZE to double training steps", "Reduce DEVICE_BATCH_SIZE to 8 for 2x more gradient updates",
    "get rid of softcap", "ditch QK-norm", "gradient clipping: tighter", "logit cap 15 -> none", "untie the embeddings",
    "shrink MLP ratio 4x->3x", "disable VE — val_bpb regressed 1.710->1.773", "cooldown shorter",
    "a third of the batch", "seq len 2,048 to 1,024", "GQA: 8 kv heads down to 2", "lr 0.02 vs 0.04",
    "switch weight decay off",
    "reduce LR by a factor of 2", "x0_lambda 0.1->0.0", "halving warmup", "fewer steps of warm-up", "no more warmup",
    "MATRIX_LR 0.03 (default 0.04)", "window SSLL → SSSL", "SSSSL windows rather than SL",
    "use different initialisation for the projections - smaller std (0.3)",
)  # fmt: skip


@pytest.mark.parametrize("text", UP)
def test_this_moves_it_up(text: str) -> None:
    assert way(text) is Direction.UP


@pytest.mark.parametrize("text", DOWN)
def test_this_moves_it_down(text: str) -> None:
    assert way(text) is Direction.DOWN


@pytest.mark.parametrize("text", ["", "what about the learning rate?", "drop-out on the MLP", "the depth", "⇑ ¦ ↘"])
def test_this_says_neither(text: str) -> None:
    assert sign(way(text)) in (0, 1 if "⇑" in text else 0)


def test_each_constant_of_a_sentence_goes_its_own_way() -> None:
    text = "a larger batch with a lower learning rate, and two layers more"
    assert (way(text, "batch"), way(text, "lr"), way(text, "depth")) == (Direction.UP, Direction.DOWN, Direction.UP)
    assert way("batch 2^16->2^15 with warm-up 100->200", "warmup") is Direction.UP
    assert way(text, "dropout") is Direction.OTHER


def test_recall_answers_a_direction_with_attempts_that_went_that_way() -> None:
    history = [
        tried(1, "weight decay 0.2 to 0.15", "discarded"),
        tried(2, "stronger weight decay (0.3)", "discarded"),
        tried(3, "WD off", "crashed"),
        tried(4, "a warm-up of 5 %", "kept"),
    ]
    assert recall("raise the weight decay", (), 4, history)[0].key == 2
    assert {one.key for one in recall("less WD", (), 2, history)} == {1, 3}


def test_meaning_finds_what_no_word_and_no_constant_tells() -> None:
    pytest.importorskip("wordllama", reason="the extra `semantic` is not installed")
    history = [
        tried(1, "throw the outliers away", "discarded"),
        tried(2, "colder coffee for the operator", "discarded"),
        tried(3, "remove extreme samples", "kept"),
    ]
    found = recall("discard anomalous examples", (), 3, history)
    assert {(one.key, one.because) for one in found} == {(1, "meaning"), (3, "meaning")}
