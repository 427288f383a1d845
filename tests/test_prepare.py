"""The fixed file: what it builds, what it refuses, and what it promises to train.py."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import prepare

ROOT = Path(prepare.__file__).parent
LANGUAGES = (
    "the quick brown fox {} jumps. ",
    "素早い茶色の狐{}は跳ぶ。",
    "狡猾的狐狸{}跳过懒狗。",
    "🦊 {} 🐕‍🦺 naïve Ω \x00 ",
)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty small documents in four scripts, one of them twice, and one file that is no UTF-8."""
    folder = tmp_path_factory.mktemp("texts")
    for i in range(60):
        lines = [LANGUAGES[(i + j) % 4].format(i * j) for j in range(40)]
        (folder / f"{i:02d}.txt").write_text("\n".join(lines), encoding="utf-8", newline="")
    (folder / "again.txt").write_bytes((folder / "00.txt").read_bytes())
    (folder / "latin1.txt").write_bytes("caf\xe9".encode("latin-1"))
    return folder


@pytest.fixture(scope="module")
def corpus(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus built by the command line, as a person would."""
    cache = tmp_path_factory.mktemp("cache")
    run_prepare(texts, cache)
    return (cache / "current").resolve()


def run_prepare(texts: Path, cache: Path, *more: str) -> str:
    arguments = ["--corpus", f"{texts}/*.txt", "--vocab-size", "320", "--sequence-length", "64", "--jobs", "1"]
    arguments += ["--no-search"]  # tests/test_secrecy.py is about the search
    command = [sys.executable, str(ROOT / "prepare.py"), *arguments, "--cache", str(cache), *more]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def in_use(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTORESEARCH_DATA", str(corpus))
    return corpus


def stream_of(corpus: Path, split: str) -> np.ndarray:
    if split != "train":
        return np.fromfile(corpus / "sealed" / f"{split}.bin", dtype="<u2")
    stored = prepare.read_meta(corpus)
    return np.concatenate([np.fromfile(corpus / "public" / name, dtype="<u2") for name in stored.shards])


def documents_of(corpus: Path, split: str) -> list[bytes]:
    """The text of a split's documents, put together from the bytes of their tokens."""
    tokenizer, bos = prepare.read_tokenizer(corpus), prepare.read_meta(corpus).bos_id
    stream = stream_of(corpus, split)
    starts = [*np.flatnonzero(stream == bos), len(stream)]
    return [tokenizer.decode_bytes(stream[a + 1 : b].tolist()) for a, b in itertools.pairwise(starts)]


# --- what is built ----------------------------------------------------------------------------------------------------


def test_every_document_is_in_exactly_one_split_byte_for_byte(corpus: Path, texts: Path) -> None:
    found = [text for split in prepare.SPLITS for text in documents_of(corpus, split)]
    wanted = [path.read_bytes() for path in texts.glob("*.txt") if path.name not in ("again.txt", "latin1.txt")]
    assert sorted(found) == sorted(wanted)


def test_the_meta_file_counts_what_is_there(corpus: Path) -> None:
    stored = json.loads((corpus / "public" / "meta.json").read_text())
    assert set(stored) == {field.name for field in dataclasses.fields(prepare.Meta)}
    for split in prepare.SPLITS:
        documents = documents_of(corpus, split)
        assert stored["splits"][split] == {
            "tokens": len(stream_of(corpus, split)),
            "bytes": sum(map(len, documents)),
            "documents": len(documents),
        }
    assert stored["documents"] == 60
    assert stored["bytes"] == sum(part["bytes"] for part in stored["splits"].values())
    assert stored["vocab_size"] == 320
    assert stored["bos_id"] == 319
    assert stored["sequence_length"] == 64
    assert corpus.name == f"path-{stored['fingerprint'][:12]}"


def test_document_offsets_point_at_the_begin_tokens(corpus: Path) -> None:
    for split in ("val", "test_pool"):
        stream = stream_of(corpus, split)
        offsets = np.load(corpus / "sealed" / f"{split}.docs.npy", allow_pickle=False)
        assert offsets.dtype == np.int64
        assert offsets[-1] == len(stream)
        assert (offsets[:-1] == np.flatnonzero(stream == prepare.read_meta(corpus).bos_id)).all()


def test_token_bytes_add_up_to_the_true_bytes_of_every_split(corpus: Path) -> None:
    lengths = prepare.read_token_bytes(corpus)
    assert lengths.dtype == np.int32
    assert lengths[-1] == 0
    assert len(lengths) == 320
    for split in prepare.SPLITS:
        assert lengths[stream_of(corpus, split)].sum() == prepare.read_meta(corpus).splits[split]["bytes"]


def test_a_token_that_is_no_utf8_alone_counts_its_own_bytes_and_not_those_of_a_replacement_character(
    corpus: Path,
) -> None:
    tokenizer, lengths = prepare.read_tokenizer(corpus), prepare.read_token_bytes(corpus)
    alone = tokenizer.encode_single_token(b"\xe7")
    assert len(tokenizer.decode([alone]).encode()) == 3
    assert lengths[alone] == 1


def test_the_tokenizer_is_plain_data_and_knows_no_special_token_in_text(corpus: Path) -> None:
    stored = json.loads((corpus / "public" / "tokenizer.json").read_text())
    assert stored["special"] == {prepare.BOS: 319}
    assert len(stored["tokens"]) == 319
    assert sorted(base64.b64decode(token) for token in stored["tokens"][:256]) == [bytes([i]) for i in range(256)]
    assert 319 not in prepare.read_tokenizer(corpus).encode_ordinary(prepare.BOS)


def test_the_public_half_holds_no_validation_text(corpus: Path) -> None:
    shown = b"".join(path.read_bytes() for path in (corpus / "public").iterdir())
    for split in ("val", "test_pool"):
        stream = stream_of(corpus, split)
        assert len(stream) > 64
        assert stream[:64].tobytes() not in shown


def test_a_large_document_trains_so_that_the_score_does_not_hang_on_it() -> None:
    hashes = np.arange(100, dtype=np.uint64)  # the largest comes first in the order of hashes
    sizes = np.array([50_000] + [1000] * 99)
    piles = prepare.deal(hashes, sizes, val_bytes=10_000)
    assert piles[0] == 0
    assert (piles == 1).sum() == 10
    assert (piles == 2).sum() == 10


@pytest.mark.parametrize("large", [[], [760_000], [760_000, 145_000], [140_000] * 4])
@pytest.mark.parametrize("small", [20, 60, 400])
def test_validation_shrinks_until_what_may_be_sealed_suffices(large: list[int], small: int) -> None:
    sizes = np.array([*large, *[15_000] * small, *[20_000] * 400])
    hashes = np.random.default_rng(3).permutation(len(sizes)).astype(np.uint64)
    sealable = range(len(large) + small)
    piles = prepare.deal(hashes, sizes, 600_000, sealable)
    val, test = sizes[piles == 1].sum(), sizes[piles == 2].sum()
    assert 0 < val <= 600_000 + 150_000
    assert abs(int(val) - int(test)) <= max(val, test) // 2
    assert not (piles[len(sealable) :] > 0).any()
    assert (sizes[(piles == 1) | (piles == 2)].max() * 3) <= max(val, 60_000)


def test_the_split_depends_on_the_text_and_not_on_its_place() -> None:
    rng = np.random.default_rng(0)
    hashes, sizes = rng.integers(2**62, size=500).astype(np.uint64), rng.integers(100, 900, size=500)
    order = rng.permutation(500)
    assert (prepare.deal(hashes, sizes, 9000)[order] == prepare.deal(hashes[order], sizes[order], 9000)).all()


def test_too_little_text_is_refused_with_a_word_on_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "only.txt").write_text("one document")
    with pytest.raises(SystemExit, match=r"too little text.*three different documents"):
        prepare.main(["--corpus", str(tmp_path / "only.txt"), "--cache", str(tmp_path / "cache"), "--jobs", "1"])


