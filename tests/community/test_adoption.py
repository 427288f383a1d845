"""Another lab's edit on the own incumbent: merged, run as an own attempt; refused by name if it is something else."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner, Result

from mcp_server.cli import cli
from mcp_server.community import membership
from mcp_server.community.trust import Role
from mcp_server.community.wire.journal import append
from mcp_server.community.wire.keys import own_key
from mcp_server.community.wire.store import Store, journal_ref, make_bare
from mcp_server.edits.fingerprint import change, fingerprint
from mcp_server.nouns.errors import AutoresearchError, CommunityError, NotNow
from mcp_server.nouns.exchanged import Attempt
from mcp_server.nouns.replies import Reply, ScoreReply
from mcp_server.ralph import settling
from mcp_server.repo.merging import merge
from mcp_server.researcher import loop
from tests.community import past
from tests.community.past import Past
from tests.labs import TRAIN, begun, edit, finish, git, make_lab

FAR = TRAIN + "\n" * 5 + "WARMUP = 0.0\n"


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(past, "NOW", datetime.now(UTC))  # what runs here has today's date
    make_bare(tmp_path / "remote.git")
    return tmp_path / "remote.git"


class South(Past):
    """A lab that really runs: its campaign begun by the verbs, and joined."""

    def __init__(self, folder: Path, remote: Path, train: str = FAR) -> None:
        self.lab = begun(make_lab(folder, train=train))
        self.workspace = self.lab.workspace
        self.join(remote)

    def told(self, n: int) -> tuple[str, Attempt]:
        """Our lab and its n-th record, once all was told."""
        self.exchange()
        with closing(self.foreign()) as foreign:
            ours = next(row.lab for row in foreign.labs() if row.own)
            found = foreign.attempt(ours, n)
        assert found is not None
        return ours, found.attempt


def hear(south: South, *labs: Past, role: Role = Role.REPLICATE) -> list[str]:
    """Everybody exchanges; the names of the others as south uses them."""
    for lab in labs:
        lab.exchange()
    south.exchange()
    names = []
    for lab in labs:
        key = membership.key_of(lab.workspace)
        membership.trust(south.workspace, key.public.line, role, "")
        names.append(key.lab)
    return names


def command(lab: Past, *words: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(lab.lab.paths.tree), *words])


def north_with(tmp_path: Path, remote: Path, name: str = "north", train: str = FAR) -> Past:
    north = Past(tmp_path / name, train=train)
    north.join(remote)
    return north


def source(south: South) -> str:
    return (south.lab.paths.tree / "train.py").read_text()


def test_an_edit_of_another_lab_is_an_own_attempt_that_names_what_it_repeats(tmp_path: Path, remote: Path) -> None:
    north, south = north_with(tmp_path, remote), South(tmp_path / "south", remote)
    number = north.attempt("kept", "raise the knob", gain=3.0, score=1.0, KNOB=2.0)
    (lab,) = hear(south, north)
    done = command(south, "adopt", f"{lab[:8]}/{number}", "--json")
    assert done.exit_code == 0, done.output
    score = json.loads(done.output)
    assert score["change"] == pytest.approx(3.0)
    assert "raise the knob" in score["description"]
    assert "KNOB = 2.0" in source(south)
    assert south.lab.commit_or_revert().decision == "kept"
    assert south.exchange().published == 1
    _, told = south.told(2)
    assert (told.of, told.role) == (f"{lab}/{number}", "replication")
    assert told.agent.startswith("cli ")
    assert told.program
    north.exchange()
    seen = json.loads(command(south, "community", "claims", "--json").output)
    assert [(one["claim"], one["status"], one["replicated"]) for one in seen["claims"]] == [
        (f"{lab[:8]}/{number}", "replicated", 1)
    ]
    assert {one["lab"]: one.get("replicated", 0) for one in seen["labs"]}[lab[:8]] == 1
    tables = {command(one, "community", "claims", "--canonical").output for one in (north, south)}
    assert len(tables) == 1
    assert f"claim {lab}/{number}" in tables.pop()


def test_the_edit_is_made_on_the_own_incumbent_and_neighbouring_lines_do_not_conflict(
    tmp_path: Path, remote: Path
) -> None:
    north, south = north_with(tmp_path, remote), South(tmp_path / "south", remote)
    edit(south.lab, SPREAD=0.0, KNOB=2.0)
    south.lab.run_experiment("our own way")
    finish(south.lab)
    assert south.lab.commit_or_revert().decision == "kept"
    number = north.attempt("discarded", "a warm-up", WARMUP=0.5)
    beside = north.attempt("discarded", "slower", SECONDS=0.01)
    (lab,) = hear(south, north)
    reply = south.lab.run_experiment(source=f"{lab}/{number}")
    assert "KNOB = 2.0" in source(south)
    assert "WARMUP = 0.5" in source(south)
    finish(south.lab, reply.experiment)
    south.lab.commit_or_revert(reply.experiment, "revert")
    assert "WARMUP = 0.0" in source(south)
    reply = south.lab.run_experiment(source=f"{lab[:10]}/{beside}")
    assert "KNOB = 2.0\nSECONDS = 0.01\n" in source(south)
    south.lab.cancel_experiment(reply.experiment)


def test_a_conflict_is_said_with_both_sides_and_nothing_is_written(tmp_path: Path, remote: Path) -> None:
    north, south = north_with(tmp_path, remote), South(tmp_path / "south", remote)
    edit(south.lab, KNOB=2.5)
    south.lab.run_experiment("our own way")
    finish(south.lab)
    south.lab.commit_or_revert()
    number = north.attempt("kept", "theirs", gain=3.0, score=1.0, KNOB=2.0)
    (lab,) = hear(south, north)
    before = source(south)
    with pytest.raises(NotNow, match=r"(?s)KNOB = 2\.5.*KNOB = 2\.0"):
        south.lab.run_experiment(source=f"{lab}/{number}")
    assert source(south) == before
    assert len(south.lab.lab_status().experiments) > 0
    assert south.lab.lab_status().experiments["all"] == 2


def test_two_edits_that_do_not_overlap_are_put_together_and_others_are_not(tmp_path: Path, remote: Path) -> None:
    north, south = north_with(tmp_path, remote), South(tmp_path / "south", remote)
    west = north_with(tmp_path, remote, "west")
    first = north.attempt("discarded", "one", KNOB=2.0)
    second = west.attempt("discarded", "two", WARMUP=0.5)
    third = west.attempt("discarded", "the same constant", KNOB=2.5)
    lab, other = hear(south, north, west)
    done = command(south, "combine", f"{lab[:8]}/{first}", f"{other[:8]}/{third}")
    assert done.exit_code == 1
    assert "overlap: KNOB becomes 2.0 there, 2.5 here" in done.output
    done = command(south, "combine", f"{lab[:8]}/{first}", f"{other[:8]}/{second}", "--json")
    assert done.exit_code == 0, done.output
    assert "KNOB = 2.0" in source(south)
    assert "WARMUP = 0.5" in source(south)
    assert south.lab.commit_or_revert().decision == "kept"
    assert south.told(2)[1].joins == (f"{lab}/{first}", f"{other}/{second}")


def test_an_own_experiment_is_put_together_with_anothers_and_the_record_names_both(
    tmp_path: Path, remote: Path
) -> None:
    north, south = north_with(tmp_path, remote), South(tmp_path / "south", remote)
    first = north.attempt("discarded", "one", WARMUP=0.5)
    (lab,) = hear(south, north)
    edit(south.lab, KNOB=2.0)
    mine = south.lab.run_experiment("raise it", insist=True).experiment
    finish(south.lab, mine)
    south.lab.commit_or_revert(mine, "revert")
    done = command(south, "combine", str(mine), f"{lab[:8]}/{first}", "--json")
    assert done.exit_code == 0, done.output
    south.lab.commit_or_revert()
    ours, told = south.told(3)
    assert told.joins == (f"{ours}/{mine}", f"{lab}/{first}")


def test_replicate_repeats_what_is_worth_a_run_and_decides(tmp_path: Path, remote: Path) -> None:
    north, south = north_with(tmp_path, remote), South(tmp_path / "south", remote)
    good = north.attempt("kept", "raise it", gain=3.0, score=1.0, KNOB=2.0)
    (lab,) = hear(south, north, role=Role.READ)
    assert "may only advise" in command(south, "replicate").output
    assert south.lab.lab_status().repeat == ""
    membership.trust(south.workspace, lab, Role.REPLICATE, "")
    done = command(south, "replicate", "2", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["decided"] == [f"experiment 2, {lab[:8]}/{good}: kept"]
    assert "Nothing else is worth a run" in told["next"]


def test_the_frontier_and_a_direction_from_another_labs_code(tmp_path: Path, remote: Path) -> None:
    north, south = north_with(tmp_path, remote), South(tmp_path / "south", remote)
    west = north_with(tmp_path, remote, "west")
    kept = north.attempt("kept", "raise it", gain=3.0, score=1.0, KNOB=2.0)
    west.attempt("kept", "the same", gain=3.0, score=1.0, KNOB=2.0)
    miss = west.attempt("discarded", "nearly", gain=0.05, WARMUP=0.5)
    lab, other = hear(south, north, west)
    seen = json.loads(command(south, "community", "frontier", "--json").output)
    assert {one["claim"] for one in seen["build_on"]} == {f"{lab[:8]}/{kept}", f"{other[:8]}/2"}
    assert seen["near_misses"][0].startswith(f"{other[:8]}/{miss} WARMUP")
    assert [one["machine"] for one in seen["classes"]] == ["NVIDIA H200"]
    assert seen["classes"][0]["curve"] == [3.0]
    assert len(seen["islands"]) == 2
    done = command(south, "start", "theirs", "--from", f"{lab[:8]}/{kept}", "--no-calibrate", "--wait", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["score"] == pytest.approx(1.0)
    assert "KNOB = 2.0" in source(south)
    assert git(south.lab.paths.tree, "log", "-1", "--format=%s", "HEAD~1").startswith("The code of ")
    _, told = south.told(2)
    assert (told.role, told.of) == ("baseline", f"{lab}/{kept}")


def test_more_than_the_share_of_others_attempts_is_refused_unless_one_insists(tmp_path: Path, remote: Path) -> None:
    north, south = north_with(tmp_path, remote), South(tmp_path / "south", remote)
    numbers = [north.attempt("discarded", "move it", KNOB=value) for value in (7.0, 8.0, 9.0)]
    (lab,) = hear(south, north)
    for number in numbers[:2]:
        reply = south.lab.run_experiment(source=f"{lab}/{number}")
        finish(south.lab, reply.experiment)
        south.lab.commit_or_revert(reply.experiment)
    with pytest.raises(NotNow, match="at most 15%"):
        south.lab.run_experiment(source=f"{lab}/{numbers[2]}")
    reply = south.lab.run_experiment(source=f"{lab}/{numbers[2]}", insist=True)
    south.lab.cancel_experiment(reply.experiment)
    assert command(south, "community", "bounds", "--replications", "0.5").exit_code == 2
    told = json.loads(command(south, "community", "bounds", "--apart", "9", "--json").output)
    assert (told["apart"], told["repeated"]) == (9, 3)


def test_what_is_due_is_said_and_a_loop_repeats_it_by_itself(tmp_path: Path, remote: Path) -> None:
    north, south = north_with(tmp_path, remote), South(tmp_path / "south", remote)
    good = north.attempt("kept", "raise it", gain=3.0, score=1.0, KNOB=2.0)
    (lab,) = hear(south, north)
    assert command(south, "community", "bounds", "--replications", "0.15").exit_code == 0
    for value in (7.0, 8.0, 9.0):
        edit(south.lab, KNOB=value)
        reply = south.lab.run_experiment(f"the knob at {value}", insist=True)
        finish(south.lab, reply.experiment)
        assert south.lab.lab_status().repeat == "", "not while something is undecided"
        south.lab.commit_or_revert(reply.experiment, "revert")
    assert south.lab.lab_status().repeat == f"{lab[:8]}/{good}: claimed, and nobody repeated it"
    said: list[str] = []
    settled = settling.repeat_others(south.lab, said.append)
    assert settled is not None
    assert settled.outcome == "kept"
    assert said == [f"Experiment 5 repeats {lab[:8]}/{good}: claimed, and nobody repeated it."]
    assert south.lab.lab_status().repeat == ""
    assert settling.repeat_others(south.lab, said.append) is None


class Told:
    """A server that has one attempt of another lab due, and keeps it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.said: list[str] = []
        self.audience = self

    def say(self, words: str) -> None:
        self.said.append(words)

    async def ask(self, reply: type[Reply], tool: str, **arguments: object) -> Reply:
        self.asked.append((tool, arguments))
        known = {
            "lab_status": {"repeat": "a1b2c3d4/12: replicated by 2 labs"},
            "run_experiment": {"experiment": 7, "status": "queued"},
            "commit_or_revert": {"experiment": 7, "decision": "kept", "score": 1.0, "change": 3.0},
        }
        return reply.model_validate(known[tool])

    async def score(self, number: int) -> ScoreReply:
        return ScoreReply(experiment=number, status="scored", score=1.0)


