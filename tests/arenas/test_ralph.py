"""The loop of fresh agents: six stories by a scripted agent that also crashes, hangs, cheats and boasts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mcp_server.campaign.trees.company import loop_folder, loop_lock
from mcp_server.commands.screens.turns import Screen, ending
from mcp_server.lab import Lab
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import is_locked, locked
from mcp_server.nouns.records import Tier
from mcp_server.personal.file import personal_file
from mcp_server.ralph import agent, settling
from mcp_server.ralph.driver import Plan, Report, Turn, loop
from mcp_server.ralph.pacing import End, Limits, Outcome
from mcp_server.ralph.prompt import prompt_for
from mcp_server.ralph.settling import Position
from mcp_server.runner.sandbox import probe
from mcp_server.setup.newlab import template, write_lab
from tests.arenas.campaigns import ROOT
from tests.arenas.scripted_agent import program
from tests.arenas.test_delayed import orders, outreach
from tests.labs import begun, edit, finish, git, make_lab, until
from tests.labs import told as people_told
from tests.rules.test_loop_rules import CLAUDE, C, H, K, L, N, R

AGENT = ROOT / "tests" / "arenas" / "scripted_agent.py"
ARENA = ROOT / "arenas" / "ralph"


class Witness:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.turns: list[Turn] = []
        self.lines: list[str] = []

    def say(self, words: str) -> None:
        self.words.append(words)

    def began(self, number: int, position: Position) -> None:
        pass

    def heard(self, number: int, seconds: float, line: str) -> None:
        self.lines.append(line)

    def ended(self, turn: Turn) -> None:
        self.turns.append(turn)


def state_of(folder: Path) -> Path:
    """The loop's own folder in a lab's state: one for each work tree."""
    (found,) = (folder / ".git" / "autoresearch" / "ralph").iterdir()
    return found


def looped(folder: Path, *command: str, **given: Any) -> tuple[Report, Witness, list[float]]:
    """A loop in a lab whose rests take no time."""
    witness, rests = Witness(), []
    words = command or (sys.executable, str(AGENT))
    plan = Plan(folder, words, **{"iteration_seconds": 60.0, **given})
    return loop(plan, witness, rests.append), witness, rests


def built(folder: Path) -> Path:
    write_lab(template("ralph"), folder, own_repository=True)
    return folder


# --- the acceptance checks --------------------------------------------------------------------------------------------


def scored(artifact: Path) -> dict[str, Any]:
    environment = {**os.environ, "AUTORESEARCH_ARTIFACT": str(artifact)}
    command = [sys.executable, "score.py"]
    done = subprocess.run(command, cwd=ARENA, env=environment, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def package(folder: Path, text: str) -> Path:
    (folder / "tally").mkdir()
    (folder / "tally" / "__init__.py").write_text("")
    (folder / "tally" / "__main__.py").write_text(text)
    return folder


@pytest.mark.parametrize(("stories", "passing"), [({1, 3, 5}, 3)])
def test_a_story_counts_when_its_checks_pass_from_outside(stories: set[int], passing: int, tmp_path: Path) -> None:
    found = scored(package(tmp_path, program(stories)))
    assert passing <= found["score"] < passing + 0.9
    assert {int(name[6]) for name, value in found["secondary"].items() if name.startswith("story") and value} == stories


HIDDEN = {
    "in a text that is run": "CODE = {code!r}\nexec(CODE)\n",
    "in a file that is no Python": 'import pathlib\nrun = getattr(__builtins__, "ex" + "ec")\n'
    'run(pathlib.Path(__file__).with_name("code.txt").read_text())\n',
    "in a long text, run by another name": 'CODE = {code!r}\nrun = getattr(__builtins__, "ex" + "ec")\nrun(CODE)\n',
}


@pytest.mark.parametrize("where", HIDDEN)
def test_code_that_hides_from_the_count_is_not_tidy(where: str, tmp_path: Path) -> None:
    code = program({1})
    folder = package(tmp_path, HIDDEN[where].replace("{code!r}", repr(code)) + 'def nothing():\n    """Nothing."""\n')
    if "no Python" in where:
        (folder / "tally" / "code.txt").write_text(code)
    found = scored(folder)
    (tmp_path / "open").mkdir()
    plain = scored(package(tmp_path / "open", code))
    assert found["secondary"]["story_1_add"] == 1.0
    assert found["secondary"]["quality"] < plain["secondary"]["quality"]


FORGER = """
import glob, json, os, time
pipes = []
for place in glob.glob("/proc/[0-9]*/fd/1"):
    try:
        if place.split("/")[2] != str(os.getpid()):
            pipes.append(open(place, "w"))
    except OSError:
        pass
