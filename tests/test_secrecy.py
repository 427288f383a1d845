"""Sealed text is nowhere that a run can read: how copies are recognised, found, hidden, and refused."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import os
import py_compile
import random
import shutil
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import prepare
from mcp_server.nouns.errors import CorpusError
from mcp_server.nouns.records import Tier
from mcp_server.repo.workspace import Workspace
from mcp_server.runner.sandbox import probe
from mcp_server.secrecy import closure, guard, proof, searching
from mcp_server.secrecy.choosing import hidable
from mcp_server.secrecy.hidden import hidden_copies
from mcp_server.secrecy.shingles import Index
from tests.labs import git
from tests.runner.test_sandbox import has

SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er")]


@functools.cache
def prose(seed: int, lines: int = 60) -> str:
    """Text that nobody else has written, in lines of a usual length."""
    draw = random.Random(seed)

    def word() -> str:
        return "".join(draw.choices(SYLLABLES, k=draw.randint(1, 4)))

    return "\n".join(" ".join(word() for _ in range(draw.randint(6, 11))) for _ in range(lines)) + "\n"


def source(seed: int) -> str:
    """A module with a long docstring, comments and a function."""
    comments = "".join(f"# {line}\n" for line in prose(seed + 5000, 20).splitlines())
    return f'"""{prose(seed)}"""\n\n{comments}\ndef answer():\n    """{prose(seed + 9000, 5)}"""\n    return {seed}\n'


def zipped(data: bytes, name: str = "inside.py") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


def tarred(data: bytes, mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        entry = tarfile.TarInfo("package/inside.py")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def in_a_database(data: bytes) -> bytes:
    with sqlite3.connect(":memory:") as base:
        base.execute("CREATE TABLE files (text)")
        base.execute("INSERT INTO files VALUES (?)", (data.decode(),))
        return base.serialize()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: data,
    "in the middle of a longer file": lambda data: prose(1).encode() + data + prose(2).encode(),
    "indented, with other line ends": lambda data: b"".join(b"    " + line + b"\r\n" for line in data.splitlines()),
    "as a diff": lambda data: b"".join(b"+" + line + b"\n" for line in data.splitlines()),
    "a quarter of it": lambda data: data[len(data) // 2 : len(data) * 3 // 4],
    "in JSON": lambda data: json.dumps({"text": data.decode()}).encode(),
    "in a database": in_a_database,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "a wheel": zipped,
    "a zip behind a first line, as a zipapp": lambda data: b"#!/usr/bin/env python3\n" + zipped(data),
    "a source distribution": tarred,
    "a wheel in a tar": lambda data: tarred(zipped(data), "w"),
    "a wheel in a tar.xz": lambda data: tarred(zipped(data), "w:xz"),
}


def processes(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Searches are divided among so many."""
    monkeypatch.setattr(searching.os, "sched_getaffinity", lambda pid: set(range(count)))


@pytest.fixture
def only_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Searches look at this test's folder alone, not at the whole machine, in one process: minutes become moments."""
    processes(monkeypatch, 1)
    monkeypatch.setattr(searching, "EVERYTHING", (str(tmp_path),))
    monkeypatch.setattr(searching, "system_paths", lambda gpus: ())
    monkeypatch.setattr(searching, "interpreter_paths", lambda: (tmp_path / "machine",))
    (tmp_path / "machine").mkdir()
    return tmp_path / "machine"


def found_in(folder: Path, *documents: str) -> set[str]:
    """Names of the files in which a search finds a copy."""
    return {path.name for path, _ in searching.search(Index.of(text.encode() for text in documents)).copies}


@pytest.mark.parametrize("form", FORMS)
def test_a_copy_is_found_in_whatever_form_it_lies(form: str, only_here: Path) -> None:
    sealed = [prose(number) for number in range(10, 14)]
    (only_here / "copy.bin").write_bytes(FORMS[form](sealed[2].encode()))
    (only_here / "innocent.bin").write_bytes(FORMS[form](prose(77).encode()))
    assert found_in(only_here, *sealed) == {"copy.bin"}