def test_the_built_in_researcher_repeats_what_is_due_before_an_idea_of_its_own(tmp_path: Path) -> None:
    server, outcome = Told(), loop.Outcome(tmp_path)
    spent = anyio.run(
        loop._repeat, server, outcome, lambda row: outcome.rows.update({row.experiment: row}), lambda: True
    )
    assert spent
    assert [tool for tool, _ in server.asked] == ["lab_status", "run_experiment", "commit_or_revert"]
    assert server.asked[1][1]["source"] == "a1b2c3d4/12"
    assert (outcome.rows[7].status, outcome.rows[7].kind) == ("kept", "replication")


# --- hostile ----------------------------------------------------------------------------------------------------------


def publish(remote: Path, folder: Path, contract: str, *attempts: tuple[dict[str, bytes], dict[str, object]]) -> str:
    """A journal that a stranger signs: (files, changes of the record) of each attempt. The lab."""
    key, store = own_key(folder / "key"), Store.at(folder / "store.git")
    lines, before = [], None
    for n, (files, changes) in enumerate(attempts, 1):
        (commit,) = store.write_attempts([(files, None, 1767225600 + n, f"attempt {n}\n")])
        about: dict[str, object] = {
            "n": n,
            "mark": f"{n:016x}",
            "contract": contract,
            "commit": commit,
            "code": fingerprint(files)[:32],
            "edit": change(before, files)[:32] if before else "",
            "base": n - 1 or None,
            "status": "kept",
            "score": 1.0,
            "against": 4.0 if before else None,
            "gain": 3.0 if before else None,
            "role": "attempt" if before else "baseline",
            "at": "2026-01-01T00:00:00Z",
            **changes,
        }
        lines.append(Attempt.model_validate(about))
        before = files
    tip = append(store, key, None, lines, 1767225700)
    store.move_ref(journal_ref(key.lab), tip, store.zero, "test")
    where = {"GIT_ALLOW_PROTOCOL": "file"}
    store.do("push", "-q", str(remote), f"{journal_ref(key.lab)}:{journal_ref(key.lab)}", environment=where)
    return key.lab


