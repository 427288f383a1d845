"""How much a score moves by chance: repeat, seed and machine noise, kept apart and pooled from very few runs.

Promises: pure functions on numbers; nothing is read, written or timed. `Noise` is what the referee is given,
`estimate` makes it from measured runs, `compare` turns two sets of scores into a difference and its error (`anchor`
has the machine). Does not promise: a good figure from two runs. Few runs are pulled towards a prior scale, and `runs`
says how few.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

# Before anything is measured one run is taken to move by half of a typical improvement. On public data of the reference
# (300 s, H200) the seed sd is 7e-4 and the typical improvement 1.5e-3.
ASSUMED_SD_PER_EFFECT = 0.5
# Without data the sd is known to about this factor (e**1.1 = 3) either way; with paired runs half the unpaired noise is
# expected, and anything between a twentieth and all of it was seen.
PRIOR_SPREAD = 1.1
PAIRED_SHARE = 0.5
EQUAL_RUNS = 12  # so many runs without a difference leave nothing of the guess: the arena has no noise
# What earlier campaigns measured counts less the longer ago it was, never more than so many differences of today, and
# not at all where today's own say that the noise is larger now.
REMEMBERED, MOST_REMEMBERED, LOUDER = 0.7, 20.0, 4.0
MOST_PARTS = 8  # of the smallest difference between two scores, in which a step is looked for
LATTICE = 1e-4  # of a step: how far a multiple of it may lie beside one
DUST = 1e-12  # of a score: what sums in another order differ by
LARGEST = 1e9  # squares beyond so many prior variances say the same


@dataclass(frozen=True, slots=True)
class Noise:
    """What chance does to a score, in the score's unit. `sd` belongs to one run, `paired_sd` to a difference.

    None is "never measured": an unknown `paired_sd` lets seeds count as independent. The counts say how much stands
    behind each figure; an `sd` with 0 runs is one that somebody vouches for. equal: every repeat so far gave the very
    same score, so `sd` is what was guessed and what so few runs could take from it.
    """

    sd: float | None = None  # equal code, other seeds
    runs: int = 0
    paired_sd: float | None = None  # candidate minus incumbent on one shared seed
    pairs: int = 0
    repeat_sd: float | None = None  # same code, same seed, same machine
    repeats: int = 0
    machine_sd: float | None = None  # same code and seed, another machine or session
    machines: int = 0
    equal: bool = False

    @property
    def known(self) -> bool:
        """Whether anything was measured or vouched for. A zero from less than two runs is no measurement."""
        return self.sd is not None and math.isfinite(self.sd) and (self.sd > 0 or (self.sd == 0 and self.runs >= 2))

    def one_run(self, effect: float) -> float:
        """Sd of one run; when unknown, the assumption that fits a typical improvement of size `effect`."""
        return self.sd if self.sd is not None and self.known else ASSUMED_SD_PER_EFFECT * effect

    def correlation(self, effect: float) -> float:
        """Correlation of two codes' scores on one shared seed, 0 when pairing is not known to help."""
        sd = self.one_run(effect)
        if self.paired_sd is None or not math.isfinite(self.paired_sd) or sd <= 0:
            return 0.0
        apart = min(self.paired_sd / sd, 2.0)  # from the square root of two on pairing does not help
        return min(max(1.0 - 0.5 * apart * apart, 0.0), 0.9999)


@dataclass(frozen=True, slots=True)
class Measured:
    """One clean run. `code` names what ran (any hashable), `machine` where and in which session."""

    code: Hashable
    seed: int
    score: float
    machine: Hashable = ""


