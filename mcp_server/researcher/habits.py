"""A small, honest researcher without a language model: it moves the constants of a Python file and learns from each.

Pure: from the source, what was tried so far and a seed follows the next edit. What it knows beforehand is only what
kind of number a constant is (a rate, a batch, a part of a schedule, a size), told by its name, and by which steps such
numbers are usually tried. What it learns: a direction that helped is followed, one that hurt is turned round. What
noise could explain teaches nothing: it may be asked again once something was kept, and what came out better is tried
together.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from mcp_server.edits.movable import Constant, Move, constants, edited, evaluated, written
from mcp_server.nouns.numbers import fixed
from mcp_server.researcher.memo import NONE, Hints

LEAST_MOMENTUM = 0.5  # of two steps
FAVOURED = 12.0  # times as often, what a memo says to move first
KEPT, BETTER, UNKNOWN, WORSE, FAILED = "kept", "better", "unknown", "worse", "failed"


@dataclass(frozen=True)
class Kind:
    """A family of constants: how they are named, and by which factors they are moved, each with how often."""

    name: str
    pattern: str
    factors: tuple[tuple[float, float], ...]
    why: str

    def fits(self, constant: str) -> bool:
        return re.search(self.pattern, constant) is not None


# The first that fits. Habits of the trade for short runs: shorter memories, smaller batches, faster tables; sizes
# seldom, for they may not fit together.
KINDS = (
    Kind("left alone", r"SEED|VOCAB|SECONDS|BUDGET|THREAD|DEVICE|PORT|EVAL|SEQ|LENGTH|CHUNK|LEVELS|(^|_)EPS$", (), ""),
    Kind("batch", r"^(ROWS|BATCH|BATCH_(SIZE|ROWS|TOKENS)|.*_BATCH(_SIZE)?)$", ((0.5, 1.0), (2.0, 0.5)),
         "A budget buys many noisy steps or few good ones."),
    Kind("accumulation", r"ACCUM", ((2.0, 0.3), (0.5, 0.3)), "A budget buys many noisy steps or few good ones."),
    Kind("schedule", r"WARM|COOL|DECAY_(START|FROM)|^FINAL", ((1.5, 0.2), (0.67, 0.2)),
         "The time for large steps and for small ones is taken from each other."),
    Kind("table rate", r"(EMB|GRAM|TABLE)\w*_(LR|RATE)$", ((2.0, 1.0), (0.5, 0.4)),
         "The rows of a table see few updates in a short run, so each may count for more."),
    Kind("rate", r"(^|_)(LR|RATE)S?$", ((2.0, 0.4), (0.5, 0.4)), "The best rate depends on how many steps there are."),
    Kind("start", r"INIT|GAIN|STD", ((0.5, 0.6), (2.0, 0.3)), "Where training begins matters most when it is short."),
    Kind("momentum", r"MOMENTUM|BETA", ((0.25, 10.0), (0.5, 0.3), (2.0, 0.1)),
         "A short run cannot afford a long memory of its gradients."),
    Kind("decay", r"DECAY|DROPOUT", ((2.0, 0.05), (0.5, 0.1)),
         "Regularisation is for those who see their data often."),
    Kind("size", r"DEPTH|WIDTH|HEAD|LAYER|DIM|RATIO|ROWS|SLOTS|TOKENS|SIZE|WINDOW", ((0.5, 0.05), (2.0, 0.05)),
         "A smaller model takes more steps, a larger one learns more from each."),
    Kind("other", r"", ((2.0, 0.05), (0.5, 0.05)), "Nobody knows; the run will tell."),
)  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """What became of a proposal. Gains: positive is better; sd: the gain's, None where nothing is known of it.

    outcome: KEPT, BETTER (surely, yet not kept), UNKNOWN (noise could explain it, or nothing was measured), WORSE
    (surely) or FAILED (no score).
    """

    number: int
    moves: tuple[Move, ...]
    outcome: str
    gain: float | None = None
    sd: float | None = None

    @property
    def promising(self) -> bool:
        """Whether it came out better, surely or not, without being kept."""
        return self.outcome == BETTER or (self.outcome == UNKNOWN and (self.gain or 0.0) > 0)


@dataclass(frozen=True)
class Proposal:
    """The next experiment, in the words and the text the lab wants."""

    moves: tuple[Move, ...]
    source: str
    description: str
    hypothesis: str
    expected: float | None

    @property
    def knobs(self) -> list[str]:
        """The constants it moves; empty for a change of text."""
        return [move.name for move in self.moves if move.after]


def propose(
    source: str, trials: Sequence[Trial], seed: int, device: str = "cpu", hints: Hints = NONE
) -> Proposal | None:
    """The next experiment on this source; None when every step it knows was tried. The same inputs, the same answer.

    hints: what a memo says of the constants.
    """
    rng = random.Random(f"{seed} {len(trials)}")
    here = {one.name: one for one in constants(source, device) if one.name not in hints.alone}
    # what was unknown may be asked again on another base
    based = max((place for place, trial in enumerate(trials, 1) if trial.outcome == KEPT), default=0)
    closed = [trial for place, trial in enumerate(trials) if trial.outcome != UNKNOWN or place >= based]
    tried = {frozenset(trial.moves) for trial in closed}
    options = [
        (moves, weight * (FAVOURED if any(move.name in hints.first for move in moves) else 1.0))
        for moves, weight in _options(here, trials)
        if frozenset(moves) not in tried
    ]
    if not options:
        return None
    moves = rng.choices([moves for moves, _ in options], [weight for _, weight in options])[0]
    gains = [trial.gain for trial in trials if trial.gain is not None and trial.gain > 0]
    return Proposal(
        moves=moves,
        source=edited(source, moves, device),
        description=", ".join(map(str, moves)),
        hypothesis=_why(moves, trials),
        # half the mean of what gains there were: most changes bring nothing
        expected=float(f"{sum(gains) / len(gains) / 2:.2g}") if gains else None,
    )


def _options(here: dict[str, Constant], trials: Sequence[Trial]) -> Iterator[tuple[tuple[Move, ...], float]]:
    for constant in here.values():
        for move, weight in _steps(constant):
            yield (move,), weight * _evidence(move, kind_of(constant.name), trials)
    together = tuple(
        move
        for trial in trials
        if trial.promising and len(trial.moves) == 1
        for move in trial.moves
        if move.name in here and here[move.name].text == move.before
    )
    if len(together) > 1 and len({move.name for move in together}) == len(together):
        yield together, 4.0


def _steps(constant: Constant) -> Iterator[tuple[Move, float]]:
    kind, value = kind_of(constant.name), constant.value
    for factor, weight in kind.factors:
        if kind.name == "momentum" and 0 < value < 1:
            moved: float | int = 1 - (1 - value) / factor  # what counts is how far it is from one
            if moved < LEAST_MOMENTUM <= value:
                continue  # hardly a memory left
        elif value == 0:
            if factor < 1 or kind.name not in ("schedule", "decay"):
                continue  # something that is off has no direction
            moved = 0.1
        else:
            moved = value * factor
        if kind.name in ("schedule", "momentum", "decay") and 0 <= value <= 1:
            moved = min(moved, 1.0 if kind.name == "schedule" else 0.999)
        after = written(moved, constant.text)
        if evaluated(after) != value:
            yield Move(constant.name, constant.text, after), weight


def _evidence(move: Move, kind: Kind, trials: Sequence[Trial]) -> float:
    """How much more (or less) likely a move is to be tried after what was seen."""
    # what was moved often has told most of what it knows
    weight = 1.0 / (1 + sum(any(earlier.name == move.name for earlier in trial.moves) for trial in trials))
    gains = [trial.gain for trial in trials if trial.outcome == KEPT and trial.gain is not None]
    typical = sum(gains) / len(gains) if gains else 1.0
    for trial in trials:
        alone = len(trial.moves) == 1
        for earlier in trial.moves:
            same = earlier.up == move.up
            if earlier.name == move.name:
                if trial.outcome == KEPT and not same:
                    weight *= 0.02  # not back
                elif trial.promising:
                    weight *= 2.0 if same else 0.2
                elif trial.outcome == UNKNOWN:
                    continue
                elif trial.outcome != KEPT and alone:
                    weight *= 0.05 if same else 4.0
            elif alone and same and kind_of(earlier.name) is kind:
                # its relatives may like the same direction
                weight *= {KEPT: 1.5, BETTER: 1.2, UNKNOWN: 1.0, WORSE: 0.8, FAILED: 0.6}[trial.outcome]
    last = next((trial for trial in reversed(trials) if any(m.name == move.name for m in trial.moves)), None)
    if last is not None and last.outcome == KEPT and any(m.name == move.name and m.up == move.up for m in last.moves):
        # further the same way, while it still brings something
        weight *= 1.0 + 4.0 * min(1.0, (last.gain or 0.0) / typical) if typical > 0 else 1.0
    return weight


def kind_of(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.fits(name))


def _why(moves: Sequence[Move], trials: Sequence[Trial]) -> str:
    if len(moves) > 1:
        return "Each of these came out better alone, but not surely; together it may show."
    move = moves[0]
    said = [kind_of(move.name).why]
    for trial in trials:
        if any(earlier.name == move.name for earlier in trial.moves):
            way = (
                "the same way" if any(m.name == move.name and m.up == move.up for m in trial.moves) else "the other way"
            )
            came = "failed" if trial.gain is None else f"brought {trial.gain:+.4f}"
            said.append(f"Experiment {trial.number} moved it {way} and {came}.")
    return " ".join(said)


# --- learning ---------------------------------------------------------------------------------------------------------


def judged(kept: bool, gain: float | None, interval: Sequence[float]) -> str:
    """The outcome of a trial, from what the lab said; `interval` is the gain's, () where the lab knows of none."""
    if kept:
        return KEPT
    if gain is None or not math.isfinite(gain):
        return FAILED
    if not interval or interval[0] <= 0.0 <= interval[1]:
        return UNKNOWN
    return BETTER if gain > 0 else WORSE


