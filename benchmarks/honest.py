"""Whether verdicts can be believed on a machine that moves: `make honest`, or `python -m benchmarks.honest`.

Everything runs for real, beside 0 to 3 busy processes that come and go by a seeded plan: the shipped train.py and
corpus, the lab's own verbs, the pairing and the noise that the lab chooses and measures for itself. Nothing is handed
to it but the edits.

  a  edits that change nothing that matters, one slot each. How far apart do two equal runs come out in one slot, and
     how far one after the other? One after the other, between the slots, is the same code and seed by hand, as the
     scheduler sends it to and fro, and once more as the lab runs what it cannot pair, on a core of its own.
     What does the lab say of them, and does its interval cover the truth, which is zero?
  b  an edit that is truly better and one that is truly worse, by an amount that is known: the logits are multiplied by
     a constant when the model answers, never while it trains, so the same weights tell what the edit is worth.
  c  `autoresearch demo` as a user starts it. Does the closing exam confirm what it kept, and do repeats on fresh
     seeds, with nothing else running, refute the sign of any lesson that it wrote down?
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.__main__ import machine
from benchmarks.neighbours import Neighbours
from benchmarks.training import ROOT, Bench
from mcp_server.campaign.evidence import judge_experiment
from mcp_server.judging.student import examination
from mcp_server.lab import Lab
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.rows import Experiment, Run
from mcp_server.repo.workspace import Workspace
from mcp_server.researcher.demo import stop_runs
from mcp_server.setup.newlab import LANGUAGE_MODEL, Template, template, write_lab

TAG = "honest"
EQUAL_EDITS = 12
BUDGET_SECONDS = 8.0
SPEAKS = "        return logits.scatter_add_(-1, proposals.clamp(min=0), bonus)\n"
SHARPNESS, BETTER, WORSE = 0.75, 1.0, 0.6  # what the logits are multiplied by: the baseline's, and the two edits'
FRESH_SEEDS = 3  # of the exam, and of the repeats that try to refute a lesson
CLAIMS = re.compile(r"\b(improved|worsened)\b")


@dataclass(frozen=True)
class Slot:
    """One experiment of part a or b as its first slot showed it, and as the lab decided it in the end."""

    description: str
    gain: float  # over the incumbent, in the lab's own first view; positive is better
    low: float
    high: float
    decision: str
    label: str
    slots: int  # runs it took until it was decided
    comparison: str
    candidate: float  # bits per byte in the first slot ...
    incumbent: float | None  # ... and the incumbent's in the same one
    steps: tuple[int | None, int | None]


@dataclass
class Findings:
    """All that was found; what a part did not run is empty."""

    machine: str = ""
    pairing: str = ""
    equal: list[Slot] = field(default_factory=list)
    singles: list[float] = field(default_factory=list)  # bits per byte, by the supervisor
    by_hand: list[float] = field(default_factory=list)
    planted: dict[str, Slot] = field(default_factory=dict)
    worth: dict[str, float] = field(default_factory=dict)  # the true gain of each planted edit
    demo: dict[str, Any] = field(default_factory=dict)
    minutes: float = 0.0


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


# --- parts a and b: a lab of our own ----------------------------------------------------------------------------------


def planted(source: str, sharpness: float) -> str:
    """train.py with a constant by which the logits are multiplied when the model answers."""
    assert source.count(SPEAKS) == 1, "train.py answers in another way now; mend the plant"
    answering = SPEAKS.replace("return logits", "return (1.0 if self.training else SHARPNESS) * logits")
    constant = "# What is looked up"
    assert source.count(constant) == 1
    return source.replace(SPEAKS, answering).replace(constant, f"SHARPNESS = {sharpness}\n\n{constant}")


def make_lab(folder: Path, budget: float, shipped: Template) -> Lab:
    text = shipped.files["program.md"].read_text("utf-8")
    program = re.sub(r"(?m)^(budget:.*?\bseconds:\s*)[\d.]+", rf"\g<1>{budget:g}", text, count=1)
    train = planted(shipped.files["train.py"].read_text("utf-8"), SHARPNESS)
    write_lab(shipped, folder, {"program.md": program.encode(), "train.py": train.encode()}, own_repository=True)
    return Lab(folder)


def waited(lab: Lab, number: int) -> None:
    """Until no run that an experiment waits for is open."""
    while lab.read_score(number).open:
        time.sleep(0.1)


def first_run(lab: Lab, number: int) -> tuple[Experiment, Run]:
    with lab.reading() as (bench, campaign, _):
        found = bench.ledger.experiment(campaign.tag, number)
        runs = [run for run in bench.ledger.runs(campaign.tag, number) if run.counts]
    if not runs:
        raise SystemExit(f"experiment {number} has no score: {found.description}")
    return found, runs[0]


def decided(lab: Lab, number: int) -> tuple[Decided, str, int]:
    """The lab's own decision, by its own road with every repeat it asks for: (record, label, runs)."""
    while True:
        waited(lab, number)
        if lab.commit_or_revert(number).decision != "confirming":
            break
    with lab.reading() as (bench, campaign, _):
        found = bench.ledger.experiment(campaign.tag, number)
        return found.verdict, found.label or "", len(bench.ledger.runs(campaign.tag, number))


