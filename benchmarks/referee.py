"""Simulated campaigns: what the referee gains, claims and keeps wrongly, against simpler rules.

`python -m benchmarks.referee [--reps 2000] [--json FILE]`. A campaign is 126 runs of proposals that help (12 %, mean
0.0015), do nothing (28 %) or harm (60 %, mean 0.004); every run adds normal noise, on the same seed too, so a shared
seed is no help here. The referee is the lab's own `decide`, and it knows of the noise what a lab knows: a baseline's
calibration, and whatever the campaign adds to it. Two ways of comparing: in one slot (every run is a pair) and one
after the other. All rules see the same proposals. Does not show: how real proposals are distributed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks import units
from benchmarks.rivals import NULL, World, careful_rules, rival, simple_rules
from mcp_server.judging.belief import Widths
from mcp_server.judging.decide import MOST_FAILURES, decide
from mcp_server.judging.drift import Conditions, scatter
from mcp_server.judging.effects import Effects, Look
from mcp_server.judging.noise import Measured, apart_squares, estimate, grain, pooled
from mcp_server.judging.verdict import Decision, Evidence, Label, Policy, Record, Verdict, Who

LEVELS = (1e-4, 2e-4, 4e-4, 7e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2)
REFEREE = "referee"
PASSED_OVER = 1.5  # widths under which somebody goes on to the next idea without a word
SCORE_PER_SPEED = 0.06  # one per cent more steps is 0.0006 bits per byte


EXACT = World()
ACCURATE = World(typical=0.01, harm=0.027)  # shares of right answers move in larger steps
NOTHING_ACCURATE = replace(ACCURATE, improving=0.0, neutral=1.0)


@dataclass(frozen=True)
class Machine:
    """What a slot's machine does to a run. speed(turn, runs): its pace, 1 being usual. scatter: of the pace, run by
    run (budget noise). lost: whether one run of the baseline's calibration crashed."""

    speed: Callable[[int, int], float] = lambda turn, runs: 1.0
    scatter: float = 0.0
    lost: bool = False
    step: float = 0.0  # scores are multiples of this, as a share of right answers is


STEADY = Machine()
MACHINES = {
    "steady": STEADY,
    "slows by 10 % half-way": Machine(speed=lambda turn, runs: 1.0 if turn < runs // 2 else 0.9),
    "sawtooth load": Machine(speed=lambda turn, runs: 1.0 - 0.08 * (turn % 13) / 12),
    "baseline crashes once": Machine(lost=True),
    "budget noise of 1 %": Machine(scatter=0.01),
}


@dataclass
class Outcome:
    """One entry per campaign; gains are positive when better, in the score's unit."""

    gain: list[float] = field(default_factory=list)
    claimed: list[float] = field(default_factory=list)
    believed: list[float] = field(default_factory=list)
    keeps: list[int] = field(default_factory=list)
    false: list[int] = field(default_factory=list)
    confirmed: list[int] = field(default_factory=list)
    confirmed_false: list[int] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)
    edits: list[int] = field(default_factory=list)
    first_kept: list[bool] = field(default_factory=list)
    first_confirmed: list[bool] = field(default_factory=list)
    said: list[tuple[float, bool]] = field(default_factory=list)  # (probability, truth) of every keep

    def row(self) -> dict[str, float]:
        means = {name: float(np.mean(values or [0.0])) for name, values in asdict(self).items() if name != "said"}
        means["gain_error"] = float(np.std(self.gain) / np.sqrt(max(len(self.gain), 1)))
        means["over_claim"] = float(
            np.mean([b > max(c, 0.0) + 1e-12 for b, c in zip(self.believed, self.claimed, strict=True)])
        )
        means["nights"] = float(np.mean([keeps > 0 for keeps in self.keeps]))
        means["confirmed_nights"] = float(np.mean([keeps > 0 for keeps in self.confirmed]))
        sure = [true for probability, true in self.said if probability >= 0.9]
        means["sure"], means["sure_true"] = len(sure) / max(len(self.gain), 1), float(np.mean(sure or [1.0]))
        return means


