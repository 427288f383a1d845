"""The command line against tiny real labs: what it prints, what it exits with, and what it leaves alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from rich.console import Console

from mcp_server.cli import cli
from mcp_server.commands.names import COMMANDS, TOOL_NAMES
from mcp_server.commands.screens import pages
from mcp_server.faces import terminal
from mcp_server.lab import Lab
from mcp_server.nouns.replies import DecisionReply
from mcp_server.views import history
from tests.labs import TRAIN, attempt, begun, edit, finish, git, make_lab, until

ROOT = Path(__file__).resolve().parent.parent


def call(folder: Path, *arguments: str) -> Result:
    """One command as a shell would run it in `folder`, without a terminal."""
    return CliRunner().invoke(cli, ["-C", str(folder), *arguments], prog_name="autoresearch")


@pytest.fixture(scope="module")
def researched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab after a night of three experiments: one kept, one discarded, one crashed. Only read by tests."""
    folder = tmp_path_factory.mktemp("researched")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_LOCKS", str(folder / "locks"))
        patch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        lab = make_lab(folder / "lab")
        begun(lab)
        attempt(lab, "KNOB 1 -> 2", KNOB=2.0)
        lab.append_learnings("Towards three is better.", 2, ["knob"])
        attempt(lab, "KNOB 2 -> 9", KNOB=9.0)
        lab.paths.tree.joinpath("train.py").write_text(TRAIN.replace("KNOB = 1.0", "KNOB = undefined"))
        number = lab.run_experiment("a slip").experiment
        finish(lab, number)
        lab.commit_or_revert(number)
        lab.close()
    return folder / "lab"


# --- help and errors --------------------------------------------------------------------------------------------------


def test_help_answers_without_loading_what_commands_need() -> None:
    program = (
        "import sys; from mcp_server.cli import cli; cli(['--help'], standalone_mode=False);"
        "print(sorted({'torch', 'matplotlib', 'rich', 'pydantic', 'mcp', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.endswith("[]\n")
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    if name == "prepare":
        return  # its help is prepare.py's own
    done = CliRunner().invoke(cli, [name, "--help"])
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: cli {name}")


def test_every_tool_of_the_server_is_a_command_too() -> None:
    tools = (
        *("run_experiment", "read_score", "commit_or_revert", "append_learnings", "recall", "lab_status"),
        *("start_campaign", "cancel_experiment"),
    )
    for tool in tools:
        for spelled in (tool, tool.replace("_", "-")):
            assert CliRunner().invoke(cli, [spelled, "--help"]).exit_code == 0, spelled
    assert set(TOOL_NAMES.values()) <= set(COMMANDS)


def test_a_command_that_does_not_exist_is_told_with_the_nearest_one() -> None:
    done = CliRunner().invoke(cli, ["scroe"])
    assert done.exit_code == 2
    assert "There is no command `scroe`. Did you mean `score`?" in done.stderr


def test_an_error_names_commands_where_the_server_names_tools(researched: Path) -> None:
    done = call(researched, "show", "77")
    assert done.exit_code == 1
    assert done.stderr.endswith(" `status` lists the last ones.\n")


@pytest.mark.parametrize(
    ("command", "where", "code", "said"),
    [
        ("--help", "> /dev/full", 1, "Error: The disk refused: [Errno 28] No space left on device. "),
        ("status", "> /dev/full", 1, "Error: The disk refused: [Errno 28] No space left on device. "),
        ("history", ">&-", 0, ""),
        ("history", "<&- >&-", 0, ""),
        ("history --json", "| true", 1, ""),
    ],
)
def test_an_output_that_takes_nothing_is_no_traceback(
    researched: Path, command: str, where: str, code: int, said: str
) -> None:
    line = f"set -o pipefail; {sys.executable} -m mcp_server.cli -C {researched} {command} {where}"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environ)
    assert (done.returncode, done.stderr[: len(said) or None]) == (code, said)


def test_a_folder_without_a_repository_is_an_error_in_two_sentences(tmp_path: Path) -> None:
    done = call(tmp_path, "status")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: {tmp_path} is not in a git repository. Run `git init`")


def test_a_folder_that_is_gone_is_an_error_in_two_sentences(tmp_path: Path) -> None:
    line = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m mcp_server.cli status"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, env=environ)
    assert (done.returncode, done.stderr) == (
        1,
        "Error: The folder that this was called in is gone. Go to one that is there.\n",
    )


