"""Kills on a real Ray cluster of this machine: `python -m benchmarks.cluster [--kills 100] [--nodes 3] [--seed 1]`.

A lab tries one KNOB after the other on a head and some nodes, all on 127.0.0.1, while trainers, supervisors, node
agents, raylets, heads, the lab's courier and its server are killed at random. Watched from outside, over /proc: no node
has two trainers at once, no process of a run is left without its keeper for 15 s, each run ends in a state and is
counted once, every score is the one that the same code has on this machine alone. Needs the extra `ray`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mcp_server.lab import Lab
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import is_locked
from mcp_server.nouns.records import RunState
from mcp_server.nouns.rows import Run
from mcp_server.runner.machine.proc import pids, read_stat, words
from tests.cluster.loopback import Loopback, cluster, end, environment
from tests.labs import SEQUENTIAL, begin, edit, make_lab

# How often each is drawn. To start a node again takes seconds of the processor, and a head with all its nodes ten times
# as many: drawn as often as the others they are most of the time that kills take, in which nothing runs.
KINDS = {"trainer": 3, "supervisor": 3, "agent": 3, "raylet": 1, "head": 1, "courier": 3, "server": 3}
ALWAYS = ("raylet", "head", "server")  # whoever is killed is started again before the next kill
ORPHAN_SECONDS, LOOK_SECONDS, QUIET_SECONDS = 15.0, 0.1, 180.0
START_RUNS = 5


@dataclass
class Watch:
    """What was seen of the processes of a folder's nodes, all the time."""

    folder: Path
    doubled: list[str] = field(default_factory=list)  # nodes seen with two trainers at once
    orphans: dict[int, str] = field(default_factory=dict)
    trained: int = 0  # looks that saw a trainer: what is never seen is not watched
    _alone: dict[int, float] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    _one: threading.Lock = field(default_factory=threading.Lock)  # whoever kills looks too

    def look(self) -> dict[str, list[int]]:
        """The processes of the cluster by kind; notes what must not be."""
        with self._one:
            return self._look()

    def _look(self) -> dict[str, list[int]]:
        parents, lines = {}, {}
        for pid in pids():
            stat = read_stat(pid)
            if stat is not None and stat.state not in "ZX":
                parents[pid] = stat.parent
                lines[pid] = b" ".join(words(pid, "cmdline")).decode(errors="replace").strip()
        mark = str(self.folder)
        found: dict[str, list[int]] = {kind: [] for kind in KINDS}
        training: Counter[str] = Counter()
        for pid, line in lines.items():
            if "-m mcp_server.runner " in line and mark in line:
                found["supervisor"].append(pid)
                kept = lines.get(parents[pid], "").startswith("ray::")
                below = _below(pid, parents)
                trainers = [one for one in below if lines.get(one, "").endswith("train.py")]
                found["trainer"] += trainers[-1:]
                self.trained += bool(trainers)
                training[line.partition(mark)[2].split("/")[1]] += bool(trainers)
                self._note(pid, line, kept)
            elif line.startswith("ray::Agent") and mark in _environment(pid):
                found["agent"].append(pid)
            elif "engines.ray.courier" in line and mark in line:
                found["courier"].append(pid)
            elif line.endswith("train.py") and mark in line and parents[pid] in (0, 1):
                self._note(pid, line, False)
        self.doubled += [node for node, count in training.items() if count > 1]
        for pid in set(self._alone) - set(lines):
            del self._alone[pid]
        return found

    def _note(self, pid: int, line: str, kept: bool) -> None:
        if kept:
            self._alone.pop(pid, None)
        elif time.monotonic() - self._alone.setdefault(pid, time.monotonic()) > ORPHAN_SECONDS:
            self.orphans[pid] = line[-120:]

    def keep_looking(self) -> None:
        while not self.over.wait(LOOK_SECONDS):
            self.look()


def _below(root: int, parents: dict[int, int]) -> list[int]:
    found = [root]
    for one in found:
        found += [pid for pid, parent in parents.items() if parent == one]
    return found[1:]


