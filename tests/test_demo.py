"""The demonstration on a tiny arena without torch: the real server over stdio, the real loop, real runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from mcp_server.arena.program import parse_program
from mcp_server.commands.screens.stage import Screen, ending
from mcp_server.lab import Lab
from mcp_server.nouns.errors import AutoresearchError, WorkspaceError
from mcp_server.researcher.demo import MARK, Plan, _program, demonstrate, fit, make_room, stop_runs
from mcp_server.researcher.loop import Outcome, Pace, _goes_on, repeat_fits
from mcp_server.setup.newlab import Template, template
from mcp_server.views.history import HistoryRow
from tests.labs import PROGRAM, git

ROOT = Path(__file__).resolve().parent.parent


class Witness:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.rows: list[HistoryRow] = []
        self.phases: list[str] = []

    def say(self, words: str) -> None:
        self.words.append(words)

    def show(self, row: HistoryRow) -> None:
        self.rows.append(row)

    def progress(self, what: str, left_seconds: float, said: str) -> None:
        self.phases.append(f"{what}: {said}")


TRAIN = """\
import json, os, pathlib, time
KNOB_RATE = 1.0
OTHER_RATE = 0.4
ROWS = 4
SECONDS = 0.0
time.sleep(SECONDS)
values = {"knob": KNOB_RATE, "other": OTHER_RATE, "rows": ROWS, "seed": int(os.environ["AUTORESEARCH_SEED"])}
(pathlib.Path(os.environ["AUTORESEARCH_OUT"]) / "model.json").write_text(json.dumps(values))
"""
SCORE = """\
import json, os, pathlib, random
model = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
loss = (model["knob"] - 3) ** 2 + model["other"] ** 2 + 1 / model["rows"]
print(json.dumps({"score": loss + 0.001 * random.Random(model["seed"]).gauss(0, 1)}))
"""


def tiny(folder: Path, seconds: float = 0.0) -> Template:
    """A template whose runs take a moment and whose optimum is known: KNOB_RATE at 3, OTHER_RATE at 0, many ROWS."""
    folder.mkdir()
    for name, text in (
        ("program.md", PROGRAM.format(more="")),
        ("train.py", TRAIN.replace("SECONDS = 0.0", f"SECONDS = {seconds}")),
        ("score.py", SCORE),
    ):
        (folder / name).write_text(text)
    return Template("tiny", {name: folder / name for name in ("program.md", "train.py", "score.py")})


def plan(tmp_path: Path, **more: object) -> Plan:
    given = {"budget_seconds": None, "experiments": 5, "calibrate": 1, "limit_seconds": 0.0, **more}
    return Plan(folder=tmp_path / "demo-lab", template=tiny(tmp_path / "template"), **given)  # type: ignore[arg-type]


def running(folder: Path) -> list[str]:
    """Command lines of living processes that work in a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, Witness]:
    """One demonstration that all tests look at."""
    folder, witness = tmp_path_factory.mktemp("shown"), Witness()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_LOCKS", str(folder / "locks"))
        patch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        patch.setenv("AUTORESEARCH_CHART", "on")
        outcome = demonstrate(plan(folder), witness)
    return folder / "demo-lab", outcome, witness


def test_it_makes_five_experiments_whatever_the_time_and_keeps_what_is_better(
    shown: tuple[Path, Outcome, Witness],
) -> None:
    outcome = shown[1]
    assert list(outcome.rows) == [1, 2, 3, 4, 5, 6]
    assert outcome.kept
    assert all(row.score is not None and row.change is not None and row.change > 0 for row in outcome.kept)
    baseline, best = outcome.rows[1].score, outcome.kept[-1].score
    assert baseline is not None
    assert best is not None
    assert best < baseline
    assert outcome.status is not None
    assert outcome.status.incumbent is not None
    assert outcome.status.incumbent.experiment == outcome.kept[-1].experiment


def test_the_branch_holds_exactly_what_was_kept_and_the_vault_every_attempt(
    shown: tuple[Path, Outcome, Witness],
) -> None:
    folder, outcome, _ = shown
    titles = git(folder, "log", "--format=%s", "--reverse", "autoresearch/demo").splitlines()
    assert titles[0] == "Begin the lab"
    kept = [1, *(row.experiment for row in outcome.kept)]
    assert [title.split(":")[0] for title in titles[1:]] == [f"Experiment {number}" for number in kept]
    refs = git(folder, "for-each-ref", "--format=%(refname)", "refs/autoresearch/demo").split()
    assert sorted(int(ref.rpartition("/")[2]) for ref in refs) == [1, 2, 3, 4, 5, 6]
    assert git(folder, "status", "--porcelain") == ""


def test_it_writes_down_what_it_learned_and_draws_the_views(shown: tuple[Path, Outcome, Witness]) -> None:
    folder, _, witness = shown
    lab = Lab(folder)
    with lab.reading() as (bench, _, _):
        learned = bench.ledger.learnings()
    lab.close()
    assert {learning.experiment for learning in learned} <= {2, 3, 4, 5, 6}
    assert len(learned) >= 3  # near repetitions are refused, and said
    assert all(learning.text in witness.words for learning in learned)
    assert (folder / "progress.png").read_bytes().startswith(b"\x89PNG")
    assert len((folder / "results.tsv").read_text().splitlines()) == 7


