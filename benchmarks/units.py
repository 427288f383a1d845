"""Simulated verdicts on scores that are a mean over examples: null changes that are kept, and what pairing saves.

A null change moves every example, some up and some down, and on other inputs comes to nothing. Part of what it seems to
gain is the choice of examples (the same at every repeat), part the luck of a seed (shared by all examples). Decided by
the lab's own `decide`, which knows of the seeds' noise what a baseline's calibration tells; and, beside it, by the
percentile bootstrap over repeats that a much used rival has. `benchmarks.referee` shows these tables among its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcp_server.judging.belief import Widths
from mcp_server.judging.decide import decide
from mcp_server.judging.effects import Effects, Look
from mcp_server.judging.further.units import paired
from mcp_server.judging.verdict import Decision, Evidence, Policy, Record, Verdict

COUNTS, REPEATS = (3, 10, 100, 400), (1, 2, 3)
PROVEN = Record(5.0, True)
EFFECTS = Effects(typical=0.0015)
NIGHT = 126  # runs
DRAWS = 400  # of a bootstrap
ACCURACY, FLIPPED, GAIN = 0.8, 0.05, 0.02
SHOWN = 0.8  # of such gains an evaluation should tell from nothing


@dataclass(frozen=True)
class Kind:
    """A way in which a null change moves examples. Standard deviations, in the score's unit.

    example: of one example's own change, whatever the seed. seed: of what a seed does to all examples alike. each: of
    one example on one seed. mine: of the incumbent's own luck with each example, which all candidates of a night meet.
    """

    name: str
    example: float = 0.01
    seed: float = 0.0
    each: float = 0.0
    mine: float = 0.0
    flips: bool = False


KINDS = (
    Kind("examples"),
    Kind("examples, and seeds as much", seed=1.0),  # times what the examples make of the mean
    Kind("examples on seeds", example=0.005, each=0.01),
    Kind("the incumbent's examples too", example=0.007, mine=0.007),
    Kind("right answers that flip", flips=True),
)


@dataclass(frozen=True)
class Cell:
    """How often a null change was kept."""

    kind: str
    count: int
    repeats: int
    first: float  # as the first edit of a campaign
    proven: float  # in a campaign that has proven something
    bootstrap: float  # by a percentile bootstrap over the repeats at 5 %; nan for fewer than two


@dataclass(frozen=True)
class Examples:
    """All that is measured here."""

    reps: int
    cells: list[Cell]
    nights: dict[str, tuple[float, float]]  # by kind and count: nights with a keep; edits kept
    paired: int  # examples that show a gain when they are paired
    apart: int  # when each side has examples of its own


class Ground:
    """One evaluation set of a campaign, its incumbent, and null changes to it. In slots: every run is a pair."""

    def __init__(self, kind: Kind, count: int, rng: np.random.Generator) -> None:
        self.kind, self.count, self.rng = kind, count, rng
        self.names = [str(number) for number in range(count)]
        self.mine = kind.mine * rng.normal(size=count)
        self.seed_sd = kind.seed * math.hypot(kind.example, kind.mine) / math.sqrt(count)
        self.right = rng.random(count) < ACCURACY
        self.widths = Widths.unknown(EFFECTS)
        for _ in range(2):  # a baseline beside itself
            difference = float(np.mean(self._run() - self._run()))
            self.widths = self.widths.measured(difference * difference, 1.0)

    def _run(self) -> np.ndarray:
        """What a seed adds to each example of one run."""
        return self.seed_sd * self.rng.normal() + self.kind.each * self.rng.normal(size=self.count)

    def change(self) -> np.ndarray:
        """What a null change makes of each example."""
        if not self.kind.flips:
            return self.kind.example * self.rng.normal(size=self.count) - self.mine
        # flips in both directions alike, each from where it can: on other inputs they come to nothing
        lost = self.right & (self.rng.random(self.count) < FLIPPED / 2 / ACCURACY)
        won = ~self.right & (self.rng.random(self.count) < FLIPPED / 2 / (1.0 - ACCURACY))
        return won.astype(float) - lost.astype(float)

    def look(self, change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each example contributes in one slot: the candidate's, the incumbent's."""
        base = self.right.astype(float)
        return base + change + self._run(), base + self._run()

    def judge(
        self, looks: Sequence[tuple[np.ndarray, np.ndarray]], record: Record, runs_left: float, equal: int
    ) -> Verdict:
        ours = {seed: dict(zip(self.names, own.tolist(), strict=True)) for seed, (own, _) in enumerate(looks)}
        theirs = {seed: dict(zip(self.names, one.tolist(), strict=True)) for seed, (_, one) in enumerate(looks)}
        return decide(
            Evidence(
                candidate={seed: float(own.mean()) for seed, (own, _) in enumerate(looks)},
                incumbent={0: float(looks[0][1].mean())},
                beside={seed: float(one.mean()) for seed, (_, one) in enumerate(looks)},
                widths=self.widths,
                paired=True,
                policy=Policy(EFFECTS),
                record=record,
                runs_left=runs_left,
                equal=equal,
                units=paired(ours, theirs, 1.0),
            )
        )

    @property
    def equal(self) -> int:
        """Runs of equal code that scored the very same: where seeds have no part in a score."""
        return 4 if self.seed_sd == 0.0 and self.kind.each == 0.0 else 0


