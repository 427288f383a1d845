"""Many devices: `make many`, or `python -m benchmarks.many [ROW ...]`. Exit status 1 where a goal is missed.

The cards are made up (`benchmarks/simulated`), all else is real: agents in processes and work trees of their own, the
lab, its queue and device locks, supervisors, sandboxes. A run sleeps instead of training, so that eight of them at once
are no load on a machine with two cores. Rows are functions; each measures something and says the goal beside it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.nouns.records import Purpose

ROOT = Path(__file__).parents[1]
SIMULATED = ROOT / "benchmarks" / "simulated"
TAG = "many"
THINK_SECONDS = 0.2  # between two proposals of an agent; what it thinks longer, it thinks while runs go on
LOOK_SECONDS = 0.5  # between two looks of an agent at what it has proposed
TRAIN = """\
KNOB=1000
TURN=none
sleep {seconds}
echo "{{\\"score\\": $KNOB}}" > "$AUTORESEARCH_OUT/model.json"
"""
PROGRAM = """\
---
goal: a smaller knob
metric: {{name: knob, direction: minimize}}
editable: [train.sh]
frozen: [score.sh]
run: /bin/sh train.sh
score: /bin/sh score.sh
budget: {{seconds: {budget}, clock: wall, startup_seconds: 60, grace_seconds: 2}}
devices: auto
keep: {{confirm: never, pairing: {pairing}}}
---
"""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for. seconds: how long a run sleeps; kills: on a Ray cluster."""

    runs: int
    seconds: float
    kills: int = 100


@dataclass(frozen=True)
class Line:
    """One number of the table beside its goal."""

    what: str
    value: str
    goal: str
    reached: bool


@dataclass(frozen=True)
class Span:
    """When a run had a device, in unix seconds; who proposed it, and how long it waited in the queue."""

    device: str
    begun: float
    ended: float
    who: str
    waited: float


# --- the lab ----------------------------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> None:
    named = ("-c", "user.name=many", "-c", "user.email=many@example.com")
    subprocess.run(["git", *named, *words], cwd=folder, check=True, capture_output=True)


@contextmanager
def lab_of(seconds: float, pairing: str = "sequential", cards: int = 8) -> Iterator[Lab]:
    """A lab on made-up cards with a scored baseline, and device locks of its own."""
    with tempfile.TemporaryDirectory(prefix="autoresearch-many-", ignore_cleanup_errors=True) as name:
        os.environ |= {"AUTORESEARCH_LOCKS": f"{name}/locks", "SIMULATED_CARDS": str(cards)}
        folder = Path(name) / "lab"
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main")
        (folder / "train.sh").write_text(TRAIN.format(seconds=seconds))
        (folder / "score.sh").write_text('cat "$AUTORESEARCH_ARTIFACT/model.json"\n')
        (folder / "program.md").write_text(PROGRAM.format(budget=10 * seconds + 60, pairing=pairing))
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", "first")
        with closing(Lab(folder)) as lab:
            lab.start_campaign(TAG, calibrate=0)
            while lab.read_score(1).open or lab.lab_status().incumbent is None:
                time.sleep(0.2)
            yield lab


def spans_of(lab: Lab) -> list[Span]:
    """Every device that every run of an attempt had, in order of time; a pair has two."""
    found = []
    with closing(Ledger(lab.paths.ledger)) as ledger:
        for one in ledger.experiments(TAG)[1:]:
            for run in ledger.runs(TAG, one.number):
                result = run.result
                assert result is not None, f"run {run.run} of experiment {one.number} never ended"
                assert result.device is not None, f"experiment {one.number}: {result.state} {result.reason}"
                assert result.score is not None, f"experiment {one.number}: {result.reason} {result.detail}"
                stamps = result.started_at, result.ended_at
                begun, ended = (datetime.fromisoformat(str(at)).timestamp() for at in stamps)
                beside = None if result.beside is None or result.beside.device is None else result.beside.device.name
                waited = result.queue_seconds if run.purpose == Purpose.FIRST else 0.0
                for device in filter(None, (result.device.name, beside)):
                    found.append(Span(device, begun, ended, Path(one.tree).name, waited))
    return sorted(found, key=lambda span: span.begun)


def busy(spans: list[Span], devices: int) -> float:
    """Share of the devices' time in which they had a run, from the first run's begin to the last one's.

    What comes after the last begin is the end of the work and not a device that waits.
    """
    first, last = spans[0].begun, spans[-1].begun
    held = sum(min(span.ended, last) - span.begun for span in spans)
    return held / (devices * (last - first))