def test_nothing_runs_when_it_is_over(shown: tuple[Path, Outcome, Witness]) -> None:
    assert running(shown[0]) == []


def test_an_earlier_demonstration_is_replaced_and_anything_else_is_left_alone(
    shown: tuple[Path, Outcome, Witness], tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    make_room(mine)  # empty: nothing to lose
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(WorkspaceError, match="was left alone"):
        make_room(mine)
    assert (mine / "thesis.tex").read_text() == "years of work"
    old = tmp_path / "old"
    (old / ".git" / "artifact").mkdir(parents=True)
    (old / ".git" / MARK).touch()
    (old / ".git" / "artifact").chmod(0o500)
    make_room(old)
    assert not old.exists()


def test_the_ending_tells_the_table_the_totals_and_how_to_go_on(shown: tuple[Path, Outcome, Witness]) -> None:
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(*ending(shown[1], "loss"), sep="\n")
    text = captured.get()
    for words in ("baseline: unchanged code", "claimed", "chart", "Claude Code", "/loop autoresearch", "Codex"):
        assert "".join(words.split()) in "".join(text.split()), words  # lines may be broken anywhere
    assert all(len(line) <= 80 for line in text.splitlines())


def test_ending_it_early_leaves_nothing_behind(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.test_demo import *;"
        "from mcp_server.faces.terminal import screen;"
        "place = Path(sys.argv[1]);"
        "chosen = Plan(folder=place / 'demo-lab', template=tiny(place / 'template', 30.0), budget_seconds=None);"
        "demonstrate(chosen, Lines(screen()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        process_group=0,
    ) as demonstration:
        assert demonstration.stdout is not None
        for line in demonstration.stdout:
            if "experiment 1, training" in line or "experiment 1, starting" in line:
                break
        os.kill(demonstration.pid, signal.SIGINT)
        demonstration.communicate()
    assert demonstration.returncode != 0
    assert running(tmp_path / "demo-lab") == []


def test_stopping_where_nothing_was_begun_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "program.md").write_text(PROGRAM.format(more=""))
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    stop_runs(tmp_path)


def test_a_budget_is_made_smaller_on_a_slow_machine_and_never_larger_than_asked(tmp_path: Path) -> None:
    chosen = Plan(folder=tmp_path, template=template("lm"), budget_seconds=20.0)
    assert fit(chosen, speed=0.4, busy=1.0) == chosen
    for speed, busy in ((1.2, 1.0), (0.6, 0.6)):
        slower = fit(chosen, speed, busy)
        assert slower.budget_seconds is not None
        assert 6.0 < slower.budget_seconds < 20.0
        assert slower.calibrate == 2
    slowest = fit(chosen, speed=30.0, busy=0.3)
    assert (slowest.budget_seconds, slowest.calibrate) == (6.0, 2)  # a noise that is not known proves nothing
    arena = parse_program(_program(slowest).decode()).arena
    assert (arena.budget.seconds, arena.keep.confirm, arena.budget.startup_seconds) == (6.0, "auto", 120)
    assert arena.keep.min_delta == 0.0025


def test_it_goes_on_for_a_first_success_while_there_is_time(tmp_path: Path) -> None:
    pace = Pace(began=time.monotonic(), experiments=6, limit_seconds=1000.0)
    rows = {number: HistoryRow(experiment=number, status="discarded", kind="attempt") for number in range(1, 8)}
    without = Outcome(tmp_path, rows)
    assert _goes_on(pace, without, slot=1.0)
    assert not _goes_on(pace, without, slot=2000.0)
    assert _goes_on(pace, Outcome(tmp_path, dict(list(rows.items())[:5])), slot=2000.0)
    kept = Outcome(tmp_path, {**rows, 2: HistoryRow(experiment=2, status="kept", kind="attempt")})
    assert not _goes_on(pace, kept, slot=1.0)


def test_one_idea_is_not_repeated_until_no_time_is_left_for_the_others() -> None:
    pace = Pace(began=time.monotonic(), experiments=6, limit_seconds=1000.0)
    assert repeat_fits(pace, done=1, slot=190.0)  # four more are owed
    assert not repeat_fits(pace, done=1, slot=210.0)
    assert repeat_fits(pace, done=5, slot=900.0)
    assert not repeat_fits(pace, done=5, slot=1100.0)


def test_a_server_that_cannot_start_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    broken = plan(tmp_path)
    broken.template.files["score.py"].write_text("raise SystemExit('no score today')\n")
    with pytest.raises(AutoresearchError, match="The baseline has no score"):
        demonstrate(broken, Witness())


def test_the_live_screen_fits_its_terminal_and_shows_the_run_under_way() -> None:
    console = Console(width=80, height=30, force_terminal=True, color_system=None)
    screen = Screen(console)
    screen.say("A throw-away lab.")
    screen.show(HistoryRow(experiment=1, status="kept", label="baseline", score=1.68, description="baseline"))
    screen.show(HistoryRow(experiment=2, status="running", description="a very long description " * 8))
    screen.progress("experiment 2", 12.0, "training, training loss 3.912")
    with console.capture() as captured:
        console.print(screen.draw())
    lines = captured.get().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert any("experiment 2, training" in line and "12 s left" in line for line in lines)
