"""How the portfolio is divided: `fit(history)` once for each period, then `allocate(prices)` every evening.

Prices are one number an asset, None where it is not listed. Shares are of the equity, negative ones are sold short;
they are bought at the next day's price. What is known is the past, and nothing that was learned in one period reaches
another.
"""

from __future__ import annotations

import math

LOOKBACK_DAYS = 5  # over which assets are compared
HOLD = 10  # of the assets, those that rose most
REBALANCE_DAYS = 3
TARGET_RISK = 0.3  # a year; the portfolio is made smaller where the last weeks were louder
RISK_DAYS = 10
LEAST_GAIN = -0.05  # of an asset over the lookback, to be held at all

past: list[list[float | None]] = []
shares: list[float] = []
age = 0


def fit(history: list[list[float | None]]) -> None:
    """Prices (days, assets) that end before the embargo."""
    past.extend(history)


def allocate(prices: list[float | None]) -> list[float]:
    global shares, age
    past.append(prices)
    age += 1
    if not shares or age % REBALANCE_DAYS == 0:
        shares = divided()
    return [share if price is not None else 0.0 for share, price in zip(shares, prices, strict=True)]


def gain(at: int, days: int) -> float | None:
    """What an asset gained over the last days; None where it was not listed for so long."""
    now, then = past[-1][at], past[-1 - min(days, len(past) - 1)][at]
    return None if now is None or then is None else now / then - 1.0


def divided() -> list[float]:
    gains = {at: found for at in range(len(past[-1])) if (found := gain(at, LOOKBACK_DAYS)) is not None}
    best = sorted(gains, key=lambda at: -gains[at])[:HOLD]
    best = [at for at in best if gains[at] > LEAST_GAIN]
    size = min(1.0, TARGET_RISK / max(1e-6, risk(best)))
    return [size / HOLD if at in best else 0.0 for at in range(len(past[-1]))]


def risk(held: list[int]) -> float:
    """Volatility a year of these assets in equal parts over the last days."""
    changes = []
    for day in range(max(1, len(past) - RISK_DAYS), len(past)):
        steps = [
            now / then - 1.0
            for at in held
            if (now := past[day][at]) is not None and (then := past[day - 1][at]) is not None
        ]
        changes.append(sum(steps) / len(steps) if steps else 0.0)
    if len(changes) < 2:
        return 0.0
    mean = sum(changes) / len(changes)
    return math.sqrt(252 * sum((one - mean) ** 2 for one in changes) / len(changes))
