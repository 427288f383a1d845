"""What is typed at a terminal is heeded or refused, and what a command says to type next works as it is written."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from mcp_server.cli import cli
from mcp_server.commands import asking, beginnings
from mcp_server.commands.live.steering import idle
from mcp_server.commands.names import COMMANDS, commands_in
from mcp_server.commands.pulls.finalizing import branch_of
from mcp_server.commands.screens import pages
from mcp_server.nouns.replies import ExperimentReply, StatusReply
from mcp_server.nouns.text import minute
from tests.labs import begun, git, make_lab


def typed(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), prog_name="autoresearch")


def lines_of_commands() -> Iterator[tuple[list[str], click.Command]]:
    """Every command with the words that call it."""
    with click.Context(cli) as context:
        found = [([name], command) for name in COMMANDS if (command := cli.get_command(context, name)) is not None]
    while found:
        words, command = found.pop()
        yield words, command
        if isinstance(command, click.Group):
            found += [([*words, name], one) for name, one in command.commands.items()]


def all_commands() -> Iterator[click.Command]:
    return (command for _, command in lines_of_commands())


def test_every_path_that_a_command_takes_is_seen_from_the_folder_that_is_named() -> None:
    paths = [(one.name, each) for one in all_commands() for each in one.params if isinstance(each.type, click.Path)]
    assert len(paths) > 20
    assert [(name, each.name) for name, each in paths if not isinstance(each.type, asking.Here)] == []


def test_with_json_stdout_has_json_or_with_an_error_nothing(tmp_path: Path) -> None:
    """Of every command, outside of any repository, with an argument where it wants one."""
    tried = 0
    for words, command in lines_of_commands():
        told = {one.name: one for one in command.params}
        if "as_json" not in told or words[0] in ("demo", "dashboard", "doctor"):  # they would begin their work
            continue
        wanted = [word for one in command.params if one.required for word in a_word_for(one)]
        done = typed("-C", str(tmp_path), *words, "--json", *wanted)
        assert done.exit_code in (0, 1, 2), (words, done.exception)
        assert not isinstance(done.exception, Exception), (words, done.exception)
        assert json.loads(done.stdout) if done.exit_code == 0 else done.stdout == "", (words, done.stdout)
        assert done.exit_code == 0 or done.stderr, words
        tried += 1
    assert tried > 50


def a_word_for(one: click.Parameter) -> list[str]:
    """What a parameter that has to be given might be given."""
    kinds = one.type.choices if isinstance(one.type, click.Choice) else ()
    word = str(next(iter(kinds), "1"))
    return [word] if isinstance(one, click.Argument) else [one.opts[0], word]


@pytest.mark.parametrize("word", ["nan", "inf", "-inf"])
def test_what_is_no_number_to_reckon_with_is_no_number(tmp_path: Path, word: str) -> None:
    kinds = [(one.name, each.name, each.type) for one in all_commands() for each in one.params]
    floats = [(name, kind) for *name, kind in kinds if isinstance(kind, click.FloatRange | type(click.FLOAT))]
    assert len(floats) > 10
    assert [name for name, kind in floats if not isinstance(kind, asking.Finite)] == []
    for words in (("run", "an idea", f"--expect={word}"), ("wait", "--for", "keep", f"--timeout={word}")):
        done = typed("-C", str(tmp_path), *words)
        assert (done.exit_code, done.stdout) == (2, "")


def test_a_file_is_looked_for_in_the_folder_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "processes.yaml").write_text("nonsense: [\n")
    for words in (("paper", "--check", "paper.md"), ("ralph", "--prompt", "paper.md", "--", "true")):
        done = typed("-C", str(tmp_path), *words)
        assert (done.exit_code, f"'{tmp_path}/paper.md' does not exist" in " ".join(done.stderr.split())) == (2, True)
    assert "processes.yaml" in typed("-C", str(tmp_path), "readiness", "processes.yaml").stderr


@pytest.mark.quick
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serve --port 9000", "--port is heeded with --http alone"),
        ("serve --host 0.0.0.0 --name box", "--host and --name are heeded with --http alone"),
        ("finalize --pr", "--pr is heeded with --onto BRANCH alone"),
        ("finalize --pairs 9", "--pairs is heeded with --onto BRANCH alone"),
        ("finalize --onto main --branches", "--branches and --onto contradict each other"),
        ("report --site --pdf", "--pdf is not heeded with --site"),
        ("pairs main HEAD --kept", "name no commits beside it"),
        ("pairs main HEAD --most 3", "--most is heeded with --kept alone"),
        ("paper --placeholders --publish", "--publish is not heeded with --placeholders"),
        ("review review.md --most 6", "--most is heeded with --run alone"),
        ("start first --calibrate 4 --no-calibrate", "--calibrate is contradicted by --no-calibrate"),
        ("--campaign one history --campaign two", "--campaign is given twice, as one and two"),
        ("--campaign one paper --campaign two", "--campaign is given twice, as one and two"),
        ("--campaign one ralph --tag two -- true", "--tag is not heeded where --campaign says one"),
        ("adopt --anyway", "--anyway is for another lab's attempt"),
        ("adopt a1b2c3d4/1 --yes", "--yes is for adopting a repository"),
        ("ideas --json add words", "--json is to be typed after the subcommand"),
        ("readiness --example --json", "--json is not heeded with --example"),
        ("community claims --canonical --json", "--json is not heeded with --canonical"),
    ],
)
def test_an_option_that_could_not_be_heeded_is_refused(tmp_path: Path, line: str, said: str) -> None:
    done = typed("-C", str(tmp_path), *shlex.split(line))
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize("began", [False, True])
def test_a_campaign_that_is_not_there_is_an_error_whatever_is_asked_of_it(tmp_path: Path, began: bool) -> None:
    lab = make_lab(tmp_path / "lab")
    if began:
        begun(lab).close()
    for words in (("status",), ("status", "--json"), ("watch", "--until-idle"), ("history",)):
        done = typed("-C", str(tmp_path / "lab"), "--campaign", "other", *words)
        assert (done.exit_code, done.stdout) == (1, ""), words
        assert "There is no campaign other. Begin one with `start" in done.stderr
    other = typed("-C", str(tmp_path / "lab"), "--campaign", "first", "start", "second")
    assert (other.exit_code, "acts on campaign first" in other.stderr) == (1, True)


def test_what_was_said_at_a_beginning_is_not_lost_by_waiting(tmp_path: Path) -> None:
    make_lab(tmp_path / "lab")
    (tmp_path / "lab" / "results.tsv").write_text("mine\n")
    done = typed("-C", str(tmp_path / "lab"), "start", "first", "--no-calibrate", "--wait", "--json")
    told = json.loads(done.stdout)
    assert told["score"] == 4.0
    assert any("results.tsv was here" in words for words in told["warnings"])


def test_the_json_of_a_doctor_who_measures_stays_alone_on_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(beginnings, "CALIBRATION", "this")  # a module that prints
    monkeypatch.setattr(beginnings.health, "examine", lambda folder: iter(()))
    assert json.loads(typed("-C", str(tmp_path), "doctor", "--json", "--calibrate").stdout) == {}
    told = capfd.readouterr()
    assert (told.out, "Beautiful" in told.err) == ("", True)


# --- what to type next ------------------------------------------------------------------------------------------------


def repository(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "all")
    return folder


def shell(line: str, where: Path) -> None:
    who = {f"GIT_{one}_{what}": "x" for one in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["bash", "-ec", line], cwd=where, env={**os.environ, **who}, check=True, capture_output=True)


def test_who_agrees_to_a_proposal_gets_what_was_proposed(tmp_path: Path) -> None:
    folder = repository(tmp_path / "two words", {"opt.py": 'print("the score: 4")\n', "deep/notes.txt": "words\n"})
    options = ("--run", "python opt.py", "--metric", "score", "--direction", "minimize")
    shown = json.loads(typed("-C", str(folder), "init", *options, "--json").stdout)
    again = shlex.split(shown["next"][0])
    assert again[0] == "autoresearch"
    written = json.loads(typed(*again[1:]).stdout)
    assert (folder / "program.md").read_text() == shown["files"]["program.md"]
    shell(written["next"][0], folder / "deep")
    assert git(folder, "status", "--porcelain") == ""


def test_adopting_says_a_commit_that_git_makes_where_there_was_no_program(tmp_path: Path) -> None:
    files = {"train.py": 'print(f"first_f: {1.0}")\nprint(f"val_bpb: {1.0}")\n', "prepare.py": "x = 1\n"}
    folder = repository(tmp_path / "theirs", files)
    shown = json.loads(typed("-C", str(folder), "adopt", "--json", "--editable", "train.py").stdout)
    again = shown["next"].removeprefix("Nothing was changed. ").removesuffix(" does it.")
    done = json.loads(typed(*shlex.split(again)[1:]).stdout)
    assert done["done"]
    shell(done["next"].removesuffix(" ; autoresearch start first"), tmp_path)
    assert git(folder, "log", "-1", "--format=%s", "--", "program.md").strip() == "Adopt autoresearch"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("said", "typed_words"),
    [
        ("read_score(3) waits for the score.", "`score 3 --wait` waits for the score."),
        ("`commit_or_revert(12, 'revert')` puts it back.", "`decide 12 --decision revert` puts it back."),
        ("start_campaign('first', tree='../another-tree').", "`start first --tree ../another-tree`."),
        ("start_campaign(tag, from_ref='LAB/n') begins", "`start tag --from LAB/n` begins"),
        (
            "commit_or_revert(2) decides; `learned` takes the lesson.",
            "`decide 2` decides; `--learned` takes the lesson.",
        ),
        ("append_learnings adds one; lab_status shows it.", "`learn` adds one; `status` shows it."),
    ],
)
def test_a_person_is_told_commands_and_their_options_where_an_agent_is_told_tools(said: str, typed_words: str) -> None:
    assert commands_in(said) == typed_words
    with click.Context(cli) as context:
        for line in re.findall(r"`([a-z]+ [^`]*)`", typed_words):
            name, *words = shlex.split(line)
            command = cli.get_command(context, name)
            assert command is not None
            assert {word for word in words if word.startswith("-")} <= {
                opt for one in command.params for opt in one.opts
            }


@pytest.mark.quick
def test_warnings_and_problems_are_in_words_of_who_types_as_next_steps_are() -> None:
    told = "It was scored: read_score(7)."
    console = Console(width=200)
    with console.capture() as said:
        for part in (
            *pages.brief(ExperimentReply(experiment=7, campaign="a", status="scored", warnings=[told], next=told)),
            *pages.lab(StatusReply(problems=[told], next=told), 200),
        ):
            console.print(part)
    assert said.get().count("It was scored: `score 7`.") == 4
    assert "read_score" not in said.get()


def test_the_lines_that_end_a_demonstration_name_its_folder_from_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a b" / "lab").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert asking.spelled(tmp_path / "a b" / "lab") == "'a b/lab'"
    assert asking.way_to(Path("a b/lab")) == ["cd 'a b/lab'"]
    monkeypatch.chdir(tmp_path / "a b" / "lab")
    assert asking.spelled(tmp_path / "a b") == f"'{tmp_path}/a b'"
    assert asking.way_to(tmp_path / "a b" / "lab") == []


@pytest.mark.quick
@pytest.mark.parametrize("onto", ["main", "origin/main", "refs/heads/main", "refs/remotes/origin/main"])
def test_a_pull_request_is_for_a_branch_of_the_host(onto: str) -> None:
    assert branch_of(onto) == "main"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("phases", "is_idle"),
    [([], True), (["pending"], True), (["pending", "waiting"], False), (["training"], False), (["paused"], False)],
)
def test_only_the_world_is_not_waited_for_until_a_lab_is_idle(phases: list[str], is_idle: bool) -> None:
    running = [ExperimentReply(experiment=1, campaign="first", status="running", phase=phase) for phase in phases]
    assert idle(StatusReply(running=running)) is is_idle


@pytest.mark.quick
@pytest.mark.parametrize(
    ("stamp", "said"),
    [
        ("2026-12-01T23:59:59.999+00:00", "2026-12-01 23:59 UTC"),
        ("2026-12-01T23:30:00-08:00", "2026-12-02 07:30 UTC"),
        ("2026-12-02T00:10:00+01:00", "2026-12-01 23:10 UTC"),
        ("2026-12-01T10:00:00", "2026-12-01 10:00 UTC"),
        ("", ""),
        ("yesterday\x1b[2J", "yesterday"),
    ],
)
def test_a_moment_says_of_which_zone_it_is(stamp: str, said: str) -> None:
    assert minute(stamp) == said
