"""A second-price auction for advertisements, hour by hour: who bids most shows, and pays what the next one bid.

A stand-in for a platform. Rivals bid more in the evening and drift over the days; people convert days after the click,
and a conversion is worth another amount in each segment. What is drawn here no bidder can know. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from units import Draw

SEGMENTS = ("phone young", "phone old", "desk young", "desk old")
HOURS = 24
DELAY_DAYS = 4  # at most, from a click to its conversion
FIXED_PRICE = 0.05  # nobody pays less for a place


@dataclass(frozen=True)
class World:
    """What is true of each segment, and how it moves."""

    clicks: tuple[float, ...]  # probability of a click
    converts: tuple[float, ...]  # probability that a click converts
    worth: tuple[float, ...]  # of a conversion
    rivals: tuple[float, ...]  # mean of the highest rival bid
    drift: tuple[float, ...]  # of the rivals' bids, a day, as a logarithm


@dataclass
class Auctions:
    """All auctions of one day: for each hour (segment, highest rival bid, luck of click and conversion, delay)."""

    day: int
    hours: list[list[tuple[int, float, float, float, int]]]


@dataclass
class Bidder:
    """One policy's purse of today and what it has seen so far. `waiting` are conversions that come home later.

    `value` is what was bought today, by what is true of it and not by the luck of a few conversions.
    """

    budget: float
    spent: float = 0.0
    by_noon: float = 0.0
    value: float = 0.0
    won: list[int] = field(default_factory=lambda: [0] * len(SEGMENTS))
    clicks: list[int] = field(default_factory=lambda: [0] * len(SEGMENTS))
    paid: list[float] = field(default_factory=lambda: [0.0] * len(SEGMENTS))
    home: list[int] = field(default_factory=lambda: [0] * len(SEGMENTS))
    waiting: list[tuple[int, int]] = field(default_factory=list)  # (day, segment)


def world(draw: Draw) -> World:
    """Another platform for each draw: segments differ by much more than their names say."""
    clicks = tuple(0.3 * math.exp(draw.gauss(0.0, 0.4)) for _ in SEGMENTS)
    converts = tuple(0.2 * math.exp(draw.gauss(0.0, 0.6)) for _ in SEGMENTS)
    worth = tuple(2.0 * math.exp(draw.gauss(0.0, 0.3)) for _ in SEGMENTS)
    rivals = tuple(0.12 * math.exp(draw.gauss(0.0, 0.3)) for _ in SEGMENTS)
    return World(clicks, converts, worth, rivals, tuple(draw.gauss(0.0, 0.03) for _ in SEGMENTS))


def day_of(draw: Draw, here: World, day: int, auctions: int) -> Auctions:
    """The auctions of a day; more in the evening, when rivals bid more as well."""
    hours: list[list[tuple[int, float, float, float, int]]] = [[] for _ in range(HOURS)]
    for _ in range(auctions):
        hour, segment = _hour(draw), draw.randrange(len(SEGMENTS))
        evening = 1.0 + 0.6 * math.exp(-((hour - 20) ** 2) / 8)
        level = here.rivals[segment] * math.exp(here.drift[segment] * day) * evening
        rival = level * math.exp(draw.gauss(0.0, 0.5))
        hours[hour].append((segment, rival, draw.random(), draw.random(), draw.randint(0, DELAY_DAYS)))
    return Auctions(day, hours)


def _hour(draw: Draw) -> int:
    return min(23, max(0, round(draw.gauss(18, 4)))) if draw.random() < 0.5 else draw.randrange(HOURS)


def told(here: World, bidder: Bidder, day: int, hour: int) -> dict[str, Any]:
    """What a platform tells before an hour begins: all that a policy is given."""
    return {
        **{"day": day, "hour": hour, "budget": bidder.budget, "spent": bidder.spent, "worth": here.worth},
        **{"won": bidder.won, "paid": bidder.paid, "clicks": bidder.clicks, "home": bidder.home},
    }


def hour_of(here: World, today: Auctions, hour: int, bids: list[float], bidder: Bidder) -> None:
    """One hour of one policy. It pays the highest rival bid where it bids more, as long as its purse lasts."""
    for segment, rival, clicked, converted, delay in today.hours[hour]:
        price = max(FIXED_PRICE, rival)
        if bids[segment] < price or bidder.spent + price > bidder.budget:
            continue
        bidder.spent += price
        bidder.by_noon += price if hour < HOURS // 2 else 0.0
        bidder.paid[segment] += price
        bidder.won[segment] += 1
        bidder.value += here.clicks[segment] * here.converts[segment] * here.worth[segment]
        if clicked < here.clicks[segment]:
            bidder.clicks[segment] += 1
            if converted < here.converts[segment]:
                bidder.waiting.append((today.day + delay, segment))


def morning(bidder: Bidder, day: int) -> None:
    """A new day: a full purse, and what converts by now is seen."""
    bidder.spent = bidder.by_noon = bidder.value = 0.0
    for due in [one for one in bidder.waiting if one[0] <= day]:
        bidder.home[due[1]] += 1
        bidder.waiting.remove(due)
