"""A portfolio's books: orders filled at the next day's price, what trading, borrowing and a delisting cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

YEAR = 252  # trading days


@dataclass
class Portfolio:
    """Holdings in money, beginning with 1 in cash. `returns` has one number for each day that was booked."""

    rules: dict[str, Any]
    assets: int
    cash: float = 1.0
    holdings: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    traded: float = 0.0  # of the equity, both ways
    leverage: float = 0.0  # the highest gross exposure
    exposed: float = 0.0  # gross exposure, added up over the days

    def __post_init__(self) -> None:
        self.holdings = [0.0] * self.assets

    @property
    def equity(self) -> float:
        return self.cash + sum(self.holdings)

    def day(self, before: list[float | None], now: list[float | None], wanted: list[float]) -> None:
        """One day: prices move from `before` to `now`, then what was wanted the evening before is bought and sold."""
        start = self.equity
        self._move(before, now)
        self._borrow()
        if self.equity > 0.0:
            self._trade(now, wanted)
        end = self.equity
        self.returns.append(end / start - 1.0)
        if end > 0.0:
            gross = sum(map(abs, self.holdings)) / end
            self.leverage, self.exposed = max(self.leverage, gross), self.exposed + gross

    def _move(self, before: list[float | None], now: list[float | None]) -> None:
        for at, held in enumerate(self.holdings):
            was, is_now = before[at], now[at]
            if held and was is not None:
                if is_now is None:  # delisted: what is left of it is paid out; a short seller gains nothing by it
                    self.cash += held * (1.0 + self.rules["delisting_return"]) if held > 0 else held
                    self.holdings[at] = 0.0
                else:
                    self.holdings[at] = held * is_now / was

    def _borrow(self) -> None:
        """Interest on what is owed: money, and shares sold short."""
        owed = max(0.0, -self.cash) + sum(-held for held in self.holdings if held < 0.0)
        self.cash -= owed * self.rules["borrowing_a_year"] / YEAR

    def _trade(self, now: list[float | None], wanted: list[float]) -> None:
        equity = self.equity
        for at, share in enumerate(wanted):
            if now[at] is None:
                continue  # not listed any more when the order arrived
            order = share * equity - self.holdings[at]
            size = abs(order) / equity
            self.holdings[at] += order
            self.cash -= order + abs(order) * (self.rules["cost"] + self.rules["slippage"] * size)
            self.traded += size


def equal_parts(before: list[float | None], now: list[float | None], rules: dict[str, Any]) -> float:
    """A day's return of everything listed in equal parts, at no cost; what is delisted is lost there too."""
    changes = [
        rules["delisting_return"] if is_now is None else is_now / was - 1.0
        for was, is_now in zip(before, now, strict=True)
        if was is not None
    ]
    return sum(changes) / len(changes) if changes else 0.0


def drawdown(returns: list[float]) -> float:
    """The deepest fall from a peak, as a share of it."""
    equity = peak = 1.0
    deepest = 0.0
    for change in returns:
        equity *= 1.0 + change
        peak = max(peak, equity)
        deepest = max(deepest, 1.0 - equity / peak)
    return deepest
