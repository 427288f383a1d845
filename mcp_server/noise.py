"""How much a score moves by chance: repeat, seed and machine noise, kept apart and pooled from very few runs.

Promises: pure functions on numbers; nothing is read, written or timed. `Noise` is what the referee is given, `estimate`
makes it from measured runs, `needs_anchor` says when an old score of the incumbent no longer speaks for today's machine.
Does not promise: a good figure from two runs. Few runs are pulled towards a prior scale, and `runs` says how few.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

# Before anything is measured one run is taken to move by half of a typical improvement. On public data of the reference
# (300 s, H200) the seed sd is 7e-4 and the typical improvement 1.5e-3.
ASSUMED_SD_PER_EFFECT = 0.5
# The prior counts as this many degrees of freedom: enough that two equal scores do not prove a noise of zero.
PRIOR_DEGREES = 2.0
# One per cent more steps is worth 0.0006 bits per byte on GPUs, that is 0.4 of a typical improvement of 0.0015.
EFFECTS_PER_SPEED = 40.0


@dataclass(frozen=True, slots=True)
class Noise:
    """What chance does to a score, in the score's unit. `sd` belongs to one run, `paired_sd` to a difference.

    sd: runs of equal code on different seeds (and, unless told apart, different moments). None: never measured.
    runs: how many runs stand behind `sd`; 0 with an `sd` given means that somebody vouches for it.
    paired_sd: candidate minus incumbent on one shared seed. None: not known to help, so seeds count as independent.
    repeat_sd: same code, same seed, same machine. machine_sd: same code and seed on another machine or in another session.
    """

    sd: float | None = None
    runs: int = 0
    paired_sd: float | None = None
    pairs: int = 0
    repeat_sd: float | None = None
    repeats: int = 0
    machine_sd: float | None = None
    machines: int = 0

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
        return min(max(1.0 - self.paired_sd**2 / (2.0 * sd * sd), 0.0), 0.9999)


@dataclass(frozen=True, slots=True)
class Measured:
    """One clean run, as noise estimation sees it. `code` names what ran (any hashable), `machine` where and in which session."""

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

    Each kind is a pooled within-group variance (Welch 1947; textbook one-way analysis of variance) drawn towards a prior
    scale that counts as `PRIOR_DEGREES`, the moderated variance of Smyth (2004), "Linear models and empirical Bayes
    methods", eq. 3. With 1 to 5 degrees of freedom the plain estimate is off by a factor of two more often than not.

    pairings: (candidate, incumbent) codes that were compared. Their paired sd is learnt from the spread of the
    differences over two or more shared seeds, so the true effect of the change drops out.
    """
    cells: dict[tuple[Hashable, int, Hashable], list[float]] = defaultdict(list)
    for run in runs:
        if math.isfinite(run.score):
            cells[run.code, run.seed, run.machine].append(run.score)
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

    prior = ASSUMED_SD_PER_EFFECT * effect
    # Repeats bound the seed noise from below: a run on another seed is also another run.
    sd = _moderated(seed_squares + repeat_squares, seed_degrees + repeat_degrees, prior)
    if seed_degrees:
        sd = max(_moderated(seed_squares, seed_degrees, sd or prior) or 0.0, 0.0)
    return Noise(
        sd=sd,
        runs=seed_degrees + repeat_degrees + 1 if seed_degrees + repeat_degrees else 0,
        # Pairing can only help: without a shared source of noise the difference has sqrt(2) times the sd of a run.
        paired_sd=None if sd is None or not pair_degrees else _paired(pair_squares, pair_degrees, sd),
        pairs=pair_degrees + 1 if pair_degrees else 0,
        repeat_sd=_moderated(repeat_squares, repeat_degrees, prior),
        repeats=repeat_degrees,
        machine_sd=_moderated(machine_squares, machine_degrees, prior),
        machines=machine_degrees,
    )


def _within(groups: Iterable[Sequence[float]]) -> tuple[float, int]:
    """Sum of squares inside the groups, and its degrees of freedom."""
    squares, degrees = 0.0, 0
    for group in groups:
        if len(group) > 1:
            centre = sum(group) / len(group)
            squares += sum((value - centre) ** 2 for value in group)
            degrees += len(group) - 1
    return squares, degrees