def test_the_constants_of_compiled_code_are_found(only_here: Path, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(source(3))
    py_compile.compile(str(tmp_path / "module.py"), str(only_here / "anything.pyc"))
    assert found_in(only_here, source(3), source(4)) == {"anything.pyc"}


def test_a_file_that_was_clean_is_read_again_only_when_it_changed(
    only_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes(monkeypatch, 2)  # what each of them saw is put together
    index = Index.of([prose(1).encode()])
    for number in range(20):
        (only_here / f"{number}.txt").write_text(prose(100 + number))
    assert searching.search(index).read > 0
    again = searching.search(index)
    assert (again.files, again.read, again.copies) == (20, 0, [])
    state = (only_here / "7.txt").stat()
    (only_here / "7.txt").write_text(prose(1)[: state.st_size].ljust(state.st_size))
    os.utime(only_here / "7.txt", ns=(state.st_atime_ns, state.st_mtime_ns))  # as if nothing had happened
    assert [path.name for path, _ in searching.search(index).copies] == ["7.txt"]


def test_an_archive_that_cannot_be_opened_is_named_and_not_taken_for_clean(only_here: Path) -> None:
    (only_here / "broken.whl").write_bytes(zipped(prose(1).encode())[:-80])
    index = Index.of([prose(1).encode()])
    for number in range(3):
        searched = searching.search(index)
        (words,) = searched.closed
        assert "broken.whl" in words
        assert (searched.read > 0) is (number == 0), "what was closed is as closed as before"


def test_a_file_with_a_phrase_of_the_text_is_read_once_and_a_copy_is_told_each_time(only_here: Path) -> None:
    text = prose(1, 40)
    index = Index.of([text.encode()])
    (only_here / "phrase.txt").write_text(prose(77, 40) + text[: len(text) // 20])
    (only_here / "copy.txt").write_text(text)
    assert len(index.find((only_here / "phrase.txt").read_bytes()))
    size = (only_here / "copy.txt").stat().st_size
    for _ in range(2):
        searched = searching.search(index)
        assert [path.name for path, _ in searched.copies] == ["copy.txt"]
    assert searched.read == size
    other = Index.of([text[: len(text) // 20].encode()])  # for another index nothing is known of it
    assert {path.name for path, _ in searching.search(other).copies} == {"copy.txt", "phrase.txt"}


def test_common_phrases_are_no_copy(only_here: Path) -> None:
    licence = prose(1, 15)
    for number in range(5):
        (only_here / f"{number}.txt").write_text(licence + prose(30 + number))
    index = Index.of((licence + prose(number)).encode() for number in range(50, 54))
    index = index.without(index.find((licence + prose(60)).encode()))  # the training text has the licence too
    assert searching.search(index).copies == []


def test_what_a_trainer_imports_is_needed_and_games_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closure, "PACKAGES", ("numpy", "safetensors", "tiktoken"))
    library = Path(prepare.sysconfig.get_paths()["stdlib"])
    needed = closure.needed(library, Path(prepare.__file__))
    assert needed >= {"os", "json", "asyncio", "argparse", "multiprocessing", "urllib", "logging", "unittest"}
    assert not needed & {"turtle", "mailbox", "antigravity", "imaplib"}
    assert closure.may_go("turtle.py", needed)
    assert not closure.may_go("_strptime.py", needed), "the interpreter imports it where no statement says so"
    assert not closure.may_go("site-packages", needed)


def test_a_copy_is_hidden_in_any_library_but_never_where_a_run_may_need_it(tmp_path: Path) -> None:
    needed = frozenset({"os", "json"}) | closure.ALWAYS
    library = tmp_path / "lib" / "python3.12"
    for name in ("os.py", "abc.py", "game.py", "games/one.py", "site-packages/vendored/game.py"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text("")
    compiled = library / "__pycache__" / "game.cpython-312.pyc"
    assert hidable(library / "game.py", needed) == library / "game.py"
    assert hidable(library / "games" / "one.py", needed) == library / "games"
    assert hidable(compiled, needed) == compiled
    assert hidable(library / "json" / "decoder.py", needed) is None
    assert hidable(library / "__pycache__" / "json.cpython-312.pyc", needed) is None
    assert hidable(library / "site-packages" / "vendored" / "game.py", needed) is None
    assert hidable(Path("/usr/share/doc/game.py"), needed) is None


# --- a library of one's own: what prepare.py seals, and what a run then finds -----------------------------------------


@pytest.fixture
def library(only_here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small standard library that is in use: half of it needed (for prepare.py imports it), half of it games."""
    folder = only_here / "lib" / "python3.11"
    folder.mkdir(parents=True)
    for number, name in enumerate(("os", "abc", "json", "random", "argparse", "platform", "threading", "shutil")):
        (folder / f"{name}.py").write_text(source(number))
    for number in range(40):
        (folder / f"game{number}.py").write_text(source(100 + number))
        py_compile.compile(str(folder / f"game{number}.py"))
    monkeypatch.setattr(closure, "PACKAGES", ())
    monkeypatch.setattr(prepare.sysconfig, "get_paths", lambda: {"stdlib": str(folder)})
    return folder


def prepared(cache: Path) -> Path:
    options = ["--vocab-size", "300", "--sequence-length", "64", "--jobs", "1", "--cache", str(cache)]
    prepare.main(["--corpus", "stdlib", *options])
    return (cache / "current").resolve()


def sealed_names(corpus: Path) -> set[str]:
    return {path.name for path in hidden_copies(corpus) if path.suffix == ".py"}


def test_only_documents_that_no_run_needs_are_sealed_and_all_their_names_are_hidden(
    library: Path, tmp_path: Path
) -> None:
    other = library.parent / "python3.12"
    shutil.copytree(library, other)
    corpus = prepared(tmp_path / "cache")
    names = sealed_names(corpus)
    assert len(names) >= 4
    assert all(name.startswith("game") for name in names)
    hidden = hidden_copies(corpus)
    for name in names:
        stem = name.removesuffix(".py")
        for folder in (library, other):
            assert folder / name in hidden
            assert (
                folder
                / "__pycache__"
                / f"{stem}.cpython-{prepare.sys.version_info.major}{prepare.sys.version_info.minor}.pyc"
                in hidden
            )


@pytest.mark.parametrize("place", ["../site-packages/vendored.py", "json/copied.py", "../../share/doc/examples.zip"])
def test_a_document_with_a_copy_that_cannot_be_hidden_is_not_sealed(place: str, library: Path, tmp_path: Path) -> None:
    first = sealed_names(prepared(tmp_path / "cache"))
    copy = library / place
    copy.parent.mkdir(parents=True, exist_ok=True)
    texts = "".join((library / name).read_text() for name in sorted(first)).encode()
    copy.write_bytes(zipped(texts) if place.endswith(".zip") else texts)
    second = sealed_names(prepared(tmp_path / "other-cache"))
    assert second
    assert not first & second


def test_nothing_that_trains_is_nearly_the_same_as_what_is_sealed(library: Path, tmp_path: Path) -> None:
    names = sealed_names(prepared(tmp_path / "cache"))
    for name in names:
        (library / f"json_{name}").write_text((library / name).read_text().replace("answer", "reply"))
    corpus = prepared(tmp_path / "other-cache")
    trained = prepare.read_tokenizer(corpus).decode_bytes(
        [token for token in prepare.np.fromfile(corpus / "public" / "train_00000.bin", "<u2").tolist() if token < 299]
    )
    index = Index.of((library / name).read_bytes() for name in sealed_names(corpus))
    assert len(index.hashes) > 50
    assert index.copies(index.find(trained)) == {}


@pytest.mark.parametrize("tier", [Tier.T2, Tier.T1])
def test_a_python_installed_later_is_hidden_too(
    tier: Tier, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(tier, monkeypatch)
    corpus = prepared(tmp_path / "cache")
    shutil.copytree(library, library.parent / "python3.13")
    before = len(hidden_copies(corpus))
    outcome = proof.prove(corpus, [library.parent])
    assert outcome.holds, outcome.words
    assert len(hidden_copies(corpus)) > before
    assert "none holds sealed text" in outcome.words


def needs(tier: Tier, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has(tier):
        pytest.skip(f"this machine offers no {tier}: {' '.join(probe().findings)}")
    monkeypatch.setenv("AUTORESEARCH_TIER", tier)
    probe.cache_clear()


@pytest.fixture(autouse=True)
def _probed_anew() -> object:
    yield
    probe.cache_clear()


# --- before a campaign ------------------------------------------------------------------------------------------------


@pytest.fixture
def books(tmp_path: Path) -> Path:
    folder = tmp_path / "books"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.txt").write_text(prose(number))
    return folder


def prepared_books(books: Path, cache: Path) -> Path:
    options = ["--vocab-size", "300", "--sequence-length", "64", "--jobs", "1", "--cache", str(cache), "--no-search"]
    prepare.main(["--corpus", str(books), *options])
    return (cache / "current").resolve()


@pytest.mark.parametrize("tier", [Tier.T2, Tier.T1])
@pytest.mark.parametrize("where", ["committed", "committed in a zip", "readable", "in a system folder"])
def test_no_campaign_begins_where_a_run_could_read_the_sealed_text(
    where: str, tier: Tier, books: Path, only_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(tier, monkeypatch)
    corpus = prepared_books(books, tmp_path / "cache")
    tree = tmp_path / "lab"
    tree.mkdir()
    git(tree, "init", "-q")
    (tree / "train.py").write_text("print('honest')\n")
    readable: tuple[str, ...] = ()
    if where == "committed":
        shutil.copytree(books, tree / "data")
    elif where == "committed in a zip":
        (tree / "data.zip").write_bytes(zipped(b"".join(path.read_bytes() for path in books.iterdir())))
    elif where == "readable":
        readable = (str(books),)
    else:
        system = ("/usr", "/bin", "/lib", "/lib64", str(books))
        monkeypatch.setattr("mcp_server.runner.sandbox.confinement.SYSTEM", system)
        monkeypatch.setattr(searching, "system_paths", lambda gpus: (books,))
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "everything")
    workspace = Workspace(tree)
    with pytest.raises(CorpusError, match="lies where every run can read it") as refused:
        guard.before_campaign(corpus, readable, workspace, workspace.resolve("HEAD"))
    named = {"committed": str(tree / "data"), "committed in a zip": str(tree / "data.zip")}.get(where, str(books))
    assert named in str(refused.value)
    assert "autoresearch prepare" in str(refused.value)


def test_a_campaign_begins_where_the_text_lies_out_of_reach(
    books: Path, only_here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = prepared_books(books, tmp_path / "cache")
    tree = tmp_path / "lab"
    tree.mkdir()
    git(tree, "init", "-q")
    (tree / "train.py").write_text("print('honest')\n")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "everything")
    workspace = Workspace(tree)
    assert guard.before_campaign(corpus, (), workspace, workspace.resolve("HEAD")) == []
    monkeypatch.setenv("AUTORESEARCH_TIER", "T0")
    probe.cache_clear()
    (loud,) = guard.before_campaign(corpus, (), workspace, workspace.resolve("HEAD"))
    assert loud.startswith("NOT SECRET")
    assert "T0" in loud


def test_a_campaign_on_a_corpus_of_an_older_version_is_told(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "meta.json").write_text(json.dumps({"format": 1, "corpus": "stdlib"}))
    (words,) = guard.of_old_corpus(str(tmp_path))
    assert "older version" in words
    (tmp_path / "public" / "meta.json").write_text(json.dumps({"format": 2, "corpus": "stdlib"}))
    assert guard.of_old_corpus(str(tmp_path)) == []
