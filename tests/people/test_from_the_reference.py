"""From the reference project: its shape is adopted as it stands, and what was tried there is remembered.

Sources: https://github.com/karpathy/autoresearch (three files, a summary block, an untracked results.tsv),
https://github.com/trevin-creator/autoresearch-mlx (a tracked one) and https://github.com/davebcn87/pi-autoresearch
(`.auto/`).
The repositories here are made up after their shape, and run in a second on a processor.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mcp_server.arena.program import load_program
from mcp_server.cli import cli
from mcp_server.lab import Lab
from mcp_server.scoring.printed import answer
from tests.labs import finish, git
from tests.people.grounds import uv

MEMO = """\
# autoresearch

This is an experiment to have the LLM do its own research.

The script runs for a fixed budget. You launch it simply as: `uv run train.py`.

**The goal is simple: get the lowest val_bpb.** Everything is fair game.

    grep "^val_bpb:" run.log
"""
PREPARE = """\
import os
TIME_BUDGET = 1  # seconds of training
CACHE_DIR = os.path.join(os.path.expanduser("~"), ".cache", "made-up")
DATA_DIR = os.path.join(CACHE_DIR, "data")

def evaluate_bpb(rate):
    with open(os.path.join(DATA_DIR, "val.txt")) as file:
        return abs(float(file.read()) - rate)
"""
TRAIN = """\
\"\"\"Usage: uv run train.py\"\"\"
from prepare import TIME_BUDGET, evaluate_bpb

RATE = 0.5
print("\\rstep 00001 | loss: 1.0", end="", flush=True)
print()
val_bpb = evaluate_bpb(RATE)
print("---")
print(f"val_bpb:          {val_bpb:.6f}")
print(f"training_seconds: {TIME_BUDGET:.1f}")
print(f"num_steps:        {953}")
"""
RESULTS = """\
commit\tval_bpb\tmemory_gb\tstatus\tdescription
a1b2c3d\t0.997900\t44.0\tkeep\tbaseline
b2c3d4e\t0.993200\t44.2\tkeep\tincrease LR to 0.04
d4e5f6g\t0.000000\t0.0\tcrash\tdouble model width (OOM)
"""
PROJECT = '[project]\nname = "made-up"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = []\n'


def upstream(folder: Path, **files: str) -> Path:
    """A repository of the reference's shape to clone."""
    folder.mkdir()
    texts = {"program.md": MEMO, "prepare.py": PREPARE, "train.py": TRAIN, "pyproject.toml": PROJECT}
    texts[".gitignore"] = ".venv\n__pycache__/\nresults.tsv\n"
    git(folder, "init", "-q", "-b", "master")
    for name, text in {**texts, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "-f", ".")
    git(folder, "commit", "-q", "-m", "theirs")
    return folder