# ---- the referee ----


class Simulated:
    """One campaign of a lab whose scores are drawn: it runs what `decide` asks for, and tells it what a lab knows."""

    def __init__(
        self,
        draw: Iterator[float],
        sd: float,
        runs: int,
        slot: bool,
        machine: Machine,
        typical: float,
        earlier: Sequence[tuple[float, float]] = (),
    ):
        self.draw, self.sd, self.runs, self.left = draw, sd, runs, runs
        self.slot, self.machine, self.turn = slot, machine, 0
        self.policy = Policy(Effects(typical=typical))
        self.record, self.held, self.number, self.incumbent_code = Record(), 0.0, 1, 1
        self.scores: dict[int, list[tuple[int, float, Conditions]]] = defaultdict(list)  # by code
        self.compared: list[tuple[Hashable, Hashable]] = []
        self.widths, self.correlation, self.stale = Widths.unknown(self.policy.effects), 0.0, True
        self.buys_luck, self.passes_over, self.equal = False, False, 0
        self.told: dict[int, list[float]] = defaultdict(list)  # all scores of each code
        self.place = machine.step * (next(draw) % 1.0) if machine.step else 0.0  # where on a step the baseline lies
        self.own = (0.0, 0.0)  # squares and degrees of differences in one slot that no effect has a part in
        self._calibrate()
        if slot:
            self.widths = self.widths.measured(*pooled(self.own, earlier))

    def run(self, code: int, true: float, seed: int) -> tuple[float, float]:
        """The score of one run, and what the machine did to it; larger is better."""
        pace = self.machine.speed(self.turn, self.runs)
        if self.machine.scatter:
            pace *= 1.0 + self.machine.scatter * next(self.draw)
        self.turn += 1
        shift = SCORE_PER_SPEED * (pace - 1.0)
        score = true + self.sd * next(self.draw) + shift
        if self.machine.step:
            score = self.machine.step * round((self.place + score) / self.machine.step)
        conditions = Conditions("machine", pace=pace * (1.0 + 0.001 * next(self.draw)))
        self.scores[code].append((seed, score, conditions))
        self.told[code].append(score)
        return score, shift

    def _calibrate(self) -> None:
        if self.slot:
            for _ in range(1 if self.machine.lost else 2):
                difference = math.sqrt(2.0) * self.sd * next(self.draw)
                self._measured(difference * difference, 1.0)
            self.run(1, 0.0, 0)
        else:
            for seed in (0, 1) if self.machine.lost else (0, 0, 1):
                self.run(1, 0.0, seed)
        self.turn = 0
        own = [score for _, score, _ in self.scores[1]]
        self.baseline = sum(own) / len(own)

    def _measured(self, squares: float, degrees: float) -> None:
        self.own = self.own[0] + squares, self.own[1] + degrees

    def known(self, code: int) -> Widths:
        """What the lab knows of one plain comparison, as `campaign.evidence` brings it together."""
        if self.slot or not self.stale:
            return self.widths
        several = [
            Measured(code, seed, score)
            for code, runs in self.scores.items()
            if len(runs) > 1
            for seed, score, _ in runs
        ]
        pairs = [*self.compared, (code, self.incumbent_code)]
        noise = estimate(several, pairs, self.policy.effects.typical)
        self.correlation = noise.correlation(self.policy.effects.typical)
        self.equal = noise.runs if noise.equal else 0
        widths = Widths.unknown(self.policy.effects).measured(*apart_squares(several, pairs, self.correlation))
        self.widths, self.stale = replace(widths, seen=self.widths.seen, wealth=self.widths.wealth), False
        return self.widths

    def attempt(self, change: float) -> Verdict:
        """One proposal from its first run to the decision."""
        self.number += 1
        true, beside, candidate = self.held + change, {}, {}
        anchored, code = False, self.number
        looks: dict[int, int] = {}
        mine = self.scores[self.incumbent_code]
        self.left -= 1
        self._one(code, true, 0, candidate, beside, looks)
        while True:
            widths = self.known(code)
            theirs: defaultdict[int, list[float]] = defaultdict(list)
            for seed, score, _ in mine:
                theirs[seed].append(score)
            verdict = decide(
                Evidence(
                    candidate=candidate,
                    incumbent={seed: sum(some) / len(some) for seed, some in theirs.items()},
                    widths=widths,
                    beside=beside,
                    paired=self.slot,
                    correlation=self.correlation,
                    chosen=self.incumbent_code != 1,
                    policy=self.policy,
                    record=self.record,
                    runs_left=self.left,
                    called_off=sum(looks.values()) - len(looks),
                    anchored=anchored,
                    now=self.scores[code][0][2],
                    then=mine[-1][2],
                    scatter=scatter([[one[2] for one in mine]]),
                    grain=grain(self.told.values()) if self.machine.step or not self.sd else 0.0,
                    equal=self.equal,
                )
            )
            if verdict.decision is not Decision.CONFIRM:
                break
            self.stale = True
            for order in verdict.orders:
                self.left -= 1
                if order.who is Who.CANDIDATE:
                    self._one(code, true, order.seed, candidate, beside, looks)
                else:
                    if order.purpose == "anchor":
                        anchored = True
                        mine.clear()
                    self.run(self.incumbent_code, self.held, order.seed)
                    self.stale = True
        self._settle(verdict, true, code, fair=sum(looks.values()) == len(looks))
        return verdict

    def claim(self) -> float:
        """The gain as recorded: mean of the incumbent's scores minus that of the baseline's."""
        own = [score for _, score, _ in self.scores[self.incumbent_code]]
        return sum(own) / len(own) - self.baseline

    def _one(
        self,
        code: int,
        true: float,
        seed: int,
        candidate: dict[int, float],
        beside: dict[int, float],
        looks: dict[int, int],
    ) -> None:
        """One run; who buys luck calls an unlucky one off and runs it again, as long as the lab lets him."""
        for look in range(1, (MOST_FAILURES if self.buys_luck else 1) + 1):
            score, shift = self.run(code, true, seed)
            candidate[seed], looks[seed] = score, look
            if self.slot:
                beside[seed] = self.held + shift + self.sd * next(self.draw)
            if candidate[seed] - beside.get(seed, 0.0) > 0.5 * self.sd or self.left <= 0:
                break

    def _settle(self, verdict: Verdict, true: float, code: int, fair: bool) -> None:
        if self.passes_over and (verdict.widths or 0.0) < PASSED_OVER and verdict.decision is not Decision.KEEP:
            # it teaches nothing of the noise, and counts all the same (`campaign.gathered.record`)
            lying = self.record.lying * min(1.0, verdict.evidence or 1.0)
            self.record = replace(self.record, lying=lying)
            if len(self.scores[code]) < 2:
                del self.scores[code]
            return
        if fair and verdict.gain is not None and verdict.share is not None:
            look = Look(verdict.gain, verdict.share, verdict.squares, len(self.scores[code]) - 1.0)
            if self.slot:
                self._measured(look.squares, look.degrees)
                self.widths = self.widths.after(look, Look(verdict.first) if verdict.first is not None else None)
            else:
                self.widths = self.widths.after(Look(verdict.gain, verdict.share))
                if len(self.scores[code]) > 1:
                    self.compared.append((code, self.incumbent_code))
                    self.stale = True
        self.record = self.record.after(verdict.evidence, verdict.lost)
        if verdict.decision is Decision.KEEP:
            self.held, self.incumbent_code = true, code
        elif len(self.scores[code]) < 2:
            del self.scores[code]