def _moderated(squares: float, degrees: int, prior_sd: float) -> float | None:
    """Sd from a pooled sum of squares, shrunk to `prior_sd` (Smyth 2004); None when nothing was measured."""
    if not degrees:
        return None
    return math.sqrt((PRIOR_DEGREES * prior_sd**2 + squares) / (PRIOR_DEGREES + degrees))


def _paired(squares: float, degrees: int, sd: float) -> float:
    independent = math.sqrt(2.0) * sd
    return min(_moderated(squares, degrees, independent) or independent, independent)


def _differences(
    means: Mapping[tuple[Hashable, int, Hashable], float], pairings: Sequence[tuple[Hashable, Hashable]]
) -> Iterable[list[float]]:
    by_code: dict[Hashable, dict[tuple[int, Hashable], float]] = defaultdict(dict)
    for (code, seed, machine), mean in means.items():
        by_code[code][seed, machine] = mean
    for candidate, incumbent in pairings:
        ours, theirs = by_code.get(candidate, {}), by_code.get(incumbent, {})
        yield [ours[place] - theirs[place] for place in ours.keys() & theirs.keys()]


# ---- machine noise: when must the incumbent be measured again? ----


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what a run was taken. None means not recorded, and decides nothing."""

    device: str = ""  # identity: model and uuid
    driver: str | None = None
    speed: float | None = None  # the fixed speed probe; compares a machine with itself
    steps: int | None = None


AnchorCode = Literal["", "device_changed", "driver_changed", "speed_changed", "steps_changed", "repeat_disagrees"]


def explained_by_speed(candidate: Conditions, incumbent: Conditions, effect: float) -> tuple[float, AnchorCode]:
    """Score change that a faster (negative) or slower (positive) machine alone would cause, and what shows it.

    The speed probe knows a fast machine from a fast idea, so it is asked first; steps done confound the two and are
    used only where no probe was taken. Sensitivity: `EFFECTS_PER_SPEED` typical improvements per unit of speed.
    """
    if candidate.speed and incumbent.speed:
        return -EFFECTS_PER_SPEED * effect * (candidate.speed / incumbent.speed - 1.0), "speed_changed"
    if candidate.steps and incumbent.steps:
        return -EFFECTS_PER_SPEED * effect * (candidate.steps / incumbent.steps - 1.0), "steps_changed"
    return 0.0, ""


def needs_anchor(
    candidate: Conditions,
    incumbent: Conditions,
    delta: float,
    width: float,
    effect: float,
    would_keep: bool,
) -> AnchorCode:
    """Why the incumbent must be run again before this candidate is judged for good; "" when it need not.

    delta, width: the verdict's, that is candidate minus incumbent and its sd. would_keep: the verdict is keep or confirm.
    Another device or driver always asks. A change of speed asks when it could be behind a win (half a width of the
    gain, or a fifth of it), and whatever the verdict when it is far beyond the noise: then the old score misleads both ways.
    The answer costs one run of the incumbent; older runs under other conditions then no longer count (`comparable`).
    """
    if candidate.device != incumbent.device:
        return "device_changed"
    if candidate.driver is not None and incumbent.driver is not None and candidate.driver != incumbent.driver:
        return "driver_changed"
    explained, code = explained_by_speed(candidate, incumbent, effect)
    if would_keep and explained < 0 and (-explained >= 0.5 * width or -explained >= 0.2 * abs(delta)):
        return code
    if code == "speed_changed" and abs(explained) >= max(4.0 * width, effect / 2.0):
        return code
    return ""


def comparable(run: Conditions, now: Conditions, width: float, effect: float) -> bool:
    """Whether an earlier run may still stand beside one taken under `now`: same machine, and no speed change that shows."""
    if run.device != now.device or (run.driver and now.driver and run.driver != now.driver):
        return False
    explained, _ = explained_by_speed(now, run, effect)
    return abs(explained) < max(0.5 * width, 1e-12)


def repeat_disagrees(earlier: float, again: float, noise: Noise, effect: float = 0.0015) -> bool:
    """Whether two runs of the same code on the same seed differ by more than three widths: the machine has moved."""
    sd = noise.repeat_sd if noise.repeat_sd is not None else noise.one_run(effect)
    return not (abs(again - earlier) <= 3.0 * math.sqrt(2.0) * sd)
