"""What to try next: Optuna's tree-structured Parzen estimator proposes, a Gaussian process chooses among its proposals.

The estimator (Bergstra et al. 2011, many constants together: Falkner et al. 2018) alone needs more observations than a
night has; steps around where we stand compete with its own, and `surrogate` says which promises most. A run that is
still under way counts as one that brought nothing ("constant liar", Ginsbourger et al. 2010), so that two agents get
different advice. The one place that imports Optuna.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcp_server.nouns.errors import NotNow
from mcp_server.programs.installed import with_extra
from mcp_server.suggesting.space import Dimension
from mcp_server.suggesting.surrogate import Floats, Surrogate

STARTUP = 4  # observations before the estimator is asked; until then places are drawn
ASKED, LOCAL = 12, 300  # candidates of the estimator, and around where we stand
TRIED = 50  # of the best candidates, until one is new
MOST_MOVED = 8  # constants of one suggestion
PROBE = 0.25  # of its range, for a constant that nobody moved: a factor of two, where it may go from a quarter to four
FEW = 10  # constants that are probed one after the other; of more every other suggestion is a probe
MISSING = f"Suggestions come from Optuna, which is not installed. `{with_extra('suggest')}` brings it."


@dataclass(frozen=True)
class Observation:
    """Constants that were tried and what came of it. loss: over the first baseline, smaller is better; None while it
    runs. sd: of that loss. A run that failed has an infinite loss."""

    values: Mapping[str, float]
    loss: float | None
    sd: float = 0.0
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
    here = np.array([one.place(float(one.constant.value)) for one in dimensions])
    places = np.array([[one.place(each.values[one.name]) for one in dimensions] for each in known])
    losses, sds = _losses(known)
    asked = _asked(optuna, dimensions, places, losses, known, seed)
    found = _probes(dimensions, known, draw)[:count] if _may_probe(dimensions, known) else []
    while len(found) < count:
        process = Surrogate.fitted(places, losses, sds)
        candidates = np.concatenate([near(here, asked), around(here, places[int(losses.argmin())], draw)])
        order = np.argsort(process.expected(candidates))
        chosen = next((place for place in candidates[order[:TRIED]] if _is_new(dimensions, place, known, found)), None)
        if chosen is None:
            break
        found.append(_values(dimensions, chosen))
        # as if it ran already and brought nothing, so that the next one is another
        places, losses = np.vstack([places, chosen]), np.append(losses, float(np.median(losses)))
        sds = np.append(sds, float(np.median(sds)))
    return found


def _untried(dimensions: Sequence[Dimension], known: Sequence[Observation]) -> list[Dimension]:
    """Constants that always had the same value."""
    return [one for one in dimensions if len({each.values[one.name] for each in known}) < 2]


def _may_probe(dimensions: Sequence[Dimension], known: Sequence[Observation]) -> bool:
    return len(dimensions) <= FEW or len(known) % 2 == 1


def _probes(
    dimensions: Sequence[Dimension], known: Sequence[Observation], draw: np.random.Generator
) -> list[dict[str, float]]:
    """Steps that move one untried constant each, this way or that."""
    now = {one.name: float(one.constant.value) for one in dimensions}
    untried = _untried(dimensions, known)
    found = []
    for place in draw.permutation(len(untried)).tolist():
        one = untried[place]
        at = one.place(now[one.name])
        step = PROBE if draw.random() < 0.5 else -PROBE
        reached = at + step if 0.0 <= at + step <= 1.0 else at - step
        found.append({**now, one.name: one.value(reached)})
    return found


def _losses(known: Sequence[Observation]) -> tuple[Floats, Floats]:
    """Losses and their sds; what failed counts as the worst that was seen, what runs as bringing nothing."""
    finite = [one.loss for one in known if one.loss is not None and math.isfinite(one.loss)] or [0.0]
    worst, middle = max(finite), sorted(finite)[len(finite) // 2]
    told = [middle if one.loss is None else one.loss if math.isfinite(one.loss) else worst for one in known]
    return np.array(told), np.array([one.sd for one in known])


def _asked(
    optuna: Any,
    dimensions: Sequence[Dimension],
    places: Floats,
    losses: Floats,
    known: Sequence[Observation],
    seed: int,
) -> Floats:
    """Places (N, constants) that the Parzen estimator would try."""
    names = [one.name for one in dimensions]
    distributions = {name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in names}
    sampler = optuna.samplers.TPESampler(
        multivariate=True, constant_liar=True, n_startup_trials=STARTUP, seed=seed % 2**32
    )
    study = optuna.create_study(sampler=sampler)
    for place, loss, one in zip(places.tolist(), losses.tolist(), known, strict=True):
        state = optuna.trial.TrialState.RUNNING if one.loss is None else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                params=dict(zip(names, place, strict=True)),
                distributions=distributions,
                value=None if one.loss is None else loss,
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
    return values not in found and not any(_same(values, one.values) for one in known)


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return all(other.get(name) == value for name, value in one.items())
