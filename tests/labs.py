"""Tiny real labs: a git repository whose run takes a fraction of a second and whose score is known beforehand.

`train.py` writes its constants and the seed; the frozen `score.py` turns them into a number. So a test knows what each
edit is worth: the loss is (KNOB - 3)^2 + noise * N(0, 1) drawn from the seed alone, as paired runs share their draws.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from mcp_server.lab import Lab
from mcp_server.nouns.files import is_locked
from mcp_server.nouns.records import RunState
from mcp_server.nouns.replies import DecisionReply, ScoreReply
from mcp_server.personal.file import personal_file

TRAIN = """\
# A stand-in for a trainer: its constants are its weights.
import json, os, pathlib, sys, time
KNOB = 1.0
SECONDS = 0.0
SPREAD = 0.0  # noise of this code's own, on top of the seed's
out = pathlib.Path(os.environ["AUTORESEARCH_OUT"])
time.sleep(SECONDS)
model = {"knob": KNOB, "spread": SPREAD, "seed": int(os.environ["AUTORESEARCH_SEED"])}
(out / "model.json").write_text(json.dumps(model))
"""

SCORE = """\
import json, os, pathlib, random
model = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
draw = random.Random(model["seed"]).gauss(0, 1)
own = random.Random(f"{model['knob']} {model['seed']}").gauss(0, 1)
score = (model["knob"] - 3) ** 2 + NOISE * draw + model["spread"] * own
print(json.dumps({"score": score, "secondary": {"knob": model["knob"]}}))
"""

PROGRAM = """\
---
goal: bring KNOB to three
metric: {{name: loss, direction: minimize, unit: squares}}
editable: [train.py]
frozen: [score.py]
run: python train.py
score: python score.py
budget: {{seconds: 20, clock: cpu, startup_seconds: 5, grace_seconds: 1}}
devices: cpu
{more}---

Bring KNOB to three.
"""

SEQUENTIAL = (
    "keep: {pairing: sequential, confirm: never}\n"  # for a test that counts the baseline's runs, whatever the machine
)


def git(folder: Path, *arguments: str) -> str:
    """Run git as the user of the lab would."""
    quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": os.environ["PATH"]}
    named = ("-c", "user.name=User", "-c", "user.email=user@example.com", *arguments)
    return subprocess.run(["git", *named], cwd=folder, check=True, capture_output=True, text=True, env=quiet).stdout


def make_lab(folder: Path, *, noise: float = 0.0, more: str = "", train: str = TRAIN, score: str = SCORE) -> Lab:
    """A repository with a first commit, and the lab on it."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "train.py").write_text(train)
    (folder / "score.py").write_text(score.replace("NOISE", repr(noise)))
    if not noise and "keep:" not in more:
        more += "keep: {confirm: never}\n"  # scores are exact, and the roads of git and runs are what is tested
    (folder / "program.md").write_text(PROGRAM.format(more=more))
    (folder / "notes.txt").write_text("the user's own\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return Lab(folder)


def edit(lab: Lab, **constants: float) -> None:
    """Change constants of train.py in the work tree."""
    path = lab.paths.tree / "train.py"
    text = path.read_text()
    for name, value in constants.items():
        lines = [f"{name} = {value}" if line.startswith(f"{name} =") else line for line in text.splitlines()]
        text = "\n".join(lines) + "\n"
    path.write_text(text)


def until(question, seconds: float = 300.0):  # type: ignore[no-untyped-def]
    """Ask until the answer is true; a safety net, not a measurement."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        answer = question()
        if answer:
            return answer
        time.sleep(0.03)
    raise AssertionError(f"did not happen within {seconds} s: {question}")


def finish(lab: Lab, number: int | None = None) -> ScoreReply:
    """Wait until an experiment has no open runs: a baseline stands at its first score, its other runs go on."""

    def over() -> ScoreReply | None:
        before, asked = results(lab), time.monotonic()
        reply = lab.read_score(number)
        if not reply.open and all(RunState(run.state).terminal for run in reply.runs):
            return reply
        # asking costs more than looking; of a lost run there is nothing to be seen
        until(lambda: results(lab) != before or time.monotonic() > asked + 0.25)
        return None

    found: ScoreReply = until(over)
    return found


def results(lab: Lab) -> set[Path]:
    """What supervisors wrote last, of all runs."""
    return set(lab.paths.state.glob("runs/*/*/*/result.json"))


def begin(lab: Lab, tag: str = "first", calibrate: int = 0) -> ScoreReply:
    """A campaign with a scored baseline."""
    lab.start_campaign(tag, calibrate=calibrate)
    return finish(lab, 1)


_BEGUN: dict[tuple[object, ...], Path] = {}


def begun(lab: Lab, tag: str = "first", calibrate: int = 0, *, scored: float | None = None) -> Lab:
    """A fresh lab after `begin`: measured once for all labs of the same files, and copied.

    scored: and after experiment 2, "nearer", which set KNOB to this, was run elsewhere; nothing is decided.

    For tests of what comes after a baseline; what is about how it runs calls `begin`.
    """
    tree = lab.paths.tree
    assert not lab.paths.state.exists()
    assert git(tree, "status", "--porcelain") == ""
    key = git(tree, "rev-parse", "HEAD^{tree}"), tag, calibrate, scored, os.environ.get("AUTORESEARCH_TIER")
    if key not in _BEGUN:
        folder = Path(tempfile.mkdtemp(prefix="autoresearch-tests-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        shutil.copytree(tree, folder / "lab", symlinks=True)
        with contextlib.closing(Lab(folder / "lab")) as first:
            begin(first, tag, calibrate)
            if scored is not None:
                edit(first, KNOB=scored)
                finish(first, first.run_experiment("nearer").experiment)
            until(lambda: not any(is_locked(lock) for lock in first.paths.state.glob("runs/*/*/*/alive.lock")))
        _BEGUN[key] = folder / "lab"
    shutil.rmtree(tree)
    shutil.copytree(_BEGUN[key], tree, symlinks=True)
    lab.start_campaign(tag)  # joined from its new place
    return lab


def attempt(lab: Lab, description: str = "move KNOB", **constants: float) -> DecisionReply:
    """One whole iteration: edit, run, wait, decide, and again while the referee asks for repeats."""
    edit(lab, **constants)
    return decide(lab, lab.run_experiment(description).experiment)


def decide(lab: Lab, number: int) -> DecisionReply:
    """Wait and decide, again while the referee asks for repeats: a machine whose speed moved makes it ask for one."""
    for _ in range(8):
        finish(lab, number)
        reply = lab.commit_or_revert(number)
        if reply.decision != "confirming":
            return reply
    raise AssertionError("the referee never had enough")


def open_states(lab: Lab) -> list[RunState]:
    """The states of the runs that are not over."""
    with lab.reading() as (bench, _, _):
        return [run.state for run in bench.ledger.open_runs()]


def told(text: str) -> None:
    """What the user's file says from now on; written before anything that is to be told."""
    path = personal_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    os.utime(path, (1, 1))
