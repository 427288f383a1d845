"""What to try next: a Gaussian process chooses, among small steps and what Optuna's Parzen estimator proposes.

The estimator (Bergstra et al. 2011, many constants together: Falkner et al. 2018) alone needs more observations than a
night has, so steps around where we stand compete with its own, and `surrogate` says which promises most. No constant
goes further in one run than a probe would: what is expected of places beyond is a guess. A run that is still under way
counts as one that brought nothing ("constant liar", Ginsbourger et al. 2010), so that two agents get different advice.
The one place that imports Optuna.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcp_server.nouns.errors import NotNow
from mcp_server.programs.installed import with_extra
from mcp_server.suggesting.space import Dimension
from mcp_server.suggesting.surrogate import Floats, Surrogate

STARTUP = 4  # observations before the estimator is asked; until then places are drawn
ASKED, LOCAL = 12, 300  # candidates of the estimator, and around where we stand
TRIED = 50  # of the best candidates, until one is new
MOST_MOVED = 2  # constants of one suggestion beside a probe: how more of them go together is not known
PROBE = 0.25  # of its range, the longest step: a factor of two, where a constant may go from a quarter to four times
FEW = 10  # constants that are probed one after the other; of more every other suggestion is a probe
MISSING = f"Suggestions come from Optuna, which is not installed. `{with_extra('suggest')}` brings it."


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


def available() -> bool:
    return importlib.util.find_spec("optuna") is not None


def advise(
    dimensions: Sequence[Dimension], known: Sequence[Observation], seed: int, count: int = 3
) -> list[dict[str, float]]:
    """Values of the constants to try next, the best guess first; none where nothing may be moved. Raises NotNow.

    The same inputs give the same advice.
    """
    if not dimensions:
        return []
    if not available():
        raise NotNow(MISSING)
    optuna = importlib.import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joint sampling is called experimental
        return _advise(optuna, dimensions, known, seed, count)


def _advise(
    optuna: Any, dimensions: Sequence[Dimension], known: Sequence[Observation], seed: int, count: int
) -> list[dict[str, float]]:
    draw = np.random.default_rng(seed)
    seen = Seen.of(dimensions, known)
    untried = _untried(dimensions, known)
    probes = _probes(dimensions, untried, draw) if _may_probe(dimensions, known) else []
    process = seen.process()
    asked = near(seen.here, _asked(optuna, dimensions, seen, process, seed))
    found: list[dict[str, float]] = []
    while len(found) < count:
        best = seen.places[int(process.known.argmin())]
        candidates = np.concatenate([seen.here[None], asked, around(seen.here, best, draw)])
        candidates = np.clip(candidates, seen.here - PROBE, seen.here + PROBE)
        if probes:
            candidates[:, untried] = probes.pop(0)[untried]
        order = np.argsort(process.expected(candidates), kind="stable")  # nothing is known yet: the probe alone
        chosen = next((place for place in candidates[order[:TRIED]] if _is_new(dimensions, place, known, found)), None)
        if chosen is None:
            break
        found.append(_values(dimensions, chosen))
        # as if it ran already and brought nothing, so that the next one is another
        seen = seen.with_running(chosen)
        process = seen.process()
    return found


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known, in numbers: places (N, constants), the first where we stand; pairs (M, 2) of them that were
    compared, losses and sds (M,); running (N,): nothing but what runs is known of a place."""

    places: Floats
    pairs: NDArray[np.int64]
    losses: Floats
    sds: Floats
    running: NDArray[np.bool_]

    @property
    def here(self) -> Floats:
        found: Floats = self.places[0]
        return found

    @classmethod
    def of(cls, dimensions: Sequence[Dimension], known: Sequence[Observation]) -> Seen:
        """What failed counts as worse by the largest difference that was seen, what runs as bringing nothing."""
        numbers: dict[tuple[float, ...], int] = {}

        def number(values: Mapping[str, float]) -> int:
            return numbers.setdefault(tuple(one.place(values[one.name]) for one in dimensions), len(numbers))

        number({one.name: float(one.constant.value) for one in dimensions})
        pairs = [(number(one.values), number(one.base)) for one in known]
        finite = [one.loss for one in known if one.loss is not None and math.isfinite(one.loss)]
        worst = max(map(abs, finite), default=0.0) or 1.0
        usual = math.sqrt(fmean(one * one for one in finite)) if finite else 1.0
        losses = [0.0 if one.loss is None else one.loss if math.isfinite(one.loss) else worst for one in known]
        sds = [usual if one.sd is None else one.sd for one in known]
        settled = {pair[0] for pair, one in zip(pairs, known, strict=True) if one.loss is not None}
        settled |= {0, *(base for _, base in pairs)}
        compared = [place for place, pair in enumerate(pairs) if pair[0] != pair[1]]
        return cls(
            np.array(list(numbers)),
            np.array(pairs, dtype=np.int64).reshape(-1, 2)[compared],
            np.array(losses)[compared],
            np.array(sds)[compared],
            np.array([place not in settled for place in range(len(numbers))]),
        )

    def with_running(self, place: Floats) -> Seen:
        """The same with one more under way, from where we stand."""
        return Seen(
            np.vstack([self.places, place]),
            np.vstack([self.pairs, [len(self.places), 0]]),
            np.append(self.losses, 0.0),
            np.append(self.sds, 0.0),
            np.append(self.running, True),
        )

    def process(self) -> Surrogate:
        """What all of it says of the loss."""
        return Surrogate.fitted(self.places, self.pairs, self.losses, self.sds)