def cell(kind: Kind, count: int, repeats: int, reps: int, seed: int) -> Cell:
    """Single null changes, each with so many repeats and no more to be had."""
    rng = np.random.default_rng([seed, count, repeats, KINDS.index(kind)])
    kept = np.zeros(3)
    for _ in range(reps):
        ground = Ground(kind, count, rng)
        change = ground.change()
        looks = [ground.look(change) for _ in range(repeats)]
        kept[:2] += [
            ground.judge(looks, record, 0, ground.equal).decision is Decision.KEEP for record in (Record(), PROVEN)
        ]
        gains = np.array([float((own - one).mean()) for own, one in looks])
        means = gains[rng.integers(0, repeats, size=(DRAWS, repeats))].mean(axis=1)
        kept[2] += float(np.quantile(means, 0.05)) > 0.0
    first, proven, bootstrap = (kept / reps).tolist()
    return Cell(kind.name, count, repeats, first, proven, bootstrap if repeats > 1 else math.nan)


def night(kind: Kind, count: int, seed: int) -> tuple[int, int]:
    """A whole night of null changes on one set of examples: keeps, edits."""
    rng = np.random.default_rng(seed)
    ground, record, left, keeps, edits = Ground(kind, count, rng), Record(), NIGHT, 0, 0
    while left > 0:
        change, looks = ground.change(), []
        edits += 1
        while True:
            looks.append(ground.look(change))
            left -= 1
            verdict = ground.judge(looks, record, left, ground.equal)
            if verdict.decision is not Decision.CONFIRM:
                break
        if verdict.gain is not None and verdict.share is not None and verdict.first is not None:
            look = Look(verdict.gain, verdict.share, verdict.squares, len(looks) - 1.0)
            ground.widths = ground.widths.after(look, Look(verdict.first))
        record = record.after(verdict.evidence, verdict.lost)
        keeps += verdict.decision is Decision.KEEP
    return keeps, edits


def examples_needed(pair: bool, seed: int, reps: int) -> int:
    """The fewest examples (to a twentieth) with which 80 % of changes that gain 0.02 are told from nothing.

    pair: candidate and incumbent answer the same examples and the scorer tells each; else both draw their own, and the
    referee knows the scatter that this makes from 40 differences.
    """
    low, high = 50, 40_000
    while high > 1.05 * low:
        middle = math.isqrt(low * high)
        rng = np.random.default_rng([seed, middle, pair])
        told = sum(_told(pair, middle, rng) for _ in range(reps))
        low, high = (low, middle) if told >= SHOWN * reps else (middle, high)
    return high


