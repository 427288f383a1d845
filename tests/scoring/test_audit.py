"""The audit's arithmetic, without a host: what it may ask, in which order, and what it concludes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.scoring import audit
from mcp_server.scoring.audit import Positions, Tolerance
from mcp_server.scoring.corpus import Meta, Split, lay_out
from mcp_server.scoring.probes import Probes, reason

pytestmark = pytest.mark.quick

META = Meta(format=1, fingerprint="0", vocab_size=50, sequence_length=16, bos_id=0, shards=("train.bin",))
SEED = st.integers(0, 2**32)


def split_of(tokens: int = 700) -> Split:
    random = np.random.default_rng(1)
    stream = random.integers(1, 50, tokens).astype(np.uint16)
    stream[::37] = 0
    return lay_out(stream, np.arange(50), random.integers(1, 50, 500).astype(np.uint16), META)


def places(count: int, seed: int) -> Positions:
    return audit.draw(split_of().counted, count, np.random.default_rng(seed))


@given(st.integers(0, 400), SEED)
@settings(deadline=None)
def test_positions_are_different_counted_targets(count: int, seed: int) -> None:
    drawn = places(count, seed)
    assert split_of().counted[drawn.rows, drawn.columns].all()
    assert len(set(zip(drawn.rows.tolist(), drawn.columns.tolist(), strict=True))) == len(drawn) == count


def test_every_counted_target_is_drawn_when_more_are_asked_for_than_there_are() -> None:
    split = split_of()
    assert len(audit.draw(split.counted, 10**6, np.random.default_rng(0))) == split.counted.sum()


@given(st.integers(1, 400), SEED, st.booleans())
@settings(deadline=None, max_examples=50)
def test_no_question_shows_the_answer_to_another_of_its_round_or_of_a_later_one(
    count: int, seed: int, narrow: bool
) -> None:
    """The token of a stream that a question asks for must not have been in any question before it is answered."""
    split, drawn, random = split_of(), places(count, seed), np.random.default_rng(seed)
    turns = audit.rounds(drawn, split.width)
    shown: set[int] = set()  # places in the stream
    for turn in range(int(turns.max()) + 1):
        now = drawn[turns == turn]
        for row, column in zip(now.rows, now.columns, strict=True):
            shown.update(range(row * split.width, row * split.width + column + 1))
        asked = {int(row) * split.width + int(column) + 1 for row, column in zip(now.rows, now.columns, strict=True)}
        assert not asked & shown
        batched = [index for members, _ in audit.batches(now, split.width, 4, narrow, random) for index in members]
        assert sorted(batched) == list(range(len(now)))


@given(st.integers(1, 300), SEED)
@settings(deadline=None, max_examples=50)
def test_a_question_is_true_up_to_its_column_and_training_text_behind(count: int, seed: int) -> None:
    split, drawn = split_of(), places(count, seed)
    # a filler that cannot be mistaken for the split
    marked = Split(**{**vars(split), "filler": np.full(100, 49, np.uint16), "inputs": split.inputs % 49})
    tokens = audit.questions(marked, drawn, split.width, np.random.default_rng(seed))
    for index, (row, column) in enumerate(zip(drawn.rows, drawn.columns, strict=True)):
        assert (tokens[index, : column + 1] == marked.inputs[row, : column + 1]).all()
        assert (tokens[index, column + 1 :] == 49).all()


@given(st.integers(1, 300), SEED)
@settings(deadline=None, max_examples=50)
def test_a_narrow_row_holds_its_column_and_a_batch_no_more_tokens_than_a_full_one(count: int, seed: int) -> None:
    wide = Meta(**{**META.model_dump(), "sequence_length": 100})
    random = np.random.default_rng(seed)
    split = lay_out(random.integers(1, 50, 3000).astype(np.uint16), np.arange(50), np.ones(500, np.uint16), wide)
    drawn = audit.draw(split.counted, count, random)
    for members, span in audit.batches(drawn, split.width, 8, True, random):
        assert (drawn.columns[members] < span).all()
        assert span <= split.width
        assert len(members) * span <= 8 * split.width


def test_the_softmax_is_taken_in_double_precision_and_survives_large_logits() -> None:
    logits = np.array([[1e4, 1e4 - 1, -np.inf], [0, 0, 0]], np.float32)
    found = audit.log_probabilities(logits, np.array([1, 2], np.uint16))
    assert np.allclose(found, [-1 - math.log1p(math.exp(-1)), -math.log(3)], rtol=1e-12)


def test_logits_without_a_distribution_give_no_number() -> None:
    logits = np.array([[np.nan, 0], [np.inf, 0], [-np.inf, -np.inf]], np.float32)
    assert np.isnan(audit.log_probabilities(logits, np.array([0, 0, 0], np.uint16))).all()


def test_an_honest_models_score_is_its_bits_per_byte_and_its_correction_zero() -> None:
    split = split_of()
    claims = np.full(split.inputs.shape, -2.0, np.float32)
    drawn = places(100, 3)
    found = audit.estimate(split, claims, drawn, np.full(100, -2.0), mean=1e-4)
    assert math.isclose(found.score, 2.0 * split.counted.sum() / math.log(2) / split.byte_count)
    assert (found.correction, found.sd, found.significant) == (0.0, 0.0, False)


@pytest.mark.parametrize("seed", range(3))
def test_a_sparse_lie_is_corrected_without_bias(seed: int) -> None:
    """Over many draws the corrected score is the honest one, and its interval holds it about as often as it says."""
    split, random = split_of(20_000), np.random.default_rng(seed)
    honest = -random.exponential(2.0, split.inputs.shape).astype(np.float32)
    lies = random.random(honest.shape) < 0.05
    claims = np.where(lies, np.float32(0), honest)
    truth = -honest[split.counted].sum(dtype=np.float64) / math.log(2) / split.byte_count
    scores, held = [], 0
    for _ in range(40):
        drawn = audit.draw(split.counted, 1000, random)
        found = audit.estimate(split, claims, drawn, honest[drawn.rows, drawn.columns].astype(np.float64), 1e-4)
        scores.append(found.score - truth)
        held += found.interval[0] <= truth <= found.interval[1]
    assert abs(np.mean(scores)) < 4 * np.std(scores) / math.sqrt(len(scores))
    assert held >= 34  # of 40, at 95 %


def test_a_lie_below_the_tolerance_of_one_position_shows_in_the_mean() -> None:
    split, drawn = split_of(), places(300, 5)
    claims = np.full(split.inputs.shape, -2.0, np.float32)
    found = -2.0 - 5e-4 + np.random.default_rng(0).normal(0, 1e-5, 300)
    assert not audit.beyond(claims, drawn, found, Tolerance(1e-3, 1e-4)).any()
    assert audit.estimate(split, claims, drawn, found, mean=1e-4).significant


def test_a_position_without_an_answer_counts_as_different() -> None:
    split, drawn = split_of(), places(3, 5)
    claims = np.zeros(split.inputs.shape, np.float32)
    assert audit.beyond(claims, drawn, np.array([np.nan, 0.0, 1.0]), Tolerance(1e-3, 1e-4)).tolist() == [
        True,
        False,
        True,
    ]


def probes(**moved: float) -> Probes:
    """Answers that are all -2 but for those that moved."""
    names = ("claimed", "asked", "again", "company", "suffix", "truth", "reclaimed")
    return Probes(**{name: np.array([moved.get(name, -2.0)]) for name in names})


def test_what_moves_the_answer_names_the_reason() -> None:
    cases = {
        "stateful": [{"claimed": -1, "again": -1.5}, {"claimed": -1, "company": -1.5}],
        "non_causal": [{"claimed": -1, "suffix": -3}, {"claimed": -1, "truth": -1, "reclaimed": -1}],
        "unnormalised": [{"claimed": -1, "reclaimed": -1}],
    }
    for expected, moved in cases.items():
        for case in moved:
            assert reason(probes(**case), 1e-3) == expected


def test_claims_that_no_fresh_process_repeats_have_no_reason_of_their_own() -> None:
    assert reason(probes(claimed=-1), 1e-3) is None