def estimate(
    runs: Iterable[Measured],
    pairings: Sequence[tuple[Hashable, Hashable]] = (),
    effect: float = 0.0015,
) -> Noise:
    """Pool every repeat, reseed, move and confirmation of a campaign into one `Noise`.

    Each kind is a pooled within-group sum of squares (one-way analysis of variance), read through a prior:
    `typical_sd`.

    pairings: (candidate, incumbent) codes that were compared. Their paired sd is learnt from the spread of the
    differences over two or more shared seeds, so the true effect of the change drops out. Before a pair was measured
    pairing is not thought to help.
    """
    cells = _cells(runs)
    seen: dict[tuple[Hashable, Hashable], set[float]] = defaultdict(set)
    for (code, _, machine), scores in cells.items():
        seen[code, machine].update(scores)
    means = {cell: sum(scores) / len(scores) for cell, scores in cells.items()}

    repeat_squares, repeat_degrees = _within(cells.values())
    by_seed: dict[tuple[Hashable, Hashable], list[float]] = defaultdict(list)
    by_machine: dict[tuple[Hashable, int], list[float]] = defaultdict(list)
    for (code, seed, machine), mean in means.items():
        by_seed[code, machine].append(mean)
        by_machine[code, seed].append(mean)
    seed_squares, seed_degrees = _within(by_seed.values())
    machine_squares, machine_degrees = _within(by_machine.values())
    pair_squares, pair_degrees = _within(_differences(means, pairings))

    runs_seen = seed_degrees + repeat_degrees + 1
    equal = runs_seen > 1 and all(len(found) == 1 for found in seen.values())
    prior = 0.0 if equal and runs_seen >= EQUAL_RUNS else ASSUMED_SD_PER_EFFECT * effect
    repeat_sd = typical_sd(repeat_squares, repeat_degrees, prior)
    # Without a second seed the repeats must stand in: they bound it from below.
    sd = typical_sd(seed_squares, seed_degrees, prior) if seed_degrees else repeat_sd
    paired_sd = None
    if sd is not None and pair_degrees:
        independent = math.sqrt(2.0) * sd
        expected = PAIRED_SHARE * independent
        measured = typical_sd(pair_squares, pair_degrees, expected) if expected > 0.0 else None
        paired_sd = min(measured if measured is not None else expected, independent)
    return Noise(
        sd=sd,
        runs=runs_seen if sd is not None else 0,
        paired_sd=paired_sd,
        pairs=pair_degrees + 1 if pair_degrees else 0,
        repeat_sd=repeat_sd,
        repeats=repeat_degrees,
        machine_sd=typical_sd(machine_squares, machine_degrees, prior),
        machines=machine_degrees,
        equal=equal,
    )


def _cells(runs: Iterable[Measured]) -> dict[tuple[Hashable, int, Hashable], list[float]]:
    """Scores by code, seed and machine."""
    cells: dict[tuple[Hashable, int, Hashable], list[float]] = defaultdict(list)
    for run in runs:
        if math.isfinite(run.score):
            cells[run.code, run.seed, run.machine].append(run.score)
    return cells


def apart_squares(
    runs: Iterable[Measured], pairings: Sequence[tuple[Hashable, Hashable]], correlation: float
) -> tuple[float, int]:
    """Sum of squares and degrees of freedom of one plain difference between two runs on one seed at different times.

    From codes that ran on several seeds of one machine, else from plain repeats, which bound it from below; and from
    pairs that were compared on several seeds. correlation: of two codes on one seed.
    """
    cells = _cells(runs)
    means = {cell: sum(scores) / len(scores) for cell, scores in cells.items()}
    by_seed: dict[tuple[Hashable, Hashable], list[float]] = defaultdict(list)
    for (code, _, machine), mean in means.items():
        by_seed[code, machine].append(mean)
    squares, degrees = _within(by_seed.values())
    if not degrees:
        squares, degrees = _within(cells.values())
    squares *= 2.0 * (1.0 - correlation)
    if correlation > 0.0:
        paired, pairs = _within(_differences(means, pairings))
        squares, degrees = squares + paired, degrees + pairs
    return squares, degrees