def campaigns(
    world: World,
    sd: float,
    reps: int,
    seed: int = 1,
    *,
    slot: bool = True,
    machine: Machine = STEADY,
    typical: float | None = None,
    buys_luck: bool = False,
    passes_over: bool = False,
    later: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> Outcome:
    """Whole campaigns under the lab's own `decide`. later: each is the second of its lab, after one like it."""
    done = Outcome()
    proposals = world.proposals(np.random.default_rng([seed, round(sd * 1e7)]), (reps, world.runs))
    for rep in range(reps):
        draw = _normals(np.random.default_rng([seed, round(sd * 1e7), 2, rep]))
        earlier = []
        if later:
            first_of_all = Simulated(draw, sd, world.runs, slot, machine, typical or world.typical)
            before = world.proposals(np.random.default_rng([seed, round(sd * 1e7), 3, rep]), (1, world.runs))
            for change in before[0].tolist():
                if first_of_all.left > 0:
                    first_of_all.attempt(change)
            earlier = [first_of_all.own]
        lab = Simulated(draw, sd, world.runs, slot, machine, typical or world.typical, earlier)
        lab.buys_luck, lab.passes_over = buys_luck, passes_over
        totals = dict.fromkeys(("keeps", "false", "confirmed", "confirmed_false"), 0)
        believed = claimed = 0.0
        first = Verdict(Decision.DISCARD, "", "")
        for turn, change in enumerate(proposals[rep].tolist()):
            if lab.left <= 0:
                break
            verdict = lab.attempt(change)
            first = verdict if turn == 0 else first
            if verdict.decision is Decision.KEEP:
                false, sure = change <= 0.0, verdict.label is Label.CONFIRMED
                totals["keeps"] += 1
                totals["false"] += false
                totals["confirmed"] += sure
                totals["confirmed_false"] += sure and false
                believed, claimed = believed + (verdict.believed or 0.0), lab.claim()
                done.said.append((verdict.probability or 0.0, not false))
        assert lab.left >= 0, "a verdict spent more than was left"
        for name, value in totals.items():
            getattr(done, name).append(value)
        done.gain.append(lab.held)
        done.claimed.append(claimed)
        done.believed.append(min(believed, max(claimed, 0.0)) if lab.record.proven else 0.0)
        done.extra.append(world.runs - (lab.number - 1))
        done.edits.append(lab.number - 1)
        done.first_kept.append(first.decision is Decision.KEEP)
        done.first_confirmed.append(first.label is Label.CONFIRMED)
        progress()
    return done


def _normals(draw: np.random.Generator) -> Iterator[float]:
    while True:
        yield from draw.normal(0.0, 1.0, 512).tolist()


# ---- the tables ----

QUIET, MIDDLE, LOUD = 1.1e-4, 7e-4, 2e-3  # at which the machines and the nights in which nothing helps are shown
Rows = dict[str, dict[str, float]]


@dataclass
class Told:
    """Says how far the benchmark is; one line that writes over itself."""

    whole: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def __call__(self) -> None:
        self.done += 1
        if self.done % 25 == 0 or self.done == self.whole:
            said = f"\r{self.done / self.whole:4.0%} of the campaigns, {time.monotonic() - self.began:.0f} s"
            print(said, end="", file=sys.stderr, flush=True)


def levels(
    reps: int,
    apart_reps: int,
    seed: int,
    sds: Sequence[float],
    tell: Callable[[], None],
    stated: dict[str, list[tuple[float, bool]]],
) -> dict[str, Rows]:
    """Campaigns in which some proposals help: the referee and the best of the simple rules, by noise and comparison."""
    found: dict[str, Rows] = {"slot": {}, "apart": {}}
    for name, rows in found.items():
        slot = name == "slot"
        for sd in sds:
            count = reps if slot else apart_reps
            if not count:
                continue
            outcome = campaigns(World(), sd, count, seed, slot=slot, progress=tell)
            row = outcome.row()
            stated[name] += outcome.said
            rows[f"{sd:.0e}"] = row | against_rivals(row["gain"], sd, count, seed, slot)
    return found


def against_rivals(gain: float, sd: float, reps: int, seed: int, slot: bool) -> dict[str, float]:
    """The referee's gain as a share of the best simple rule's, and of the best that keeps the promise itself."""
    rules = simple_rules() | careful_rules()
    rivals = {name: rival(World(), sd, reps, seed, act, slot) for name, act in rules.items()}
    quiet = {name: rival(NULL, sd, 500, seed + 1, act, slot) for name, act in rules.items()}
    best = max(one.gain for one in rivals.values())
    fair = max((rivals[name].gain for name in rules if quiet[name].keeps_the_promise), default=0.0)
    loud = max(rivals, key=lambda name: rivals[name].gain)
    return {
        "best": best,
        "best_nights": quiet[loud].nights,
        "greedy": rivals["greedy"].gain,
        "share": gain / best if best > 0 else math.inf,
        "fair": fair,
        "fair_share": gain / fair if fair > 0 else math.inf,
    }


def later_ones(reps: int, seed: int, tell: Callable[[], None]) -> Rows:
    """Second campaigns of a lab, which know the noise that the first one measured."""
    found: Rows = {}
    for sd in (1e-4, 4e-4, MIDDLE, 1e-3) if reps else ():
        outcome = campaigns(World(), sd, reps, seed, later=True, progress=tell)
        row = outcome.row()
        found[f"{sd:.0e}"] = row | against_rivals(row["gain"], sd, reps, seed, True)
    return found


def coarse(reps: int, seed: int, tell: Callable[[], None]) -> Rows:
    """Arenas without noise, and such whose scores are so coarse that equal code is often equal: one after the other."""
    found: Rows = {}
    step = Machine(step=1 / 200)
    rows: list[tuple[str, World, World, float, Machine]] = [("exact", EXACT, NULL, 0.0, STEADY)]
    rows += [(f"steps of 1/200, noise {sd:g}", ACCURATE, NOTHING_ACCURATE, sd, step) for sd in (0.0005, 0.001, 0.003)]
    for name, world, quiet, sd, machine in rows if reps else ():
        for kind, some in (("", world), (", nothing helps", quiet)):
            # the lab's own guess of what a typical improvement is
            outcome = campaigns(some, sd, reps, seed, slot=False, machine=machine, typical=0.00135, progress=tell)
            row = outcome.row()
            best = float(
                np.clip(some.proposals(np.random.default_rng([seed, round(sd * 1e7)]), (reps, some.runs)), 0, None)
                .sum(1)
                .mean()
            )
            found[name + kind] = row | {"share": row["gain"] / best if best > 0 else math.nan}
    return found


def nights(reps: int, apart_reps: int, seed: int, tell: Callable[[], None]) -> Rows:
    """Campaigns in which nothing helps, by machine, noise and comparison; of somebody who buys luck, and of one who
    decides on the lucky ones alone."""
    found: Rows = {}
    for slot, count in ((True, reps), (False, apart_reps)):
        if not count:
            continue
        kind = "slot" if slot else "apart"
        for machine, how in MACHINES.items():
            for sd in (QUIET, MIDDLE, LOUD):
                outcome = campaigns(NULL, sd, count, seed + 1, slot=slot, machine=how, progress=tell)
                found[f"{kind}, {machine}, {sd:.1e}"] = outcome.row()
        for sd in (QUIET, MIDDLE, LOUD):
            outcome = campaigns(NULL, sd, count, seed + 2, slot=slot, buys_luck=True, progress=tell)
            found[f"{kind}, luck is bought, {sd:.1e}"] = outcome.row()
            outcome = campaigns(NULL, sd, count, seed + 2, slot=slot, passes_over=True, progress=tell)
            found[f"{kind}, the unlucky are left undecided, {sd:.1e}"] = outcome.row()
    return found


def moving(reps: int, apart_reps: int, seed: int, tell: Callable[[], None]) -> Rows:
    """Campaigns in which some proposals help, on machines that move."""
    found: Rows = {}
    for slot, count in ((True, reps), (False, apart_reps)):
        for machine, how in MACHINES.items() if count else ():
            outcome = campaigns(World(), 4e-4, count, seed, slot=slot, machine=how, progress=tell)
            found[f"{'slot' if slot else 'apart'}, {machine}"] = outcome.row()
    return found


def goals(
    table: Mapping[str, Rows], quiet: Rows, moved: Rows, later: Rows, coarse_rows: Rows
) -> list[tuple[str, bool, str]]:
    """(what was promised, whether it holds, the numbers)."""
    said = []
    for kind, rows in table.items():
        for level, row in rows.items():
            sd, where = float(level), f"at {level}, {kind}"
            if sd <= 7.01e-4:
                said.append((f"gain {where} at least 0.95 of the best", row["share"] >= 0.95, f"{row['share']:.3f}"))
            fair = row["fair_share"]
            said.append((f"gain {where} above every rule that keeps the promise", fair >= 1.0, f"{fair:.2f}"))
            said.append((f"gain {where} never negative", row["gain"] >= 0.0, f"{row['gain']:.5f}"))
            wrong = row["confirmed_false"]
            said.append((f"confirmed but false {where} under 0.02 a campaign", wrong < 0.02, f"{wrong:.4f}"))
            came, count = row["sure_true"], row["sure"]
            said.append(
                (f"said to be 90 % sure {where}: true in 90 %", came >= 0.9, f"{came:.3f} of {count:.1f} a night")
            )
            over = row["over_claim"]
            said.append((f"believed {where} never above the claim", over == 0.0, f"{over:.3f}"))
    for name, row in quiet.items():
        few, first, sure = row["nights"], row["first_kept"], row["first_confirmed"]
        each = row["keeps"] / max(row["edits"], 1.0)
        said.append((f"nothing helps ({name}): a keep in at most 5 nights of 100", few <= 0.05, f"{few:.4f}"))
        said.append((f"nothing helps ({name}): at most 1 edit of 100 kept", each <= 0.01, f"{each:.5f}"))
        said.append((f"nothing helps ({name}): first edit kept at most 5 %", first <= 0.05, f"{first:.4f}"))
        said.append((f"nothing helps ({name}): first edit confirmed at most 0.4 %", sure <= 0.004, f"{sure:.4f}"))
        believed = row["believed"]
        said.append((f"nothing helps ({name}): nothing to believe", believed <= 1e-4, f"{believed:.6f}"))
    for level, row in later.items():
        if float(level) <= 7.01e-4:
            share = row["share"]
            said.append(
                (f"gain at {level}, a later campaign, at least 0.95 of the best", share >= 0.95, f"{share:.3f}")
            )
    for name, row in coarse_rows.items():
        if name.endswith("nothing helps"):
            few, each = row["nights"], row["keeps"] / max(row["edits"], 1.0)
            said.append((f"{name}: a keep in at most 5 nights of 100", few <= 0.05, f"{few:.4f}"))
            said.append((f"{name}: at most 1 edit of 100 kept", each <= 0.01, f"{each:.5f}"))
    for name, row in moved.items():
        steady = moved[f"{name.partition(',')[0]}, steady"]
        worse = row["false"] - steady["false"]
        said.append((f"no more false keeps than on a steady machine ({name})", worse <= 0.6, f"{worse:+.2f}"))
        said.append(
            (f"said to be 90 % sure ({name}): true in 90 %", row["sure_true"] >= 0.9, f"{row['sure_true']:.3f}")
        )
    return said


def show(title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    head = f"{'gain':>6s} {'±':>5s} {'share':>6s} {'fair':>6s} {'greedy':>7s} {'claims':>7s} {'believe':>7s}"
    head += f" {'keeps':>6s}"
    head += f" {'false':>6s} {'conf.':>6s} {'c.false':>7s} {'extra':>6s} {'nights':>7s} {'first':>7s}"
    head += f" {'>=90 %':>7s} {'true':>6s}"
    print(f"\n{title}; gains in 1e-3 a campaign\n{'':34s} {head}")
    for name, row in rows.items():
        print(
            f"{name:34s} {1e3 * row['gain']:6.2f} {1e3 * row['gain_error']:5.2f} {row.get('share', math.nan):6.3f} "
            f"{row.get('fair_share', math.nan):6.2f} "
            f"{1e3 * row.get('greedy', math.nan):7.2f} {1e3 * row['claimed']:7.2f} {1e3 * row['believed']:7.2f} "
            f"{row['keeps']:6.2f} {row['false']:6.2f} {row['confirmed']:6.2f} {row['confirmed_false']:7.4f} "
            f"{row['extra']:6.1f} {row['nights']:7.4f} {row['first_kept']:7.4f} {row['sure']:7.2f} "
            f"{row['sure_true']:6.3f}"
        )


def calibration(said: Sequence[tuple[float, bool]]) -> list[tuple[float, float, int]]:
    """(from which probability, how many of these keeps are true, how many) in tenths."""
    found = []
    for tenth in range(10):
        some = [true for probability, true in said if tenth <= min(10.0 * probability, 9.999) < tenth + 1]
        if some:
            found.append((tenth / 10, sum(some) / len(some), len(some)))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reps", type=int, default=2000, help="campaigns per noise level, compared in one slot")
    parser.add_argument("--apart-reps", type=int, help="the same for one after the other; a quarter by default")
    parser.add_argument("--night-reps", type=int, help="nights in which nothing helps, per row; a quarter by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--levels", type=float, nargs="+", default=list(LEVELS), help="noise of one run")
    parser.add_argument("--json", type=Path, help="write every number here as well")
    asked = parser.parse_args(arguments)
    apart = asked.reps // 4 if asked.apart_reps is None else asked.apart_reps
    quiet_reps = asked.reps // 4 if asked.night_reps is None else asked.night_reps
    quiet_apart = min(quiet_reps, apart)
    rows = 3 * (len(MACHINES) + 1)
    whole = len(asked.levels) * (asked.reps + apart) + rows * (quiet_reps + quiet_apart)
    moved_reps, moved_apart = asked.reps // 10, apart // 4
    coarse_reps, later_reps = quiet_apart, asked.reps // 2
    whole += len(MACHINES) * (moved_reps + moved_apart) + 4 * later_reps + 8 * coarse_reps
    tell = Told(whole)
    stated: dict[str, list[tuple[float, bool]]] = {"slot": [], "apart": []}
    table = levels(asked.reps, apart, asked.seed, asked.levels, tell, stated)
    quiet = nights(quiet_reps, quiet_apart, asked.seed, tell)
    moved = moving(moved_reps, moved_apart, asked.seed, tell)
    later = later_ones(later_reps, asked.seed, tell)
    coarse_rows = coarse(coarse_reps, asked.seed, tell)
    print(file=sys.stderr)
    show("candidate and incumbent in one slot, by noise of one run", table["slot"])
    show("one after the other", table["apart"])
    show("nights in which nothing helps", quiet)
    show("machines that move, noise 4e-4", moved)
    show("a lab's second campaign, in one slot", later)
    show("exact and coarse scores, one after the other; share of all gain that there is", coarse_rows)
    for kind, keeps in stated.items():
        print(f"\nkeeps by their stated probability, {kind}: from, true, how many")
        for start, true, count in calibration(keeps):
            print(f"  {start:.1f}  {true:.3f}  {count}")
    said = goals(table, quiet, moved, later, coarse_rows)
    examples = units.measured(coarse_reps, asked.seed)
    units.show(examples)
    said += units.goals(examples)
    print()
    for what, holds, numbers in said:
        print(f"{'holds ' if holds else 'MISSED'}  {what}: {numbers}")
    print(f"\n{sum(holds for _, holds, _ in said)} of {len(said)} goals hold")
    if asked.json:
        answer = {"reps": asked.reps, "apart": apart, "nights": quiet_reps, "seed": asked.seed, "levels": table}
        listed = [{"goal": what, "holds": holds, "found": numbers} for what, holds, numbers in said]
        asked.json.write_text(
            json.dumps(
                answer
                | {"null": quiet, "moving": moved, "later": later, "coarse": coarse_rows}
                | {"units": asdict(examples), "goals": listed},
                indent=1,
            )
        )
    return 0 if all(holds for _, holds, _ in said) else 1


if __name__ == "__main__":
    sys.exit(main())
