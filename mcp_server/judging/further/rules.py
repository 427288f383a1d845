"""Simple rules of keeping, as people and other tools have them: what each would have decided on the same looks. Pure.

A look is one measured gain over the incumbent. A rule is told the looks in their order and the noise that was known
then, uses as many as it would have paid for, and answers; where it would have asked for one that was never taken
nobody knows what it had done.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

DRAWS = 2000  # of a bootstrap
NOMINAL = 0.05


@dataclass(frozen=True, slots=True)
class Answer:
    """keeps: None where it would have needed more looks. used: how many looks it paid for."""

    keeps: bool | None
    used: int
    gain: float | None = None  # as the rule saw it


Rule = Callable[[Sequence[float], float | None], Answer]


def greedy(looks: Sequence[float], noise: float | None) -> Answer:
    """Whatever scored better once."""
    return Answer(looks[0] > 0.0, 1, looks[0])


def margin(widths: float) -> Rule:
    """Whatever scored better once, by so many standard deviations of one difference."""

    def rule(looks: Sequence[float], noise: float | None) -> Answer:
        return Answer(None if noise is None else looks[0] > widths * noise, 1, looks[0])

    return rule


def repeated(times: int) -> Rule:
    """Whatever scored better on average, run again so often if it was better the first time."""

    def rule(looks: Sequence[float], noise: float | None) -> Answer:
        if looks[0] <= 0.0:
            return Answer(False, 1, looks[0])
        some = looks[:times]
        return Answer(None if len(some) < times else fmean(some) > 0.0, len(some), fmean(some))

    return rule


def bootstrap(times: int) -> Rule:
    """Whatever a percentile bootstrap over so many looks puts above nothing at a nominal 5 %."""

    def rule(looks: Sequence[float], noise: float | None) -> Answer:
        some = looks[:times]
        if len(some) < times:
            # a look that is no gain ends it: resampled means of all reach below nothing
            return Answer(False if max(some) <= 0.0 else None, len(some), fmean(some))
        draw = random.Random(0)  # the same answer whenever it is asked
        means = sorted(fmean(draw.choices(some, k=times)) for _ in range(DRAWS))
        return Answer(means[int(NOMINAL * DRAWS)] > 0.0, times, fmean(some))

    return rule


def named(name: str) -> Rule | None:
    """A rule by its name: greedy, margin or margin:2, twice or repeat:3, bootstrap or bootstrap:5; None for no such."""
    kind, _, number = name.partition(":")
    try:
        count = float(number) if number else None
    except ValueError:
        return None
    whole = int(count) if count is not None and 1.0 <= count <= 50.0 and count.is_integer() else None
    if kind == "greedy" and not number:
        return greedy
    if kind == "margin" and (not number or (count is not None and 0.0 <= count <= 1000.0)):
        return margin(1.0 if count is None else count)
    if kind == "twice" and not number:
        return repeated(2)
    if kind == "repeat" and (whole or not number):
        return repeated(whole or 2)
    if kind == "bootstrap" and (not number or (whole or 0) > 1):
        return bootstrap(whole or 3)
    return None


ALL = ("greedy", "margin", "twice", "bootstrap")