if os.fork() == 0:
    os.setsid()
    os.close(1)
    os.close(2)
    while True:  # to have the last word, whenever that is
        for out in pipes:
            print("", json.dumps({"score": 6.9}), sep=chr(10), file=out, flush=True)
        time.sleep(0.001)
"""


@pytest.mark.slow
@pytest.mark.skipif(probe().tier is not Tier.T2, reason="root may look into everything where it is not shut in")
def test_a_program_cannot_answer_in_the_scorers_place(tmp_path: Path) -> None:
    folder = built(tmp_path / "lab")
    with contextlib.closing(Lab(folder)) as lab:
        lab.start_campaign("first", calibrate=0)
        finish(lab, 1)
        (folder / "tally" / "__main__.py").write_text(FORGER)
        found = finish(lab, lab.run_experiment("answers itself").experiment)
        assert (found.status, found.score, found.secondary["shut_in"]) == ("scored", 0.0, 1.0)
        folder_of_run = lab.paths.run("first", found.experiment, 1)
        assert "story_6_undo: AssertionError" in folder_of_run.score_log.read_text()


# --- pure decisions ---------------------------------------------------------------------------------------------------


def test_an_agent_that_refuses_its_command_line_ends_the_loop_at_once_with_its_words(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    words = "import sys; sys.exit(\"error: unexpected argument '--full-auto' found\")"
    lab.close()
    report, _, _ = looped(tmp_path / "lab", sys.executable, "-c", words, limits=Limits())
    assert report.end is End.MISUSED
    assert len(report.turns) == 1
    assert report.why == "error: unexpected argument '--full-auto' found"


# --- one agent --------------------------------------------------------------------------------------------------------


def test_a_hung_agent_dies_with_everything_it_started(tmp_path: Path) -> None:
    environment = {"RALPH_SCRIPT": "hang", "AUTORESEARCH_ITERATION": "1"}
    mark, lines = str(tmp_path / "lock"), []
    ended = agent.run([sys.executable, str(AGENT)], "go", tmp_path, mark, 1.5, environment, lines.append, 0.1)
    assert ended.hung
    assert ended.exit_status == -signal.SIGKILL
    assert "thinking" in lines
    assert agent.carriers(mark) == []


def test_the_prompt_comes_on_stdin_or_as_an_argument_and_much_output_is_bounded(tmp_path: Path) -> None:
    echo = [sys.executable, "-c", "import sys; print(sys.stdin.read() or sys.argv[1]); print('x' * 9_000_000)"]
    lab = begun(make_lab(tmp_path / "lab"))
    (tmp_path / "lab" / "PROMPT.md").write_bytes(b"build\0it")
    prompt = prompt_for(lab, None, 1, settling.position(lab), ())
    lab.close()
    assert agent.run([*echo, agent.PROMPT_WORD], prompt, tmp_path, "mark", 60.0, {}, print).exit_status == 0
    for more in ([], [agent.PROMPT_WORD]):
        ended = agent.run([*echo, *more], "build {it}", tmp_path, "mark", 60.0, {}, lambda line: None)
        assert ended.exit_status == 0
        assert ended.text.startswith("build {it}")
        assert len(ended.text) < 500_000
    with pytest.raises(NotNow, match="cannot be started"):
        agent.run(["/no/such/agent"], "go", tmp_path, "mark", 1.0, {}, lambda line: None)


def test_what_an_agent_prints_is_shown_a_few_times_a_second_however_much_it_is(tmp_path: Path) -> None:
    chatter = "import time\nfor i in range(300):\n    print(i, flush=True)\n    time.sleep(0.002)\n"
    lines: list[str] = []
    ended = agent.run([sys.executable, "-c", chatter], "go", tmp_path, "mark", 60.0, {}, lines.append)
    assert ended.text.split() == [str(i) for i in range(300)]
    assert 1 <= len(lines) <= ended.seconds / agent.LOOK_SECONDS + 1


# --- the loop ---------------------------------------------------------------------------------------------------------


def test_it_drives_any_arena_and_completes_by_the_labs_score_alone(tmp_path: Path) -> None:
    """The same driver for agents without a loop of their own: here in the tests' arena of one constant."""
    lab = make_lab(tmp_path / "lab", more="stop: {target: 0.0}\n")
    lab.close()
    step = "import re, pathlib as p; f = p.Path('train.py'); t = f.read_text(); print('<promise>COMPLETE</promise>')"
    step += "; k = float(re.search(r'KNOB = (.*)', t)[1]); f.write_text(t.replace(f'KNOB = {k}', f'KNOB = {k + 1}'))"
    report, witness, _ = looped(tmp_path / "lab", sys.executable, "-c", step, limits=Limits(iterations=5))
    assert (report.end, len(report.turns)) == (End.COMPLETE, 2)
    assert [turn.outcome for turn in witness.turns] == [K, K]
    assert report.cost_unknown == 2
    assert any("the lab's checks do not" in words for words in witness.turns[0].said)
    assert not (tmp_path / "lab" / "progress.txt").exists()
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(*[part for part in ending(report) if part is not None], sep="\n")
    assert "The cost is unknown" in " ".join(captured.get().split())