def tried(lab: Lab, description: str, source: str) -> Slot:
    """One edit through the lab's verbs."""
    (lab.paths.tree / "train.py").write_text(source)
    number = lab.run_experiment(description).experiment
    waited(lab, number)
    found, run = first_run(lab, number)
    with lab.reading() as (bench, campaign, arena):
        view = judge_experiment(bench.ledger, arena, campaign, found)
    assert view is not None
    low, high = view.verdict.interval or (math.nan, math.nan)
    record, label, runs = decided(lab, number)
    result = run.result
    assert result is not None
    assert run.score is not None
    slot = Slot(
        description=description,
        gain=view.verdict.gain if view.verdict.gain is not None else math.nan,
        low=low,
        high=high,
        decision=record.decision,
        label=label,
        slots=runs,
        comparison=record.comparison,
        candidate=run.score,
        incumbent=result.incumbent_score,
        steps=(result.steps, result.beside.steps if result.beside else None),
    )
    say(
        f"  {description}: gain {slot.gain:+.4f} [{slot.low:+.4f}, {slot.high:+.4f}], {slot.decision} "
        f"{label} after {runs} runs, steps {slot.steps[0]} and {slot.steps[1]}"
    )
    return slot


def by_hand(train: Path, bench: Bench, seed: int) -> float:
    """The score of the same run as a person starts it: no supervisor, no core of its own."""
    shutil.copy(ROOT / "prepare.py", train.parent)
    given = {"SEED": seed, "BUDGET_SECONDS": bench.budget, "CLOCK": bench.clock, "DATA": bench.corpus}
    given |= {"DEVICE": "cpu", "THREADS": 1}
    env = {**os.environ, **{f"AUTORESEARCH_{name}": str(value) for name, value in given.items()}}
    said = subprocess.check_output([sys.executable, "train.py"], env=env, cwd=train.parent, text=True)
    return float(said.partition("val_bpb:")[2].split()[0])


WORTH = """
import json, sys, torch, prepare, train
from safetensors.torch import load_file
model = train.build_model()
model.load_state_dict(load_file(sys.argv[1]))
found = {}
for sharpness in map(float, sys.argv[2:]):
    train.SHARPNESS = sharpness
    found[sharpness] = prepare.evaluate(model)
print(json.dumps(list(found.values())))
"""