def _told(pair: bool, count: int, rng: np.random.Generator) -> bool:
    up, down = (FLIPPED + GAIN) / 2, (FLIPPED - GAIN) / 2
    right = rng.random(count) < ACCURACY
    won = ~right & (rng.random(count) < up / (1.0 - ACCURACY))
    lost = right & (rng.random(count) < down / ACCURACY)
    ours = right.astype(float) + won - lost
    theirs = right.astype(float) if pair else (rng.random(count) < ACCURACY).astype(float)
    spread = 0.0 if pair else 2.0 * ACCURACY * (1.0 - ACCURACY) / count
    names = [str(number) for number in range(count)]
    sides = [{0: dict(zip(names, one.tolist(), strict=True))} for one in (ours, theirs)]
    verdict = decide(
        Evidence(
            candidate={0: float(ours.mean())},
            incumbent={0: float(theirs.mean())},
            beside={0: float(theirs.mean())},
            widths=Widths.unknown(EFFECTS).measured(40 * spread, 40),
            paired=True,
            policy=Policy(EFFECTS),
            record=PROVEN,
            units=paired(sides[0], sides[1], 1.0) if pair else None,
        )
    )
    return verdict.interval is not None and verdict.interval[0] > 0.0


def measured(reps: int, seed: int) -> Examples:
    cells = [cell(kind, count, times, 4 * reps, seed) for kind in KINDS for count in COUNTS for times in REPEATS]
    nights = {}
    for kind in KINDS:
        for count in COUNTS if reps else ():
            found = [night(kind, count, hash((seed, count, turn)) % 2**32) for turn in range(max(1, reps // 5))]
            edits = sum(edits for _, edits in found)
            nights[f"{kind.name}, {count}"] = (
                sum(keeps > 0 for keeps, _ in found) / len(found),
                sum(keeps for keeps, _ in found) / edits,
            )
    needed = [examples_needed(pair, seed, max(100, reps)) for pair in (True, False)] if reps else [1, 1]
    return Examples(4 * reps, cells, nights, *needed)


def goals(found: Examples) -> list[tuple[str, bool, str]]:
    """(what was promised, whether it holds, the numbers). Room for luck: two standard errors of the nominal rate."""
    said = []
    room = 0.05 + 2.0 * math.sqrt(0.05 * 0.95 / max(found.reps, 1))
    for one in found.cells:
        where = f"{one.count} examples, {one.repeats} repeats ({one.kind})"
        for when, rate in (("first of a campaign", one.first), ("once something is proven", one.proven)):
            said.append((f"null changes kept, {when}, {where}: at most 5 %", rate <= room, f"{rate:.4f}"))
    for name, (few, each) in found.nights.items():
        said.append((f"nothing helps ({name} examples): a keep in at most 5 nights of 100", few <= 0.05, f"{few:.3f}"))
        said.append((f"nothing helps ({name} examples): at most 1 edit of 100 kept", each <= 0.01, f"{each:.4f}"))
    saved = found.apart / max(found.paired, 1)
    numbers = f"{found.paired} paired, {found.apart} apart: {saved:.1f} times"
    said.append(("at 0.8 accuracy and 5 % flipped pairing needs 6 times fewer examples", saved >= 5.5, numbers))
    return said


def show(found: Examples) -> None:
    print(f"\nnull changes kept, {found.reps} a row; the last three columns are a bootstrap's over the repeats")
    print(f"{'':30s} {'examples':>8s}  first of a campaign       proven campaign          bootstrap, 2 and 3")
    for kind in KINDS:
        for count in COUNTS:
            some = [one for one in found.cells if (one.kind, one.count) == (kind.name, count)]
            rates = [f"{one.first:7.4f}" for one in some] + [f"{one.proven:7.4f}" for one in some]
            print(f"{kind.name:30s} {count:8d}  {' '.join(rates)}  {' '.join(f'{o.bootstrap:.3f}' for o in some[1:])}")
    print("\nnights in which nothing helps: with a keep; of edits kept")
    for name, (few, each) in found.nights.items():
        print(f"{name:40s} {few:.3f} {each:.4f}")
    print(f"\nexamples that show a gain of {GAIN} at 0.8 accuracy: {found.paired} paired, {found.apart} apart")
