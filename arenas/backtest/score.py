"""Walk-forward Sharpe ratio of a strategy after costs above its benchmark, on days that it is fed one by one.

For each period a fresh process is handed the history up to `embargo_days` before it, is then fed the days of the
embargo, and from then on answers every evening how the portfolio shall be divided, which is done at the next day's
price. It never holds a price of tomorrow: this program does, and tells one day after the other. Units are periods. The
last part of the prices is fed in the closing exam alone.

Every attempt is written down in the scorer's drawer, for the more were tried, the less the best of them proves: the
deflated Sharpe ratio stands beside the score.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from asking import Program, code_kb
from confined import Failed, has_walls, shield
from curve import svg
from deflated import deflated, sharpe
from market import Market, Unusable, only_survivors, read, simulated
from portfolio import YEAR, Portfolio, drawdown, equal_parts
from units import Draw, coarse, drawer, jackknife, put, split

RULES: dict[str, Any] = json.loads(Path("rules.json").read_text("utf-8"))
OWN = "prices.csv"  # in the drawer
LEAST_EXPOSED = 0.1  # on average; who holds cash has not been tried
LARGEST = 10.0  # of a weight


def market(draw: Draw) -> Market:
    """The user's prices or simulated ones, each asset in a drawn scale and place, without names. Raises Unusable."""
    if RULES["prices"] == "simulator":
        days = RULES["first_days"] + RULES["periods"] * RULES["period_days"]
        found = simulated(draw, round(days / (1 - RULES["final_share"])), RULES["assets"])
    elif not (drawer() / OWN).exists():
        raise Unusable(f"There is no {OWN} in the scorer's drawer, {drawer()}. See README.md.")
    else:
        found = read(drawer() / OWN)
        if RULES["survivors"] == "refuse" and only_survivors(found):
            raise Unusable(
                "Nothing in prices.csv is ever delisted: a list that was made afterwards, of those that did well. Add "
                'what is gone, or say "survivors": "allowed" in rules.json where nothing could go.'
            )
    order = draw.sample(range(len(found[0])), len(found[0]))
    scales = [draw.uniform(0.5, 2.0) for _ in order]
    return [_scaled(row, order, scales) for row in found]


def _scaled(row: list[float | None], order: list[int], scales: list[float]) -> list[float | None]:
    prices = [row[at] for at in order]
    return [None if price is None else price * scale for price, scale in zip(prices, scales, strict=True)]


def periods(days: int, draw: Draw) -> tuple[list[tuple[int, int]], int]:
    """((first, last) day of each period of this split, the first day of the final part)."""
    final, length = round(days * (1 - RULES["final_share"])), RULES["period_days"]
    exam = split() == "test"
    first, last = (final, days) if exam else (RULES["first_days"], final)
    first += 0 if exam or RULES["prices"] == "simulator" else draw.randrange(length)
    found = [(start, start + length) for start in range(first, last - length, length)]
    if len(found) < 2:
        raise Unusable("There are too few days for two periods: more prices, or shorter periods in rules.json.")
    return found, final


def weights(said: Any, row: list[float | None]) -> list[float]:
    """The shares of the equity that were answered, one an asset. Raises Failed."""
    if not isinstance(said, list) or len(said) != len(row) or any(type(share) not in (int, float) for share in said):
        raise Failed("bad_output", "allocate must answer one number for each asset.")
    if any(abs(share) > LARGEST for share in said):
        raise Failed("guard_broken", f"A share of more than {LARGEST:g} times the equity.")
    if any(share and price is None for share, price in zip(said, row, strict=True)):
        raise Failed("guard_broken", "A share of an asset that is not listed on that day.")
    return [float(share) for share in said]


def walked(prices: Market, stretches: list[tuple[int, int]]) -> Portfolio:
    """The portfolio through all periods, one after the other. Raises Failed."""
    portfolio = Portfolio(RULES, len(prices[0]))
    for first, last in stretches:
        known = max(0, first - RULES["embargo_days"])
        with Program("strategy.py") as program:
            program.ask("fit", prices[:known])
            for day in range(known, last):
                wanted = weights(program.ask("allocate", prices[day]), prices[day])
                if day >= first:
                    portfolio.day(prices[day], prices[day + 1], wanted)
                    if portfolio.equity <= 0.0:
                        raise Failed("ruined", "The portfolio lost all it had.")
    if portfolio.exposed < LEAST_EXPOSED * len(portfolio.returns):
        raise Failed("idle", "The portfolio is nearly all cash.")
    return portfolio


def above(prices: Market, stretches: list[tuple[int, int]], returns: list[float]) -> list[float]:
    """Each day's return above the benchmark: what the whole market did is neither skill nor its lack."""
    if RULES["benchmark"] == "cash":
        return returns
    days = [day for first, last in stretches for day in range(first, last)]
    return [own - equal_parts(prices[day], prices[day + 1], RULES) for own, day in zip(returns, days, strict=True)]


def attempt() -> int:
    """Write this attempt down, outside of the exam; how many different ones there were in this lab.

    Before it is walked: a strategy that ends itself where it does badly has been tried as well.
    """
    file = Path(os.environ["AUTORESEARCH_SNAPSHOT"]) / "strategy.py"
    if split() == "val" and file.is_file():
        code = hashlib.sha256(file.read_bytes()).hexdigest()[:32]
        put(drawer() / "attempts" / f"{code}.json", os.environ.get("AUTORESEARCH_RUN", "run"))
    return max(1, len(list((drawer() / "attempts").glob("[0-9a-f]*.json"))))


def answer(prices: Market, stretches: list[tuple[int, int]], final: int) -> dict[str, Any]:
    """Score, interval over the periods, and what stands beside it. Raises Failed."""
    attempts = attempt()
    portfolio, length = walked(prices, stretches), RULES["period_days"]
    returns = portfolio.returns
    excess = above(prices, stretches, returns)
    blocks = [excess[at : at + length] for at in range(0, len(excess), length)]
    score, interval = jackknife(lambda some: _annual([one for block in some for one in block]), blocks)
    years = len(returns) / YEAR
    words = f"{score:.2f} a year above the benchmark; attempts so far: {attempts}"
    name = os.environ.get("AUTORESEARCH_RUN", "run")
    (drawer() / f"{name}-{split()}.svg").write_text(svg(returns, stretches[0][0], len(prices), final, words))
    secondary = {
        "deflated_sharpe": round(deflated(excess, attempts), 4),
        "attempts": float(attempts),
        "sharpe": round(_annual(returns), 3),
        "return_percent": round(100 * (math.prod(1 + one for one in returns) ** (1 / years) - 1), 1),
        "turnover": round(portfolio.traded / years, 2),
        "leverage": round(portfolio.leverage, 3),
        "drawdown": round(drawdown(returns), 3),
        "periods": float(len(blocks)),
        "code_kb": code_kb("strategy.py"),
        "walls": float(has_walls()),
    }
    return {**coarse(score, interval), "secondary": secondary}


def _annual(returns: list[float]) -> float:
    return sharpe(returns) * math.sqrt(YEAR)


def main() -> int:
    shield()
    draw = Draw(f"{os.environ['AUTORESEARCH_DRAW']} market")  # one history; the exam sees its last part
    try:
        prices = market(draw)
        stretches, final = periods(len(prices), draw)
        found = answer(prices, stretches, final)
    except Unusable as wrong:
        sys.exit(str(wrong))  # the arena's fault, not the attempt's
    except Failed as failure:
        code, detail = failure.args
        found = {"rejected": code, "detail": detail}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
