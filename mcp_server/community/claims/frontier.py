"""Where the search stands among labs: what to build on, what nearly worked, what nobody moved, others' best. Pure.

Scores of two machines are never compared: an island's best is the sum of its own paired gains since its baseline, and
it is shown under the class of its machine.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.community.claims.status import Claim
from mcp_server.ledger.foreign import Pooled
from mcp_server.ledger.measured import Measured

MOST = 5  # of each list
CURVE_POINTS = 24


@dataclass(frozen=True)
class Island:
    """One lab on one class of machine: what its keeps add up to, and the last of them."""

    lab: str
    machine: str
    last: int  # number of its newest keep
    curve: tuple[float, ...]  # sum of gains after each keep
    own: bool = False

    @property
    def gain(self) -> float:
        return self.curve[-1]


def islands(keeps: Sequence[Measured]) -> list[Island]:
    """Every lab that kept something, largest gain first; a lab with two classes of machine is there twice."""
    chains: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    for one in keeps:
        if one.role != "baseline":
            chains[one.lab, one.machine].append(one)
    found = []
    for (lab, machine), chain in sorted(chains.items()):
        curve, total = [], 0.0
        for one in chain:
            total += one.gain
            curve.append(total)
        found.append(Island(lab, machine, chain[-1].n, tuple(curve[-CURVE_POINTS:]), chain[-1].own))
    return sorted(found, key=lambda one: (-one.gain, one.lab, one.machine))


def best_by_class(found: Sequence[Island]) -> dict[str, Island]:
    """The best island of each class of machine."""
    best: dict[str, Island] = {}
    for one in found:
        best.setdefault(one.machine, one)
    return dict(sorted(best.items()))


def to_build_on(claims: Sequence[Claim], own: str, machine: str, tried: frozenset[str]) -> list[Claim]:
    """Others' gains that were repeated and that we have not tried, in the order in which they would be repeated."""
    able = [
        (-surely, one.name, one)
        for one in claims
        if one.first.lab != own and one.first.edit not in tried and (surely := one.brings(machine)) is not None
    ]
    return [one for _, _, one in sorted(able, key=lambda row: row[:2])][:MOST]


def least_explored(constants: Sequence[str], moved: Sequence[Pooled]) -> list[tuple[str, int]]:
    """(constant, attempts that moved it alone), fewest first; `constants`: what our code has to turn."""
    tried: Counter[str] = Counter()
    for one in moved:
        tried[one.name] += one.tried + one.failed
    return sorted(((name, tried[name]) for name in constants), key=lambda pair: (pair[1], pair[0]))[: 2 * MOST]