def _by_device(spans: list[Span]) -> Iterator[tuple[Span, Span]]:
    """Each run with the next one on its device."""
    several: dict[str, list[Span]] = {}
    for span in spans:
        several.setdefault(span.device, []).append(span)
    for found in several.values():
        yield from itertools.pairwise(found)


def shared(spans: list[Span]) -> int:
    """How often a device had two runs at once."""
    return sum(later.begun < earlier.ended - 0.001 for earlier, later in _by_device(spans))


def gaps(spans: list[Span]) -> list[float]:
    """Seconds between a run's end and the begin of the next one on its device."""
    return [later.begun - earlier.ended for earlier, later in _by_device(spans)]


# --- agents -----------------------------------------------------------------------------------------------------------


def propose(lab: Lab, who: int, turn: int) -> tuple[int, int]:
    """An idea from the incumbent's files, whatever lies in the work tree: (its number, how many more are wanted)."""
    git(lab.paths.tree, "restore", "--source", f"autoresearch/{TAG}", "--", "train.sh")
    path = lab.paths.tree / "train.sh"
    lines = path.read_text().splitlines()
    knob = int(lines[0].partition("=")[2])
    lines[0] = f"KNOB={knob - 1 if turn % 8 == 0 else knob + 1 + turn}"
    lines[1] = f"TURN={who}-{turn}"
    path.write_text("\n".join(lines) + "\n")
    reply = lab.run_experiment(f"agent {who}, idea {turn}")
    return reply.experiment, reply.room or 0


def live(tree: Path, who: int, ideas: int, at_a_time: int, patient: bool = False) -> None:
    """One agent's night. It proposes so many at a time wherever the lab has room, and decides what has a score.

    patient: it never proposes before its last one is decided.
    """
    with closing(Lab(tree)) as lab:
        lab.start_campaign(TAG)
        turn, room, mine = 0, at_a_time, list[int]()
        while turn < ideas or mine:
            if turn < ideas and (not mine or (room > 0 and not patient)):
                for _ in range(min(at_a_time, ideas - turn)):
                    time.sleep(THINK_SECONDS)
                    number, room = propose(lab, who, turn)
                    mine.append(number)
                    turn += 1
                continue
            before = len(mine)
            for number in list(mine):
                if lab.read_score(number).open:
                    break  # runs are equally long, so those behind it are not over either
                reply = lab.commit_or_revert(number)
                if reply.decision != "confirming":
                    mine.remove(number)
                if reply.carried_on is not None:
                    mine.append(reply.carried_on)
            if len(mine) < before or room <= 0:
                room = lab.lab_status().room or 0
            if len(mine) == before:
                time.sleep(LOOK_SECONDS)


def night(lab: Lab, lives: list[Callable[[Path, int], None]]) -> None:
    """All agents, each a process in a work tree of its own. Raises AssertionError with what one died of."""
    folder, children = lab.paths.tree.parent, []
    for who, one in enumerate(lives):
        tree = folder / f"agent{who}"
        git(lab.paths.tree, "worktree", "add", "-q", "--detach", str(tree), f"autoresearch/{TAG}")
        child = os.fork()
        if child == 0:
            try:
                one(tree, who)
                os._exit(0)
            except BaseException:
                (folder / f"error{who}").write_text(traceback.format_exc())
            finally:
                os._exit(1)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    errors = [place.read_text() for place in sorted(folder.glob("error*"))]
    assert not errors, errors[0]


def agent(ideas: int, at_a_time: int, patient: bool = False) -> Callable[[Path, int], None]:
    return lambda tree, who: live(tree, who, ideas, at_a_time, patient)


# --- rows -------------------------------------------------------------------------------------------------------------


def eight_agents(asked: Asked) -> list[Line]:
    return _kept_busy(asked, agents=8, at_a_time=1)


def one_agent(asked: Asked) -> list[Line]:
    return _kept_busy(asked, agents=1, at_a_time=4)