HOSTILE: dict[str, tuple[dict[str, bytes], dict[str, object], str]] = {
    "a frozen file": ({"score.py": b"print(0)\n"}, {}, "score.py, which is frozen here"),
    "a file outside": ({"setup.cfg": b"x\n"}, {}, "setup.cfg, which is not editable here"),
    "a token": ({"train.py": b'T = "ghp_' + b"a1B2" * 9 + b'"\n'}, {}, "looks like a GitHub token"),
    "other code than its record tells of": ({}, {"code": "ab" * 16}, "is not the code that its record tells of"),
    "another edit than its record tells of": ({}, {"edit": "ab" * 16}, "edit is not the one that its record"),
    "a binary": ({"train.py": b"KNOB = 2\0\n"}, {}, "is binary"),
    "no Python": ({"train.py": b"KNOB = = 2\n"}, {}, "not valid Python"),
    "another contract": ({}, {"contract": "ab" * 16}, "another contract"),
    "no base": ({}, {"base": None}, "stands on nothing"),
    "no code": ({}, {"commit": ""}, "stayed at home"),
}


def test_a_hostile_edit_is_refused_by_name_and_nothing_is_written(tmp_path: Path, remote: Path) -> None:
    south = South(tmp_path / "south", remote)
    south.exchange()
    foreign = south.foreign()
    (contract,) = foreign.all_contracts()
    foreign.close()
    plain = {"train.py": FAR.encode()}
    other = {"train.py": FAR.replace("KNOB = 1.0", "KNOB = 2.0").encode()}
    labs = {
        what: publish(remote, tmp_path / f"stranger-{n}", contract, (plain, {}), ({**other, **more}, changes))
        for n, (what, (more, changes, _)) in enumerate(HOSTILE.items())
    }
    assert south.exchange().received == 2 * len(HOSTILE)
    before, status = source(south), git(south.lab.paths.tree, "status", "--porcelain")
    for what, (_, _, said) in HOSTILE.items():
        with pytest.raises(AutoresearchError, match=said):
            south.lab.run_experiment(source=f"{labs[what]}/2", insist=True)
        assert source(south) == before, what
    for given in ("nonsense", "../../etc/1", "deadbeef/1", "-x/1", "a/b/1", "1", "a1 + b2 + c3", "+", "1 + 2"):
        with pytest.raises(AutoresearchError):
            south.lab.run_experiment(source=given)
    assert git(south.lab.paths.tree, "status", "--porcelain") == status
    assert south.lab.lab_status().experiments["all"] == 1