def pooled(own: tuple[float, float], earlier: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Squares and degrees of freedom of this campaign's differences and those of earlier ones, newest first."""
    old_squares = sum(REMEMBERED ** (ago + 1) * squares for ago, (squares, _) in enumerate(earlier))
    old = sum(REMEMBERED ** (ago + 1) * degrees for ago, (_, degrees) in enumerate(earlier))
    squares, degrees = own
    if old <= 0.0 or (degrees > 0.0 and squares / degrees > LOUDER * old_squares / old):
        return own
    share = min(1.0, MOST_REMEMBERED / old)
    return squares + share * old_squares, degrees + share * old


def grain(codes: Iterable[Sequence[float]]) -> float:
    """The step of which all scores are multiples, where equal code scored the very same; 0 where there is none.

    A share of right answers moves in steps: that two runs are equal says that noise is smaller than a step, not that
    there is none. A step that holds for the differences alone would be found between any two scores of an exact
    arena, so it has to hold from zero on. codes: all scores of each code.
    """
    groups = [list(scores) for scores in codes]
    if not any(len(set(scores)) < len(scores) for scores in groups):
        return 0.0
    seen = sorted({score for scores in groups for score in scores if math.isfinite(score)})
    between = [above - below for below, above in pairwise(seen)]
    real = [step for step in between if step > DUST * max(abs(seen[0]), abs(seen[-1]))]
    least = min(real, default=0.0)
    # nobody need have scored one step apart yet
    for step in (least / parts for parts in range(1, MOST_PARTS + 1) if least):
        if all(abs(one / step - round(one / step)) < LATTICE for one in (*real, *seen)):
            return step
    return 0.0


def typical_sd(squares: float, degrees: int, prior_sd: float) -> float | None:
    """Sd behind a pooled sum of squares; None when nothing was measured.

    The geometric posterior mean under a log-normal prior around `prior_sd`: with one or two degrees of freedom the
    plain estimate is off by a factor of two more often than not, and two equal scores would prove a noise of zero.
    Shrinking on the log scale (Gelman 2006, "Prior distributions for variance parameters", argues for weak priors on
    the sd itself) lets a quiet arena show itself after few runs, where shrinking variances (Smyth 2004) would not.
    """
    if not degrees:
        return None
    if prior_sd <= 0.0:
        return math.sqrt(min(squares, LARGEST) / degrees)
    steps = [PRIOR_SPREAD * (0.08 * i - 8.0) for i in range(201)]  # -8 to +8 prior spreads, on the log scale
    ratio = min(squares / prior_sd / prior_sd, LARGEST)
    logs = [-degrees * u - 0.5 * ratio * math.exp(-2.0 * u) - 0.5 * (u / PRIOR_SPREAD) ** 2 for u in steps]
    top = max(logs)
    weights = [math.exp(value - top) for value in logs]
    return prior_sd * math.exp(sum(w * u for w, u in zip(weights, steps, strict=True)) / sum(weights))


def _within(groups: Iterable[Sequence[float]]) -> tuple[float, int]:
    """Sum of squares inside the groups, and its degrees of freedom."""
    squares, degrees = 0.0, 0
    for group in groups:
        if len(group) > 1:
            centre = sum(group) / len(group)
            squares += sum((value - centre) * (value - centre) for value in group)
            degrees += len(group) - 1
    return squares, degrees


def _differences(
    means: Mapping[tuple[Hashable, int, Hashable], float], pairings: Sequence[tuple[Hashable, Hashable]]
) -> Iterable[list[float]]:
    by_code: dict[Hashable, dict[tuple[int, Hashable], float]] = defaultdict(dict)
    for (code, seed, machine), mean in means.items():
        by_code[code][seed, machine] = mean
    for candidate, incumbent in pairings:
        ours, theirs = by_code.get(candidate, {}), by_code.get(incumbent, {})
        yield [ours[place] - theirs[place] for place in ours.keys() & theirs.keys()]


def compare(
    candidate: Mapping[int, float], incumbent: Mapping[int, float], sd: float, correlation: float
) -> tuple[float, float]:
    """Best estimate of candidate minus incumbent, and its sd, from shared and unshared seeds together.

    Generalised least squares (Aitken 1936) for two means when runs on one seed correlate: with correlation 0 the
    difference of the plain means, with a high one almost the mean of the paired differences.
    """
    shared = candidate.keys() & incumbent.keys()
    pairs, alone, theirs = len(shared), len(candidate) - len(shared), len(incumbent) - len(shared)
    if correlation <= 0.0 or not pairs or not (alone or theirs):
        count, other = len(candidate), len(incumbent)
        delta = sum(candidate.values()) / count - sum(incumbent.values()) / other
        variance = 1.0 / count + 1.0 / other - 2.0 * correlation * pairs / (count * other)
        return delta, sd * math.sqrt(variance)
    paired, paired_theirs = sum(candidate[s] for s in shared), sum(incumbent[s] for s in shared)
    inverse = 1.0 / (1.0 - correlation * correlation)
    own, others, cross = pairs * inverse + alone, pairs * inverse + theirs, -pairs * correlation * inverse
    sum_own = inverse * (paired - correlation * paired_theirs) + sum(candidate.values()) - paired
    sum_others = inverse * (paired_theirs - correlation * paired) + sum(incumbent.values()) - paired_theirs
    determinant = own * others - cross * cross
    mean_own = (others * sum_own - cross * sum_others) / determinant
    mean_others = (own * sum_others - cross * sum_own) / determinant
    return mean_own - mean_others, sd * math.sqrt((own + others + 2.0 * cross) / determinant)
