"""Frames: what was sent arrives, and what was not asked for is refused before it is read."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mcp_server.scoring.protocol import (
    ARRAY,
    DTYPES,
    HEADER,
    MAGIC,
    TEXT_BYTES,
    Form,
    Gone,
    Kind,
    Malformed,
    Stalled,
    receive,
    send,
    send_text,
)

pytestmark = pytest.mark.quick

FLOATS = np.dtype("<f4")
ANY = arrays.arrays(st.sampled_from(DTYPES), arrays.array_shapes(min_dims=1, max_dims=3, max_side=8))


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    left, right = socket.socketpair()
    left.setblocking(False)
    with left, right:
        yield left.fileno(), right.fileno()


@given(st.lists(ANY, max_size=2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_sent_arrives(pair: tuple[int, int], given_arrays: list[np.ndarray]) -> None:
    send(pair[0], Kind.CLAIMS, given_arrays)
    message = receive(pair[1])
    assert message.kind is Kind.CLAIMS
    for sent, received in zip(given_arrays, message.arrays, strict=True):
        assert (sent.dtype, sent.shape, sent.tobytes()) == (received.dtype, received.shape, received.tobytes())


def test_an_answer_of_another_kind_dtype_or_shape_is_refused(pair: tuple[int, int]) -> None:
    wanted = Form(Kind.CLAIMED, FLOATS, (2, 3))
    wrong = [
        (Kind.ANSWERED, np.zeros((2, 3), FLOATS)),
        (Kind.CLAIMED, np.zeros((2, 3), "<f8")),
        (Kind.CLAIMED, np.zeros((3, 2), FLOATS)),
        (Kind.CLAIMED, np.zeros(6, FLOATS)),
    ]
    for kind, array in wrong:
        left, right = socket.socketpair()
        with left, right:
            send(right.fileno(), kind, [array])
            with pytest.raises(Malformed, match="CLAIMED"):
                receive(left.fileno(), [wanted])


def test_a_terabyte_is_refused_by_its_announcement(pair: tuple[int, int]) -> None:
    huge = HEADER.pack(MAGIC, Kind.CLAIMED, 1) + ARRAY.pack(DTYPES.index(FLOATS), 3, 2**30, 2**30, 2**30)
    os.write(pair[1], huge)
    with pytest.raises(Malformed):
        receive(pair[0], [Form(Kind.CLAIMED, FLOATS, (2, 3))], time.monotonic() + 30)


@given(st.binary(min_size=HEADER.size, max_size=200))
@settings(deadline=None)
def test_noise_is_refused_or_waited_for_and_never_believed(noise: bytes) -> None:
    left, right = socket.socketpair()
    with left:
        with right:
            right.sendall(noise)
        try:
            message = receive(left.fileno(), [Form(Kind.CLAIMED, FLOATS, (64, 64))])
        except (Malformed, Gone):
            return
        assert message.kind in (Kind.READY, Kind.FAILED)  # a short text is all that noise can look like


def test_a_long_text_keeps_its_end(pair: tuple[int, int]) -> None:
    send_text(pair[1], Kind.FAILED, "x" * 2 * TEXT_BYTES + "the point")
    text = receive(pair[0], [Form(Kind.CLAIMED, FLOATS, (1,))]).text
    assert len(text) == TEXT_BYTES
    assert text.endswith("the point")


def test_silence_ends_at_the_deadline(pair: tuple[int, int]) -> None:
    with pytest.raises(Stalled):
        receive(pair[0], [], time.monotonic() + 0.01)


def test_half_an_answer_ends_at_the_deadline_too(pair: tuple[int, int]) -> None:
    os.write(pair[1], MAGIC)
    with pytest.raises(Stalled):
        receive(pair[0], [], time.monotonic() + 0.01)


def test_a_reader_that_does_not_read_is_not_waited_for_beyond_the_deadline(pair: tuple[int, int]) -> None:
    with pytest.raises(Stalled):
        send(pair[0], Kind.CLAIMS, [np.zeros(2**24, np.uint8)], time.monotonic() + 0.01)


def test_a_closed_connection_is_told_from_a_slow_one() -> None:
    left, right = socket.socketpair()
    right.close()
    with left, pytest.raises(Gone):
        receive(left.fileno(), [], time.monotonic() + 30)
