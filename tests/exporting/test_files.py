"""export: the attempts of a ledger as files, each once, updated when they are decided."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.exporting.kinds import to_csv, to_jsonl
from mcp_server.exporting.rows import constants_of, row_of
from mcp_server.lab import Lab
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.decided import Decided
from tests.labs import attempt, begun, decide, edit, finish, git, make_lab
from tests.rules.records import arena, experiment


def exported(lab: Lab, *arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), "export", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_attempt_is_one_row_in_csv_and_json_lines_and_is_updated_when_it_is_decided(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    attempt(lab, "=two, and a comma", KNOB=2.0)
    edit(lab, KNOB=9.0)
    open_one = lab.run_experiment("nine").experiment
    finish(lab, open_one)
    tree, told = lab.paths.tree, tmp_path / "attempts.jsonl"
    found = exported(lab, "--to", "csv")
    assert (found["attempts"], found["new"]) == (3, 3)
    assert exported(lab, "--to", "jsonl", "--out", str(told))["new"] == 3
    path = tree / "exports" / "attempts.csv"
    base, two, nine = lines_of(path)
    assert (base["kind"], base["score"], base["constant.KNOB"], base["label"]) == ("baseline", "4.0", "1.0", "baseline")
    assert (two["status"], two["score"], two["gain"], two["verdict"]) == ("kept", "1.0", "3.0", "keep")
    assert (two["constant.KNOB"], two["secondary.knob"], two["description"]) == ("2.0", "2.0", "'=two, and a comma")
    assert two["commit"] == git(tree, "rev-parse", "autoresearch/first").strip()
    assert (nine["status"], nine["verdict"], nine["gain"]) == ("scored", "", "")
    # again, and nothing is doubled or even touched
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert exported(lab, "--to", "csv")["unchanged"] == 3
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    decide(lab, open_one)
    for arguments in (("--to", "csv"), ("--to", "jsonl", "--out", str(told))):
        found = exported(lab, *arguments)
        assert (found["new"], found["updated"], found["unchanged"]) == (0, 1, 2)
    assert [one["status"] for one in lines_of(path)] == ["kept", "kept", "discarded"]
    records = [json.loads(line) for line in told.read_text().splitlines()]
    assert [one["status"] for one in records] == ["kept", "kept", "discarded"]
    assert records[2]["gain"] == -35.0
    assert records[1]["constants"] == {"KNOB": 2.0, "SECONDS": 0.0, "SPREAD": 0.0}
    assert records[1]["description"] == "=two, and a comma"


def test_a_file_that_is_no_export_is_left_alone(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    mine = tmp_path / "mine"
    for target, text in (
        ("csv", "a,b\n1,2\n"),
        ("csv", "id\n"),
        ("csv", "id,b\n1,2\n"),
        ("jsonl", "[1]\n"),
        ("jsonl", '{"id": 1}\n'),
        ("jsonl", "words\n"),
        ("parquet", "PAR1"),
    ):
        mine.write_text(text)
        done = CliRunner().invoke(cli, ["-C", str(lab.paths.tree), "export", "--to", target, "--out", str(mine)])
        assert done.exit_code == 1, text
        assert "is no export of ours" in done.output
        assert mine.read_text() == text


def test_several_labs_go_into_one_file_and_each_keeps_its_own_rows(tmp_path: Path) -> None:
    metric = arena().metric
    told = Decided(score=1.0, change=0.5, low=0.1, high=0.9, decision="keep", reason="better")
    open_one, decided = experiment(2), experiment(2, decision="keep", verdict=told)
    theirs = row_of(Attempt.of(decided), "theirs", metric, {"LR": 0.1, "NAME": "adam"})
    ours = row_of(Attempt.of(open_one), "ours", metric, {"LR": 0.2})
    later = row_of(Attempt.of(decided), "ours", metric, {"LR": 0.2})
    assert ours.id == later.id != theirs.id
    assert ours.digest != later.digest
    for module, name in ((to_csv, "all.csv"), (to_jsonl, "all.jsonl")):
        where = str(tmp_path / name)
        assert module.export([theirs], where, "").new == 1
        for row, counts in ((ours, (1, 0, 0)), (ours, (0, 0, 1)), (later, (0, 1, 0)), (later, (0, 0, 1))):
            done = module.export([row], where, "")
            assert (done.new, done.updated, done.unchanged) == counts, name
        content = (tmp_path / name).read_bytes()
        assert module.export([theirs, later], where, "").unchanged == 2
        assert (tmp_path / name).read_bytes() == content
    first, second = lines_of(tmp_path / "all.csv")
    assert (first["constant.NAME"], second["constant.NAME"], second["gain_low"]) == ("adam", "", "0.1")


def test_parameters_are_the_constants_in_capitals_and_what_the_campaign_has_moved() -> None:
    found = {"LR": "0.1", "DEPTH.cpu": "2", "NAME": "'adam'", "DIM": "DEPTH * 64", "AdamW.eps": "1e-8", "print[0]": "3"}
    capitals = {"LR": 0.1, "DEPTH.cpu": 2, "NAME": "adam", "DIM": "DEPTH * 64"}
    assert constants_of(found, {"LR"}) == capitals
    assert constants_of(found, {"AdamW.eps"}) == capitals | {"AdamW.eps": 1e-8}