def test_the_first_agent_is_told_why_the_baseline_has_no_score(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", train="import nowhere_to_be_found\n")
    said: list[str] = []
    settling.begin(lab, "ralph", said.append)
    prompt = prompt_for(lab, None, 1, settling.position(lab), ())
    lab.close()
    assert said == ["Campaign ralph: the baseline runs."]
    assert "The lab says: The baseline, experiment 1, crashed" in prompt
    assert "nowhere_to_be_found" in prompt


def test_an_agent_that_runs_and_decides_by_itself_was_not_idle(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))

    class Busy(Witness):
        def heard(self, number: int, seconds: float, line: str) -> None:
            if line == "at work" and len(self.lines) < number:
                self.lines.append(line)
                edit(lab, KNOB=-5.0 * number)
                tried = lab.run_experiment("worse").experiment
                finish(lab, tried)
                lab.commit_or_revert(tried, "revert")

    command = (sys.executable, "-c", "import time; print('at work', flush=True); time.sleep(1)")
    witness, rests = Busy(), []
    loop(Plan(tmp_path / "lab", command, limits=Limits(iterations=2, rest_seconds=0.5)), witness, rests.append)
    lab.close()
    assert [turn.outcome for turn in witness.turns] == [R, R]
    assert rests == [0.5]