def test_a_repository_without_a_program_is_an_error_and_nothing_is_created(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    done = call(tmp_path, "run", "an idea")
    assert done.exit_code == 1
    assert "There is no program.md" in done.stderr
    assert not (tmp_path / ".git" / "autoresearch").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "two\nlines"), "more than one line"),
        (("learn", ""), "empty"),
        (("score", "99"), "no experiment 99"),
        (("start", "../up"), "cannot be a tag"),
        (("--campaign", "other", "score"), "There is no campaign other"),
        (("history", "--status", "lost"), "No experiment to show"),
    ],
)
def test_bad_input_is_refused_on_stderr_with_exit_code_one(
    researched: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = call(researched, *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr


# --- the way of an experiment -----------------------------------------------------------------------------------------


def test_a_decision_that_waits_may_be_asked_for_while_something_still_runs(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    edit(lab, KNOB=2.0)
    call(tmp_path / "lab", "run", "nearer", "--no-wait")
    decided = call(tmp_path / "lab", "decide", "--wait", "--json")
    assert json.loads(decided.stdout)["decision"] == "kept"


def test_one_experiment_from_start_to_lesson(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    folder = tmp_path / "lab"
    started = call(folder, "start", "first", "--no-calibrate", "--wait", "--json")
    assert json.loads(started.stdout)["score"] == 4.0
    edit(lab, KNOB=2.0)
    ran = call(folder, "run", "KNOB 1 -> 2", "--hypothesis", "nearer to three", "--expect", "3")
    assert ran.exit_code == 0
    assert "score       1.00000 squares" in ran.stdout
    assert "gain        +3.00000" in ran.stdout
    assert "→ `decide 2` decides" in ran.stdout
    assert "experiment 2: scor" in ran.stderr
    decided = call(folder, "decide", "--wait", "--json", "--learned", "Two is nearer to three than one.")
    assert json.loads(decided.stdout)["decision"] == "kept"
    assert json.loads(decided.stdout)["learning"] == 1
    assert "Two is nearer" in call(folder, "recall", "nearer").stdout
    learned = call(folder, "learn", "Steps of one are safe.", "--experiment", "2", "--tag", "knob")
    assert learned.stdout == "learning  2: Steps of one are safe.\n"
    second = call(folder, "start", "first", "--tree", "../second", "--json")
    assert json.loads(second.stdout)["campaign"] == "first"
    assert (tmp_path / "second" / ".git").is_file()
    edit(lab, KNOB=7.0)
    opened = json.loads(call(folder, "run", "far away", "--no-wait", "--json").stdout)
    assert (opened["experiment"], "score" in opened) == (3, False)
    waited = call(folder, "score", "3", "--wait", "--json")
    assert json.loads(waited.stdout)["score"] == 16.0
    wished = call(folder, "keep", "3")
    assert (wished.exit_code, wished.stdout) == (1, "")
    assert "The referee does not keep experiment 3" in wished.stderr
    put_back = call(folder, "revert", "3")
    assert "put back    train.py" in put_back.stdout
    assert "KNOB = 2.0" in (folder / "train.py").read_text()
    lab.close()


def test_ctrl_c_ends_the_wait_and_says_that_the_run_goes_on(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begun(lab)
    edit(lab, KNOB=2.0, SECONDS=60.0)
    command = [sys.executable, "-m", "mcp_server.cli", "-C", str(tmp_path / "lab"), "run", "slow"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, process_group=0
    ) as waiting:
        assert waiting.stderr is not None
        for line in waiting.stderr:
            if "training" in line or "starting" in line:
                break
        os.killpg(waiting.pid, signal.SIGINT)  # as a terminal does
        rest, _ = waiting.stderr.read(), waiting.wait()
    assert waiting.returncode == 130
    assert "experiment 2 goes on" in rest
    assert "`autoresearch cancel 2` stops it" in rest
    assert lab.read_score(2).open
    assert call(tmp_path / "lab", "cancel", "2").exit_code == 0
    finish(lab, 2)
    assert lab.read_score(2).status == "cancelled"
    lab.close()


# --- looking ----------------------------------------------------------------------------------------------------------


def test_status_tells_the_best_the_gain_and_the_last_experiments(researched: Path) -> None:
    done = call(researched, "status")
    assert "best      1.00000  experiment 2: KNOB 1 -> 2" in done.stdout
    assert "#3 discarded" in done.stdout
    assert "Towards three is better." in done.stdout
    assert json.loads(call(researched, "status", "--json").stdout)["incumbent"]["experiment"] == 2
    assert len(call(researched, "status", "--brief").stdout.splitlines()) <= 5


def test_history_is_a_table_with_a_line_for_each_experiment(researched: Path) -> None:
    done = call(researched, "history")
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["1", "kept,"], ["2", "kept,"], ["3", "discarded"], ["4", "crashed"]
    ]  # fmt: skip
    assert "—" in lines[4]  # a crash has no score, and none is shown


def test_history_can_be_filtered_and_read_by_programs(researched: Path) -> None:
    found = json.loads(call(researched, "history", "--status", "crashed", "--status", "discarded", "--json").stdout)
    assert [row["experiment"] for row in found["experiments"]] == [3, 4]
    assert found["left_out"] == 2
    newest = json.loads(call(researched, "history", "--limit", "1", "--json").stdout)
    assert [row["status"] for row in newest["experiments"]] == ["crashed"]


def test_show_has_the_diff_the_verdict_and_what_was_learned(researched: Path) -> None:
    done = call(researched, "show", "2")
    assert "-KNOB = 1.0\n+KNOB = 2.0\n" in done.stdout
    assert "learned      Towards three is better." in done.stdout
    assert "git show refs/autoresearch/first/2" in done.stdout


def test_show_tells_why_a_run_crashed(researched: Path) -> None:
    done = call(researched, "show", "4")
    assert "NameError" in done.stdout
    assert "undefined" in done.stdout
    assert json.loads(call(researched, "show", "4", "--json").stdout)["score"]["crash"]["kind"] == "NameError"


def test_a_discarded_change_can_be_taken_up_again_from_show(researched: Path) -> None:
    diff = json.loads(call(researched, "show", "3", "--json").stdout)["diff"]
    checked = subprocess.run(["git", "apply", "--check"], input=diff, text=True, cwd=researched, capture_output=True)
    assert checked.returncode == 0, checked.stderr


def test_recall_finds_by_constant(researched: Path) -> None:
    done = call(researched, "recall", "--knob", "KNOB")
    assert "#2 kept" in done.stdout
    assert "#3 discarded" in done.stdout


def test_watch_until_idle_tells_every_experiment_once(researched: Path) -> None:
    done = call(researched, "watch", "--until-idle")
    assert [line.split("\t")[:2] for line in done.stdout.splitlines()][1] == ["2", "kept"]
    rows = [json.loads(line) for line in call(researched, "watch", "--until-idle", "--json").stdout.splitlines()]
    assert [row["experiment"] for row in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize(("encoding", "command"), [("ascii", "status"), ("latin-1", "history")])
def test_a_terminal_that_lacks_a_sign_shows_another_in_its_place(researched: Path, encoding: str, command: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    line = [sys.executable, "-m", "mcp_server.cli", "-C", str(researched), command]
    done = subprocess.run(line, capture_output=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"?")  # the arrow, plus and minus


def test_plain_output_has_no_colours_no_padding_and_whole_lines(researched: Path) -> None:
    for command in ("status", "history", "show", "recall"):
        text = call(researched, command).stdout
        assert "\x1b" not in text
        assert all(line == line.rstrip() for line in text.splitlines()), command
        assert "…" not in text


# --- on a screen ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_page_fits_the_width_of_the_terminal(researched: Path, width: int) -> None:
    lab = Lab(researched)
    shown = [
        *pages.lab(lab.lab_status(), width),
        *pages.table(history.history(lab)),
        *(part for number in (2, 4) for part in pages.experiment(history.page(lab, lab.read_score(number)))),
    ]
    lab.close()
    console = Console(width=width, force_terminal=True, markup=False, highlight=False)
    for part in shown:
        for line in console.render_lines(part) if part is not None else []:
            assert sum(segment.cell_length for segment in line) <= width


def test_no_color_is_honoured_on_a_terminal(researched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    lab = Lab(researched)
    console = Console(width=100, force_terminal=True, markup=False)
    with console.capture() as captured:
        console.print(*pages.table(history.history(lab)))
    lab.close()
    assert "\x1b[3" not in captured.get()  # weight and dimness may stay, colours not


def test_what_an_agent_wrote_is_never_read_as_markup() -> None:
    row = history.HistoryRow(experiment=1, status="scored", description="[bold red]loud[/] :boom: [link=x]y[/link]")
    console = terminal.screen()
    with console.capture() as captured:
        console.print(*pages.table(history.HistoryReply(campaign="x", experiments=[row])))
    assert "[bold red]loud[/] :boom: [link=x]y[/link]" in captured.get()


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.682958, "1.68296"), (0.0, "0.00000"), (None, "—"), (12345.678, "12,345.7"), (float("nan"), "nan")],
)
def test_scores_are_written_in_six_digits_or_so(value: float | None, said: str) -> None:
    assert terminal.number(value) == said


def test_a_sparkline_falls_as_its_curve_does_and_leaves_gaps_for_what_is_no_number() -> None:
    assert terminal.sparkline([8, 7, 6, 5, 4, 3, 2, 1]) == "█▇▆▅▄▃▂▁"
    assert terminal.sparkline([1.0, float("nan"), 2.0]) == "▁ █"
    assert len(terminal.sparkline(list(range(1000)), 60)) == 60
    assert terminal.sparkline([]) == ""


# --- beginnings -------------------------------------------------------------------------------------------------------


def test_the_steps_after_new_lead_to_a_lab_wherever_it_was_written(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    reply = json.loads(call(tmp_path, "new", "packing", "two words/lab", "--json").stdout)
    steps = [step for step in reply["next"].split(" ; ") if step.startswith(("cd ", "git "))]
    identity = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    line = " && ".join(steps).replace("git commit", "git commit -qm first")
    subprocess.run(["bash", "-c", line], env={**os.environ, **identity}, check=True, capture_output=True)
    assert git(tmp_path / "two words" / "lab", "rev-parse", "--show-prefix") == "\n"  # program.md lies at the top
    assert git(tmp_path / "two words" / "lab", "status", "--porcelain") == ""


def test_new_writes_the_three_files_and_a_first_commit(tmp_path: Path) -> None:
    done = call(tmp_path, "new", "lm", "lab", "--json")
    assert json.loads(done.stdout)["files"] == ["program.md", "prepare.py", "train.py"]
    assert git(tmp_path / "lab", "status", "--porcelain") == ""
    assert git(tmp_path / "lab", "log", "--format=%s").strip() == "Begin the lab"
    assert (tmp_path / "lab" / "train.py").read_bytes() == (ROOT / "train.py").read_bytes()


def test_new_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("mine\n")
    done = call(tmp_path, "new", "lm")
    assert done.exit_code == 1
    assert "train.py exists in" in done.stderr
    assert (tmp_path / "train.py").read_text() == "mine\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.py"]


def test_new_in_a_repository_leaves_the_commit_to_its_owner(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    done = call(tmp_path, "new", "lm")
    assert "git add program.md prepare.py train.py && git commit" in done.stdout
    assert git(tmp_path, "status", "--porcelain").count("??") == 3


def test_new_without_a_name_lists_the_templates(tmp_path: Path) -> None:
    assert "lm" in json.loads(call(tmp_path, "new", "--json").stdout)["templates"]
    assert call(tmp_path, "new", "nothing").exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_prepare_hands_its_arguments_to_the_labs_own_script(tmp_path: Path) -> None:
    (tmp_path / "prepare.py").write_text("import sys; print(sys.argv[1:]); sys.exit(3)\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mcp_server.cli", "-C", str(tmp_path), "prepare", "--corpus", "stdlib", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (3, "['--corpus', 'stdlib', '--help']\n")


@pytest.mark.parametrize("end", ["hang up", "kill"])
def test_serve_brings_the_live_page_and_takes_it_along(researched: Path, end: str) -> None:
    command = [sys.executable, "-m", "mcp_server.cli", "-C", str(researched), "serve"]
    env = {**os.environ, "AUTORESEARCH_DASHBOARD": "on"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=env, text=True, **pipes) as server:
        assert server.stderr is not None
        link = next(line for line in server.stderr if "/open?token=" in line)
        port = urllib.parse.urlsplit(link).port
        assert port is not None
        assert answers(port)
        if end == "kill":
            server.kill()
        else:
            server.communicate()
    until(lambda: not answers(port))


def answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def test_serve_speaks_mcp_on_stdio_for_the_lab_it_is_pointed_at(researched: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "mcp_server.cli", "-C", str(researched), "serve"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd="/",
    )

    async def ask() -> tuple[set[str], dict[str, Any]]:
        async with Client(stdio_client(command)) as client:
            tools = await client.list_tools()
            answer = await client.call_tool("lab_status", {})
            return {tool.name for tool in tools.tools}, answer.structured_content or {}

    names, status = anyio.run(ask)
    assert {"run_experiment", "read_score", "commit_or_revert", "lab_status"} <= names
    assert status["campaign"] == "first"


def test_a_decision_says_between_what_the_gain_lies() -> None:
    reply = DecisionReply(experiment=4, decision="kept", change=0.00616, interval=[-0.0013, 0.0136], noise_widths=10.5)
    console = Console(width=100)
    with console.capture() as said:
        for part in pages.decision(reply):
            console.print(part)
    assert "+0.00616  95 %: -0.0013 to +0.0136 · +10.5 noise widths" in said.get()


def test_a_command_that_has_nothing_to_show_says_so(tmp_path: Path) -> None:
    begun(make_lab(tmp_path / "lab")).close()
    for command, said in (("note", "Nothing was said yet."), ("prune", "no provisional keep"), ("ideas", "No ideas")):
        done = call(tmp_path / "lab", command)
        assert (done.exit_code, said in done.output) == (0, True), done.output


def test_a_hint_that_says_that_a_command_waits_names_the_one_that_does(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", train=TRAIN.replace("SECONDS = 0.0", "SECONDS = 1.0"))
    tree = lab.paths.tree
    assert "`score 1 --wait` waits" in call(tree, "start", "first").output
    assert call(tree, "score", "1", "--wait").exit_code == 0
    assert lab.read_score(1).status == "kept"
