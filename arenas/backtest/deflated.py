"""How likely a Sharpe ratio is more than the best of many attempts without any skill. Pure.

Bailey and López de Prado, "The deflated Sharpe ratio", Journal of Portfolio Management 40 (2014): the best of N ratios
that are nothing but luck is expected to be large, and fat tails and skew make an estimate less sure. All ratios here
are of one day.
"""

from __future__ import annotations

import math
import statistics

NORMAL = statistics.NormalDist()
EULER = 0.5772156649015329


def sharpe(returns: list[float]) -> float:
    """Mean by standard deviation; 0 for a constant."""
    spread = statistics.pstdev(returns) if len(returns) > 1 else 0.0
    return statistics.fmean(returns) / spread if spread > 1e-12 else 0.0


def best_of_luck(attempts: int, spread: float) -> float:
    """The expected highest of `attempts` ratios whose truth is 0 and whose standard deviation is `spread`."""
    if attempts < 2:
        return 0.0
    first, second = NORMAL.inv_cdf(1 - 1 / attempts), NORMAL.inv_cdf(1 - 1 / (attempts * math.e))
    return spread * ((1 - EULER) * first + EULER * second)


def deflated(returns: list[float], attempts: int) -> float:
    """The probability that the true ratio is above what luck brings the best of so many attempts.

    The spread of ratios without skill is that of an estimate over as many days, 1 / sqrt(days). The paper takes the
    spread of the attempts themselves; but one awful attempt would then raise the bar for all, and twenty copies would
    lower it.
    """
    ratio, days = sharpe(returns), len(returns)
    mean, spread = statistics.fmean(returns), statistics.pstdev(returns)
    if spread <= 1e-12:
        return 0.0
    skew = statistics.fmean(((one - mean) / spread) ** 3 for one in returns)
    tails = statistics.fmean(((one - mean) / spread) ** 4 for one in returns)
    bar = best_of_luck(attempts, 1 / math.sqrt(days))
    doubt = math.sqrt(max(1e-12, 1 - skew * ratio + (tails - 1) / 4 * ratio**2))
    return NORMAL.cdf((ratio - bar) * math.sqrt(days - 1) / doubt)
