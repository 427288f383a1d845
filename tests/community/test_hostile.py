"""A journal is data from a stranger: refused or held back by name, nothing is run, and the others' go on."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcp_server.community.board import summary
from mcp_server.community.exchange import Report
from mcp_server.community.statements import words
from mcp_server.community.trust import Role, Trust
from mcp_server.community.wire.remote import Remote
from mcp_server.community.wire.store import FORKS, LABS, journal_ref, make_bare
from mcp_server.edits.moves import moved
from mcp_server.ledger.foreign import Foreign
from mcp_server.nouns.exchanged import Attempt, read_line
from tests.community import hostile
from tests.community.past import Past
from tests.community.stranger import QUIET, Stranger
from tests.labs import git

CASES = sorted(one.name for one in pkgutil.iter_modules(hostile.__path__))


class Scene:
    """A remote with an honest lab, one who reads it, and a stranger."""

    def __init__(self, folder: Path) -> None:
        make_bare(folder / "remote.git")
        self.remote = folder / "remote.git"
        self.honest, self.reader = Past(folder / "honest"), Past(folder / "reader")
        for lab in (self.honest, self.reader):
            lab.join(self.remote)
        self.honest.exchange()
        self.stranger = Stranger(self.remote, folder / "stranger")

    def records_of_the_stranger(self) -> int:
        return sum(row[0] in self.stranger.labs for row in self.reader.table())


def everything(tree: Path) -> str:
    """What the user's repository has: refs, objects, files, configuration."""
    objects = git(tree, "cat-file", "--batch-all-objects", "--batch-check")
    files = sorted(str(path) for path in tree.rglob("*") if ".git/autoresearch" not in str(path))
    return "\n".join([git(tree, "for-each-ref"), objects, *files, (tree / ".git" / "config").read_text()])


@dataclass
class Met:
    """All hostile journals at one remote, met in one exchange."""

    scene: Scene
    strangers: dict[str, Stranger]
    report: Report
    table: list[tuple[str, int, str, str]]  # what the reader knows after it
    untouched: bool


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Met]:
    folder = tmp_path_factory.mktemp("met")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUIET.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        scene = Scene(folder)
        strangers = {name: Stranger(scene.remote, folder / name) for name in CASES}
        for name, stranger in strangers.items():
            importlib.import_module(f"tests.community.hostile.{name}").make(stranger)
        before = everything(scene.reader.lab.paths.tree)
        report = scene.reader.exchange()
        untouched = everything(scene.reader.lab.paths.tree) == before
        yield Met(scene, strangers, report, scene.reader.table(), untouched)


def test_there_are_thirty_hostile_journals_and_more() -> None:
    assert len(CASES) >= 30


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_journal_is_refused_by_name(name: str, met: Met) -> None:
    case, stranger = importlib.import_module(f"tests.community.hostile.{name}"), met.strangers[name]
    told = [said for said in met.report.problems if any(lab[:8] in said for lab in stranger.labs) or "no lab's" in said]
    assert any(re.search(case.WHY, said) for said in told), told
    assert not [row for row in met.table if row[0] in stranger.labs], "nothing of it counts"


def test_among_hostile_journals_the_honest_one_is_read_and_nothing_is_run_or_written(met: Met) -> None:
    honest = {row[0] for row in met.scene.honest.table()}
    assert met.report.received == 1
    assert met.report.trouble == ""
    assert met.report.pushed
    assert honest < {row[0] for row in met.scene.reader.table()}
    assert met.untouched
    assert not list(met.scene.remote.parent.rglob("canary*"))
    met.scene.reader.store.do("fsck", "--full", "--no-dangling")