def _untried(dimensions: Sequence[Dimension], known: Sequence[Observation]) -> list[int]:
    """Places in the list of the constants that always had the same value."""
    now = {one.name: float(one.constant.value) for one in dimensions}
    return [
        place
        for place, one in enumerate(dimensions)
        if all({each.values[one.name], each.base[one.name]} <= {now[one.name]} for each in known)
    ]


def _may_probe(dimensions: Sequence[Dimension], known: Sequence[Observation]) -> bool:
    return len(dimensions) <= FEW or len(known) % 2 == 1


def _probes(dimensions: Sequence[Dimension], untried: Sequence[int], draw: np.random.Generator) -> list[Floats]:
    """Places that move one untried constant each from where we stand, this way or that."""
    found = []
    for number in draw.permutation(untried).tolist():
        one, here = dimensions[number], _here(dimensions)
        step = PROBE if draw.random() < 0.5 else -PROBE
        reached = here[number] + step if 0.0 <= here[number] + step <= 1.0 else here[number] - step
        value = one.value(reached)
        if value == float(one.constant.value):  # a small whole number, to which such a step rounds
            value += math.copysign(1, reached - here[number])
        if one.inside(value):
            here[number] = one.place(value)
            found.append(here)
    return found


def _here(dimensions: Sequence[Dimension]) -> Floats:
    return np.array([one.place(float(one.constant.value)) for one in dimensions])


def _asked(optuna: Any, dimensions: Sequence[Dimension], seen: Seen, process: Surrogate, seed: int) -> Floats:
    """Places (N, constants) that the Parzen estimator would try."""
    names = [one.name for one in dimensions]
    distributions = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
    sampler = optuna.samplers.TPESampler(
        multivariate=True, constant_liar=True, n_startup_trials=STARTUP, seed=seed % 2**32
    )
    study = optuna.create_study(sampler=sampler)
    states = optuna.trial.TrialState
    for place, loss, runs in zip(seen.places.tolist(), process.known.tolist(), seen.running.tolist(), strict=True):
        study.add_trial(
            optuna.trial.create_trial(
                state=states.RUNNING if runs else states.COMPLETE,
                params=dict(zip(names, place, strict=True)),
                distributions=distributions,
                value=None if runs else loss,
            )
        )
    drawn = [study.ask(distributions).params for _ in range(ASKED)]
    return np.array([[one[name] for name in names] for one in drawn])


def near(here: Floats, asked: Floats) -> Floats:
    """The candidates with their MOST_MOVED largest steps from where we stand, and all else as it is."""
    steps = np.abs(asked - here)
    least = np.sort(steps, axis=1)[:, -min(MOST_MOVED, steps.shape[1])][:, None]
    moved: Floats = np.where(steps >= least, asked, here)
    return moved


def around(here: Floats, best: Floats, draw: np.random.Generator) -> Floats:
    """Candidates that move a few constants from where we stand: small steps, large ones, and what the best had."""
    count = len(here)
    many = draw.integers(1, min(MOST_MOVED, count) + 1, LOCAL)
    order = np.argsort(draw.random((LOCAL, count)), axis=1)
    chosen = np.argsort(order, axis=1) < many[:, None]
    reach = np.array([0.06, 0.15, 0.3])[draw.integers(0, 3, LOCAL)][:, None]
    stepped = np.clip(here + reach * draw.normal(size=(LOCAL, count)), 0.0, 1.0)
    taken = np.where(draw.random((LOCAL, count)) < 0.2, best, stepped)
    moved: Floats = np.where(chosen, taken, here)
    return moved


def _values(dimensions: Sequence[Dimension], place: Floats) -> dict[str, float]:
    """Values as the file would write them; what did not move keeps its own."""
    return {
        one.name: float(one.constant.value)
        if math.isclose(at, one.place(float(one.constant.value)), abs_tol=1e-9)
        else one.value(at)
        for one, at in zip(dimensions, place.tolist(), strict=True)
    }


def _is_new(
    dimensions: Sequence[Dimension], place: Floats, known: Sequence[Observation], found: Sequence[Mapping[str, float]]
) -> bool:
    values = _values(dimensions, place)
    return values not in found and not any(_same(values, one.values) or _same(values, one.base) for one in known)


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return all(other.get(name) == value for name, value in one.items())