def deviation(interval: Sequence[float]) -> float | None:
    """The standard deviation of a gain, by its 95 % interval; None where the lab knows of none."""
    return (interval[1] - interval[0]) / 2 / NormalDist().inv_cdf(0.975) if interval else None


def lesson(trial: Trial, metric: str, unit: str, budget: str, interval: Sequence[float], reason: str) -> str:
    """What an experiment taught, in a sentence or two that hold for this budget and no other.

    Only a gain whose interval leaves zero out is called one, and only such a loss a loss.
    """
    what = " with ".join(map(str, trial.moves))
    if trial.gain is None:
        return f"{what} gave no score ({reason or 'no reason given'}), at {budget} a run."
    sure = bool(interval) and not interval[0] <= 0.0 <= interval[1]
    edges = (
        f" (95 % interval {fixed(interval[0], 4, sign=True)} to {fixed(interval[1], 4, sign=True)})" if interval else ""
    )
    if sure:
        way = "improved" if trial.gain > 0 else "worsened"
        said = f"{what} {way} {metric} by {fixed(abs(trial.gain), 4)} {unit}".rstrip() + f"{edges}, at {budget} a run."
    else:
        measured = f"{fixed(trial.gain, 4, sign=True)} {unit}".strip()
        said = f"{what}: {metric} within noise, {measured}{edges}, at {budget} a run."
    further = bool(trial.moves[0].after)  # a change of text has no direction
    after = {
        KEPT: "Kept, though noise could explain it."
        if not sure
        else "Kept; a further step the same way is worth a run."
        if further
        else "Kept.",
        BETTER: "Not kept, though it looks better: it is worth another try.",
        UNKNOWN: "Unknown, not failed; on another base, or together with another change, it may show.",
        WORSE: "The other direction is open." if further else "",
    }.get(trial.outcome, "")
    return f"{said} {after}".rstrip()