def typed(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["-C", str(folder), *words], prog_name="autoresearch")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the data that their prepare.py would have made."""
    place = tmp_path / "home"
    (place / ".cache" / "made-up" / "data").mkdir(parents=True)
    (place / ".cache" / "made-up" / "data" / "val.txt").write_text("0.9")
    monkeypatch.setenv("HOME", str(place))
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    return place


def test_from_git_clone_to_a_measured_second_experiment_in_the_pages_four_commands(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = uv()
    monkeypatch.setenv("PATH", f"{Path(program).parent}:/usr/bin:/bin")
    folder = tmp_path / "lab"
    git(tmp_path, "clone", "-q", str(upstream(tmp_path / "upstream")), str(folder))  # 1, with `uv sync`
    subprocess.run([program, "sync", "--offline", "--quiet"], cwd=folder, check=True)
    (folder / "results.tsv").write_text(RESULTS)  # a night of theirs, untracked by instruction
    shown = typed(folder, "adopt")
    assert "CLAIMED BY THE RUN" in shown.output
    assert (folder / "program.md").read_text() == MEMO  # shown first, nothing done
    adopted = typed(folder, "adopt", "--yes")  # 2
    assert adopted.exit_code == 0, adopted.output
    assert load_program(folder / "program.md").arena.run == "uv run train.py"
    assert load_program(folder / "program.md").memo == MEMO.strip()
    assert typed(folder, "start", "first", "--no-calibrate").exit_code == 0  # 3
    lab = Lab(folder)
    assert finish(lab, 1).score == pytest.approx(0.4)
    lab.close()
    (folder / "train.py").write_text(TRAIN.replace("RATE = 0.5", "RATE = 0.8"))
    second = typed(folder, "run", "a higher rate", "--json")  # 4
    said = json.loads(second.output)
    assert said["score"] == pytest.approx(0.1)
    assert "claimed_by_the_run" in said["warnings"]
    assert str(folder / ".venv") in said["python"]
    assert "CLAIMED BY THE RUN" in typed(folder, "status").output
    assert "increase LR to 0.04" in typed(folder, "recall", "LR").output


def test_what_a_fork_says_is_better_goes_before_the_first_number_it_greps(tmp_path: Path, home: Path) -> None:
    said = "Maximize `min_test_pnl`.\n\n    grep '^holdout_pnl:' run.log\n    grep '^min_test_pnl:' run.log\n"
    prints = 'print(f"holdout_pnl: {1.0}")\nprint(f"min_test_pnl: {2.0}")\n'
    folder = upstream(tmp_path / "lab", **{"program.md": said, "train.py": prints})
    assert "metric: {name: min_test_pnl, direction: maximize}" in typed(folder, "adopt").output
    # without such words the grep names it, and its name the direction
    folder = upstream(tmp_path / "other", **{"program.md": said.replace("Maximize", "Mind"), "train.py": prints})
    assert "metric: {name: holdout_pnl, direction: maximize}" in typed(folder, "adopt").output


def test_adopting_twice_changes_nothing_and_imports_no_row_again(tmp_path: Path, home: Path) -> None:
    folder = upstream(tmp_path / "lab", **{"results.tsv": RESULTS})
    first = json.loads(typed(folder, "adopt", "--yes", "--json").output)
    assert first["tried_elsewhere"] == 3
    before = (folder / "program.md").read_bytes(), (folder / "results.tsv").read_bytes()
    again = json.loads(typed(folder, "adopt", "--yes", "--json").output)
    assert again["done"] == ["Nothing to do: it is adopted already."]
    assert again["known"] == 3
    assert before == ((folder / "program.md").read_bytes(), (folder / "results.tsv").read_bytes())


def test_what_was_tried_elsewhere_is_no_incumbent_no_noise_and_a_crash_has_no_score(tmp_path: Path, home: Path) -> None:
    folder = upstream(tmp_path / "lab", **{"results.tsv": RESULTS})
    typed(folder, "adopt", "--yes")
    lab = Lab(folder)
    lab.start_campaign("first", calibrate=0)
    assert finish(lab, 1).score == pytest.approx(0.4)
    status = lab.lab_status()
    assert status.incumbent is not None
    assert status.incumbent.experiment == 1
    assert status.noise is not None
    assert status.noise.sd is None
    lines = lab.recall("double model width").lines
    assert any("double model width (OOM)" in line and "crash, no score" in line for line in lines)
    lab.close()


def test_the_first_run_says_what_the_machine_lacks_and_not_something_else(tmp_path: Path, home: Path) -> None:
    (home / ".cache" / "made-up" / "data" / "val.txt").unlink()
    (home / ".cache" / "made-up" / "data").rmdir()
    train = 'import torch\nraise RuntimeError("Found no NVIDIA driver on your system.")\ntorch.cuda.synchronize()\n'
    folder = upstream(
        tmp_path / "lab", **{"train.py": train + TRAIN, "torch.py": "", "program.md": MEMO.replace("uv run", "python")}
    )
    plan = json.loads(typed(folder, "adopt", "--yes", "--json").output)
    assert any("lacks an NVIDIA GPU" in said for said in plan["lacks"])
    assert any("~/.cache/made-up/data" in said for said in plan["lacks"])
    lab = Lab(folder)
    lab.start_campaign("first", calibrate=0)
    found = finish(lab, 1)
    assert found.status == "crashed"
    assert found.detail.startswith("This machine lacks a GPU")
    assert "~/.cache/made-up/data" in found.detail
    lab.close()


def test_a_training_that_writes_its_checkpoint_beside_itself_is_run_where_it_may(tmp_path: Path, home: Path) -> None:
    train = TRAIN + '\nwith open("checkpoint.txt", "w") as file:\n    file.write("weights")\n'
    folder = upstream(tmp_path / "lab", **{"train.py": train})
    typed(folder, "adopt", "--yes")
    lab = Lab(folder)
    lab.start_campaign("first", calibrate=0)
    assert finish(lab, 1).score == pytest.approx(0.4)
    assert (lab.paths.run("first", 1, 1).artifact / "checkpoint.txt").read_text() == "weights"
    lab.close()


def test_a_session_of_pi_autoresearch_is_adopted_by_the_same_command(tmp_path: Path, home: Path) -> None:
    log = [
        {"type": "config", "name": "faster", "metricName": "total_ms", "metricUnit": "ms", "bestDirection": "lower"},
        {"run": 1, "commit": "abc1234", "metric": 15.2, "metrics": {}, "status": "keep", "description": "baseline"},
        {"run": 2, "commit": "abc1235", "metric": 0, "metrics": {}, "status": "crash", "description": "unrolled loop"},
    ]
    files = {
        ".auto/prompt.md": "# Autoresearch: a faster loop\n\n## Files in Scope\n- `work.py`: it\n\n## Off Limits\n",
        ".auto/measure.sh": 'set -euo pipefail\npython work.py > out.txt\necho "METRIC total_ms=$(cat out.txt)"\n',
        ".auto/log.jsonl": "\n".join(map(json.dumps, log)) + "\n",
        "work.py": "print(7.5)\n",
    }
    folder = tmp_path / "pi"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "theirs")
    adopted = json.loads(typed(folder, "adopt", "--yes", "--json").output)
    assert (adopted["made_for"], adopted["tried_elsewhere"]) == ("pi-autoresearch", 2)
    arena = load_program(folder / "program.md").arena
    assert (arena.metric.name, arena.metric.unit, arena.metric.direction) == ("total_ms", "ms", "minimize")
    assert arena.editable == ("work.py",)
    lab = Lab(folder)
    lab.start_campaign("first", calibrate=0)
    assert finish(lab, 1).score == 7.5
    lab.close()


def test_a_repository_of_another_shape_is_told_what_is_looked_for(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "main.rs").write_text("")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "theirs")
    said = typed(folder, "adopt")
    assert said.exit_code == 1
    assert "neither a repository of karpathy/autoresearch's shape" in said.output


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("val_bpb: 0.5\n---\nval_bpb:          0.997900\nnum_steps:        953\n", {"score": 0.9979, "claimed": True}),
        ("METRIC val_bpb=0.25\n", {"score": 0.25}),
        ("loss: 3\n", {"rejected": "no_claim"}),
        ("val_bpb: many\n", {"rejected": "no_claim"}),
    ],
)
def test_the_last_line_that_names_the_metric_is_the_claim(printed: str, said: dict[str, object]) -> None:
    assert said.items() <= answer("val_bpb", printed).items()


AGENT = """\
# A better strategy

