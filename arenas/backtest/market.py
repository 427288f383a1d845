"""Prices that nobody paid, or a user's own from a CSV: days by assets, None where an asset is not listed.

The simulated market has regimes (calm, rising, falling) that last for weeks, fat tails (Student's t), a common factor,
and assets whose own drift persists for months, which is what may be found. Assets are listed late and delisted when
they have fallen far, and what is delisted is gone with a loss. No program under test may know a draw of it.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

from units import Draw

REGIMES = {"calm": (0.0005, 0.7), "rising": (0.0010, 1.0), "falling": (-0.0010, 1.6)}  # drift a day, times volatility
REGIME_DAYS = 60  # on average
FACTOR, OWN = 0.005, 0.009  # volatility a day of the common factor and of an asset's own
DRIFT, DRIFT_DAYS = 0.0016, 120  # of an asset's own trend: spread, and how long it lasts
FREEDOM = 4  # of Student's t
GONE_BELOW = 0.3  # of its highest price: then an asset is delisted


Market = list[list[float | None]]  # prices by day and asset; None before an asset is listed and after it is gone


def simulated(draw: Draw, days: int, assets: int) -> Market:
    """A market of its own for each draw."""
    regime, common = "calm", 0.0
    drifts = [draw.gauss(0.0, DRIFT) for _ in range(assets)]
    listed = [0 if at < assets // 2 else draw.randrange(days) for at in range(assets)]
    prices: list[float | None] = [100.0 if day == 0 else None for day in listed]
    highest, gone = [0.0] * assets, [False] * assets
    table: Market = []
    for day in range(days):
        if draw.random() < 1 / REGIME_DAYS:
            regime = draw.choice(sorted(REGIMES))
        drift, loud = REGIMES[regime]
        common = drift + loud * FACTOR * _tail(draw)
        for at in range(assets):
            drifts[at] += -drifts[at] / DRIFT_DAYS + draw.gauss(0.0, DRIFT * math.sqrt(2 / DRIFT_DAYS))
            step = common + drifts[at] + loud * OWN * _tail(draw)
            price = prices[at]
            if price is None:
                if day == listed[at] and not gone[at]:
                    prices[at] = 100.0
                continue
            if price < GONE_BELOW * highest[at]:
                prices[at], gone[at] = None, True
                continue
            prices[at] = round(price * math.exp(max(-0.5, min(0.5, step))), 4)
            highest[at] = max(highest[at], prices[at] or 0.0)
        table.append(list(prices))
    return table


def _tail(draw: Draw) -> float:
    """Student's t with FREEDOM degrees, scaled to a standard deviation of 1."""
    chi = sum(draw.gauss(0.0, 1.0) ** 2 for _ in range(FREEDOM))
    return draw.gauss(0.0, 1.0) / math.sqrt(chi / FREEDOM) / math.sqrt(FREEDOM / (FREEDOM - 2))


class Unusable(Exception):
    """A CSV that is no table of prices; the argument is a sentence."""


def read(path: Path) -> Market:
    """`date,NAME,NAME...`, one line a day, empty where an asset is not listed. Raises Unusable."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 3 or len(rows[0]) < 2:
        raise Unusable("prices.csv needs a head `date,NAME,...` and a line a day.")
    days = [row[0] for row in rows[1:]]
    if days != sorted(set(days)):
        raise Unusable("The dates of prices.csv must rise, written so that they sort (2024-03-01).")
    table: Market = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(rows[0]):
            raise Unusable(f"Line {number} of prices.csv has {len(row)} fields and not {len(rows[0])}.")
        try:
            table.append([float(cell) if cell.strip() else None for cell in row[1:]])
        except ValueError:
            raise Unusable(f"Line {number} of prices.csv has a price that is no number.") from None
        if any(price is not None and not 0 < price < math.inf for price in table[-1]):
            raise Unusable(f"Line {number} of prices.csv has a price that is not above zero.")
    for name, column in zip(rows[0][1:], zip(*table, strict=True), strict=True):
        listed = [at for at, price in enumerate(column) if price is not None]
        if listed and None in column[listed[0] : listed[-1]]:
            # it would count as delisted at a loss, and whoever holds what has no gaps would beat the market by that
            day = days[column.index(None, listed[0])]
            raise Unusable(f"{name} has no price on {day}, but later ones. Repeat the last price there.")
    return table


def only_survivors(market: Market) -> bool:
    """Whether nothing that was ever listed is gone at the end: a list made afterwards, of those that did well."""
    return all(market[-1][at] is not None for at in range(len(market[0])) if any(row[at] is not None for row in market))
