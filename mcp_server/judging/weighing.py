"""One comparison, weighed: what the scores say of the gain, before any rule says what follows from it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mcp_server.judging.belief import Belief
from mcp_server.judging.effects import SMALLEST, Look, usual_luck
from mcp_server.judging.noise import compare
from mcp_server.judging.verdict import Comparison, Decision, Evidence, Label, Order, Verdict

MOST_WIDTHS = 99.0  # JSON knows no infinity, and nobody means more
REGRET = 0.03  # a keep that is no improvement costs as much as this share of a typical improvement gains
CONFIRMED_AT = 0.98
BAD_LOOK = 2.0  # widths by which a look is taken to have come out worse that was called off or failed by itself


def rounded(grain: float) -> float:
    """What rounding to steps adds to a difference of two scores (sd): most where a true score lies between two steps,
    so that every second run jumps."""
    return grain / math.sqrt(2.0)


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison, weighed: what every rule below is about."""

    given: Evidence
    comparison: Comparison
    count: int  # looks at the candidate that are compared
    look: Look  # as it was measured
    weighed: Look  # with the looks that were called off
    belief: Belief
    evidence: float  # e-value of this candidate's looks
    probability: float
    first: float | None = None

    @classmethod
    def of(cls, given: Evidence) -> Case:
        typical = given.policy.effects.typical
        if given.beside:
            gains = [given.candidate[seed] - score for seed, score in given.beside.items() if seed in given.candidate]
            count, gain = len(gains), sum(gains) / len(gains)
            squares = sum((one - gain) ** 2 for one in gains)
            rounding = rounded(given.grain)
            look = Look(gain, 1.0 / count, squares, count - 1.0, rounding / math.sqrt(count))
            first, kind = Look(gains[0], machine=rounding), Comparison.SLOT
        else:
            count, kind = len(given.candidate), Comparison.APART
            gain, width = compare(given.candidate, given.incumbent, 1.0, given.correlation)
            share = width * width / (2.0 * (1.0 - given.correlation))
            moved = math.hypot(given.scatter.width(typical), rounded(given.grain)) / math.sqrt(count)
            look, first = Look(gain, share, machine=moved), None
        # a look that was called off or failed counts as a bad one: whoever drops the unlucky ones must not gain by it
        bad = given.called_off
        if bad:
            plain = given.widths.belief(Look(0.0)).width
            worse = (count * gain - bad * BAD_LOOK * plain) / (count + bad)
            # and what is left of them scatters by less than the noise does
            share = look.share * count / (count + bad) if given.beside else look.share
            weighed = replace(look, gain=worse, share=share, squares=0.0, degrees=0.0)
        else:
            weighed = look
        belief = given.widths.belief(weighed, first)
        evidence = belief.evidence if given.beside else given.widths.belief(_sober(given, weighed)).evidence
        if bad:
            evidence = min(evidence, 1.0)  # whoever chooses which of his runs count proves nothing by them
        if given.chosen and kind is Comparison.APART:
            luck = usual_luck(belief.width / math.sqrt(look.share), given.policy.effects)
            belief = given.widths.belief(replace(weighed, gain=weighed.gain + luck / math.sqrt(len(given.incumbent))))
        return cls(
            given,
            kind,
            count,
            look,
            weighed,
            belief,
            evidence,
            belief.probability,
            None if first is None else first.gain,
        )

    @property
    def gain(self) -> float:
        return self.look.gain

    @property
    def typical(self) -> float:
        return max(self.given.policy.effects.typical, SMALLEST)

    @property
    def widths(self) -> float:
        """The gain in widths, held finite where nothing is noisy."""
        if self.belief.width > 0.0:
            return min(max(self.weighed.gain / self.belief.width, -MOST_WIDTHS), MOST_WIDTHS)
        return math.copysign(MOST_WIDTHS, self.gain) if self.gain else 0.0

    @property
    def ratio(self) -> float:
        """Width of one plain comparison in typical improvements."""
        return self.belief.width / math.sqrt(self.look.share) / self.typical

    @property
    def proven(self) -> bool:
        """Whether the night has shown, this candidate included, that anything helps."""
        return self.given.record.after(self.evidence).proven

    @property
    def worth(self) -> float:
        """What a keep is expected to gain, less the regret of one that is none."""
        return self.belief.gain - REGRET * self.typical * (1.0 - self.probability)

    @property
    def measured(self) -> bool:
        return self.given.widths.degrees + self.weighed.degrees > 0.0

    def verdict(
        self, decision: Decision, code: str, why: str, orders: tuple[Order, ...] = (), *, plain: bool = False
    ) -> Verdict:
        label = None
        if decision is Decision.KEEP:
            sure = self.count > 1 and self.probability >= CONFIRMED_AT and self.measured
            label = Label.CONFIRMED if sure else Label.PROVISIONAL
        said = f"{decision.value.capitalize()}: {why}"
        if not plain:
            said += (
                f" (gain {self.gain:+.3g}, {self.widths:+.1f} noise widths, {self.probability:.0%} likely better, "
                f"{self.count} {'pairs in one slot' if self.comparison is Comparison.SLOT else 'runs'})."
            )
            if self.given.called_off:
                said += f" Runs that ended without a score count as bad looks: {self.given.called_off}."
            if not self.measured:
                said += " The noise was never measured."
        return Verdict(
            decision, code, said, label, self.gain, self.widths, self.probability, self.belief.gain,
            self.belief.width, self.belief.degrees, self.evidence, self.look.share, self.look.squares, self.first,
            behind=(self.given.widths, self.look), comparison=self.comparison, orders=orders,
        )  # fmt: skip


def _sober(given: Evidence, look: Look) -> Look:
    """The look as the night's evidence takes it. In slots as it is; apart all candidates of a night are compared with
    the same few runs of one incumbent, whose bad luck must not pass for many good ideas: it is granted one sd of that.
    """
    if given.beside or not given.incumbent:
        return look
    share = 0.5 / len(given.incumbent)  # of a plain difference's variance, the part that is the incumbent's
    middle = given.widths.belief(look).width / math.sqrt(look.share)
    return replace(look, gain=look.gain - middle * math.sqrt(share))