def _environment(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return ""


@dataclass
class Outcome:
    """What a campaign of kills came to."""

    kills: Counter[str]
    seconds: float
    attempts: int
    runs: Counter[str]
    again: int  # runs that were made again under a later epoch
    faults: list[str]


def drive(tree: Path) -> None:
    """The lab's server: one experiment after the other, decided when it is over, until it is killed."""
    lab = Lab(tree)
    while True:
        with contextlib.suppress(AutoresearchError):
            found = lab.lab_status()
            open_ones = [one.experiment for one in found.running]
            for number in found.waiting_for_decision:
                lab.commit_or_revert(number, "auto")
            if not open_ones:
                edit(lab, KNOB=round(random.uniform(-9, 9), 3))
                lab.run_experiment("another KNOB", insist=True)
        time.sleep(0.05)


def killed(folder: Path, kills: int, nodes: int, seed: int) -> Outcome:
    """A lab under so many kills, and what must not have happened but did."""
    draw, began = random.Random(seed), time.monotonic()
    os.environ.update(environment(folder))
    counted: Counter[str] = Counter()
    watch = Watch(folder)
    with cluster(folder, nodes) as found:
        more = f"engine: {{name: ray, address: '{found.address}'}}\n"
        lab = make_lab(folder / "lab", more=more + SEQUENTIAL, train=TRAIN)
        begin(lab)
        looking = threading.Thread(target=watch.keep_looking, daemon=True)
        looking.start()
        server = _server(folder)
        while sum(counted.values()) < kills:
            time.sleep(draw.uniform(0.3, 2.0))
            if server.poll() is not None:
                server = _server(folder)
            counted[_kill(draw, watch, found, server)] += 1
        server.kill()
        server.wait()
        faults = _settled(lab)
        time.sleep(ORPHAN_SECONDS + 1 if watch._alone else 0)
        faults += [] if looking.is_alive() else ["nobody watched to the end"]
        watch.over.set()
        looking.join()
        faults += [] if watch.trained else ["no trainer was ever seen"]
        faults += [f"two trainers at once on {node}" for node in set(watch.doubled)]
        faults += [f"left for {ORPHAN_SECONDS:g} s: {line}" for line in watch.orphans.values()]
        return _outcome(lab, counted, time.monotonic() - began, faults)


TRAIN = """\
# A stand-in for a trainer: its constants are its weights.
import json, os, pathlib, time
KNOB = 1.0
out = pathlib.Path(os.environ["AUTORESEARCH_OUT"])
time.sleep(1.0)
(out / "model.json").write_text(json.dumps({"knob": KNOB, "spread": 0.0, "seed": int(os.environ["AUTORESEARCH_SEED"])}))
"""


def _server(folder: Path) -> subprocess.Popen[bytes]:
    code = f"from pathlib import Path; from benchmarks.cluster import drive; drive(Path({str(folder / 'lab')!r}))"
    with open(folder / "server.log", "ab") as log:
        return subprocess.Popen([sys.executable, "-c", code], stderr=log, stdout=log, start_new_session=True)


def _kill(draw: random.Random, watch: Watch, found: Loopback, server: subprocess.Popen[bytes]) -> str:
    """One kill; the kind. What a person would start again is started again."""
    there = watch.look()
    kinds = [kind for kind in KINDS if there[kind] or kind in ALWAYS]
    [kind] = draw.choices(kinds, [KINDS[kind] for kind in kinds])
    if kind == "server":
        server.kill()
        server.wait()
    elif kind == "head":
        for pid in found.told["head"].values():
            end(pid)
        time.sleep(draw.uniform(0, 3))
        found.ask("head")
    elif kind == "raylet":
        end(draw.choice(found.told["nodes"])["raylet"])
        time.sleep(draw.uniform(0, 3))
        found.ask("nodes")
    else:
        end(draw.choice(there[kind]))
    return kind


def _settled(lab: Lab) -> list[str]:
    """Wait until nothing is open; what did not end."""
    ends, left = time.monotonic() + QUIET_SECONDS, list[Run]()
    while time.monotonic() < ends:
        with contextlib.suppress(AutoresearchError), lab.reading() as (bench, _, _):
            left = bench.ledger.open_runs()
            if not left and not any(is_locked(one) for one in lab.paths.state.glob("runs/*/*/*/alive.lock")):
                return []
        time.sleep(0.2)
    said = [f"run {one.experiment}/{one.run} did not end: {one.state}" for one in left]
    return said or ["the lab could not be read, or a supervisor did not end"]


def _outcome(lab: Lab, counted: Counter[str], seconds: float, faults: list[str]) -> Outcome:
    states: Counter[str] = Counter()
    again = 0
    with lab.reading() as (bench, campaign, _):
        experiments = bench.ledger.experiments(campaign.tag)
        for experiment in experiments:
            for run in bench.ledger.runs(campaign.tag, experiment.number):
                states[f"{run.state} {run.result.reason if run.result else ''}".strip()] += 1
                remote = bench.folder(run).remote
                again += remote.exists() and '"epoch": 2' in remote.read_text()
                if run.state is RunState.SCORED:
                    knob = (run.result.secondary if run.result else {}).get("knob", 0.0)
                    if run.score != (knob - 3) ** 2:
                        faults.append(f"{run.experiment}: {run.score} is not the score of KNOB {knob}")
        held = list(lab.paths.state.glob("cluster/owed/*"))
        faults += [f"still owed: {one.name}" for one in held]
    return Outcome(counted, seconds, len(experiments), states, again, faults)


def start_cost(folder: Path) -> tuple[list[float], list[float]]:
    """Seconds from the verb to the result of a run that does nothing, on a warm cluster and on this machine alone."""
    os.environ.update(environment(folder))
    times: dict[str, list[float]] = {"ray": [], "local": []}
    with cluster(folder, 1) as found:
        ray = make_lab(folder / "ray", more=f"engine: {{name: ray, address: '{found.address}'}}\n" + SEQUENTIAL)
        local = make_lab(folder / "local", more=SEQUENTIAL)
        for lab in (ray, local):
            begin(lab)
        for turn in range(START_RUNS):
            for name, lab in (("ray", ray), ("local", local)):
                edit(lab, KNOB=2.0 + turn / 10)
                asked = time.monotonic()
                number = lab.run_experiment("a KNOB").experiment
                while lab.read_score(number).open:
                    time.sleep(0.02)
                times[name].append(time.monotonic() - asked)
                lab.commit_or_revert(number)
    return times["ray"], times["local"]


def measured(kills: int, nodes: int, seed: int) -> list[tuple[str, str, str, bool]]:
    """(what, value, goal, reached) of the start of a run and of so many kills, on real clusters of this machine."""
    folder = Path(tempfile.mkdtemp(prefix="autoresearch-cluster-"))
    os.environ |= {"AUTORESEARCH_CHART": "off", "AUTORESEARCH_DASHBOARD": "off"}
    os.environ["AUTORESEARCH_LOCKS"] = str(folder / "locks")  # no run here waits for a run of another lab
    try:
        for name in ("cost", "kills"):
            (folder / name).mkdir()
        ray, local = start_cost(folder / "cost")
        found = killed(folder / "kills", kills, nodes, seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    cost = statistics.median(ray) - statistics.median(local)
    what = ", ".join(f"{count} {kind}" for kind, count in sorted(found.kills.items()))
    ended = ", ".join(f"{count} {state}" for state, count in found.runs.most_common())
    value = "; ".join(found.faults) or "none"
    of = f"{sum(found.kills.values())} kills in {found.seconds:.0f} s ({what}), {found.attempts} experiments"
    return [
        ("seconds that a run's start costs more on a warm cluster", f"{cost:.2f}", "at most 1", cost <= 1.0),
        ("runs by their ends; made again under a later epoch", f"{ended}; {found.again}", "all ended", True),
        (f"devices twice, runs twice, orphans, wrong scores, open ends: {of}", value, "none", not found.faults),
    ]


def main() -> int:
    """Exit status 1 where something happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="a line of JSON for each number")
    asked = parser.parse_args()
    if importlib.util.find_spec("ray") is None:
        print("Ray is not installed: make many brings it", file=sys.stderr)
        return 1
    rows = measured(asked.kills, asked.nodes, asked.seed)
    for what, value, goal, reached in rows:
        if asked.json:
            print(json.dumps({"what": what, "value": value, "goal": goal, "reached": reached}))
            continue
        print(f"{'ok' if reached else 'NO'}  {what}: {value} (goal: {goal})")
    return 0 if all(reached for *_, reached in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