def test_a_distrusted_lab_is_not_adopted(tmp_path: Path, remote: Path) -> None:
    north, south = north_with(tmp_path, remote), South(tmp_path / "south", remote)
    number = north.attempt("kept", gain=3.0, score=1.0, KNOB=2.0)
    (lab,) = hear(south, north)
    membership.distrust(south.workspace, lab)
    with pytest.raises(CommunityError, match="distrusted"):
        south.lab.run_experiment(source=f"{lab}/{number}")


def test_a_merge_knows_files_that_come_and_go(tmp_path: Path) -> None:
    git_of = make_lab(tmp_path / "lab").workspace.git
    base = {"a": b"1\n2\n3\n", "b": b"x\n", "gone": b"y\n"}
    theirs = {"a": b"1\n2\n4\n", "new": b"n\n", "b": b"x\n"}
    done = merge(git_of, tmp_path / "tmp", {**base, "a": b"0\n2\n3\n"}, base, theirs)
    assert done.files == {"a": b"0\n2\n4\n", "b": b"x\n", "new": b"n\n"}
    assert done.conflicts == []
    done = merge(git_of, tmp_path / "tmp", {**base, "a": b"1\n2\n5\n", "gone": b"kept\n"}, base, theirs)
    assert [(one.path, one.ours, one.theirs) for one in done.conflicts] == [("a", "5", "4"), ("gone", "kept", "")]