def test_what_was_refused_is_not_fetched_again(met: Met, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    usual = Remote.fetch
    monkeypatch.setattr(Remote, "fetch", lambda self, into, refs: (fetched.extend(refs), usual(self, into, refs))[1])
    met.scene.reader.exchange()
    assert fetched == []


def test_a_sound_journal_of_the_same_make_is_taken(tmp_path: Path) -> None:
    """The stranger's tools build what is accepted, so that the cases fail for the reason they name."""
    scene = Scene(tmp_path)
    code = scene.stranger.code()
    tip = scene.stranger.journal(scene.stranger.record(1, commit=code), scene.stranger.record(2), brings=[code])
    scene.stranger.offer(tip)
    report = scene.reader.exchange()
    assert report.problems == []
    assert scene.records_of_the_stranger() == 2


SOUND: dict[str, Any] = {
    **{"v": 1, "kind": "attempt", "n": 1, "mark": "0" * 16, "contract": "ab" * 16, "code": "cd" * 16},
    **{"edit": "ef" * 16, "status": "kept", "score": 1.0, "knobs": [["KNOB", "1", "2"]], "at": "2026-01-01T00:00:00Z"},
}
ODD: dict[str, dict[str, Any]] = {
    "a value that Python cannot hash": {"knobs": [["KNOB", "1", "{[]: 1}"]]},
    "an interval too narrow for its square": {"gain": 5e-171, "low": 0.0, "high": 1e-170},
    "a gain and an interval too small for any square": {"gain": 1e-160, "low": 0.0, "high": 2e-160},
    "a keep that gained nothing and knows no width": {"gain": 0.0},
    "more than a line when its numbers are written out": {
        **{"score": "1e11", "against": "1e11", "gain": "1e5", "low": "1e5", "high": "1e5"},
        **{"knobs": [], "seeds": [10**348, 10**348]},
    },
}


@pytest.mark.parametrize("labs", [1, 2])
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_record_of_odd_numbers_stops_no_exchange_and_no_verb(odd: dict[str, Any], labs: int, tmp_path: Path) -> None:
    one = read_line(json.dumps({**SOUND, **odd}, separators=(",", ":")).encode())
    assert isinstance(one, Attempt)
    foreign = Foreign(tmp_path / "community" / "records.db")
    hears = Trust(strangers=Role.REPLICATE)
    for lab in range(labs):
        with foreign.writing():
            foreign.take(f"{lab}" * 32, "0" * 40, [(one, moved(one.knobs))], [])
    summary.refresh(foreign, [one.contract], hears)
    assert summary.board(foreign, one.contract)[0].startswith(f"{labs} lab")
    assert all("KNOB" in words(row) for row in foreign.pooled(one.contract))
    assert [row.attempt.seeds for row in foreign.newest(one.contract, 5)] == labs * [one.seeds]
    foreign.close()


def test_a_journal_that_is_more_than_memory_holds_is_refused_however_small_it_travels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same page sixty thousand times is a few bytes on its way, and two gigabytes of records."""
    monkeypatch.setattr("mcp_server.community.wire.journal.RECORDS_BYTES", 5_000)
    scene = Scene(tmp_path)
    stranger, tip = scene.stranger, scene.stranger.root()
    for _ in range(8):
        tip = stranger.journal(stranger.record(1), stranger.record(2), on=tip)
    stranger.offer(tip)
    assert "brings too much at once" in " ".join(scene.reader.exchange().problems)
    assert scene.records_of_the_stranger() == 0


def test_a_rewound_journal_takes_nothing_away(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    first = scene.stranger.journal(scene.stranger.record(1))
    scene.stranger.offer(scene.stranger.journal(scene.stranger.record(2), on=first))
    scene.reader.exchange()
    scene.stranger.offer(first)
    assert "older journal" in " ".join(scene.reader.exchange().problems)
    assert scene.records_of_the_stranger() == 2


def test_a_forked_journal_is_kept_in_both_forms_and_counts_for_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    root = scene.stranger.root()
    first = scene.stranger.offer(scene.stranger.journal(scene.stranger.record(1), on=root))
    scene.reader.exchange()
    other = scene.stranger.offer(scene.stranger.journal(scene.stranger.record(1, gain=-0.45), on=root))
    assert "forked" in " ".join(scene.reader.exchange().problems)
    refs = scene.reader.store.refs("refs/autoresearch/")
    assert refs[journal_ref(scene.stranger.lab)] == first
    assert [oid for name, oid in refs.items() if name.startswith(FORKS)] == [other]
    foreign = scene.reader.foreign()
    assert [row.forked for row in foreign.labs() if row.lab == scene.stranger.lab] == [other]
    assert foreign.count() == (2, 2), "the two honest labs"
    foreign.close()
    scene.reader.places.records.unlink()
    scene.reader.exchange()
    foreign = scene.reader.foreign()
    assert foreign.count() == (2, 2), "also after the database was made again"
    foreign.close()


def test_who_hangs_anothers_journal_below_its_own_takes_nothing_away_from_it(tmp_path: Path) -> None:
    """Its newest commit is brought by another lab first, as if it were an attempt; then the database is lost."""
    scene = Scene(tmp_path)
    victim, thief = scene.stranger, Stranger(scene.remote, tmp_path / "thief")
    first = victim.offer(victim.journal(victim.record(1)))
    scene.reader.exchange()
    second = victim.journal(victim.record(2), on=first)
    thief.offer(thief.journal(thief.record(1), brings=[second]))
    scene.reader.exchange()
    assert [row[1] for row in scene.reader.table() if row[0] == thief.lab] == [1]
    victim.offer(second)
    assert scene.reader.exchange().problems == []
    assert scene.records_of_the_stranger() == 2
    victim.offer(victim.journal(victim.record(3), on=second))
    assert scene.reader.exchange().problems == []
    scene.reader.places.records.unlink()
    assert scene.reader.exchange().problems == []
    assert scene.records_of_the_stranger() == 3


def test_a_number_that_was_given_before_is_not_given_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    first = scene.stranger.journal(scene.stranger.record(1), scene.stranger.record(1, gain=-0.45))
    scene.stranger.offer(first)
    assert "given before" in " ".join(scene.reader.exchange().problems)
    scene.stranger.offer(scene.stranger.journal(scene.stranger.record(1, gain=-0.41), on=first))
    assert "given before" in " ".join(scene.reader.exchange().problems)
    assert [row[3] for row in scene.reader.table() if row[0] == scene.stranger.lab and '"gain":-0.5' in row[3]]
    assert scene.records_of_the_stranger() == 1


def test_a_line_of_a_later_version_is_skipped_without_blame(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    lines = (scene.stranger.record(1, v=2), scene.stranger.record(2, kind="paper"), scene.stranger.record(3, extra=1))
    scene.stranger.offer(scene.stranger.journal(*lines))
    assert scene.reader.exchange().problems == []
    assert scene.records_of_the_stranger() == 1


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "unsigned", "needs what is not here"])
def test_a_hostile_bundle_is_refused_in_words(damage: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    stranger = scene.stranger
    first = stranger.journal(stranger.record(1))
    if damage == "unsigned":
        first = stranger.commit(stranger.page(stranger.record(1)), [stranger.root()], key=None)
    tip = stranger.offer(stranger.journal(stranger.record(2), on=first) if damage != "unsigned" else first)
    bundle = tmp_path / "x.bundle"
    less = [f"^{first}"] if damage == "needs what is not here" else []
    stranger.git("bundle", "create", "--quiet", str(bundle), LABS + stranger.lab, *less)
    whole = bundle.read_bytes()
    if damage == "cut":
        bundle.write_bytes(whole[: len(whole) * 2 // 3])
    elif damage == "garbage":
        bundle.write_bytes(whole[:-200] + bytes(200))
    elif damage == "empty":
        bundle.write_bytes(b"")
    stranger.git("update-ref", "-d", LABS + stranger.lab)
    assert tip
    report = scene.reader.exchange(bundle)
    assert report.problems or report.trouble
    assert scene.records_of_the_stranger() == 0
    assert scene.reader.exchange().received == 1, "the honest lab's are read all the same"
    if damage in ("cut", "garbage"):
        bundle.write_bytes(whole)
        assert scene.reader.exchange(bundle).problems == [], "it is carried again, whole"
        assert scene.records_of_the_stranger() == 2


def test_no_program_of_a_folder_runs_when_it_is_exchanged_with(tmp_path: Path) -> None:
    """Hooks and commands of the repository in the folder: the one who joins a folder runs nothing that lies in it."""
    scene = Scene(tmp_path)
    canary = tmp_path / "canary"
    evil = tmp_path / "evil.sh"
    evil.write_text(f"#!/bin/sh\ntouch {canary}\n")
    evil.chmod(0o755)
    (scene.remote / "hooks").mkdir(exist_ok=True)
    for name in ("pre-receive", "update", "post-receive", "post-update", "reference-transaction", "proc-receive"):
        (scene.remote / "hooks" / name).write_text(evil.read_text())
        (scene.remote / "hooks" / name).chmod(0o755)
    make_bare(tmp_path / "lent.git")
    (scene.remote / "objects" / "info").mkdir(exist_ok=True)
    (scene.remote / "objects" / "info" / "alternates").write_text(f"{tmp_path / 'lent.git' / 'objects'}\n")
    for name in ("core.fsmonitor", "core.alternateRefsCommand", "uploadpack.packObjectsHook", "gpg.ssh.program"):
        git(scene.remote, "config", name, str(evil))
    git(scene.remote, "config", "core.hooksPath", str(scene.remote / "hooks"))
    report = scene.reader.exchange()
    assert report.pushed
    assert report.received == 1
    assert not canary.exists()
