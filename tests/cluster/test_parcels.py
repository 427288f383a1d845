"""What travels between machines arrives whole, in its folder, and with its paths put right."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from mcp_server.engines.ray import parcels
from mcp_server.engines.ray.clocks import Mark, disagreement
from mcp_server.engines.ray.parcels import fingerprint, for_node, needed, pack, piece, relocated, take, unpack
from mcp_server.nouns.records import RunSpec
from tests.runs import RunFolder


def test_a_parcel_arrives_in_pieces_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcels, "PIECE_BYTES", 1000)
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "weights").write_bytes(os.urandom(5000))
    os.link(source / "deep" / "weights", source / "same")
    pack([(source, "artifact"), (tmp_path / "absent", "absent")], tmp_path / "out.tar")
    offset = 0
    while content := piece(tmp_path / "out.tar", offset):
        take(tmp_path / "in.tar", offset, b"cut short")
        take(tmp_path / "in.tar", offset, content)
        offset += len(content)
    unpack(tmp_path / "in.tar", tmp_path / "there")
    for name in ("deep/weights", "same"):
        assert (tmp_path / "there" / "artifact" / name).read_bytes() == (source / "deep" / "weights").read_bytes()


def forged(kind: bytes, name: str, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize(
    "members",
    [
        [forged(tarfile.REGTYPE, "../outside")],
        [forged(tarfile.REGTYPE, "/outside")],
        [forged(tarfile.SYMTYPE, "link", "/etc")],
        [forged(tarfile.LNKTYPE, "hard", "../../outside")],
        [forged(tarfile.FIFOTYPE, "pipe")],
        [forged(tarfile.CHRTYPE, "device")],
    ],
)
def test_nothing_in_a_parcel_leads_out_of_its_folder(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO())
    with pytest.raises(ValueError, match="in a parcel"):
        unpack(tmp_path / "bad.tar", tmp_path / "there")


def test_nothing_is_written_through_a_link_that_a_parcel_made(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        tar.addfile(forged(tarfile.SYMTYPE, "link", str(tmp_path)))
        tar.addfile(forged(tarfile.REGTYPE, "link/outside"))
    with pytest.raises(ValueError, match="through a link"):
        unpack(tmp_path / "bad.tar", tmp_path / "there", {})
    assert not (tmp_path / "outside").exists()


def test_a_path_goes_below_the_longest_place_that_holds_it() -> None:
    moved = {Path("/lab"): Path("/node"), Path("/lab/data"): Path("/shelf")}
    assert relocated(Path("/lab/data/a"), moved) == Path("/shelf/a")
    assert relocated(Path("/lab/database"), moved) == Path("/node/database")
    assert relocated(Path("/usr"), moved) == Path("/usr")


def test_the_node_is_told_its_own_places_and_devices(tmp_path: Path) -> None:
    paths = RunFolder(tmp_path).lay_out()
    data = tmp_path / "data"
    (data / "inner").mkdir(parents=True)
    spec = RunSpec.read(paths.spec).model_copy(
        update={
            "readable": (data, data / "inner", paths.folder / "incumbent-3"),
            "in_home": {"data": data},
            "scorer_environment": {"AUTORESEARCH_TOLERANCES": "/lab/tolerances.json", "AUTORESEARCH_DRAW": "aff"},
        }
    )
    assert needed(spec, paths.folder) == [data]
    moved = {paths.folder: Path("/n"), data: Path("/s/it"), Path("/lab"): Path("/n"), spec.queue: Path("/q")}
    told = for_node(spec, moved, ("cuda:1",))
    assert told.readable == (Path("/s/it"), Path("/s/it/inner"), Path("/n/incumbent-3"))
    assert (told.queue, told.devices, told.in_home) == (Path("/q"), ("cuda:1",), {"data": Path("/s/it")})
    assert told.scorer_environment == {"AUTORESEARCH_TOLERANCES": "/n/tolerances.json", "AUTORESEARCH_DRAW": "aff"}
    assert told.seed == spec.seed


def test_a_shelf_is_known_by_what_lies_on_it(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "train.bin").write_bytes(b"12")
    before = fingerprint(tmp_path / "corpus")
    pack([(tmp_path / "corpus", "it")], tmp_path / "out.tar")
    unpack(tmp_path / "out.tar", tmp_path / "shelf", {})
    assert fingerprint(tmp_path / "shelf" / "it") == before
    (tmp_path / "corpus" / "train.bin").write_bytes(b"123")
    assert fingerprint(tmp_path / "corpus") != before


@pytest.mark.parametrize(
    ("there", "believed"), [(100.0, True), (100.9, True), (101.6, True), (97.5, False), (110.0, False), (50.0, False)]
)
def test_a_nodes_clock_is_believed_within_what_the_answers_leave_open(there: float, believed: bool) -> None:
    first, last = Mark(asked=0.0, heard=0.2, node=7.0), Mark(asked=100.0, heard=100.2, node=7.0 + there)
    assert (disagreement(first, last) == "") is believed
