"""What the referee is given and what it answers, as plain frozen data. Gains are positive when better, everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from mcp_server.judging.belief import Widths
from mcp_server.judging.drift import Conditions, Scatter
from mcp_server.judging.effects import Effects, Look
from mcp_server.judging.further.units import Units
from mcp_server.nouns.records import Purpose

Scores = Mapping[int, float]
PROVEN = 50.0  # the night's e-value from which on something is proven: by luck in at most one night of fifty


class Decision(StrEnum):
    KEEP = "keep"
    DISCARD = "discard"
    CONFIRM = "confirm"
    REBASE = "rebase"  # its change is made on the present incumbent, and measured there as an attempt of its own


class Label(StrEnum):
    PROVISIONAL = "provisional"
    CONFIRMED = "confirmed"
    SIMPLIFICATION = "simplification"


class Comparison(StrEnum):
    """How candidate and incumbent were compared."""

    NONE = ""
    SLOT = "slot"  # in one slot: whatever moved has moved both
    APART = "apart"  # at different times: what the machine moved is part of the width


class Who(StrEnum):
    CANDIDATE = "candidate"
    INCUMBENT = "incumbent"


@dataclass(frozen=True, slots=True)
class Order:
    """A run that a verdict asks for."""

    who: Who
    seed: int
    purpose: Purpose


LEAST_ADOPTED = 0.5  # probability that another lab's gain must have here, by what was measured here


@dataclass(frozen=True, slots=True)
class Policy:
    """What the arena asks of a keep. min_delta: a gain up to this is none. confirm: `always` asks for a second seed
    before any keep, `never` decides on what one look says: then nothing is promised but the probability that is said.
    """

    effects: Effects = field(default_factory=Effects)
    min_delta: float = 0.0
    confirm: Literal["auto", "always", "never"] = "auto"
    # Least probability of a keep. What another lab claims was chosen among many for its luck there, so it is taken
    # over only where the own measurement makes it more likely than not; an own idea need only be worth it on average.
    least: float = 0.0


@dataclass(frozen=True, slots=True)
class Record:
    """The night so far. evidence: the log of its e-value, all decided looks multiplied; proven: it was once enough.

    spent: what kept simplifications may have lost so far, in the score's unit. lying: the e-values of attempts that lie
    undecided, each 1 at most: whoever decides on the lucky ones alone must not gain by it.
    """

    evidence: float = 0.0
    proven: bool = False
    spent: float = 0.0
    lying: float = 1.0

    def after(self, evidence: float | None, lost: float = 0.0) -> Record:
        """After one more decided look: its e-value, and what a simplification lost."""
        total = self.evidence + math.log(max(evidence if evidence is not None else 1.0, 1e-12))
        proven = self.proven or total + math.log(max(self.lying, 1e-300)) >= math.log(PROVEN)
        return Record(total, proven, self.spent + max(lost, 0.0), self.lying)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that may decide, by seed and turned so that larger is better. Who gathers it decides nothing.

    beside: the incumbent's scores in the candidate's own slots; where there is one, only these are compared.
    widths: of one plain difference of the kind that is compared. correlation: of two codes on a shared seed, apart.
    called_off: runs of this code that ended without a score for a reason that its supervisor did not see from outside.
    died: slots of the candidate in which the incumbent has no score.
    """

    candidate: Scores
    incumbent: Scores
    widths: Widths
    beside: Scores = field(default_factory=dict)
    paired: bool = False  # whether a new run of the candidate measures the incumbent in the same slot
    died: int = 0
    correlation: float = 0.0
    chosen: bool = False  # whether the incumbent was itself chosen by its scores, as a baseline is not
    policy: Policy = field(default_factory=Policy)
    record: Record = field(default_factory=Record)
    runs_left: float = math.inf
    attempts_left: float = math.inf  # a repeat of one is no further attempt
    called_off: int = 0
    superseded: bool = False  # what it began from, and is compared with here, is the incumbent no more
    takes_back: bool = False  # the candidate takes an earlier keep back: that has to prove its worth again
    touched: tuple[str, ...] = ()  # what the diff changes of luck itself
    broken: tuple[str, ...] = ()  # sentences: checks that failed, bounds that do not hold
    unsure: tuple[str, ...] = ()  # sentences: guards that noise hides; no keep as long as it does
    saved: int = 0  # syntax-tree nodes that the candidate has less than the incumbent
    simplicity: bool = True
    tainted: tuple[str, ...] = ()  # why runs of the candidate decide nothing, where none does
    retry: int | None = None  # seed on which a tainted run may be repeated; None: often enough
    awaited: bool = False  # the incumbent's run beside this candidate is still open
    failed: Mapping[tuple[Who, int], int] = field(default_factory=dict)  # runs that ended without a score
    anchored: bool = False  # the incumbent was measured again for this candidate, where that ran
    now: Conditions = field(default_factory=Conditions)
    then: Conditions = field(default_factory=Conditions)
    scatter: Scatter = field(default_factory=Scatter)
    disagrees: bool = False  # the incumbent's last repeat lies further from its earlier ones than repeats do
    repeat_seed: int = 0  # of the incumbent, to measure the noise on
    grain: float = 0.0  # smallest step between scores, where equal code scored the very same
    equal: int = 0  # runs of equal code that all gave the very same score; 0 once two have differed
    # the primary metric's name and the evidence of the others, where a keep is a step on their Pareto front
    front: tuple[str, Mapping[str, Evidence]] | None = None
    units: Units | None = None  # how the gain is spread over the examples, where the scorer tells what each contributes


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision with the numbers behind it; gains are positive when better, and None without scores.

    reason: a sentence for people; code: the same for machines (docs/reasons.md). within_machine: what the machine
    moved could explain the whole difference, so that nothing was learnt about the change.
    """

    decision: Decision
    code: str
    reason: str
    label: Label | None = None
    gain: float | None = None
    widths: float | None = None
    probability: float | None = None
    believed: float | None = None
    width: float | None = None
    degrees: float | None = None
    evidence: float | None = None
    share: float | None = None
    squares: float = 0.0
    first: float | None = None  # gain of the first look alone, in a slot
    behind: tuple[Widths, Look] | None = field(default=None, repr=False, compare=False)  # of the interval
    lost: float = 0.0
    comparison: Comparison = Comparison.NONE
    within_machine: bool = False
    orders: tuple[Order, ...] = ()
    units: Units | None = field(default=None, repr=False, compare=False)

    @property
    def interval(self) -> tuple[float, float] | None:
        """In which the true gain lies with 95 %, as far as the looks alone say; None without scores."""
        if self.gain is None or self.behind is None:
            return None
        widths, look = self.behind
        reach = max(widths.reach(look), self.units.reach if self.units is not None else 0.0)
        return self.gain - reach, self.gain + reach


@dataclass(frozen=True, slots=True)
class Bound:
    """Limits of one secondary metric, both inclusive; None is open."""

    min: float | None = None
    max: float | None = None


def broken_bounds(secondary: Mapping[str, float], bounds: Mapping[str, Bound]) -> tuple[str, ...]:
    """A sentence for each bound that does not hold. A bounded metric that is missing or not finite breaks its bound."""
    said = []
    for name, bound in sorted(bounds.items()):
        value = secondary.get(name)
        if value is None or not math.isfinite(value):
            said.append(f"{name} was not measured.")
        elif bound.max is not None and value > bound.max:
            said.append(f"{name} is {value:.6g}, above {bound.max:.6g}.")
        elif bound.min is not None and value < bound.min:
            said.append(f"{name} is {value:.6g}, below {bound.min:.6g}.")
    return tuple(said)
