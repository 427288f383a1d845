"""Sealing: what may be left, and that what is scored is what was hashed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mcp_server.nouns.files import remove
from mcp_server.runner.seal import MOST_PATH, Refused, Sealed, measure, seal

LIMIT = 1e6


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights")
    (folder / "deep" / "more.bin").write_bytes(b"more")
    return folder


def test_a_sealed_artifact_is_moved_hashed_and_read_only(out: Path, tmp_path: Path) -> None:
    artifact = tmp_path / "artifact"
    sealed = seal(out, artifact, LIMIT)
    assert isinstance(sealed, Sealed)
    assert (sealed.files, sealed.size_bytes) == (2, 11)
    assert not out.exists()
    assert {path.stat().st_mode & 0o222 for path in artifact.rglob("*.bin")} == {0}
    # a folder that its owner may not write in cannot be deleted by its owner
    assert {path.stat().st_mode & 0o777 for path in (artifact, artifact / "deep")} == {0o755}
    assert measure(artifact) == sealed


def test_another_content_or_name_is_another_hash(out: Path, tmp_path: Path) -> None:
    first = measure(out)
    (out / "model.bin").write_bytes(b"Weights")
    second = measure(out)
    (out / "model.bin").rename(out / "model.bim")
    assert len({first.sha256, second.sha256, measure(out).sha256}) == 3


def test_an_empty_folder_is_sealed_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    sealed = seal(tmp_path / "out", tmp_path / "artifact", LIMIT)
    assert isinstance(sealed, Sealed)
    assert sealed.files == 0


def test_a_symbolic_link_is_refused(out: Path, tmp_path: Path) -> None:
    (out / "link").symlink_to("/etc/passwd")
    refused = seal(out, tmp_path / "artifact", LIMIT)
    assert isinstance(refused, Refused)
    assert refused.reason == "bad_output"
    assert "symbolic link" in refused.detail
    assert not (tmp_path / "artifact").exists()


def test_a_pipe_or_a_socket_is_refused_without_being_opened(out: Path, tmp_path: Path) -> None:
    os.mkfifo(out / "pipe")
    assert isinstance(seal(out, tmp_path / "artifact", LIMIT), Refused)
    (out / "pipe").unlink()
    folder = os.open(out, os.O_PATH)  # a long TMPDIR leaves no room for the whole path in a socket's name
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
        assert isinstance(seal(out, tmp_path / "artifact", LIMIT), Refused)


def test_a_file_also_linked_from_outside_is_refused(out: Path, tmp_path: Path) -> None:
    os.link(out / "model.bin", tmp_path / "elsewhere")
    refused = seal(out, tmp_path / "artifact", LIMIT)
    assert isinstance(refused, Refused)
    assert "linked" in refused.detail


def test_two_names_of_one_file_inside_are_fine(out: Path, tmp_path: Path) -> None:
    os.link(out / "model.bin", out / "deep" / "same.bin")
    assert isinstance(seal(out, tmp_path / "artifact", LIMIT), Sealed)


def test_a_sparse_giant_is_too_large_before_anybody_reads_it(out: Path, tmp_path: Path) -> None:
    with open(out / "giant", "wb") as file:
        file.truncate(1 << 42)
    refused = seal(out, tmp_path / "artifact", LIMIT)
    assert isinstance(refused, Refused)
    assert refused.reason == "output_too_large"


@pytest.mark.parametrize(("levels", "well"), [(MOST_PATH // 2, True), (MOST_PATH // 2 + 1, False), (3000, False)])
def test_folders_in_folders_are_sealed_or_refused_and_removed(levels: int, well: bool, tmp_path: Path) -> None:
    out, artifact = tmp_path / "out", tmp_path / "artifact"
    out.mkdir()
    at = os.open(out, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("x", dir_fd=at)
        below = os.open("x", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.chmod(at, 0)
    os.close(at)
    assert isinstance(seal(out, artifact, LIMIT), Sealed if well else Refused)
    for folder in (out, artifact):
        remove(folder)
        assert not folder.exists()


def test_folders_that_lock_their_owner_out_are_opened(out: Path, tmp_path: Path) -> None:
    (out / "deep").chmod(0)
    (out / "model.bin").chmod(0)
    sealed = seal(out, tmp_path / "artifact", LIMIT)
    assert isinstance(sealed, Sealed)
    assert sealed.files == 2


def test_names_that_are_no_text_are_hashed_too(out: Path, tmp_path: Path) -> None:
    with open(os.fsencode(out) + b"/\xff\n", "wb") as file:
        file.write(b"x")
    assert isinstance(seal(out, tmp_path / "artifact", LIMIT), Sealed)


@pytest.mark.skipif(os.getuid() != 0, reason="only under root does a trainer have another user")
def test_what_an_unprivileged_trainer_left_belongs_to_the_server_once_it_is_sealed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    (out / "deep" / "model.bin").write_text("weights")
    for path in (out, *out.rglob("*")):
        os.chown(path, 65_527, 65_527)
    assert isinstance(seal(out, tmp_path / "artifact", 1e9), Sealed)
    assert {path.stat().st_uid for path in (tmp_path / "artifact", *(tmp_path / "artifact").rglob("*"))} == {0}
