"""One comparison, weighed: what the scores say of the gain, before any rule says what follows from it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mcp_server.judging.belief import Belief
from mcp_server.judging.effects import SMALLEST, Look, usual_luck
from mcp_server.judging.noise import EQUAL_RUNS, compare
from mcp_server.judging.verdict import Comparison, Decision, Evidence, Label, Order, Verdict

MOST_WIDTHS = 99.0  # JSON knows no infinity, and nobody means more
REGRET = 0.03  # a keep that is no improvement costs as much as this share of a typical improvement gains
CONFIRMED_AT = 0.98
STEADY_LOOKS = 4  # so often both sides must have run, every repeat equal, for noise to be no likely cause
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
    # where the scorer tells what each example contributes: what seeds alone say, and whether that is less
    seeds: Belief | None = None
    seeds_say_less: bool = False

    @classmethod
    def of(cls, given: Evidence, whole: bool = False) -> Case:
        """whole: the best look is proof as well, as if no run ever went astray."""
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
        if evidence > 1.0 and not whole:
            # noise has stray runs that no width foresees, so what proves something does so without its best look
            rest = _without_best(given)
            evidence = min(evidence, 1.0 if rest is None else max(1.0, cls.of(rest, whole=True).evidence))
        if bad:
            evidence = min(evidence, 1.0)  # whoever chooses which of his runs count proves nothing by them
        if given.chosen and kind is Comparison.APART:
            luck = usual_luck(belief.width / math.sqrt(look.share), given.policy.effects)
            belief = given.widths.belief(replace(weighed, gain=weighed.gain + luck / math.sqrt(len(given.incumbent))))
        case = cls(
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
        return _on_other_inputs(case) if case.spread else case

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
    def spread(self) -> bool:
        """Whether the examples do not all say the same, so that on others the gain may be another."""
        return self.given.units is not None and self.given.units.error > 0.0

    @property
    def holds(self) -> bool:
        """Whether the examples say that the gain holds on other inputs; True where nothing is known of them."""
        if not self.spread or self.given.units is None:
            return True
        width, degrees = (self.seeds.width, self.seeds.degrees) if self.seeds is not None else (0.0, 1.0)
        return self.given.units.holds(width, degrees)

    @property
    def steady(self) -> bool:
        """Whether both sides were run so often that, with every repeat equal, noise is no likely cause."""
        return min(self.count, max(len(self.given.incumbent), len(self.given.beside))) >= STEADY_LOOKS

    @property
    def exact(self) -> bool:
        """Whether there is no luck of seeds here: equal code has always scored the same, and often enough."""
        return self.given.equal >= EQUAL_RUNS or (self.given.equal > 0 and self.steady)

    @property
    def exhausted(self) -> bool:
        """Whether one more run would tell no more: it would ask the same examples, and they are what is in doubt."""
        units = self.given.units
        if not self.spread or units is None or not units.fixed:
            return False
        repeated = self.count > 1 or self.given.equal > 1
        return repeated and units.error >= self.belief.width and (self.proven or not self.seeds_say_less)

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
            kind, where = ("pair", " in one slot") if self.comparison is Comparison.SLOT else ("run", "")
            said += (
                f" (gain {self.gain:+.3g}, {self.widths:+.1f} noise widths, {self.probability:.0%} likely better, "
                f"{self.count} {kind if self.count == 1 else kind + 's'}{where})."
            )
            if self.given.called_off:
                said += f" Runs that ended without a score count as bad looks: {self.given.called_off}."
            if not self.measured:
                said += " The noise was never measured."
        return Verdict(
            decision, code, said, label, self.gain, self.widths, self.probability, self.belief.gain,
            self.belief.width, self.belief.degrees, self.evidence, self.look.share, self.look.squares, self.first,
            behind=(self.given.widths, self.look), comparison=self.comparison, orders=orders, units=self.given.units,
        )  # fmt: skip


def _without_best(given: Evidence) -> Evidence | None:
    """The evidence without the look that speaks most for the candidate; None where there is no other."""
    seeds = given.beside.keys() & given.candidate.keys() if given.beside else given.candidate.keys()
    if len(seeds) < 2:
        return None
    best = max(sorted(seeds), key=lambda seed: given.candidate[seed] - given.beside.get(seed, 0.0))
    candidate, beside = (
        {seed: score for seed, score in some.items() if seed != best} for some in (given.candidate, given.beside)
    )
    return replace(given, candidate=candidate, beside=beside, units=None)


def _on_other_inputs(case: Case) -> Case:
    """The case where examples may say less than seeds do: the more doubtful of both counts, and the larger spread.

    Where seeds have no part in a score, the examples alone say how sure it is.
    """
    units, effects = case.given.units, case.given.policy.effects
    assert units is not None
    spread, sober = units.belief(effects), units.belief(effects, sober=True)
    if case.exact:
        return replace(case, belief=spread, evidence=sober.evidence, probability=spread.probability)
    seeds = case.belief
    wider = spread if spread.width > seeds.width else seeds
    belief = Belief(
        probability=min(seeds.probability, spread.probability),
        gain=min(seeds.gain, spread.gain),
        evidence=min(seeds.evidence, spread.evidence),
        width=wider.width,
        degrees=wider.degrees,
    )
    return replace(
        case,
        belief=belief,
        evidence=min(case.evidence, sober.evidence),
        probability=belief.probability,
        seeds=seeds,
        seeds_say_less=case.evidence < sober.evidence,
    )


def _sober(given: Evidence, look: Look) -> Look:
    """The look as the night's evidence takes it. In slots as it is; apart all candidates of a night are compared with
    the same few runs of one incumbent, whose bad luck must not pass for many good ideas: it is granted one sd of that.
    """
    if given.beside or not given.incumbent:
        return look
    share = 0.5 / len(given.incumbent)  # of a plain difference's variance, the part that is the incumbent's
    middle = given.widths.belief(look).width / math.sqrt(look.share)
    return replace(look, gain=look.gain - middle * math.sqrt(share))
