"""Servers, built-in researchers, real runs, one bare remote: what they run twice.

Nothing is played: each lab has its own MCP server, supervisor and exchange beside it. The arena is a toy whose runs
take a moment, with a finite pool of steps that its `proposals.yaml` suggests to every researcher. There are two labs a
core, eight at most: beyond that a claim takes longer than a whole run of the toy, and no claim delays a start (eight
labs on two cores doubled 16 % of their runs). Eight and sixteen, each on a core of its own, are played in `search`,
with the real exchange, leases and claims.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.community.table import Told, at_most
from benchmarks.ledger import repository
from mcp_server.community import membership
from mcp_server.community.leases.known import read_known
from mcp_server.community.membership import Wishes
from mcp_server.community.settings import Places
from mcp_server.community.wire.store import LEASES, Store
from mcp_server.lab import Lab
from mcp_server.ledger.foreign import Foreign

LABS, EXPERIMENTS, STEPS = min(8, 2 * len(os.sched_getaffinity(0))), 9, 60
TRAIN = """\
import json, os, pathlib, re
{steps}
found = [name for name, value in sorted(globals().items()) if name.startswith("STEP_") and value]
(pathlib.Path(os.environ["AUTORESEARCH_OUT"]) / "model.json").write_text(json.dumps(found))
"""
SCORE = """\
import json, os, pathlib
found = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
numbers = [int(name.removeprefix("STEP_")) for name in found]
print(json.dumps({"score": 1.0 - sum(0.1 if n % 12 == 5 else -0.01 for n in numbers)}))
"""
PROGRAM = """\
---
goal: find the steps that help
metric: {name: loss, direction: minimize}
editable: [train.py]
frozen: [score.py]
run: python train.py
score: python score.py
budget: {seconds: 10, clock: cpu, startup_seconds: 5, grace_seconds: 1}
devices: cpu
keep: {confirm: never, pairing: sequential}
---
Find them.
"""
RESEARCHER = """\
import anyio, sys, time
from pathlib import Path
from mcp_server.researcher.loop import Pace, campaign
class Quiet:
    def say(self, words): print(words, flush=True)
    def show(self, row): pass
    def progress(self, what, left_seconds, said): pass
folder, seed, experiments = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
pace = Pace(time.monotonic(), experiments=experiments, calibrate=0, seed=seed, limit_seconds=900.0)
anyio.run(campaign, folder, "first", pace, Quiet(), folder.parent / f"{folder.name}.server.log")
"""


def arena(folder: Path) -> Lab:
    """One of the labs, before its baseline."""
    lab = repository(folder)
    steps = "\n".join(f"STEP_{n} = 0" for n in range(STEPS))
    title = "- title: take step {0}\n  edits: [{{old: 'STEP_{0} = 0\\n', new: 'STEP_{0} = 1\\n'}}]\n"
    text = "".join(title.format(n).replace("'", '"') for n in range(STEPS))
    files = {"train.py": TRAIN.format(steps=steps), "score.py": SCORE, "program.md": PROGRAM, "proposals.yaml": text}
    for name, content in files.items():
        (folder / name).write_text(content)
    named = ("git", "-c", "user.name=User", "-c", "user.email=user@example.com")
    for words in (("add", "."), ("commit", "-q", "-m", "a pool of steps")):
        subprocess.run([*named, *words], cwd=folder, check=True, env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"})
    return lab


def rows(labs: int = LABS, experiments: int = EXPERIMENTS) -> list[Told]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = [arena(folder / f"lab{n}") for n in range(labs)]
        for lab in found:
            membership.join(lab.workspace, Wishes(str(folder / "journals"), name=lab.paths.tree.name), folder)
        began = time.monotonic()
        processes = []
        for n, lab in enumerate(found):
            # a device of its own for each, as if it were another machine
            env = {**os.environ, "AUTORESEARCH_LOCKS": str(folder / f"locks{n}"), "AUTORESEARCH_CHART": "off"}
            command = [sys.executable, "-c", RESEARCHER, str(lab.paths.tree), str(n), str(experiments)]
            with (folder / f"lab{n}.log").open("wb") as said:
                processes.append(subprocess.Popen(command, env=env, stdout=said, stderr=said))
        codes = [process.wait() for process in processes]
        spent = time.monotonic() - began
        told = "".join((folder / f"lab{n}.log").read_text() for n in range(labs))
        for lab in (*found, found[0]):
            Places.of(lab.paths.state).last.unlink(missing_ok=True)
            membership.sync(lab.workspace, None, folder)
            lab.close()
        left = [one for lab in found for one in read_known(Places.of(lab.paths.state)).ours]
        with closing(Foreign(Places.of(found[0].paths.state).records)) as foreign:
            lines = [json.loads(row["line"]) for row in foreign._rows("SELECT line FROM records")]
        attempts = [one for one in lines if one.get("role", "attempt") == "attempt"]
        codes_run = [one["code"] for one in attempts if one["status"] != "cancelled"]  # stopped: another was first
        runs, doubled = len(codes_run), len(codes_run) - len(set(codes_run))
        refs = len(Store(folder / "journals").refs(LEASES))
        if any(codes):
            print(told[-3000:])
    met = f"{told.count('its lease ends')} times another lab was at it, {told.count('tried elsewhere')} it was known"
    what = f"{labs} servers and researchers, {runs} runs in {spent:.0f} s"
    return [
        at_most("1", f"{what}: doubled", 100 * doubled / max(1, runs), 2, " %", 1, met),
        at_most("1", "leases left behind by them", refs, 0, "", 0, f"{len(left)} remembered"),
        Told("1", "researchers that went through to the end", "all", f"{codes.count(0)} of {labs}", not any(codes)),
    ]
