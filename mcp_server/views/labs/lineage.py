"""Who builds on what: the kept attempts of all labs as a graph, and the line that leads to the best. Pure.

Absolute scores never travel, so the best is what gathered the most gain along its line, each step measured beside its
own incumbent. A line goes from an attempt to what it was made on; a beginning goes on at what it took over elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mcp_server.ledger.shown import Kept


@dataclass(frozen=True)
class Graph:
    """Kept attempts by name, in an order in which what is built on comes first. gathered: gain along the line."""

    kept: Mapping[str, Kept]
    above: Mapping[str, str]  # what each was made on; missing for a beginning
    adopted: Mapping[str, tuple[str, ...]]  # what each took over from other labs, if that is known here
    gathered: Mapping[str, float]
    depth: Mapping[str, int] = field(default_factory=dict)  # steps from its beginning

    @property
    def tips(self) -> list[str]:
        """Each lab's best, the best of all first."""
        best: dict[str, str] = {}
        for name, one in self.kept.items():
            if one.lab not in best or self._worth(name) > self._worth(best[one.lab]):
                best[one.lab] = name
        return sorted(best.values(), key=self._worth, reverse=True)

    def _worth(self, name: str) -> tuple[float, int, str]:
        return self.gathered[name], self.depth[name], name

    def line(self, tip: str) -> list[str]:
        """From the beginning to `tip`."""
        found = [tip]
        while found[-1] in self.above:
            found.append(self.above[found[-1]])
        return found[::-1]


def graph(records: Iterable[Kept]) -> Graph:
    """The graph of kept attempts. What names an attempt that nobody told of, or one in a circle, begins anew."""
    kept = {one.name: one for one in records}
    # within a journal a base comes before what is made on it, so that only what is taken over can close a circle
    above = {name: one.base for name, one in kept.items() if one.base in kept}
    adopted: dict[str, tuple[str, ...]] = {}
    for name, one in kept.items():
        adopted[name] = tuple(other for other in one.adopted if other in kept and other != name)
        if name not in above and adopted[name] and not _leads_to(above, adopted[name][0], name):
            above[name], adopted[name] = adopted[name][0], adopted[name][1:]
    order = _in_order(kept, above)
    gathered: dict[str, float] = {}
    depth: dict[str, int] = {}
    for name in order:
        parent = above.get(name, "")
        gain = kept[name].gain if kept[name].role != "baseline" else None
        gathered[name] = gathered.get(parent, 0.0) + (gain or 0.0)
        depth[name] = depth[parent] + 1 if parent else 0
    return Graph({name: kept[name] for name in order}, above, adopted, gathered, depth)


def _leads_to(above: Mapping[str, str], start: str, goal: str) -> bool:
    """Whether going up from `start` comes to `goal`: strangers' records may name each other in a circle."""
    at = start
    while at != goal and at in above:
        at = above[at]
    return at == goal


def _in_order(kept: Mapping[str, Kept], above: Mapping[str, str]) -> list[str]:
    """Parents before children; what hangs on nothing by time."""
    below: dict[str, list[str]] = {}
    for name in kept:
        below.setdefault(above.get(name, ""), []).append(name)
    for some in below.values():
        some.sort(key=lambda name: (kept[name].at, name))
    order: list[str] = []
    todo = below.get("", [])[::-1]
    while todo:
        name = todo.pop()
        order.append(name)
        todo += below.get(name, [])[::-1]
    return order
