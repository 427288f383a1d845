"""What a campaign proves: a bet against "nothing here is better", whatever the noise turns out to be. Pure.

On average nobody wins by betting on what is not there, so who has become a hundred times richer has proven something,
however often he looked (Ville 1939; Ramdas et al. 2023, "Game-theoretic statistics and safe anytime-valid inference").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mcp_server.judging.effects import GRID, SMALLEST, WIDTHS, Effects, Floats, Look, Parts, log_sum, parts_of

# Of the codes that do not help as many may harm, where nothing helps.
HARMFUL: Floats = np.array([[0.0], [0.4], [0.8]])


@dataclass(frozen=True, slots=True, eq=False)
class Wealth:
    """What a bet against "nothing here is better" has come to, for each share of harmful codes and each width.

    null: log likelihood of the looks where nothing helps: a code does nothing or harms. bold: the same times what the
    bets have won. Averaged over what is unknown, their ratio is an e-value whatever the noise turns out to be: each
    side learns the width for itself (Perez-Ortiz et al. 2024, "E-statistics, group invariance and anytime-valid
    testing").
    """

    null: Floats
    bold: Floats

    @classmethod
    def initial(cls) -> Wealth:
        zeros = np.zeros((len(HARMFUL), len(GRID)))
        return cls(zeros, zeros)

    def after(self, look: Look, first: Look, effects: Effects) -> Wealth:
        """After one more code. first: its first look, which sets how much is bet on it.

        Where nothing is better a code does nothing or harms, so a first look that is plainly a harm is no reason to
        lose a bet: the stake is the share of what helps among what does not harm, times the chance that this does not
        harm. It is larger where the gain is, which `_fair` makes up for: on average over first looks at codes that
        change nothing one wins nothing. Later looks leave the stake as it is, so that the bet stays fair whenever one
        stops (roughly a reverse information projection: Gruenwald, de Heide & Koolen 2024, "Safe testing").
        """
        null, won = _bet(look, first, effects)
        return Wealth(self.null + null, self.bold + null + won)

    def evidence(self, logs: Floats) -> float:
        """The log of the e-value, when the widths have these logs of prior times likelihood of equal code."""
        return log_sum(logs + self.bold) - log_sum(logs + self.null)


@lru_cache(maxsize=64)
def _bet(look: Look, first: Look, effects: Effects) -> tuple[Floats, Floats]:
    """Log likelihood of a look where nothing helps, and the log of what the bet on it has won."""
    parts = parts_of(look, effects)
    harm = np.exp(np.minimum(parts.log_harms, 600.0)) / max(effects.harmful, 1e-12)
    odds = np.exp(np.minimum(parts.log_helps, 600.0)) / effects.improving
    harmless = _harmless(parts_of(first, effects), effects)
    stake = effects.improving / (1.0 - effects.harmful) * harmless
    won = np.maximum(1.0 + stake * (odds - _fair(first.share, first.machine, effects)), 1e-9)
    return parts.plain + np.log(1.0 - HARMFUL + HARMFUL * harm), np.log(won)


@lru_cache(maxsize=64)
def _fair(share: float, machine: float, effects: Effects) -> Floats:
    """What makes the bets on a first look fair."""
    widths = np.hypot(WIDTHS * math.sqrt(share), machine / max(effects.typical, SMALLEST))
    return np.interp(np.log(widths), GRID, _paid(effects.improving, effects.harmful, effects.harm))


@lru_cache(maxsize=16)
def _paid(improving: float, harmful: float, harm: float) -> Floats:
    """For each width in typical gains: what the odds of "helps" against "nothing changed" average over first looks at
    codes that change nothing, each look weighed with its stake."""
    effects, lost, won = Effects(1.0, improving, harmful, harm), np.zeros_like(GRID), np.zeros_like(GRID)
    for z in np.arange(-7.0, 7.05, 0.1).tolist():
        parts = Parts.at(z * WIDTHS, WIDTHS, effects)
        unstaked = (1.0 - _harmless(parts, effects)) * (0.1 * math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))
        lost += unstaked
        won += unstaked * np.exp(parts.log_helps) / improving
    return (1.0 - won) / (1.0 - lost)


def _harmless(first: Parts, effects: Effects) -> Floats:
    """For each width the chance that a code does not harm, were it not one that helps."""
    harmless = 1.0 - effects.harmful
    return harmless / (harmless + np.exp(np.minimum(first.log_harms, 600.0)))
