"""Logs: bounded whatever is printed, and clean whatever is in them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.nouns.files import remove
from mcp_server.runner.process.logs import HANDED_OVER, BoundedLog, clean, excerpt, hand_over


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("step 1\rstep 2\rstep 3\n", "step 3\n"),
        ("done\r\n", "done\n"),
        ("bar 1\rbar 2\r", "bar 2"),
        ("\x1b[31mred\x1b[0m \x1b[1;38;5;200mpink\x1b[m", "red pink"),
        ("\x1b]0;a title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;never ended", ""),
        ("\x9b31mcsi of one character", "csi of one character"),
        ("a\x00b\x08c\x7fd\x85e", "abcde"),
        ("safe\u202eevil\u2066x\u200b", "safeevilx"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("half a \ud83d character", "half a  character"),
        ("tab\tstays\nso do lines", "tab\tstays\nso do lines"),
    ],
)
def test_only_text_is_left(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_a_long_line_redrawn_a_thousand_times_becomes_its_last_drawing() -> None:
    assert clean("".join(f"\r{'=' * 100} {n}" for n in range(1200))) == "=" * 100 + " 1199"


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert not set(once) & {chr(code) for code in range(32) if chr(code) not in "\t\n"}


def test_head_and_tail_are_kept_and_the_cut_is_marked() -> None:
    log = BoundedLog(head_bytes=10, tail_bytes=10)
    log.feed(b"0123456789" + b"x" * 1000)
    log.feed(b"9876543210")
    assert log.text() == "0123456789\n[... 1000 bytes left out ...]\n9876543210"


@given(st.lists(st.binary(max_size=40)), st.integers(0, 30), st.integers(1, 30))
def test_what_is_held_is_bounded_and_is_the_two_ends(chunks: list[bytes], head: int, tail: int) -> None:
    log = BoundedLog(head, tail)
    for chunk in chunks:
        log.feed(chunk)
    whole = b"".join(chunks)
    assert log.total_bytes == len(whole)
    assert log.raw_tail() == whole[head:][-tail:]
    assert log._tail_held <= tail + max(map(len, chunks), default=0)


def test_a_drain_never_waits() -> None:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    log = BoundedLog()
    assert log.drain(ours, 1 << 20)
    os.write(theirs, b"hello")
    assert log.drain(ours, 1 << 20)
    os.close(theirs)
    assert not log.drain(ours, 1 << 20)
    os.close(ours)
    assert log.text() == "hello"


def test_a_drain_of_an_endless_stream_comes_back() -> None:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    ended = threading.Event()

    def flood() -> None:
        with open(theirs, "wb", buffering=0) as pipe:
            while not ended.is_set():
                pipe.write(b"y\n" * 4096)

    writer = threading.Thread(target=flood)
    writer.start()
    log = BoundedLog()
    while log.total_bytes < 3 << 20:
        before = log.total_bytes
        assert log.drain(ours, 1 << 20)
        assert log.total_bytes - before <= (1 << 20) + 65536
    ended.set()
    while log.drain(ours, 1 << 20):
        pass
    writer.join()
    os.close(ours)
    assert len(log.text()) < 400_000


def test_an_excerpt_begins_with_a_whole_line() -> None:
    assert excerpt("one\ntwo\nthree\n", 9) == "three\n"
    assert excerpt("x" * 5000) == "x" * 4096
    assert excerpt("short") == "short"


def nest(folder: Path, depth: int = 1200) -> None:
    """Folders in folders, deeper than Python's own removing goes."""
    folder.mkdir()
    here = os.open(folder, os.O_PATH)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_PATH, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)


def test_whatever_a_run_left_where_its_words_are_laid_makes_room(tmp_path: Path) -> None:
    place = tmp_path / HANDED_OVER
    nest(place)
    try:
        hand_over("val_bpb: 1.5", tmp_path)
        assert place.read_text() == "val_bpb: 1.5"
    finally:
        if place.is_dir():
            remove(place)  # pytest cannot