**What you CAN do:** Modify `strategy.py` — this is the only file you edit.
**What you CANNOT do:** modify `prepare.py` or `backtest.py`.

1. uv run backtest.py > run.log 2>&1
2. grep "^score:\\|^drawdown:" run.log

The goal: get the highest `score`. Look at past runs with `python prepare.py`.
"""
BACKTEST = 'import strategy\nprint(f"baseline_score: {2.0}")\nprint(f"score: {strategy.RATE:.3f}")\n'


def test_a_memo_that_names_another_file_and_another_script_is_taken_at_its_word(tmp_path: Path, home: Path) -> None:
    files = {"program.md": AGENT, "strategy.py": "RATE = 0.5\n", "backtest.py": BACKTEST}
    folder = upstream(tmp_path / "lab", **files)
    git(folder, "rm", "-q", "train.py")
    git(folder, "commit", "-q", "-m", "no train.py")
    typed(folder, "adopt", "--yes")
    arena = load_program(folder / "program.md").arena
    assert (arena.metric.name, arena.metric.direction) == ("score", "maximize")
    assert (arena.editable, arena.frozen) == (("strategy.py",), ("prepare.py", "backtest.py"))
    assert arena.run.removeprefix("uv run ").removeprefix("python ") == "backtest.py"
    lab = Lab(folder)
    lab.start_campaign("first", calibrate=0)
    assert finish(lab, 1).score == 0.5
    lab.close()


def test_what_is_kept_in_a_log_is_the_run_without_what_a_person_fills_in(tmp_path: Path, home: Path) -> None:
    memo = (
        'Look with `python eval.py --all`. Then:\n1. `python train.py --words "<what you did>" > run.log 2>&1`\n'
        "2. `python eval.py >> run.log`\nLowest val_bpb wins.\n"
    )
    folder = upstream(tmp_path / "lab", **{"program.md": memo.replace("\n", "\r\n"), "eval.py": "pass\n"})
    shown = json.loads(typed(folder, "adopt", "--json").output)
    assert "\nrun: python train.py\n" in shown["program"].replace("uv run", "python")
    assert "Look with" not in shown["program"]  # of a file with Windows' line ends only the arena is shown, too


def test_a_metric_that_nothing_names_is_asked_for_and_may_be_said(tmp_path: Path, home: Path) -> None:
    prints = 'print(f"first_f: {1.0}")\nprint(f"other_q: {2.0}")\nprint(f"baseline_acc: {2.0}")\n'
    folder = upstream(tmp_path / "lab", **{"program.md": "Make it better.\n", "train.py": prints})
    said = typed(folder, "adopt", "--yes")
    assert said.exit_code == 1
    assert "a run prints first_f, other_q. Say which number counts" in " ".join(said.output.split())
    assert "autoresearch adopt --metric NAME" in " ".join(typed(folder, "init").output.split())
    asked = typed(folder, "adopt", "--yes", "--metric", "other_q")
    assert "which way other_q is better. Say it: autoresearch adopt --direction" in " ".join(asked.output.split())
    assert "it must be minimize or maximize" in typed(folder, "adopt", "--direction", "sideways").output
    typed(folder, "adopt", "--yes", "--metric", "other_q", "--direction", "higher")
    metric = load_program(folder / "program.md").arena.metric
    assert (metric.name, metric.direction) == ("other_q", "maximize")
    again = " ".join(typed(folder, "adopt", "--metric", "first_f").output.split())
    assert "is an arena already, and what it says holds" in again  # and it is not passed over in silence
    assert "a1b2c3d4/1 is an attempt" in typed(folder, "adopt", "a1b2c3d4/1", "--metric", "first_f").output


def test_the_second_column_of_a_log_is_no_metric_and_a_log_that_is_unclear_is_named(tmp_path: Path, home: Path) -> None:
    log = "run_id\tcommit\tloss_a\tacc_b\tstatus\n1\taaaa111\t1\t2\tkeep\n"
    prints = 'print(f"acc_b: {1.0}")\n'
    folder = upstream(tmp_path / "lab", **{"program.md": "Go on.\n", "train.py": prints, "results.tsv": log})
    shown = json.loads(typed(folder, "adopt", "--json").output)
    assert "metric: {name: acc_b, direction: maximize}" in shown["program"]
    assert shown["tried_elsewhere"] == 1
    unclear = log.replace("loss_a", "x").replace("acc_b", "y").replace("commit\t", "").replace("aaaa111\t", "")
    (folder / "results.tsv").write_text(unclear)
    shown = json.loads(typed(folder, "adopt", "--json").output)
    assert shown["tried_elsewhere"] == 0
    assert "autoresearch import results.tsv" in " ".join(shown["notes"])


def test_a_session_of_pi_whose_prompt_lets_its_own_script_change_keeps_that_frozen(tmp_path: Path, home: Path) -> None:
    folder = tmp_path / "pi"
    folder.mkdir()
    prompt = "# Quicker\n\n- **metric:** `gap_mean`\n- **direction:** higher is better\n\n## Files in Scope\n"
    files = {"autoresearch.md": prompt + "- `autoresearch.sh`\n- `src/**`\n", "autoresearch.sh": "true\n"}
    git(folder, "init", "-q", "-b", "main")
    (folder / "src").mkdir()
    for name, text in {**files, "src/a.py": "x = 1\n"}.items():
        (folder / name).write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "theirs")
    typed(folder, "adopt", "--yes")
    arena = load_program(folder / "program.md").arena
    assert (arena.editable, arena.frozen) == (("src/",), ("autoresearch.sh",))
    assert (arena.metric.name, arena.metric.direction) == ("gap_mean", "maximize")