def _kept_busy(asked: Asked, agents: int, at_a_time: int) -> list[Line]:
    with lab_of(asked.seconds) as lab:
        night(lab, [agent(asked.runs // agents, at_a_time)] * agents)
        spans = spans_of(lab)
        with closing(Ledger(lab.paths.ledger)) as ledger:
            kept = len(ledger.kept(TAG)) - 1
            rebased = sum(bool(one.joins) for one in ledger.experiments(TAG))
    share, between = busy(spans, 8), statistics.median(gaps(spans))
    runs = f"{len(spans)} runs of {asked.seconds:g} s, {kept} kept, {rebased} carried on"
    return [
        Line(f"devices busy, of 8 ({runs})", f"{share:.3f}", "0.96 or more", share >= 0.96),
        Line("times that a device had two runs", str(shared(spans)), "0", not shared(spans)),
        Line("from a run's end to the next begin on its device", f"{between:.2f} s", "at most 0.5 s", between <= 0.5),
    ]


def pairs(asked: Asked) -> list[Line]:
    """Candidate and incumbent at once on two equal cards."""
    with lab_of(asked.seconds, pairing="side_by_side") as lab:
        night(lab, [agent(max(8, asked.runs // 8), 4)])
        spans = spans_of(lab)
    by_run = Counter((span.begun, span.ended) for span in spans)
    together = max(sum(one.begun <= span.begun < one.ended for one in spans) for span in spans)
    return [
        Line("cards of a paired attempt", f"{min(by_run.values())}", "2", set(by_run.values()) == {2}),
        Line("cards at work at once", str(together), "8", together == 8),
        Line("times that a card had two runs", str(shared(spans)), "0", not shared(spans)),
        Line("cards busy, of 8", f"{busy(spans, 8):.3f}", "0.96 or more", busy(spans, 8) >= 0.96),
    ]


def fair(asked: Asked) -> list[Line]:
    """One agent floods two devices, another proposes one idea at a time: it waits for a device, not for the flood."""
    with lab_of(asked.seconds, cards=2) as lab:
        night(lab, [agent(12, 12), agent(3, 1, patient=True)])
        spans = spans_of(lab)
    waited = max(span.waited for span in spans if span.who == "agent1") / asked.seconds
    what = "longest wait of an agent with one idea at a time, in runs, beside one with twelve"
    return [Line(what, f"{waited:.2f}", "at most 1.2", waited <= 1.2)]


def nodes(asked: Asked) -> list[Line]:
    """Kills on a real Ray cluster, in a process that sees this machine as it is."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "benchmarks.cluster", "--kills", str(asked.kills), "--json"]
    most = 120 + 15 * asked.kills  # seconds, twice what a busy machine has taken
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, timeout=most)
    found = [Line(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    assert found, f"{' '.join(command[1:])} ended with status {done.returncode} and measured nothing"
    return found


ROWS: dict[str, tuple[str, Callable[[Asked], list[Line]]]] = {
    "eight": ("eight agents on eight devices", eight_agents),
    "one": ("one agent that proposes four at a time, on eight devices", one_agent),
    "pairs": ("pairs on eight equal cards", pairs),
    "fair": ("a flood and a trickle on two devices", fair),
    "ray": ("kills on a real Ray cluster of this machine (the extra ray)", nodes),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{', '.join(ROWS)}; all of them by default")
    parser.add_argument("--runs", type=int, default=200, help="attempts of the rows that keep devices busy")
    parser.add_argument("--seconds", type=float, default=7.0, help="how long a run sleeps")
    parser.add_argument("--kills", type=int, default=Asked.kills, help="of the row ray")
    options = parser.parse_args()
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        parser.error(f"there is no row {unknown[0]!r}; the rows are {', '.join(ROWS)}")
    if str(SIMULATED) not in os.environ.get("PYTHONPATH", ""):
        # the machine is made up from the interpreter's start on, for this process and all that it starts
        path = os.pathsep.join(filter(None, (str(SIMULATED), str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": path, "AUTORESEARCH_CHART": "off"}
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.many", *sys.argv[1:]], environment)
    missed = []
    for name in options.rows or ROWS:
        title, row = ROWS[name]
        began = time.monotonic()
        print(f"\n# {title} ({name}), load {os.getloadavg()[0]:.1f}", flush=True)
        try:
            lines = row(Asked(options.runs, options.seconds, options.kills))
        except Exception as error:  # the other rows are worth their minutes all the same
            traceback.print_exc()
            lines = [Line(f"it broke: {type(error).__name__}", "", "", False)]
        for line in lines:
            print(f"{line.what:86} {line.value:>7}   {line.goal}{'' if line.reached else '   MISSED'}", flush=True)
            missed += [] if line.reached else [f"{name}: {line.what}"]
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
    if missed:
        print("\nMissed: " + "; ".join(missed), file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
