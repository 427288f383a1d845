"""The demonstration: a throw-away lab, and a campaign of real training in it that fits a few minutes on this machine.

Promised: nothing but a folder of its own is touched, at least five experiments after the baseline, and nothing left
running whatever ends it. What happens in between is `loop`'s.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from mcp_server.arena.corpus import prepared_corpus
from mcp_server.arena.program import parse_program
from mcp_server.engines.local import LOCAL
from mcp_server.lab import Lab
from mcp_server.nouns.errors import CorpusError, NotNow, UnknownExperiment, WorkspaceError
from mcp_server.nouns.paths import RunPaths
from mcp_server.programs.installed import with_extra
from mcp_server.researcher.loop import FEWEST, SPARE, Audience, Outcome, Pace, campaign
from mcp_server.setup.newlab import Template, write_lab

TAG = "demo"
MARK = "autoresearch-demo"  # a file in .git: this folder is ours to replace
STOPPING_SECONDS = 30.0  # a run ends within its grace of 20 s

# What a slot costs besides training, start-up and scoring together, for each second that SPEED takes.
SLOT_PER_SPEED = 12.0
SLACK_SECONDS = 10.0  # starting the server, drawing the views, ending
# A campaign of minutes is after gains that minutes can show: a fifth of a per cent of a score near 1.2. Smaller ones
# are called none, and the referee, who expects about twice that, needs fewer repeats to be sure of a first one.
LEAST_GAIN = 0.0025  # bits per byte
BUDGET_SECONDS, SMALLEST_BUDGET_SECONDS = 15.0, 6.0  # of one thread: some 300 and 100 steps
SPEED = """
import json, time
import torch
torch.set_num_threads(1)  # as runs do on the processor's clock
a, b = torch.randn(1024, 512), torch.randn(512, 2048)
for _ in range(3): a @ b
wall, cpu = time.perf_counter(), time.process_time()
for _ in range(30): (a @ b).softmax(-1)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps({"speed": wall, "busy": cpu / wall}))
"""


@dataclass(frozen=True)
class Plan:
    """What to demonstrate. `budget_seconds` None leaves the template's; `limit_seconds` is for everything together."""

    folder: Path
    template: Template
    budget_seconds: float | None = BUDGET_SECONDS
    experiments: int = 8
    calibrate: int = 2
    seed: int = 0
    limit_seconds: float = 330.0
    researcher: str = "seeded"  # or tpe, or recorded
    begins: tuple[str, str, str] | None = None  # a file of the template, a text in it, and what stands there instead


def demonstrate(plan: Plan, audience: Audience) -> Outcome:
    """Run the demonstration. Raises AutoresearchError; KeyboardInterrupt passes through once nothing runs any more."""
    began = time.monotonic()
    make_room(plan.folder)
    arena = parse_program(plan.template.files["program.md"].read_text("utf-8")).arena
    if arena.scores_language_models:
        _prepare(plan.template, audience)
        plan = _fitted(plan, audience, time.monotonic() - began)
    changes = {} if plan.budget_seconds is None else {"program.md": _program(plan)}
    if plan.begins is not None:
        name, old, new = plan.begins
        changes[name] = plan.template.files[name].read_text("utf-8").replace(old, new).encode()
    written = write_lab(plan.template, plan.folder, changes, own_repository=True)
    (plan.folder / ".git" / MARK).touch()
    audience.say(f"A throw-away lab in {plan.folder}, first commit {written.commit[:10]}.")
    try:
        pace = Pace(began, plan.experiments, plan.calibrate, plan.seed, plan.limit_seconds, plan.researcher)
        return anyio.run(campaign, plan.folder, TAG, pace, audience, plan.folder / ".git" / f"{MARK}.log")
    finally:
        stop_runs(plan.folder)


# --- before and after -------------------------------------------------------------------------------------------------


def make_room(folder: Path) -> None:
    """Remove an earlier demonstration. Raises WorkspaceError when the folder is anything else, or is still in use."""
    if not folder.exists():
        return
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if not (folder / ".git" / MARK).is_file():
        raise WorkspaceError(
            f"{folder} exists and was not made by a demonstration; it was left alone. Name another folder with --keep."
        )
    runs = (folder / ".git" / "autoresearch" / "runs").glob("*/*/*")
    if any(LOCAL.alive(RunPaths(run)) for run in runs):
        raise WorkspaceError(f"A demonstration runs in {folder}. Wait for it, or name another folder with --keep.")
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o700)  # sealed artifacts are read-only
    shutil.rmtree(folder)


def stop_runs(folder: Path) -> None:
    """Leave no run behind: ask every open one to stop, and wait until it has."""
    with contextlib.suppress(UnknownExperiment), contextlib.closing(Lab(folder)) as lab:
        ends = time.monotonic() + STOPPING_SECONDS
        while time.monotonic() < ends:
            with lab.reading() as (bench, _, _):
                waiting = bench.ledger.open_runs()
                for run in waiting:
                    bench.engine.cancel(bench.folder(run))
            if not waiting:
                return
            time.sleep(0.2)  # the supervisor tells by its lock, which sends no event


def _prepare(template: Template, audience: Audience) -> None:
    """A corpus, if there is none yet: the one that needs no network."""
    with contextlib.suppress(CorpusError):
        prepared_corpus()
        return
    audience.say("Preparing the corpus from the standard library's sources (once, a minute or two).")
    script = template.files["prepare.py"].resolve()
    command = [sys.executable, str(script), "--corpus", "stdlib"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise CorpusError(f"prepare.py failed: {done.stderr.strip()[-300:]}. `autoresearch doctor` may tell why.")


def _fitted(plan: Plan, audience: Audience, spent: float) -> Plan:
    """The plan with a budget that fits this machine, measured in a moment; torch stays outside of this process."""
    done = subprocess.run([sys.executable, "-c", SPEED], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise NotNow(
            "The demonstration trains with torch, which cannot be imported here. `autoresearch demo --quick` needs "
            f"none; else install it with `{with_extra('train')}`. `autoresearch doctor` says more."
        )
    found = json.loads(done.stdout.splitlines()[-1])
    fitted = fit(plan, found["speed"], found["busy"], spent)
    if fitted != plan:
        audience.say(f"This machine is slow or busy: runs get {fitted.budget_seconds:g} s.")
    return fitted


def fit(plan: Plan, speed: float, busy: float, spent: float = 0.0) -> Plan:
    """The plan with the largest budget, up to its own, with which the promised runs and `SPARE` more end in time.

    `speed` are the wall seconds that SPEED took, `busy` the processor seconds it got in each of them.
    """

    slots = 1 + plan.calibrate + FEWEST + SPARE
    slot = (plan.limit_seconds - spent - SLACK_SECONDS) / slots
    room = (slot - SLOT_PER_SPEED * speed) * min(1.0, busy)
    wanted = plan.budget_seconds or BUDGET_SECONDS
    return replace(plan, budget_seconds=float(min(wanted, max(SMALLEST_BUDGET_SECONDS, round(room)))))


def _program(plan: Plan) -> bytes:
    text = plan.template.files["program.md"].read_text("utf-8")
    changed = re.sub(r"(?m)^(budget:.*?\bseconds:\s*)[\d.]+", rf"\g<1>{plan.budget_seconds:g}", text, count=1)
    if parse_program(text).arena.scores_language_models:
        changed = re.sub(r"(?m)^(keep:.*?\bmin_delta:\s*)auto\b", rf"\g<1>{LEAST_GAIN:g}", changed, count=1)
    assert parse_program(changed).arena.budget.seconds == plan.budget_seconds
    return changed.encode()
