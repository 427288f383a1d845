"""Brings `judging.units` what single examples contributed, by seed, and says of them what an agent may see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from mcp_server.arena.program import Arena
from mcp_server.judging.further.units import Contributions, Units, as_shares, paired
from mcp_server.ledger import Ledger
from mcp_server.ledger.runs import unpacked
from mcp_server.nouns.rows import Run

Packed = tuple[int, float, bytes]  # seed, score, contributions


def units_of(
    ledger: Ledger, arena: Arena, ours: Sequence[Run], theirs: Sequence[Run], incumbent: int, *, slot: bool
) -> Units | None:
    """The examples that runs of both sides share; None where a scorer told none.

    slot: the incumbent's are those beside the candidate's own runs, as its scores are.
    """
    if not ours:
        return None
    found = ledger.units(ours[0].campaign, ours[0].experiment)
    if not found:
        return None
    counting = [run for run in ours if run.judged and run.ticket in found]
    own = [(run.seed, run.score or 0.0, found[run.ticket][0]) for run in counting]
    if slot:
        beside = [(run, run.result) for run in counting if run.result is not None and run.result.incumbent == incumbent]
        other = [(run.seed, result.incumbent_score or 0.0, found[run.ticket][1]) for run, result in beside]
    else:
        held = ledger.units(theirs[0].campaign, theirs[0].experiment) if theirs else {}
        some = [run for run in theirs if run.judged and run.ticket in held]
        other = [(run.seed, run.score or 0.0, held[run.ticket][0]) for run in some]
    sign = 1.0 if arena.metric.direction == "maximize" else -1.0
    units = _paired(tuple(one for one in own if one[2]), tuple(one for one in other if one[2]), sign)
    return units if units is None else replace(units, sample=arena.units_are == "sample")


@lru_cache(maxsize=8)  # a score is looked at several times a second while somebody waits for it
def _paired(own: tuple[Packed, ...], other: tuple[Packed, ...], sign: float) -> Units | None:
    shares = as_shares([(unpacked(content), score) for _, score, content in (*own, *other)])
    if not own or not other:
        return None
    seeds = [seed for seed, _, _ in (*own, *other)]
    return paired(
        _by_seed(zip(seeds[: len(own)], shares[: len(own)], strict=True)),
        _by_seed(zip(seeds[len(own) :], shares[len(own) :], strict=True)),
        sign,
    )


def _by_seed(runs: Iterable[tuple[int, Contributions]]) -> dict[int, Contributions]:
    """Each example's mean over the runs of a seed that have it."""
    found: defaultdict[int, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for seed, some in runs:
        for name, value in some.items():
            found[seed][name].append(value)
    return {seed: {name: sum(values) / len(values) for name, values in some.items()} for seed, some in found.items()}


def told(units: Units | None, arena: Arena) -> dict[str, Any]:
    """What a decision says of the examples, as far as `units` of program.md allows."""
    if units is None or arena.units == "hidden":
        return {}
    flipped = tuple(f"{name} {gain:+.3g}" for name, gain in units.flipped) if arena.units == "shown" else ()
    return {"units": units.count, "better": units.better, "worse": units.worse, "flipped": flipped}
