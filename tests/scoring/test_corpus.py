"""The layout of a split: every byte once, and the test split only with its secret."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server.nouns.errors import CorpusError
from mcp_server.scoring.corpus import Meta, draw_documents, lay_out, read_split
from tests.scoring.tiny import BOS, VOCAB, WIDTH, write_corpus

pytestmark = pytest.mark.quick


@given(st.lists(st.integers(0, 9), min_size=2, max_size=200), st.integers(2, 40))
@settings(deadline=None)
def test_every_byte_of_a_split_is_scored_exactly_once_whatever_the_width(stream: list[int], width: int) -> None:
    meta = Meta(format=1, fingerprint="0", vocab_size=10, sequence_length=width, bos_id=0, shards=("train.bin",))
    token_bytes = np.array([0, 1, 2, 3, 4, 1, 1, 1, 1, 7])
    split = lay_out(np.array([0, *stream], np.uint16), token_bytes, np.ones(500, np.uint16), meta)
    assert split.byte_count == sum(int(token_bytes[token]) for token in stream)
    assert split.counted.sum() == sum(token != 0 for token in stream)
    # each target stands right behind its inputs in the stream
    flat = split.inputs.reshape(-1)
    assert (split.targets.reshape(-1)[:-1] == flat[1:]).all()


def test_the_test_split_is_about_half_of_the_pool_and_depends_on_the_secret_alone(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    pool = np.fromfile(corpus / "sealed" / "test_pool.bin", "<u2")
    starts = np.load(corpus / "sealed" / "test_pool.docs.npy")
    once, again, other = (draw_documents(pool, starts, secret) for secret in ("a", "a", "b"))
    assert (once == again).all()
    assert len(once) != len(other) or (once != other).any()
    assert 0.3 < len(once) / len(pool) < 0.7
    assert once[0] == BOS
    assert read_split(corpus, "test", "a").byte_count > 0


def test_the_test_split_is_not_given_out_without_a_secret(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="exam"):
        read_split(write_corpus(tmp_path / "corpus"), "test")


def test_a_missing_or_damaged_corpus_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="prepare"):
        read_split(tmp_path, "val")
    corpus = write_corpus(tmp_path / "corpus")
    (corpus / "sealed" / "token_bytes.npy").write_bytes(b"no table")
    with pytest.raises(CorpusError, match="prepare"):
        read_split(corpus, "val")


def test_tokens_beyond_the_vocabulary_are_refused(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    np.full(100, VOCAB, "<u2").tofile(corpus / "sealed" / "val.bin")
    with pytest.raises(CorpusError, match="vocabulary"):
        read_split(corpus, "val")


def test_a_split_has_rows_of_the_corpus_own_length(tmp_path: Path) -> None:
    split = read_split(write_corpus(tmp_path / "corpus"), "val")
    assert split.width == WIDTH
    assert split.inputs.shape == split.targets.shape == split.counted.shape == (split.rows, WIDTH)
