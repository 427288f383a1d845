"""Whether an arena is ready for a loop, from the evidence alone: no files, no clock, no runs.

`ready`: one run tells a change worth having from luck, and no attack that was tried paid. `ready with repeats`: the
same, if every promising change is run that often. `not ready`: a loop would optimise something else than what is
wanted, or nothing. Attacks that were not thought of are not covered; a verdict is about those that were tried.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mcp_server.judging.decide import HIDDEN
from mcp_server.judging.effects import TYPICAL_SHARE
from mcp_server.judging.noise import Measured, Noise, estimate
from mcp_server.proving import exploits, results
from mcp_server.proving.evidence import Aim, Evidence, Finding, Severity

ONE_RUN = 0.94  # noise of a comparison, in changes of the usual size, up to which the referee settles most with one run
SURE = 1.65  # widths: a change of the usual size is then seen 95 times in 100


class Readiness(StrEnum):
    READY = "ready"
    REPEATS = "ready with repeats"
    NOT_READY = "not ready"


@dataclass(frozen=True)
class Scale:
    """The numbers that everything is compared with; losses, so smaller is better. None without a scored baseline."""

    score: float
    loss: float  # on the seed that the variants run on
    noise: Noise
    smallest: float  # change worth having
    typical: float  # change to be expected: the referee's scale
    assumed: bool  # whether nobody said how large changes are

    @property
    def width(self) -> float:
        """Standard deviation of a comparison of two runs on one seed."""
        correlation = self.noise.correlation(self.typical)
        return self.noise.one_run(self.typical) * math.sqrt(2.0 * (1.0 - correlation))

    @property
    def ratio(self) -> float:
        return self.width / self.typical

    @property
    def repeats(self) -> int:
        """Runs of each side that show a change of the usual size."""
        return 1 if self.ratio <= ONE_RUN else math.ceil((SURE * self.ratio) ** 2)

    def gain(self, loss: float) -> float:
        """The gain of a variant over the baseline as far as chance does not explain it; negative for a loss, else 0."""
        gain = self.loss - loss
        bar = max(3.0 * self.width, 1e-9 * max(1.0, abs(self.loss)))
        return gain if abs(gain) > bar else 0.0

    def difference(self, loss: float) -> float:
        """The same with what chance explains, and without what rounding does."""
        gain = self.loss - loss
        return gain if abs(gain) > 1e-9 * max(1.0, abs(self.loss)) else 0.0


@dataclass(frozen=True)
class Verdict:
    """The end of a proof."""

    readiness: Readiness
    repeats: int
    findings: tuple[Finding, ...]
    scale: Scale | None

    @property
    def reasons(self) -> list[str]:
        return [finding.said for finding in self.findings if finding.severity is Severity.BLOCKS]


def scale_of(evidence: Evidence) -> Scale | None:
    """None when no baseline run was scored."""
    arena = evidence.arena
    scored = [(trial, trial.score) for trial in evidence.baseline if trial.score is not None]
    quiet = [(trial, score) for trial, score in scored if not trial.result.tainted]
    scored = quiet if len(quiet) > 1 else scored  # a run beside a foreign load decides nothing
    if not scored:
        return None
    mean = sum(score for _, score in scored) / len(scored)
    rule = arena.keep.min_delta
    assumed = rule == "auto" or rule == 0
    # the referee's scale as long as the noise has no say in it; who sets a least gain expects gains somewhat larger
    typical = TYPICAL_SHARE * (abs(mean) or 1.0) if isinstance(rule, str) or rule == 0 else 2.0 * rule
    smallest = typical if isinstance(rule, str) or rule == 0 else rule
    runs = [Measured("unchanged", trial.seed, arena.loss(score)) for trial, score in scored]
    nudges = [one.trial for one in evidence.tried if one.aim is Aim.NUDGE and one.trial.score is not None]
    runs += [Measured("nudged", trial.seed, arena.loss(trial.score)) for trial in nudges if trial.score is not None]
    noise = estimate(runs, [("nudged", "unchanged")] if nudges else [], effect=typical)
    first = [arena.loss(score) for trial, score in scored if trial.seed == scored[0][0].seed]
    return Scale(mean, sum(first) / len(first), noise, smallest, typical, assumed)


def weigh(evidence: Evidence) -> Verdict:
    """The verdict on an arena."""
    scale = scale_of(evidence)
    if scale is None or any(trial.score is None for trial in evidence.baseline):
        found = (*results.of_baseline(evidence.baseline), *evidence.scanned)
        return Verdict(Readiness.NOT_READY, 0, _ordered(found), scale)
    found = (
        *evidence.scanned,
        *results.of_baseline(evidence.baseline),
        *results.of_cost(evidence),
        *_of_noise(scale),
        *exploits.of_attacks(evidence, scale.gain),
        *results.of_changes(evidence, scale.gain, scale.difference),
    )
    if any(finding.severity is Severity.BLOCKS for finding in found):
        return Verdict(Readiness.NOT_READY, 0, _ordered(found), scale)
    readiness = Readiness.READY if scale.repeats == 1 else Readiness.REPEATS
    return Verdict(readiness, scale.repeats, _ordered(found), scale)


def _ordered(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    order = list(Severity)
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def _of_noise(scale: Scale) -> Iterator[Finding]:
    said = (
        f"Two runs that ought to be equal differ by {scale.width:.3g} (standard deviation); changes of "
        f"{scale.typical:.3g} are to be told apart"
        + (" (assumed: 0.15 % of the score)." if scale.assumed else " (twice keep.min_delta).")
    )
    if scale.ratio > HIDDEN:
        yield Finding(
            "noise_hides",
            Severity.BLOCKS,
            said + " Noise hides it.",
            "Measure more in each run, take chance out of the score, or say by keep.min_delta that only larger changes "
            "are worth having.",
        )
    elif scale.ratio > ONE_RUN:
        yield Finding(
            "noisy", Severity.WARNS, said, f"Set keep.confirm: always, and expect {scale.repeats} runs for each keep."
        )
