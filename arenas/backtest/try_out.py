"""The strategy on a market of its own that anybody may see, for the log of the run. It decides nothing."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import strategy
from curve import svg
from deflated import sharpe
from market import simulated
from portfolio import YEAR, Portfolio, drawdown
from units import Draw


def main() -> None:
    rules = json.loads(Path("rules.json").read_text("utf-8"))
    table = simulated(Draw("for everybody"), 700, rules["assets"])
    portfolio = Portfolio(rules, rules["assets"])
    strategy.fit(table[:252])
    for day in range(252, len(table) - 1):
        portfolio.day(table[day], table[day + 1], strategy.allocate(table[day]))
    ratio = sharpe(portfolio.returns) * math.sqrt(YEAR)
    out = Path(os.environ.get("AUTORESEARCH_OUT", "."))
    (out / "equity.svg").write_text(svg(portfolio.returns, 252, len(table), len(table), "a market for everybody"))
    print(f"own estimate: Sharpe ratio {ratio:.2f}, drawdown {drawdown(portfolio.returns):.2f}")


if __name__ == "__main__":
    main()