def test_a_log_that_cannot_be_written_ends_no_turn(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    place = loop_folder(lab.paths.state, str(lab.paths.tree)) / "logs"
    place.parent.mkdir(parents=True)
    place.write_text("a file where a folder should be")
    lab.close()
    step = "from pathlib import Path; f = Path('train.py'); f.write_text(f.read_text().replace('KNOB = 1', 'KNOB = 2'))"
    report, witness, _ = looped(tmp_path / "lab", sys.executable, "-c", step, limits=Limits(iterations=1))
    assert ([turn.outcome for turn in witness.turns], report.end) == ([K], End.ITERATIONS)


def test_a_person_may_edit_and_amend_program_md_while_agents_may_not(tmp_path: Path) -> None:
    lab = begun(make_lab(tmp_path / "lab"))
    program = lab.paths.program
    amended = program.read_text().replace("grace_seconds: 1", "grace_seconds: 2")  # which only a person may say
    edited = amended.replace("Bring KNOB to three.", "Bring KNOB to three, slowly.")

    class Person(Witness):
        def heard(self, number: int, seconds: float, line: str) -> None:
            if line == "at work" and number == 1 and not self.lines:
                self.lines.append(line)
                program.write_text(amended)
                lab.amend(lab.amend().after)

    def between_turns(seconds: float) -> None:
        assert program.read_text() == amended
        program.write_text(edited)

    step = "import time; print('at work', flush=True); time.sleep(1); print(file=open('program.md', 'a'))"
    limits = Limits(iterations=2, rest_seconds=1.0)
    witness = Person()
    loop(Plan(tmp_path / "lab", (sys.executable, "-c", step), limits=limits), witness, between_turns)
    assert [turn.said[0] for turn in witness.turns] == ["program.md may not be changed; put back as they were."] * 2
    assert program.read_text() == edited
    lab.lab_status()
    with lab.reading() as (bench, campaign, _):
        assert bench.program(campaign.program).text == edited
    lab.close()


def test_ctrl_c_in_an_agents_turn_puts_back_what_it_may_not_change(tmp_path: Path) -> None:
    begun(make_lab(tmp_path / "lab")).close()
    before = {name: (tmp_path / "lab" / name).read_bytes() for name in ("program.md", "score.py")}

    class Impatient(Witness):
        def heard(self, number: int, seconds: float, line: str) -> None:
            if line == "at work":
                raise KeyboardInterrupt

    step = "import time; [print(file=open(name, 'a')) for name in ('program.md', 'score.py')]"
    command = (sys.executable, "-c", f"{step}; print('at work', flush=True); time.sleep(60)")
    plan, witness = Plan(tmp_path / "lab", command), Impatient()
    with pytest.raises(KeyboardInterrupt):
        loop(plan, witness)
    assert witness.words == ["program.md, score.py may not be changed; put back as they were."]
    assert {name: (tmp_path / "lab" / name).read_bytes() for name in before} == before


def test_a_used_up_quota_starts_no_agent_and_what_agents_cost_ends_the_loop(tmp_path: Path) -> None:
    begun(make_lab(tmp_path / "lab", more="stop: {cost: 0.4}\n")).close()
    people_told("quota: {experiments: 1, hours: 5}\n")
    step = "import re, pathlib as p; f = p.Path('train.py'); t = f.read_text(); k = re.search(r'KNOB = (.*)', t)[1]"
    step += f"; f.write_text(t.replace(f'KNOB = {{k}}', f'KNOB = {{float(k) + 0.5}}')); print({CLAUDE!r})"
    witness, waited = Witness(), []

    def wait(seconds: float) -> None:
        waited.append(len(witness.turns))
        if len(waited) == 3:
            personal_file().unlink()  # a person gives more

    plan = Plan(tmp_path / "lab", (sys.executable, "-c", step), limits=Limits(iterations=9), iteration_seconds=60.0)
    report = loop(plan, witness, wait)
    assert waited == [1, 1, 1]
    assert sum("quota of 1 experiments in 5 h is used up" in words for words in witness.words) == 1
    assert [turn.outcome for turn in witness.turns] == [K, K, K]  # 0.173 each, told by the agents
    assert report.end is End.RULE
    assert "0.52" in report.why


def test_two_loops_never_share_a_work_tree(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    lab.close()
    looped(tmp_path / "lab", "/bin/true", limits=Limits(iterations=1))
    lock = state_of(tmp_path / "lab") / "lock"
    assert not is_locked(lock)
    with locked(lock), pytest.raises(NotNow, match=r"start TAG --tree \.\./second"):
        looped(tmp_path / "lab", "/bin/true")


def test_a_loop_waits_for_nobody_in_another_work_tree_and_sees_to_what_nobody_is_left_for(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    program = lab.paths.tree / "program.md"
    program.write_text(program.read_text().replace("devices: cpu", "devices: cpu:0,1"))
    git(lab.paths.tree, "commit", "-q", "-a", "-m", "two at once")
    begun(lab)
    second = tmp_path / "second"
    git(tmp_path / "lab", "worktree", "add", "-q", "--detach", str(second), "autoresearch/first")
    step = (
        "import pathlib as p; f = p.Path('train.py'); f.write_text(f.read_text().replace('KNOB = 1.0', 'KNOB = 2.0'))"
    )
    with contextlib.closing(Lab(second)) as beside:
        beside.start_campaign("first")
        edit(beside, KNOB=2.5, SECONDS=600.0)
        long = beside.run_experiment("what another loop is at").experiment
        with locked(loop_lock(lab.paths.state, str(second))):
            until(lambda: beside.read_score(long).phase == "training")
            report, witness, _ = looped(tmp_path / "lab", sys.executable, "-c", step, limits=Limits(iterations=1))
            assert (report.end, witness.turns[0].outcome, witness.turns[0].experiment) == (End.ITERATIONS, K, 3)
            assert beside.read_score(long).phase == "training"
            beside.cancel_experiment(long)
            finish(beside, long)
            assert "commit_or_revert(2)" not in lab.lab_status().next
            assert "commit_or_revert(2)" in beside.lab_status().next
        assert "commit_or_revert(2)" in lab.lab_status().next
    _, witness, _ = looped(tmp_path / "lab", "/bin/true", limits=Limits(iterations=1))
    with lab.reading() as (bench, campaign, _):
        assert bench.ledger.undecided(campaign.tag) == []
    lab.close()


@pytest.mark.slow
def test_six_stories_by_an_agent_that_crashes_hangs_cheats_and_boasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = built(tmp_path / "lab")
    before = {name: (ARENA / name).read_bytes() for name in ("acceptance.py", "score.py", "prd.json", "program.md")}
    monkeypatch.setenv("RALPH_SCRIPT", "crash build hang build cheat limited claim build")
    report, witness, rests = looped(folder, iteration_seconds=6.0, limits=Limits(iterations=12, cost_usd=50.0))
    outcomes = [str(turn.outcome) for turn in witness.turns]
    assert outcomes[:8] == [C, K, H, K, outcomes[4], L, N, K]
    assert outcomes[4] in (R, N)  # nothing it left was better
    assert (report.end, report.position is not None and report.position.score is not None) == (End.COMPLETE, True)
    assert len(witness.turns) == 11  # six stories and five turns that brought none
    assert rests == [5.0, 60.0]  # after the crash, and after the refusal
    cheated = " ".join(witness.turns[4].said)
    for name in ("program.md", "acceptance.py", "score.py", "the lab makes the commits", "the lab's checks do not"):
        assert name in cheated
    for name, content in before.items():
        assert (folder / name).read_bytes() == content
    assert git(folder, "for-each-ref", "refs/autoresearch-refused").count("\n") == 1
    titles = git(folder, "log", "--format=%s", "autoresearch/ralph").splitlines()
    assert sum("built" in title for title in titles) == 6
    assert "all stories done" not in titles
    assert git(folder, "status", "--porcelain").split() == ["M", "progress.txt"]
    memory = (folder / "progress.txt").read_text()
    assert "[lab, iteration 11] kept; best score 6." in memory
    assert report.cost_usd == pytest.approx(0.25 * 10)  # eight told it; the crash and the hang count as the dearest
    assert agent.carriers(str(state_of(folder))) == []
    assert scored(folder)["score"] >= 6


@pytest.mark.slow
def test_the_loop_is_a_heartbeat_for_what_is_in_the_field(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    handover = outreach(folder, speed=24.0)  # a window of 3 s
    step = "import os, re, pathlib as p; f = p.Path('letter.py'); t = f.read_text(); n = os.environ['WORDS'].split()"
    step += "; words = n[int(os.environ['AUTORESEARCH_ITERATION']) - 1]"
    step += "; f.write_text(re.sub(r'(?m)^BODY_WORDS = [0-9]+', 'BODY_WORDS = ' + words, t))"
    witness = Witness()
    limits = Limits(iterations=5, rest_seconds=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORDS", "180 140 110 110 110")
        report = loop(Plan(folder, (sys.executable, "-c", step), limits=limits), witness)
    assert report.end is End.ITERATIONS
    outcomes = [turn.outcome for turn in witness.turns]
    assert outcomes[0] is Outcome.OUT  # nothing was waited for
    with contextlib.closing(Lab(folder)) as lab:
        for number in (1, 2, 3, 4):
            assert finish(lab, number).score is not None
        with lab.reading() as (bench, campaign, _):
            runs = [one for number in (1, 2, 3, 4) for one in bench.ledger.runs(campaign.tag, number)]
    assert set(orders(handover)) == {f"ralph-{run.experiment}-{run.run}" for run in runs}


@pytest.mark.slow
def test_ctrl_c_leaves_no_agent_and_no_run_and_a_dead_loop_is_cleared_away(tmp_path: Path) -> None:
    folder = built(tmp_path / "lab")
    command = [sys.executable, "-m", "mcp_server.cli", "-C", str(folder), "ralph", "--json", "--", sys.executable]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RALPH_SCRIPT": "hang"}

    def started(after: str) -> subprocess.Popen[str]:
        """A loop whose agent hangs, `after` it has said something."""
        child = subprocess.Popen(
            [*command, str(AGENT)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert child.stdout is not None
        while after not in (line := child.stdout.readline()):
            assert line, child.communicate()
        until(lambda: agent.carriers(str(state_of(folder))))
        return child

    with started("the baseline runs") as killed:
        killed.kill()
        killed.communicate()
    assert agent.carriers(str(state_of(folder))) != []  # nobody was left to end it
    with started("of a loop that died") as second:
        second.send_signal(signal.SIGINT)
        _, said = second.communicate()
    assert second.returncode == 130
    assert "no agent and no run is left" in said
    assert agent.carriers(str(state_of(folder))) == []
    assert not any(is_locked(lock) for lock in folder.glob(".git/autoresearch/runs/*/*/*/alive.lock"))


# --- the view ---------------------------------------------------------------------------------------------------------


def test_the_live_screen_fits_its_terminal() -> None:
    console = Console(width=80, height=30, force_terminal=True, color_system=None)
    screen = Screen(console, "claude -p " + "--option " * 30)
    screen.began(1, Position(1.2, 2, {}, False, "", 6.0))
    screen.ended(Turn(1, Outcome.KEPT, 61.0, 3, 2.4, 0.31, None, ("Experiment 3 kept: " + "why " * 60,), "did it", ""))
    screen.began(2, Position(2.4, 3, {}, False, "", 6.0))
    screen.heard(2, 3.0, "reading " * 40)
    with console.capture() as captured:
        console.print(screen.draw())
    text = captured.get()
    assert all(len(line) <= 80 for line in text.splitlines())
    for words in ("2.40000 of 6", "$0.31", "kept", "at work", "did it"):
        assert words in text
    with contextlib.suppress(ValueError):
        assert text.index("kept") < text.index("at work")