def test_a_pattern_without_files_is_refused_and_names_the_corpora(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no file matches.*stdlib, climbmix, tinystories"):
        prepare.main(["--corpus", str(tmp_path / "*.nothing"), "--cache", str(tmp_path)])


def test_a_long_file_is_cut_at_blank_lines_and_loses_nothing() -> None:
    text = "\n\n".join("x" * n for n in range(1, 900))
    pieces = list(prepare.pieces(text))
    assert "".join(pieces) == text
    assert len(pieces) > 3
    assert all(len(piece) >= prepare.PIECE and piece.endswith("\n\n") for piece in pieces[:-1])


def test_parquet_files_are_read_by_their_text_column(
    tmp_path: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    documents = [path.read_bytes().decode() for path in sorted(texts.glob("[0-9]*.txt"))]
    parquet.write_table(arrow.table({"text": documents}), tmp_path / "all.parquet", row_group_size=7)
    (whole,) = prepare.grouped([tmp_path / "all.parquet"])
    assert list(whole.documents()) == documents
    monkeypatch.setattr(prepare, "PARQUET_BYTES", 1000)
    shares = prepare.grouped([tmp_path / "all.parquet"])
    assert len(shares) > 2
    assert [text for share in shares for text in share.documents()] == documents


def test_a_parquet_file_without_a_text_column_is_refused_and_says_what_it_has(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    parquet.write_table(arrow.table({"content": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(SystemExit, match=r"no column `text` but \['content'\]"):
        prepare.main(["--corpus", str(tmp_path / "other.parquet"), "--cache", str(tmp_path)])


def test_small_files_are_grouped_and_large_ones_stand_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "GROUP_BYTES", 10)
    files = []
    for i, size in enumerate((4, 4, 4, 30, 9, 1, 1)):
        files.append(tmp_path / f"{i}.txt")
        files[-1].write_bytes(b"x" * size)
    sizes = [[file.stat().st_size for file in source.files] for source in prepare.grouped(files)]
    assert sizes == [[4, 4], [4], [30], [9, 1], [1]]


def test_the_standard_library_is_read_in_a_fixed_order_without_folders_that_some_systems_lack() -> None:
    files = prepare.stdlib_files()
    assert files == prepare.stdlib_files()
    assert len(files) > 300
    assert not {"test", "site-packages", "encodings"} & {part for file in files for part in file.parts[-2:-1]}


def prepared_from(pattern: Path | str, cache: Path, *more: str) -> str:
    """What prepare.py says, asked in this process."""
    settings = ["--jobs", "1", "--vocab-size", "300", "--sequence-length", "64", "--no-search", *more]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        prepare.main(["--corpus", str(pattern), "--cache", str(cache), *settings])
    return said.getvalue()


def first_in_order(folder: Path, suffix: str = ".txt") -> Path:
    """A name that comes before all others of a folder in the order in which files are read."""
    others = prepare.shuffled([path for path in folder.rglob("*") if path.is_file()])
    names = (folder / f"first-{number}{suffix}" for number in itertools.count())
    return next(name for name in names if prepare.shuffled([name, *others])[0] == name)


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "empty"), (b"caf\xe9", "not UTF-8"), (b"\xff\xfeh\x00i\x00", "not UTF-8")]
)
@pytest.mark.parametrize("folders", [True, False])
def test_a_file_without_text_is_left_out_with_a_word_wherever_it_stands(
    texts: Path, tmp_path: Path, content: bytes, why: str, folders: bool
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(texts, mine)
    (mine / "latin1.txt").unlink()
    first_in_order(mine).write_bytes(content)
    said = prepared_from(mine if folders else f"{mine}/*.txt", tmp_path / "cache")
    assert f"left out, {why}: 1 of 62 files" in said
    assert "60 documents" in said


def test_an_unreadable_file_is_left_out_with_a_word(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(texts, mine)
    locked = first_in_order(mine)
    locked.symlink_to("/proc/self/mem")  # reading it fails for root too
    assert isinstance(prepare.read_text(locked), OSError)
    assert "left out, cannot be read (Input/output error): 1 of 63 files" in prepared_from(mine, tmp_path / "cache")


@pytest.mark.parametrize("pattern", ["mine", "mine/**", "mine/**/*.txt", "m*/**/*.txt", "**/*.txt"])
def test_links_that_lead_in_circles_and_odd_names_are_harmless(texts: Path, tmp_path: Path, pattern: str) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(texts, mine / "deep" / "[er]")
    for name, to in {"a": ".", "b": "..", "deep/c": "../../mine", "gone": "nowhere", "self.txt": "self.txt"}.items():
        (mine / name).symlink_to(to)
    os.mkfifo(mine / "pipe.txt")
    Path(os.fsdecode(os.fsencode(mine) + b"/\xff.txt")).write_text("a name that is no UTF-8")
    assert "61 documents" in prepared_from(f"{tmp_path}/{pattern}", tmp_path / "cache")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.txt": b""}, "none of the files holds UTF-8 text"),
        ({"a.txt": b"\xff", "b.txt": b""}, "none of the files holds UTF-8 text"),
        ({"a.txt": b"one"}, "at least three different documents"),
        ({"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}, "too short for rows of 64 tokens"),
        ({"a.parquet": b"no parquet"}, "cannot be read as parquet"),
        ({}, "no file matches"),
    ],
)
def test_text_that_makes_no_corpus_ends_in_two_sentences(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, content in files.items():
        (mine / name).write_bytes(content)
    with pytest.raises(SystemExit, match=words):
        prepared_from(mine, tmp_path / "cache")
    assert not (tmp_path / "cache" / "current").exists()


# --- once, whole, and again -------------------------------------------------------------------------------------------


def test_asking_again_builds_nothing_and_only_moves_current(texts: Path, corpus: Path) -> None:
    cache, before = corpus.parent.parent, (corpus / "public" / "meta.json").stat()
    other = prepared_from(f"{texts}/*.txt", cache)
    assert (cache / "current").resolve() != corpus
    assert str((cache / "current").resolve()) in other
    run_prepare(texts, cache)
    assert (cache / "current").resolve() == corpus
    assert (corpus / "public" / "meta.json").stat().st_mtime_ns == before.st_mtime_ns
    assert not os.path.isabs(os.readlink(cache / "current")), "a cache can be moved"


def test_a_forced_build_in_several_processes_gives_the_same_bytes(texts: Path, corpus: Path, tmp_path: Path) -> None:
    prepared_from(f"{texts}/*.txt", tmp_path, "--vocab-size", "320")
    run_prepare(texts, tmp_path, "--jobs", "2", "--force")
    again = (tmp_path / "current").resolve()
    assert again.name == corpus.name
    for path in sorted(corpus.rglob("*")):
        if path.is_file():
            assert (again / path.relative_to(corpus)).read_bytes() == path.read_bytes(), path.name
    assert [path.name for path in (tmp_path / "corpora").iterdir() if path.is_dir()] == [corpus.name]


def test_a_killed_build_leaves_the_corpus_in_use_alone_and_is_cleared_by_the_next(texts: Path, tmp_path: Path) -> None:
    prepared_from(f"{texts}/*.txt", tmp_path)
    before = (tmp_path / "current").resolve()
    killing = (
        "import os, signal, sys; sys.path.insert(0, sys.argv.pop(1)); import prepare\n"
        "def stop(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        "prepare.append = stop\n"  # in the middle of the folder, with its parts already written
        "prepare.main()"
    )
    options = ["--corpus", f"{texts}/*.txt", "--vocab-size", "310", "--jobs", "1", "--cache", str(tmp_path)]
    died = subprocess.run([sys.executable, "-c", killing, str(ROOT), *options], capture_output=True)
    assert died.returncode == -signal.SIGKILL
    assert (tmp_path / "current").resolve() == before
    assert list((tmp_path / "corpora").glob(".building-*"))
    prepared_from(f"{texts}/*.txt", tmp_path, "--vocab-size", "310")
    assert (tmp_path / "current").resolve() != before
    assert not list((tmp_path / "corpora").glob(".building-*"))


def test_other_text_or_settings_have_another_fingerprint(texts: Path, corpus: Path, tmp_path: Path) -> None:
    prints = {prepare.read_meta(corpus).fingerprint}
    for more in (["--sequence-length", "32"], ["--vocab-size", "310"], ["--val-bytes", "3000"]):
        prepared_from(f"{texts}/*.txt", tmp_path, "--vocab-size", "320", *more)
        prints.add(prepare.read_meta((tmp_path / "current").resolve()).fingerprint)
    assert len(prints) == 4


# --- what train.py gets -----------------------------------------------------------------------------------------------


def test_without_a_corpus_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AUTORESEARCH_DATA", raising=False)
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path))
    with pytest.raises(SystemExit, match=r"python prepare.py"):
        prepare.meta()


def test_the_order_of_rows_depends_on_the_seed_and_not_on_the_batch(
    in_use: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(size: int, seed: int, folds: int = 1) -> np.ndarray:
        monkeypatch.setenv("AUTORESEARCH_SEED", str(seed))
        source = prepare.batches(size, folds=folds)
        return np.concatenate([next(source)[0].numpy() for _ in range(24 // size)])

    assert (rows(2, seed=5) == rows(8, seed=5)).all()
    assert (rows(2, seed=5) != rows(2, seed=6)).any()
    assert (rows(2, seed=5, folds=2) == rows(8, seed=5, folds=2)).all()


def test_targets_are_the_next_tokens_and_rows_are_pieces_of_the_text(in_use: Path) -> None:
    text = stream_of(in_use, "train").tobytes()
    for inputs, targets in [next(prepare.batches(4))]:
        assert (inputs[:, 1:] == targets[:, :-1]).all()
        for row, last in zip(inputs.numpy(), targets[:, -1:].numpy(), strict=True):
            assert np.concatenate([row, last]).astype("<u2").tobytes() in text


def test_an_epoch_visits_every_row_once(in_use: Path) -> None:
    length = 32
    stream, source = stream_of(in_use, "train"), prepare.blocks(length)
    first = next(source)
    rows = [first, *(next(source) for _ in range((len(stream) - 1) // length - 2))]
    starts = [row.ctypes.data for row in rows]  # memory-mapped, so a row's address is its place
    assert len(set(starts)) == len(starts)
    assert all((a - starts[0]) % (2 * length) == 0 for a in starts)


def test_two_halves_of_the_text_share_nothing_and_together_are_all_of_it(in_use: Path) -> None:
    halves = [np.concatenate(prepare.stretch(half, 2)) for half in (0, 1)]
    assert (np.concatenate(halves) == stream_of(in_use, "train")).all()
    assert abs(len(halves[0]) - len(halves[1])) <= 1


def test_a_parameters_draws_do_not_move_when_another_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def drawn(names: list[str], seed: int = 3) -> dict[str, torch.Tensor]:
        monkeypatch.setenv("AUTORESEARCH_SEED", str(seed))
        model = torch.nn.ParameterDict({name: torch.nn.Parameter(torch.zeros(3, 4)) for name in names})
        prepare.initialise(model, lambda name, tensor: 0.5)
        return {name: tensor.detach() for name, tensor in model.items()}

    few, more = drawn(["a", "c"]), drawn(["a", "b", "c"])
    assert torch.equal(few["a"], more["a"])
    assert torch.equal(few["c"], more["c"])
    assert not torch.equal(few["a"], few["c"])
    assert not torch.equal(few["a"], drawn(["a"], seed=4)["a"])


class Uniform:
    """Stands for a model that knows nothing: every token is equally likely."""

    def __new__(cls, vocab: int) -> object:
        import torch

        class Model(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.zero = torch.nn.Parameter(torch.zeros(()))

            def forward(self, tokens: torch.Tensor) -> torch.Tensor:
                return self.zero.expand(*tokens.shape, vocab)

        return Model()


@pytest.mark.parametrize("length", [7, 64, 100_000])
def test_every_byte_is_scored_once_whatever_the_row_length(in_use: Path, length: int) -> None:
    stored = prepare.read_meta(in_use)
    targets = stored.splits["val"]["tokens"] - stored.splits["val"]["documents"]  # all but the BOS of each document
    exact = targets * math.log2(stored.vocab_size) / stored.splits["val"]["bytes"]
    assert prepare.evaluate(Uniform(stored.vocab_size), length=length) == pytest.approx(exact, rel=1e-6)
