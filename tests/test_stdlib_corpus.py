"""A corpus of a Python's own library: what shape it may have, and what is sealed when copies of it turn up."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import prepare
from mcp_server.secrecy import closure, making, searching
from tests.test_prepare import first_in_order
from tests.test_secrecy import source

SMALL = ["--corpus", "stdlib", "--jobs", "1", "--vocab-size", "300", "--sequence-length", "64"]


@pytest.mark.parametrize(
    "broken", ["empty", "not UTF-8", "a link to itself", "a library of one file", "a library in a zip", "no library"]
)
def test_a_standard_library_of_any_shape_works_or_is_a_sentence(
    tmp_path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "python3.99"
    library.mkdir()
    for number in range(60):
        name = {0: "os", 1: "abc"}.get(number, f"module{number}")
        (library / f"{name}.py").write_text(source(number))
    if broken in ("empty", "not UTF-8"):
        first_in_order(library, ".py").write_bytes(b"" if broken == "empty" else b"\xff")
    elif broken == "a link to itself":
        (library / "again").symlink_to(library)
        (library / "self.py").symlink_to("self.py")
    elif broken == "a library of one file":
        shutil.rmtree(library)
        library.mkdir()
        (library / "os.py").write_text("import sys\n")
    else:
        shutil.make_archive(str(tmp_path / "python399"), "zip", library)
        shutil.rmtree(library)
        if broken == "a library in a zip":
            library = tmp_path / "python399.zip"
    monkeypatch.setattr(prepare.sysconfig, "get_paths", lambda: {"stdlib": str(library)})
    monkeypatch.setattr(searching, "readable_roots", lambda more=(): [str(library)])
    monkeypatch.setattr(closure, "PACKAGES", ())
    options = ["--corpus", "stdlib", "--cache", str(tmp_path / "cache"), "--jobs", "1", "--vocab-size", "300"]
    options.append("--no-search")
    if broken in ("empty", "not UTF-8", "a link to itself"):
        prepare.main([*options, "--sequence-length", "64"])
        assert prepare.read_meta((tmp_path / "cache" / "current").resolve()).documents == 60
    else:
        with pytest.raises(SystemExit, match="--corpus 'books/"):
            prepare.main([*options, "--sequence-length", "64"])


def test_where_sealed_text_lies_open_other_text_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The machine itself is not searched here: which corpus has a copy on it is said by the test."""
    library, copies = tmp_path / "python3.99", tmp_path / "packages"
    for folder in (library, copies):
        folder.mkdir()
    for number in range(60):
        name = {0: "os", 1: "abc"}.get(number, f"module{number}")
        (library / f"{name}.py").write_text(source(number))
    monkeypatch.setattr(prepare.sysconfig, "get_paths", lambda: {"stdlib": str(library)})
    monkeypatch.setattr(searching, "readable_roots", lambda more=(): [str(library), str(copies)])
    monkeypatch.setattr(closure, "PACKAGES", ())
    opened: set[Path] = set()
    told = {True: ("warning: a copy lies open", True), False: ("searched: none holds sealed text", False)}
    monkeypatch.setattr(making, "proof_of", lambda corpus, searched: told[corpus in opened])

    def prepared() -> tuple[Path, str]:
        prepare.main([*SMALL, "--cache", str(tmp_path / "cache")])
        return (tmp_path / "cache" / "current").resolve(), capsys.readouterr().err

    first, said = prepared()
    assert "Other text" not in said
    stream = np.fromfile(first / "sealed" / "val.bin", dtype="<u2")
    text = prepare.read_tokenizer(first).decode(stream[stream != prepare.read_meta(first).bos_id].tolist())
    shutil.copy(next(file for file in library.iterdir() if file.read_text() in text), copies / "stub.pyi")
    opened.add(first)
    second, said = prepared()
    assert "Other text is sealed instead" in said
    assert said.rstrip().endswith("none holds sealed text")
    assert second != first
    assert first.is_dir(), "labs that measure on it go on"
    assert prepared()[0] == second
