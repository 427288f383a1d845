"""Evidence per example: whether a gain would hold on other inputs, by how it is spread over those it was measured on.

A score that is a sum or a mean over examples (units) says more than its number: on which of them a change helps, and on
which it harms. Paired by example and by seed, what all examples have in common cancels; what is left is the spread by
which a gain on other inputs would differ. Seeds tell whether it was luck, examples whether it will hold: a verdict
stands on the larger spread of the two. Few examples have the heavy tails of Student's t. Pure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mcp_server.judging.belief import Belief, Widths
from mcp_server.judging.effects import Effects, Look
from mcp_server.judging.student import student_cdf, student_quantile
from mcp_server.nouns.decided import NORMAL_95

Contributions = Mapping[str, float]  # of each example to one run's score, by its name

# Of the changes that help on no other inputs at most so many pass for one that does: 5 % with room for coarse gains.
NOMINAL = 0.04
MOST_FLIPPED = 20  # examples that are named on either side
EVEN = 1e-9  # of the contributions: a smaller difference is none
# From so many examples on their scatter is known so well that the width counts as known, a little wider for the doubt
# that is left: between the steps of `effects.GRID` a sharper posterior would be lost.
MANY = 24
TYPICAL_PER_ERROR = 1.0
MOST_OF_ALL = 0.5  # that one example may contribute for its size to be reckoned with


@dataclass(frozen=True, slots=True)
class Units:
    """How a gain is spread over the examples that candidate and incumbent share. Gains are positive when better.

    gain: their mean, in the score's unit. squares: sum of squares of the single gains about it.
    fixed: whether every seed asked the same examples, so that one more seed brings no other.
    flipped: the largest single gains and losses, by name.
    sample: whether they stand for others of their kind; rules of a rubric are all there are, and a gain on some is one.
    """

    count: int
    better: int
    worse: int
    gain: float
    squares: float
    fixed: bool = True
    flipped: tuple[tuple[str, float], ...] = ()
    sample: bool = True

    @property
    def error(self) -> float:
        """Standard error of the gain on other inputs of this kind; 0 where every example gained the same."""
        if not self.sample:
            return 0.0
        return math.sqrt(self.squares / (self.count * (self.count - 1)))

    def holds(self, width: float, degrees: float) -> bool:
        """Whether hardly any of the changes that help on no other inputs would look so good on these.

        width, degrees: of the seeds' part in the comparison (sd), which comes on top of the examples'; degrees of
        freedom of both together are Welch's (1947).
        """
        own, other = self.error**2, width**2
        if own <= 0.0 or self.gain <= 0.0:
            return self.gain > 0.0
        both = (own + other) ** 2 / (own * own / (self.count - 1) + other * other / max(degrees, 1.0))
        return student_cdf(self.gain / math.sqrt(own + other), both) >= 1.0 - NOMINAL

    @property
    def reach(self) -> float:
        """How far the gain lies from the one on other inputs at most, with 95 % (Student's t)."""
        return student_quantile(0.975, self.count - 1) * self.error

    def belief(self, effects: Effects, *, sober: bool = False) -> Belief:
        """What the examples say of the gain.

        sober: as the evidence of a night takes it. All candidates of a night are compared on the same examples with
        one incumbent, whose bad luck there must not pass for many good ideas: it is granted one sd of its part, which
        is half of the variance.
        """
        gain = self.gain - (math.sqrt(0.5) * self.error if sober else 0.0)
        # nobody chooses examples that hide the improvements he is after
        open_ = Widths.open(replace(effects, typical=max(effects.typical, TYPICAL_PER_ERROR * self.error)))
        if self.count > MANY:
            width = self.error * student_quantile(0.975, self.count - 1) / NORMAL_95
            found = open_.belief(Look(gain, share=1e-30, machine=width))
        else:
            found = open_.belief(Look(gain, 1.0, self.squares / self.count, self.count - 1.0))
        return replace(found, width=self.error, degrees=self.count - 1.0)


def paired(candidate: Mapping[int, Contributions], incumbent: Mapping[int, Contributions], sign: float) -> Units | None:
    """The examples of both sides, paired by seed and name; by name alone where no seed is shared. None below two.

    By seed: what each example contributed to that run's score. sign: 1 where a larger score is better, else -1.
    """
    seeds = sorted(candidate.keys() & incumbent.keys())
    single: defaultdict[str, list[float]] = defaultdict(list)
    held: defaultdict[str, list[float]] = defaultdict(list)
    largest = 0.0
    sides = [(candidate[seed], incumbent[seed]) for seed in seeds] or [
        (_mean(list(candidate.values())), _mean(list(incumbent.values())))
    ]
    for ours, theirs in sides:
        for name in ours.keys() & theirs.keys():
            largest = max(largest, abs(ours[name]), abs(theirs[name]))
            single[name].append(sign * (ours[name] - theirs[name]))
            held[name].append(theirs[name])
    if len(single) < 2:
        return None
    gains = {name: math.fsum(some) / len(some) for name, some in single.items()}
    even = EVEN * largest
    moved = sorted((item for item in gains.items() if abs(item[1]) > even), key=lambda item: (-abs(item[1]), item[0]))
    up, down = ([item for item in moved if (item[1] > 0.0) == better] for better in (True, False))
    gain = math.fsum(gains.values()) / len(gains)
    squares = _squares(list(gains.values()), [math.fsum(some) / len(some) for some in held.values()])
    return Units(
        count=len(gains),
        better=len(up),
        worse=len(down),
        gain=gain,
        squares=squares if squares > len(gains) * even * even else 0.0,
        fixed=len({frozenset(side) for pair in sides for side in pair}) == 1,
        flipped=(*up[:MOST_FLIPPED], *down[:MOST_FLIPPED]),
    )


def _squares(gains: Sequence[float], held: Sequence[float]) -> float:
    """The sum of squares about the mean that the standard error of the mean gain has.

    Examples may differ in size, as documents do: a change that gains a hundredth of each gains most on the largest, and
    that is no doubt about it. So where there are many, and all contribute in one direction, the gain counts in shares
    of what the incumbent has (`held`), and its error is that of the ratio, by leaving out one after the other (the
    jackknife; Quenouille 1956). With examples of one size both are the same.
    """
    count, whole, base = len(gains), math.fsum(gains), math.fsum(held)
    mean = whole / count
    plain = math.fsum((one - mean) ** 2 for one in gains)
    one_way = all(one >= 0.0 for one in held) or all(one <= 0.0 for one in held)
    if count <= MANY or not one_way or max(map(abs, held)) > MOST_OF_ALL * abs(base):
        return plain
    without = [(whole - gain) / (base - size) for gain, size in zip(gains, held, strict=True)]
    middle = math.fsum(without) / count
    scatter = math.fsum((one - middle) ** 2 for one in without)
    return (base / count) ** 2 * (count - 1) ** 2 * scatter


def as_shares(units: Sequence[tuple[Contributions, float]]) -> list[Contributions]:
    """Contributions of which each score is the mean, whether those given (units, score) add up to it or average to it.

    One rule for all of them: of the run whose sum is furthest from zero, where the two differ most.
    """
    if not units:
        return []
    some, score = max(units, key=lambda one: abs(math.fsum(one[0].values())))
    total = math.fsum(some.values())
    if not some or abs(total / len(some) - score) <= abs(total - score):
        return [one for one, _ in units]
    return [{name: value * len(one) for name, value in one.items()} for one, _ in units]


def _mean(several: Sequence[Contributions]) -> Contributions:
    """Of each example over several runs."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for one in several:
        for name, value in one.items():
            found[name].append(value)
    return {name: math.fsum(values) / len(values) for name, values in found.items()}
