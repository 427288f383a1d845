"""What runs leave on the disk: only what is needed stays, whatever goes can be made again, and a bound is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.campaign.upkeep import disk
from mcp_server.cli import cli
from mcp_server.lab import Lab
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import remove
from mcp_server.nouns.records import Purpose
from tests.labs import TRAIN, attempt, begun, edit, finish, git, make_lab, open_states, until

WEIGHTS = 200_000  # bytes
HEAVY = TRAIN + f'(out / "weights").write_bytes(os.urandom({WEIGHTS}))\n'


def weights(lab: Lab) -> list[str]:
    """The runs whose weights lie on the disk: "experiment/run"."""
    runs = lab.paths.state / "runs" / "first"
    return sorted(str(place.parent.relative_to(runs)) for place in runs.glob("*/*/artifact"))


def test_only_the_incumbents_weights_stay(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab", train=HEAVY))
    with lab.reading() as (bench, campaign, _):
        bench.ledger.open_run("first", 1, campaign.seed, Purpose.ANCHOR, bench.stamp())
    until(lambda: lab.lab_status() and not open_states(lab))
    assert weights(lab) == ["1/1"]  # what was run again was scored, and is needed no more
    assert attempt(lab, "better", KNOB=2.0).decision == "kept"
    assert weights(lab) == ["2/1"]
    assert attempt(lab, "worse", KNOB=9.0).decision == "reverted"
    assert weights(lab) == ["2/1"]


def test_gc_removes_what_an_older_version_kept_and_a_second_one_finds_nothing(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab", train=HEAVY))
    attempt(lab, "better", KNOB=2.0)
    old = lab.paths.run("first", 1, 1)
    for place in (old.artifact, old.work):
        place.mkdir()
        (place / "weights").write_bytes(bytes(range(256)) * 1000)
        place.chmod(0o555)
    asked = ["-C", str(lab.paths.tree), "gc", "--json"]
    foreseen = json.loads(CliRunner().invoke(cli, [*asked, "--dry-run"]).output)
    assert {one["what"] for one in foreseen["removed"]} == {"weights", "copies of code, scratch"}
    assert foreseen["dry_run"]
    assert weights(lab) == ["1/1", "2/1"]
    done = json.loads(CliRunner().invoke(cli, asked).output)
    assert done["removed"] == foreseen["removed"]
    assert done["gb"] > 0
    assert weights(lab) == ["2/1"]
    assert not old.work.exists()
    assert old.log.exists()
    assert done["kept"] == str(lab.paths.run("first", 2, 1).artifact)
    assert "removed" not in json.loads(CliRunner().invoke(cli, asked).output)


def test_gc_that_is_cut_short_is_finished_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = begun(make_lab(tmp_path / "lab", train=HEAVY))
    attempt(lab, "better", KNOB=2.0)
    old = lab.paths.run("first", 1, 1)
    for place in (old.artifact, old.work, old.trusted):
        place.mkdir()
        (place / "weights").write_bytes(b"1")
    whole = remove

    def cut(place: Path) -> None:
        whole(place)
        raise KeyboardInterrupt

    monkeypatch.setattr(disk, "remove", cut)
    with pytest.raises(KeyboardInterrupt):
        disk.gc(lab)
    monkeypatch.undo()
    assert len(disk.gc(lab).removed) == 2
    assert lab.lab_status().incumbent is not None


def test_gc_beside_a_running_experiment_leaves_it_alone(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab", train=HEAVY))
    edit(lab, KNOB=2.0, SECONDS=1.0)
    number = lab.run_experiment("slow").experiment
    until(lambda: lab.paths.run("first", number, 1).begun.exists())
    assert disk.gc(lab).removed == []
    assert finish(lab, number).status == "scored"
    assert weights(lab) == ["1/1", "2/1"]
    assert disk.gc(lab).removed == []
    assert lab.commit_or_revert(number).decision == "kept"


def test_an_exam_trains_what_was_removed(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab", train=HEAVY, noise=0.01))
    attempt(lab, "better", KNOB=2.0)
    with lab.reading() as (bench, _, _):
        for place in (lab.paths.state / "runs").glob("*/*/*/artifact"):
            remove(place)
        assert disk.removable(bench) is not None
    lab.exam(seeds=2)
    assert until(lambda: lab.exam(seeds=2).status != "running" and lab.exam(seeds=2)).status == "done"
    assert weights(lab) == []  # the exam's own are dropped again


def test_a_bound_in_program_md_is_kept(tmp_path: Path) -> None:
    """The next run's weights count before it begins; what can go is removed first, and then it is refused."""
    lab = make_lab(tmp_path / "lab", train=HEAVY)
    program = lab.paths.program
    program.write_text(program.read_text().replace("grace_seconds: 1", "grace_seconds: 1, disk_gb: 0.0015"))
    lab = begun(Lab(committed(lab)))
    spare = lab.paths.run("first", 1, 1).work
    spare.mkdir()
    (spare / "copies").write_bytes(bytes(2_000_000))
    with lab.reading() as (bench, _, _):
        run = bench.ledger.runs("first", 1)[0]
        bench.ledger.note_folder(run, disk.size(bench.folder(run).folder))
    assert attempt(lab, "better", KNOB=2.0).decision == "kept"
    assert not spare.exists()
    with lab.reading() as (bench, _, _):
        (bench.folder(bench.ledger.runs("first", 2)[0]).folder / "log.txt").write_bytes(bytes(range(256)) * 6000)
        bench.ledger.note_folder(bench.ledger.runs("first", 2)[0], 1_500_000)
    edit(lab, KNOB=2.5)
    with pytest.raises(NotNow, match=r"program.md allows 0.0015 GB \(budget.disk_gb\)"):
        lab.run_experiment("no room")
    assert lab.lab_status().experiments["all"] == 2


def committed(lab: Lab) -> Path:
    git(lab.paths.tree, "commit", "-q", "-a", "-m", "a bound")
    return lab.paths.tree


def test_status_and_doctor_foretell_a_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.setup.doctor.TORCH", "raise ImportError")  # it takes two seconds
    lab = begun(make_lab(tmp_path / "lab", train=HEAVY))
    attempt(lab, "better", KNOB=2.0)
    said = lab.lab_status().disk
    assert "GB held by runs; 100 more experiments need about" in said
    found = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), "doctor", "--json"]).output
    line = next(one for one in json.loads(found)["findings"] if one["name"] == "disk")
    assert "100 more experiments need about" in line["found"]
