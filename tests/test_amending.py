"""program.md is nobody's lock: what widens rights or lowers a bar waits for a person, and is told where it applied."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.arena.program import Arena, parse_program
from mcp_server.campaign.beginning.keys import RULES, Holder, changes, keys
from mcp_server.campaign.beginning.readable import readable_folders
from mcp_server.cli import cli
from mcp_server.lab import Lab
from mcp_server.nouns.errors import ArenaError, NotNow
from mcp_server.nouns.paths import LabPaths
from mcp_server.views.findings import gather
from mcp_server.views.history import history
from mcp_server.views.report import markdown
from tests.labs import PROGRAM, attempt, begin, begun, decide, edit, finish, git, make_lab


def arena_of(more: str = "", **replaced: str) -> Arena:
    text = PROGRAM.format(more=more)
    for before, after in replaced.items():
        text = text.replace({"startup": "startup_seconds: 5", "devices": "devices: cpu"}[before], after)
    return parse_program(text).arena


def holders(before: Arena, after: Arena) -> dict[str, str]:
    return {change.key: str(change.holder) for change in changes(before, after)}


def rewrite(lab: Lab, before: str, after: str) -> None:
    program = lab.paths.program
    assert before in program.read_text()
    program.write_text(program.read_text().replace(before, after))


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.quick
def test_every_key_of_the_arena_has_a_rule() -> None:
    assert [name for name, _ in keys(arena_of())] == list(RULES)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "readable: [/data]\n"),
        ("secondary: {size: {max: 10}}\n", ""),
        ("secondary: {size: {max: 10}}\n", "secondary: {size: {max: 11}}\n"),
        ("secondary: {size: {min: 1, max: 10}}\n", "secondary: {size: {max: 10}}\n"),
        ("checks: [python check.py]\n", ""),
        ("checks: [python check.py]\n", "checks: [python other.py]\n"),
        ("require_sandbox: true\n", ""),
        ("keep: {min_delta: 0.1}\n", "keep: {min_delta: 0.01}\n"),
        ("keep: {min_delta: 0.1}\n", ""),
        ("", "keep: {min_delta: 0.1}\n"),
        ("keep: {confirm: always}\n", ""),
        ("", "keep: {confirm: never}\n"),
        ("keep: {simplicity: false}\n", ""),
        ("", "score_incumbent: true\n"),
        ("", "suite: {more: python more.py}\n"),
        ("suite: {old: python old.py}\n", "suite: {old: python old.py, more: python more.py}\n"),
        ("suite: {old: python old.py}\n", ""),
    ],
)
def test_what_widens_rights_or_lowers_a_bar_is_a_persons(before: str, after: str) -> None:
    assert set(holders(arena_of(before), arena_of(after)).values()) == {Holder.PERSON}


@pytest.mark.quick
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("readable: [/data]\n", ""),
        ("", "secondary: {size: {max: 10}}\n"),
        ("secondary: {size: {max: 10}}\n", "secondary: {size: {max: 9, min: 1}}\n"),
        ("", "checks: [python check.py]\n"),
        ("", "require_sandbox: true\n"),
        ("keep: {min_delta: 0.1}\n", "keep: {min_delta: 0.2}\n"),
        ("", "keep: {confirm: always}\n"),
        ("", "stop: {experiments: 5, target: 0.1}\n"),
    ],
)
def test_what_is_stricter_or_harmless_applies_by_being_written(before: str, after: str) -> None:
    found = holders(arena_of(before), arena_of(after))
    assert found
    assert set(found.values()) == {Holder.ANYBODY}


@pytest.mark.quick
def test_limits_of_a_run_may_be_lowered_and_not_raised_and_another_device_is_a_persons() -> None:
    assert holders(arena_of(), arena_of(startup="startup_seconds: 4")) == {"budget.startup_seconds": "anybody"}
    assert holders(arena_of(), arena_of(startup="startup_seconds: 6")) == {"budget.startup_seconds": "person"}
    assert holders(arena_of(), arena_of(devices="devices: auto")) == {"devices": "person"}


# --- a running campaign -----------------------------------------------------------------------------------------------


def test_an_edit_that_lowers_a_bar_is_said_everywhere_and_changes_no_verdict(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more="secondary: {knob: {max: 2}}\n")
    begun(lab)
    rewrite(lab, "secondary: {knob: {max: 2}}\n", "")
    said = lab.lab_status().problems
    assert any("secondary: {'knob': {'max': 2.0}} -> {}" in words and "`autoresearch amend`" in words for words in said)
    edit(lab, KNOB=2.5)
    warned = lab.run_experiment("beyond the bound").warnings
    assert any("only a person may do that" in words for words in warned)
    finish(lab, 2)
    assert decide(lab, 2).decision == "reverted"


def test_what_a_person_amends_is_in_force_and_told_wherever_gains_are(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", more="secondary: {knob: {max: 2}}\n")
    begun(lab)
    rewrite(lab, "secondary: {knob: {max: 2}}\n", "")
    shell = CliRunner()
    there = ["-C", str(lab.paths.tree), "amend"]
    asked = shell.invoke(cli, there)
    assert asked.exit_code == 1
    assert "Add --yes" in asked.output
    assert lab.lab_status().rules == []
    done = shell.invoke(cli, [*there, "--yes"])
    assert done.exit_code == 0, done.output
    assert attempt(lab, "beyond the old bound", KNOB=2.5).decision == "kept"
    words = "after experiment 1: secondary: {'knob': {'max': 2.0}} -> {}"
    status = lab.lab_status()
    assert words in status.rules[0]
    assert status.problems == []
    assert words in history(lab).rules[0]
    assert words in git(lab.paths.tree, "log", "-1", "--format=%(trailers:key=Rules-Changed)", "autoresearch/first")
    assert "rules changed" in markdown(gather(lab), chart=False)
    attempt(lab, "nearer still", KNOB=2.9)
    assert "Rules-Changed" not in git(lab.paths.tree, "log", "-1", "--format=%B", "autoresearch/first")


def test_what_was_edited_after_it_was_shown_is_not_put_in_force(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    rewrite(lab, "devices: cpu\n", "devices: cpu\nscore_incumbent: true\n")
    shown = lab.amend()
    rewrite(lab, "score_incumbent: true\n", f"score_incumbent: true\nreadable: [{tmp_path}/other]\n")
    with pytest.raises(NotNow, match="edited since"):
        lab.amend(shown.after)
    assert lab.lab_status().rules == []


def test_a_second_work_tree_with_the_old_text_takes_nothing_back(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(tmp_path / "second"))
    (tmp_path / "data").mkdir()
    rewrite(lab, "devices: cpu\n", f"devices: cpu\nreadable: [{tmp_path / 'data'}]\n")
    lab.amend(lab.amend().after)
    second = Lab(tmp_path / "second")
    second.start_campaign("first")
    assert "as it was before it was amended" in second.lab_status().problems[0]
    assert lab.lab_status().problems == []
    assert lab.lab_status().program == lab.lab_status().program


def test_what_is_measured_cannot_be_amended(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    rewrite(lab, "score: python score.py", "score: python other.py")
    with pytest.raises(ArenaError, match="incomparable"):
        lab.amend()


# --- what no key can open ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["state", "run", "tree", "above", "cache", "corpus", "link", "other", "above_other"])
def test_sealed_data_ledgers_and_caches_are_never_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    paths = LabPaths(tmp_path / "home" / "lab" / ".git", tmp_path / "home" / "lab")
    other = tmp_path / "elsewhere" / "deep" / "other" / ".git" / "autoresearch"
    for folder in (paths.state / "runs", other, tmp_path / "cache" / "corpus" / "sealed", tmp_path / "data"):
        folder.mkdir(parents=True)
    (other / "lab.db").touch()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "cache" / "corpus")
    named = {
        "state": paths.state,
        "run": paths.state / "runs",
        "tree": Path("."),
        "above": tmp_path / "home",
        "cache": tmp_path / "cache",
        "corpus": tmp_path / "elsewhere_corpus" / "sealed",
        "link": tmp_path / "data" / "link",
        "other": other / "runs",
        "above_other": tmp_path / "elsewhere",
    }[place]
    with pytest.raises(ArenaError, match="no key can"):
        readable_folders((str(named),), paths, str(tmp_path / "elsewhere_corpus"))
    assert readable_folders((str(tmp_path / "data"),), paths, None) == (tmp_path / "data",)


def test_a_campaign_that_would_open_its_ledger_does_not_begin_and_a_link_turned_later_stops_the_run(
    tmp_path: Path,
) -> None:
    lab = make_lab(tmp_path / "lab", more="readable: [.]\n")
    with pytest.raises(ArenaError, match="no key can"):
        lab.start_campaign("first")
    rewrite(lab, "readable: [.]", f"readable: [{tmp_path / 'link'}]")
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    begin(lab)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(lab.paths.state)
    edit(lab, KNOB=2.0)
    assert any("no key can" in words for words in lab.run_experiment("peeks").warnings)
    assert lab.read_score(2).status == "queued"