@pytest.mark.parametrize(("theirs", "kept"), [(False, b"\0\nours\n"), (True, b"\0\ntheirs\n")])
def test_what_git_would_not_merge_at_all_is_a_conflict_and_no_empty_file(
    tmp_path: Path, theirs: bool, kept: bytes
) -> None:
    lab = make_lab(tmp_path / "lab")
    ours, base, there = ({"x.py": b"\0\n" + word + b"\n"} for word in (b"ours", b"base", b"theirs"))
    merged = merge(lab.workspace.git, tmp_path / "scratch", ours, base, there, theirs)
    assert merged.files == {"x.py": kept}
    assert [one.path for one in merged.conflicts] == ["x.py"]


def test_a_claim_is_repeated_by_one_lab_at_a_time(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.community.beside.wake", lambda state, tree: False)
    monkeypatch.setattr("mcp_server.community.leases.claim.WAIT_SECONDS", 60.0)  # a busy machine is no slow remote
    north = north_with(tmp_path, remote)
    south, west = (South(tmp_path / name, remote) for name in ("south", "west"))
    claimed = north.attempt("kept", "raise the knob", gain=3.0, score=1.0, KNOB=2.0, SECONDS=60.0)
    (lab,) = hear(south, north)
    hear(west, north)
    edit(west.lab, WARMUP=0.5)  # another base, so another code
    west.lab.run_experiment("our own way", insist=True)
    finish(west.lab)
    west.lab.commit_or_revert()
    assert west.lab.to_repeat(asked_for=True) is not None
    own = south.lab.run_experiment(source=f"{lab}/{claimed}").experiment
    with pytest.raises(NotNow, match=rf"Lab \w{{8}} repeats {lab[:8]}/{claimed} .*now, .*It was not run here.*insist"):
        west.lab.run_experiment(source=f"{lab[:8]}/{claimed}")
    assert "repeats" in command(west, "adopt", f"{lab[:8]}/{claimed}", "--no-wait").output
    west.exchange()
    assert west.lab.to_repeat(asked_for=True) is None, "it is at work elsewhere"
    reply = west.lab.run_experiment(source=f"{lab}/{claimed}", insist=True)
    assert any("repeats" in words for words in reply.warnings)
    for one, number in ((west, reply.experiment), (south, own)):
        one.lab.cancel_experiment(number)
        finish(one.lab, number)
        one.lab.commit_or_revert(number)
    south.exchange()
    west.exchange()
    again = west.lab.run_experiment(source=f"{lab}/{claimed}")
    west.lab.cancel_experiment(again.experiment)


def test_what_others_have_repeated_already_may_be_built_on_by_many_at_once(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.community.beside.wake", lambda state, tree: False)
    monkeypatch.setattr("mcp_server.community.leases.claim.WAIT_SECONDS", 60.0)
    north, hill = (north_with(tmp_path, remote, name) for name in ("north", "hill"))
    south, west = (South(tmp_path / name, remote) for name in ("south", "west"))
    for lab in (north, hill):
        number = lab.attempt("kept", "raise the knob", gain=3.0, score=1.0, KNOB=2.0, SECONDS=60.0)
    name = f"{hear(south, north, hill)[0]}/{number}"
    hear(west, north, hill)
    running = [(one, one.lab.run_experiment(source=name)) for one in (south, west)]
    assert any("repeats" in words for words in running[1][1].warnings)
    for one, reply in running:
        one.lab.cancel_experiment(reply.experiment)
