"""Short tours through 200 cities, on eight maps: nearest neighbour, then 2-opt and Or-opt, then kicks.

A kick takes a short stretch of the tour apart (a double bridge of neighbouring segments) and repairs it with the same
moves; what is not shorter is taken back (iterated local search, Lourenço, Martin and Stützle 2003).
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import numpy as np
from cities import maps, nearest_neighbour

# ---- what to try ----
NEIGHBOURS = 5  # of a city that a move may join it to
SEGMENT = 3  # cities that Or-opt moves at once, at most
STRETCH = 60  # cities that a kick takes apart, at most
WORSE = 0.0  # of a tour's length that a kick may cost and still stand
KICKS = 300  # for each map
SEED = 0


class Tour:
    """A tour under repair: which city stands where, and the distances."""

    def __init__(self, places: np.ndarray, order: list[int]) -> None:
        self.far = np.sqrt(((places[:, None] - places[None]) ** 2).sum(axis=2)).tolist()
        nearest = np.argsort(np.array(self.far), axis=1, kind="stable")
        self.near = nearest[:, 1 : NEIGHBOURS + 1].tolist()
        self.order = order
        self.place = [0] * len(order)
        self.noted(0, len(order))

    def noted(self, first: int, last: int) -> None:
        for at in range(first, last):
            self.place[self.order[at]] = at

    def length(self) -> float:
        return sum(self.far[a][b] for a, b in zip(self.order, [*self.order[1:], self.order[0]], strict=True))

    def improve(self, waiting: list[int]) -> float:
        """Move after move around the waiting cities, until none helps; by how much shorter."""
        gained, queued = 0.0, set(waiting)
        while waiting:
            city = waiting.pop()
            queued.discard(city)
            while (found := self.two_opt(city) or self.or_opt(city)) is not None:
                gained += found[0]
                for one in found[1]:
                    if one not in queued:
                        queued.add(one)
                        waiting.append(one)
        return gained

    def two_opt(self, a: int) -> tuple[float, tuple[int, ...]] | None:
        order, place, far, n = self.order, self.place, self.far, len(self.order)
        for ahead in (1, -1):
            b = order[(place[a] + ahead) % n]
            reach = far[a][b]
            for c in self.near[a]:
                gain = reach - far[a][c]
                if gain <= 1e-12:
                    break
                d = order[(place[c] + ahead) % n]
                gain += far[c][d] - far[b][d]
                if gain > 1e-12 and c != b and d != a:
                    self.turn(place[b] if ahead == 1 else place[a], place[c] if ahead == 1 else place[d])
                    return gain, (a, b, c, d)
        return None

    def turn(self, first: int, last: int) -> None:
        """Turn the stretch from `first` to `last` round (either way round the tour, the shorter one is touched)."""
        n = len(self.order)
        inside = (last - first) % n + 1
        if 2 * inside > n:
            first, last, inside = (last + 1) % n, (first - 1) % n, n - inside
        order, place = self.order, self.place
        for _ in range(inside // 2):
            order[first], order[last] = order[last], order[first]
            place[order[first]], place[order[last]] = first, last
            first, last = (first + 1) % n, (last - 1) % n

    def or_opt(self, a: int) -> tuple[float, tuple[int, ...]] | None:
        """Put a stretch that ends at `a` between a neighbour and the city beside it."""
        order, place, far, n = self.order, self.place, self.far, len(self.order)
        for size in range(1, SEGMENT + 1):
            for ahead in (1, -1):
                first = place[a]
                end = order[(first + ahead * (size - 1)) % n]
                before, after = order[(first - ahead) % n], order[(first + ahead * size) % n]
                freed = far[before][a] + far[end][after] - far[before][after]
                for c in self.near[a]:
                    if freed - far[a][c] <= 1e-12:
                        break
                    where = (place[c] - first) * ahead % n
                    if where < size or c == before:
                        continue
                    for d in (order[(place[c] + 1) % n], order[(place[c] - 1) % n]):
                        spot = (place[d] - first) * ahead % n
                        if spot < size:
                            continue
                        gain = freed - far[a][c] - far[end][d] + far[c][d]
                        if gain > 1e-12:
                            self.lift(a, size, ahead, c, d)
                            return gain, (a, end, before, after, c, d)
        return None

    def lift(self, a: int, size: int, ahead: int, c: int, d: int) -> None:
        n, first = len(self.order), self.place[a]
        stretch = [self.order[(first + ahead * step) % n] for step in range(size)]
        rest = [self.order[(first + ahead * step) % n] for step in range(size, n)]
        left = next(at for at in range(n - size) if {rest[at], rest[(at + 1) % (n - size)]} == {c, d})
        put = stretch if rest[left] == c else stretch[::-1]
        self.order = rest[: left + 1] + put + rest[left + 1 :]
        self.noted(0, n)

    def kick(self, draw: random.Random) -> list[int]:
        """A double bridge within a stretch; the cities at its ends."""
        n = len(self.order)
        first = draw.randrange(n)
        self.order = self.order[first:] + self.order[:first]
        a, b, c = sorted(draw.sample(range(1, min(STRETCH, n - 1)), 3))
        o = self.order
        ends = [o[0], o[a - 1], o[a], o[b - 1], o[b], o[c - 1], o[c]]
        self.order = o[:a] + o[b:c] + o[a:b] + o[c:]
        self.noted(0, n)
        return ends


def main() -> None:
    end = 0.9 * float(os.environ.get("AUTORESEARCH_BUDGET_SECONDS", "5"))
    draw, tours = random.Random(SEED), []
    for places in maps():
        tour = Tour(places, nearest_neighbour(places))
        tour.improve(list(range(len(places))))
        length = tour.length()
        for _ in range(KICKS):
            if time.process_time() > end:
                break
            before = tour.order.copy()
            tour.improve(tour.kick(draw))
            now = tour.length()
            if now < length * (1 + WORSE) - 1e-12:
                length = now
            else:
                tour.order = before
                tour.noted(0, len(before))
        tours.append(tour.order)
    (Path(os.environ.get("AUTORESEARCH_OUT", ".")) / "tours.json").write_text(json.dumps(tours))


if __name__ == "__main__":
    main()
