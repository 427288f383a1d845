"""What to try next: a Gaussian process chooses among steps around where we stand.

No constant goes further in one run than a probe would: what is expected of places beyond is a guess. A run that is
still under way counts as one that brought nothing ("constant liar", Ginsbourger et al. 2010), so that two agents get
different advice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from mcp_server.suggesting.space import Dimension
from mcp_server.suggesting.surrogate import Floats, Surrogate

REMEMBERED = 100  # newest attempts that are learnt from: advice costs the same after any past
CANDIDATES = 300  # steps around where we stand
TRIED = 50  # of the best candidates, until one is new
MOST_MOVED = 2  # constants of one suggestion beside a probe: how more of them go together is not known
PROBE = 0.25  # of its range, the longest step: a factor of two, where a constant may go from a quarter to four times
FEW = 10  # constants that are probed one after the other; of more every other suggestion is a probe


@dataclass(frozen=True)
class Observation:
    """Constants that were tried, beside those of the code that they were compared with.

    loss: how much more theirs was than their base's, smaller is better; None while it runs, infinite where it failed.
    sd: of that; None where nothing is known of it.
    """

    values: Mapping[str, float]
    base: Mapping[str, float]
    loss: float | None
    sd: float | None = 0.0
    origin: str = ""  # whose; "" for our own


def advise(
    dimensions: Sequence[Dimension], known: Sequence[Observation], seed: int, count: int = 3
) -> list[dict[str, float]]:
    """Values of the constants to try next, the best guess first; none where nothing may be moved.

    The same inputs give the same advice; seed: one more with every attempt.
    """
    if not dimensions:
        return []
    draw = np.random.default_rng(seed)
    seen = Seen.of(dimensions, known)
    untried = np.flatnonzero((seen.values == seen.values[0]).all(axis=0))
    probing = len(dimensions) <= FEW or seed % 2 == 1
    probes = _probes(dimensions, seen.places[0], untried, draw) if probing else []
    process = Surrogate.fitted(seen.places, seen.pairs, seen.losses, seen.sds)
    taken, found, here = {*map(tuple, seen.values.tolist())}, list[dict[str, float]](), seen.places[0]
    while len(found) < count:
        best = process.places[int(process.known.argmin())]
        candidates = np.concatenate([here[None], around(here, best, draw)])
        candidates = np.clip(candidates, here - PROBE, here + PROBE)
        if probes:
            candidates[:, untried] = probes.pop(0)[untried]
        order = np.argsort(process.expected(candidates), kind="stable")  # nothing is known yet: the probe alone
        tried = ((place, _values(dimensions, here, place)) for place in candidates[order[:TRIED]])
        chosen = next(((place, values) for place, values in tried if values not in taken), None)
        if chosen is None:
            break
        place, values = chosen
        taken.add(values)
        found.append(dict(zip((one.name for one in dimensions), values, strict=True)))
        process = process.with_running(place)  # so that the next one is another
    return found


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known, in numbers: values and their places from 0 to 1 (N, constants), the first where we stand; pairs
    (M, 2) of them that were compared, losses and sds (M,)."""

    values: Floats
    places: Floats
    pairs: NDArray[np.int64]
    losses: Floats
    sds: Floats

    @classmethod
    def of(cls, dimensions: Sequence[Dimension], known: Sequence[Observation]) -> Seen:
        """What failed counts as worse by the largest difference that was seen, what runs as bringing nothing."""
        names, numbers = [one.name for one in dimensions], dict[tuple[float, ...], int]()
        numbers[tuple(float(one.constant.value) for one in dimensions)] = 0

        def number(values: Mapping[str, float]) -> int:
            return numbers.setdefault(tuple(map(values.__getitem__, names)), len(numbers))

        pairs = [(number(one.values), number(one.base)) for one in known]
        finite = [one.loss for one in known if one.loss is not None and math.isfinite(one.loss)]
        worst = max(map(abs, finite), default=0.0) or 1.0
        usual = math.sqrt(fmean(one * one for one in finite)) if finite else 1.0
        losses = [0.0 if one.loss is None else one.loss if math.isfinite(one.loss) else worst for one in known]
        sds = [usual if one.sd is None else one.sd for one in known]
        compared = [place for place, pair in enumerate(pairs) if pair[0] != pair[1]]
        return cls(
            np.array(list(numbers)),
            np.array([_places(one, at) for one, at in zip(dimensions, zip(*numbers, strict=True), strict=True)]).T,
            np.array(pairs, dtype=np.int64).reshape(-1, 2)[compared],
            np.array(losses)[compared],
            np.array(sds)[compared],
        )


def _places(dimension: Dimension, values: Sequence[float]) -> list[float]:
    """Of a constant's values, most of which are the same."""
    known = {value: dimension.place(value) for value in set(values)}
    return [known[value] for value in values]


def _values(dimensions: Sequence[Dimension], here: Floats, place: Floats) -> tuple[float, ...]:
    """Values as the file would write them; what did not move keeps its own."""
    moved = (place != here).tolist()
    return tuple(
        one.value(at) if moves else float(one.constant.value)
        for one, at, moves in zip(dimensions, place.tolist(), moved, strict=True)
    )


def _probes(
    dimensions: Sequence[Dimension], here: Floats, untried: NDArray[np.int64], draw: np.random.Generator
) -> list[Floats]:
    """Places that move one untried constant each from where we stand, this way or that."""
    found = []
    for number in draw.permutation(untried).tolist():
        one, at = dimensions[number], here[number]
        step = PROBE if draw.random() < 0.5 else -PROBE
        reached = at + step if 0.0 <= at + step <= 1.0 else at - step
        value = one.value(reached)
        if value == float(one.constant.value):  # a small whole number, to which such a step rounds
            value += math.copysign(1, reached - at)
        if one.inside(value):
            found.append(here.copy())
            found[-1][number] = one.place(value)
    return found


def around(here: Floats, best: Floats, draw: np.random.Generator) -> Floats:
    """Candidates that move a few constants from where we stand: small steps, large ones, and what the best had."""
    count = len(here)
    many = draw.integers(1, min(MOST_MOVED, count) + 1, CANDIDATES)
    order = np.argsort(draw.random((CANDIDATES, count)), axis=1)
    chosen = np.argsort(order, axis=1) < many[:, None]
    reach = np.array([0.06, 0.15, 0.3])[draw.integers(0, 3, CANDIDATES)][:, None]
    stepped = np.clip(here + reach * draw.normal(size=(CANDIDATES, count)), 0.0, 1.0)
    taken = np.where(draw.random((CANDIDATES, count)) < 0.2, best, stepped)
    moved: Floats = np.where(chosen, taken, here)
    return moved