def worth(lab: Lab) -> dict[str, float]:
    """The true gain of both planted edits: the baseline's own sealed weights, answered with each constant."""
    with lab.reading() as (bench, campaign, _):
        kept = bench.ledger.kept(campaign.tag)[0]
        run = next(run for run in bench.ledger.runs(campaign.tag, kept.number) if run.counts)
        weights = bench.paths.run(campaign.tag, kept.number, run.run).artifact / "model.safetensors"
    command = [sys.executable, "-c", WORTH, str(weights), *(str(one) for one in (SHARPNESS, BETTER, WORSE))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shipped = template(LANGUAGE_MODEL)
        (folder / "train.py").write_text(planted(shipped.files["train.py"].read_text("utf-8"), SHARPNESS))
        (folder / "prepare.py").write_bytes(shipped.files["prepare.py"].read_bytes())
        env = {**os.environ, "AUTORESEARCH_DEVICE": "cpu", "PYTHONPATH": name}
        base, better, worse = json.loads(subprocess.check_output(command, env=env, cwd=name, text=True))
    return {"better": base - better, "worse": base - worse}


def own_lab(folder: Path, budget: float, seed: int, found: Findings) -> None:
    shipped = template(LANGUAGE_MODEL)
    bench = Bench(folder / "singles", budget)
    with Neighbours(seed), contextlib.closing(make_lab(folder / "lab", budget, shipped)) as lab:
        lab.start_campaign(TAG)
        waited(lab, 1)
        status = lab.lab_status()
        found.pairing = status.pairing
        say(f"baseline measured; pairing: {found.pairing}")
        source = (lab.paths.tree / "train.py").read_text()
        single = folder / "train.py"
        single.write_text(source)
        for turn in range(EQUAL_EDITS):
            found.equal.append(tried(lab, f"nothing {turn + 1}", source + f"\nUNUSED_{turn + 1} = {turn + 1}\n"))
            found.singles.append(bench.run(single, seed).score)
            found.by_hand.append(by_hand(single, bench, seed))
        found.worth = worth(lab)
        for name, sharpness in (("worse", WORSE), ("better", BETTER)):
            edit = source.replace(f"SHARPNESS = {SHARPNESS}\n", f"SHARPNESS = {sharpness}\n")
            found.planted[name] = tried(lab, f"truly {name} by {found.worth[name]:+.4f}", edit)


# --- part c: the demo -------------------------------------------------------------------------------------------------


def shown(folder: Path, seed: int, options: Sequence[str]) -> dict[str, Any]:
    """The demo under load, its exam, and every lesson's sign tried on fresh seeds in quiet."""
    lab_folder = folder / "demo"
    command = [sys.executable, "-m", "mcp_server.cli", "demo", "--keep", str(lab_folder), "--plain", *options]
    began = time.monotonic()
    with Neighbours(seed):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the demo failed: {done.stderr[-2000:]}")
    print(done.stdout)
    found: dict[str, Any] = {"seconds": round(time.monotonic() - began, 1)}
    with contextlib.closing(Lab(lab_folder, campaign="demo")) as lab:
        with lab.reading() as (bench, campaign, _):
            experiments = bench.ledger.experiments(campaign.tag)
            lessons = [one for one in bench.ledger.learnings() if one.experiment is not None]
        found["tried"] = sum(one.kind != "baseline" for one in experiments)
        kept = [one for one in experiments if one.decision == "keep" and one.kind != "baseline"]
        found["kept"] = len(kept)
        if kept:
            exam = lab.exam(FRESH_SEEDS)
            while exam.status == "running":
                time.sleep(1.0)
                exam = lab.exam(FRESH_SEEDS)
            found["exam"] = {"gain": exam.gain, "interval": exam.interval, "claimed": exam.claimed_gain}
        claims = [one for one in lessons if CLAIMS.search(one.text)]
        found["lessons"], found["lessons that claim a sign"] = len(lessons), len(claims)
        found["refuted"] = list(refuted(lab, folder / "repeats", claims, experiments))
    return found


def refuted(lab: Lab, folder: Path, claims: Sequence[Any], experiments: Sequence[Experiment]) -> Iterator[str]:
    """The lessons whose sign repeats on fresh seeds speak against, beside their own incumbent and with nothing else."""
    by_number = {one.number: one for one in experiments}
    with lab.reading() as (reading, _, arena):
        workspace: Workspace = reading.workspace
        budget = arena.budget.seconds
    bench = Bench(folder, budget)
    for claim in claims:
        experiment = by_number[claim.experiment]
        base = by_number[experiment.verdict.against or 1]
        codes = []
        for one in (experiment, base):
            place = folder / f"{one.number}.py"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(workspace.committed(arena.editable, one.snapshot)["train.py"])
            codes.append(place)
        gains = []
        for turn in range(FRESH_SEEDS):
            slot = bench.run(codes[0], 900_000 + turn, "side_by_side", codes[1])
            beside = slot.result.incumbent_score
            if beside is None:
                raise SystemExit(f"experiment {base.number} beside {experiment.number} has no score")
            gains.append(beside - slot.score)
        repeat = examination(gains)
        wrong = repeat.high < 0 if "improved" in claim.text else repeat.low > 0
        say(f"  {'REFUTED' if wrong else 'stands'}: {claim.text[:90]} [{repeat.low:+.4f}, {repeat.high:+.4f}]")
        if wrong:
            yield f"{claim.text} Repeats: {repeat.gain:+.4f} [{repeat.low:+.4f}, {repeat.high:+.4f}]."


# --- the table --------------------------------------------------------------------------------------------------------


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(statistics.fmean(x * x for x in values)) if values else math.nan


def goals(found: Findings) -> list[tuple[str, bool, str]]:
    said: list[tuple[str, bool, str]] = []
    if found.equal:
        inside = [one.candidate - one.incumbent for one in found.equal if one.incumbent is not None]
        near = _rms(inside)
        covered = sum(one.low <= 0.0 <= one.high for one in found.equal)
        keeps = sum(one.decision == "keep" for one in found.equal)
        for how, scores in (("by hand", found.by_hand), ("each on a core of its own", found.singles)):
            far = _rms([b - a for a, b in itertools.pairwise(scores)])
            what = f"a difference in one slot / one after the other, {how}, rms: at most 1/5"
            said.append((what, near <= far / 5, f"{near / far:.3f} ({near:.5f} / {far:.5f})"))
        said.append((f"{EQUAL_EDITS} edits that change nothing: none kept", keeps == 0, f"{keeps}"))
        said.append(
            (f"their 95 % intervals cover zero: at least {EQUAL_EDITS - 1}", covered >= EQUAL_EDITS - 1, f"{covered}")
        )
    for name, slot in found.planted.items():
        true = found.worth[name]
        clear = slot.low > 0 if true > 0 else slot.high < 0
        right = (slot.decision == "keep") == (true > 0)
        numbers = f"{slot.gain:+.4f} [{slot.low:+.4f}, {slot.high:+.4f}], true {true:+.4f}, {slot.decision}"
        said.append((f"truly {name}: told in one slot, and decided so", clear and right, numbers))
    if found.demo:
        exam = found.demo.get("exam") or {}
        interval = exam.get("interval") or [math.nan, math.nan]
        said.append(
            (
                "demo: a keep that the exam confirms",
                interval[0] > 0,
                f"{found.demo['kept']} kept, exam {exam.get('gain')} {interval}",
            )
        )
        said.append(
            (
                "demo: no lesson of the wrong sign",
                not found.demo["refuted"],
                f"{found.demo['lessons that claim a sign']} tried",
            )
        )
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="abc", help="ab: edits of known worth; c: the demo")
    parser.add_argument("--budget", type=float, default=BUDGET_SECONDS, help="processor seconds of a run in a and b")
    parser.add_argument("--seed", type=int, default=1, help="of the neighbours' coming and going")
    parser.add_argument("--json", type=Path, help="write all that was found here")
    parser.add_argument("demo", nargs="*", help="more options of `autoresearch demo`, after --")
    asked = parser.parse_args(arguments)
    began, found = time.monotonic(), Findings(machine=machine())
    say(found.machine)
    with tempfile.TemporaryDirectory(prefix="autoresearch-honest-", ignore_cleanup_errors=True) as name:
        if set(asked.parts) & set("ab"):
            try:
                own_lab(Path(name), asked.budget, asked.seed, found)
            finally:
                stop_runs(Path(name) / "lab")  # a run outlives whoever ordered it, and Ctrl-C leaves none behind
        if "c" in asked.parts:
            found.demo = shown(Path(name), asked.seed + 1, asked.demo)
    found.minutes = round((time.monotonic() - began) / 60, 1)
    said = goals(found)
    print(found.machine)
    for what, holds, numbers in said:
        print(f"{'holds ' if holds else 'MISSED'}  {what}: {numbers}")
    print(f"{found.minutes} minutes")
    if asked.json:
        asked.json.write_text(json.dumps({**asdict(found), "goals": said}, indent=1))
    return 0 if all(holds for _, holds, _ in said) else 1


if __name__ == "__main__":
    sys.exit(main())
