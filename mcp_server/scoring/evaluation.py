"""One evaluation: claims from host A for every token, secret questions to host B, and what follows from both.

The order of events is the guarantee. Both hosts are ready before a validation token is sent. A answers everything and is
killed. Only then are positions drawn, and B is asked about them without ever being shown what lies behind. The verdict
falls on these answers alone; probes that explain it come afterwards and change nothing but the reason code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mcp_server.records import Audit
from mcp_server.scoring import audit
from mcp_server.scoring.audit import Estimate, Floats, Positions, Probes, Tolerance
from mcp_server.scoring.corpus import Split
from mcp_server.scoring.remote import Host, HostFailed, Setting

PROBED = 8  # flagged positions that are looked into
FULL = 4  # a full audit asks this many times the positions of a usual one
FLOOR = 0.3  # bits per byte; text has more in it than this for any model that can be trained in a lab
LOGITS_PER_BATCH = {
    "cpu": 1 << 22,
    "cuda": 1 << 28,
    "mps": 1 << 26,
}  # on a CPU a batch that stays in the cache is faster
ROWS_PER_BATCH = 64

Claims = NDArray[np.float32]


@dataclass(frozen=True)
class Scored:
    """A score that the audit bears out."""

    estimate: Estimate
    tolerance: Tolerance
    full: bool
    precision: str

    @property
    def audit(self) -> Audit:
        return record(self.estimate, self.tolerance, self.full)


@dataclass(frozen=True)
class Rejected:
    """No score: the reason code, a word for the agent, and what the audit found as far as it came."""

    reason: str
    detail: str
    audit: Audit | None = None
    estimate: Estimate | None = None  # what an honest use of the weights would have scored; never shown as a score


@dataclass(frozen=True)
class Rule:
    """How closely to look."""

    positions: int
    suspect_below: float  # a lower score is quarantined: audited in full before it counts
    tolerance: Callable[[str], Tolerance]  # by the dtype that the model uses


def record(estimate: Estimate, tolerance: Tolerance, full: bool) -> Audit:
    """The audit as it is kept with the run."""
    return Audit(
        correction=estimate.correction,
        correction_sd=estimate.sd if math.isfinite(estimate.sd) else 0.0,
        largest_difference=estimate.largest,
        positions=estimate.positions,
        tolerance=tolerance.largest,
        full=full,
    )


def batch_rows(split: Split, device: str) -> int:
    """B: how many rows a host is asked at once. Nothing of the agent's enters it."""
    return max(1, min(ROWS_PER_BATCH, LOGITS_PER_BATCH[device] // (split.width * split.vocab_size)))


def evaluate(
    split: Split, setting: Setting, rule: Rule, random: np.random.Generator, progress: Callable[[float], None]
) -> Scored | Rejected:
    """Score the sealed model on `split`. `random` must be unpredictable to the model; `progress` hears fractions."""
    with ExitStack() as stack:

        def start(name: str) -> Host:
            return stack.enter_context(closing(Host(name, setting)))

        try:
            first = start("A")
            second = start("B") if rule.positions else None
            for host in (first, second):
                if host is not None:
                    host.wait_until_ready()
            claims = claim_all(first, split, random, progress)
            # B may not be asked while A lives: A knows the answers, and two processes of one machine can signal by load
            first.close()
            tolerance = rule.tolerance(first.precision)
            impossible = doubt(split, claims, tolerance)
            if impossible is not None:
                return impossible
            if second is None:
                empty = Positions(np.zeros(0, np.int64), np.zeros(0, np.int64))
                return Scored(audit.estimate(split, claims, empty, np.zeros(0), 0.0), tolerance, False, first.precision)
            outcome = examine(second, split, claims, rule.positions, tolerance, random)
            if isinstance(outcome, Rejected) or outcome.estimate.score >= max(rule.suspect_below, FLOOR):
                return outcome
            second.close()
            third = start("B'")
            third.wait_until_ready()
            outcome = examine(third, split, claims, FULL * rule.positions, tolerance, random)
        except HostFailed as failure:
            return Rejected(failure.reason, f"{failure.detail} {audit.EXPLANATIONS[failure.reason]}")
    if isinstance(outcome, Scored):
        return replace(outcome, full=True)
    return replace(outcome, audit=outcome.audit and outcome.audit.model_copy(update={"full": True}))


def claim_all(host: Host, split: Split, random: np.random.Generator, progress: Callable[[float], None]) -> Claims:
    """Host A's log-probability of every target (R, T)."""
    rows = host.setting.rows
    claims = np.empty(split.inputs.shape, np.float32)
    for begin in range(0, split.rows, rows):
        inputs, targets = split.inputs[begin : begin + rows], split.targets[begin : begin + rows]
        missing = rows - len(inputs)
        if missing:  # every batch has the same shape: an honest model then answers alike to the last bit
            filler = audit.filler_rows(split, missing, random)
            inputs, targets = np.concatenate([inputs, filler]), np.concatenate([targets, filler])
        claims[begin : begin + rows] = host.claims(inputs, targets)[: rows - missing]
        progress(min(1.0, (begin + rows) / split.rows))
    return claims


def doubt(split: Split, claims: Claims, tolerance: Tolerance) -> Rejected | None:
    """What no log-probability can be."""
    counted = claims[split.counted]
    if not np.isfinite(counted).all():
        bad = int((~np.isfinite(counted)).sum())
        return Rejected(
            "bad_output",
            f"{bad} of {counted.size} log-probabilities are NaN or infinite. {audit.EXPLANATIONS['bad_output']}",
        )
    if counted.max() > tolerance.largest:
        return Rejected(
            "unnormalised",
            f"A log-probability of {counted.max():.3g} is above zero. {audit.EXPLANATIONS['unnormalised']}",
        )
    return None


def examine(
    host: Host, split: Split, claims: Claims, count: int, tolerance: Tolerance, random: np.random.Generator
) -> Scored | Rejected:
    """Draw `count` secret positions, ask `host` about them, and judge the claims by its answers."""
    positions = audit.draw(split.counted, count, random)
    found = ask(host, split, positions, host.narrow, random)
    flagged = audit.beyond(claims, positions, found, tolerance)
    if host.narrow and flagged.any():
        # a cut row rounds differently, and a near tie (a router, a rounding step) can tip over: asked again in A's own
        # shape, still without the true suffix, an honest model answers to the last bit
        found[flagged] = ask(host, split, positions[flagged], False, random)
        flagged = audit.beyond(claims, positions, found, tolerance)
    if not np.isfinite(found).all():
        return Rejected("bad_output", f"The logits hold NaN or infinity. {audit.EXPLANATIONS['bad_output']}")
    estimate = audit.estimate(split, claims, positions, found, tolerance.mean)
    if not flagged.any() and not estimate.significant:
        return Scored(estimate, tolerance, False, host.precision)
    worst = np.argsort(-np.abs(claims[positions.rows, positions.columns] - found))[:PROBED]
    try:
        why = audit.reason(probe(host, split, claims, positions[worst], found[worst], random), tolerance)
    except HostFailed:
        why = "stateful"  # it answered a moment ago
    detail = audit.summary(int(flagged.sum()), len(positions), estimate.largest, tolerance, why)
    return Rejected(why, detail, record(estimate, tolerance, False), estimate)


def ask(host: Host, split: Split, positions: Positions, narrow: bool, random: np.random.Generator) -> Floats:
    """The host's own log-probability (n,) of the true token at each position, with everything behind it replaced."""
    found = np.full(len(positions), np.nan)
    for members, span in audit.batches(positions, split.width, host.setting.rows, narrow, random):
        batch = positions[members]
        tokens = audit.questions(split, batch, span, random)
        found[members] = answer(host, split, batch, tokens, random)
    return found


def answer(
    host: Host, split: Split, positions: Positions, tokens: NDArray[np.uint16], random: np.random.Generator
) -> Floats:
    """Log-probabilities (n,) of the true tokens from the host's logits on `tokens` (n, W)."""
    missing = host.setting.rows - len(tokens) if tokens.shape[1] == split.width else 0
    columns = positions.columns
    if missing > 0:
        tokens = np.concatenate([tokens, audit.filler_rows(split, missing, random)])
        columns = np.concatenate([columns, np.zeros(missing, np.int64)])
    logits = host.logits(tokens, columns)[: len(positions)]
    return audit.log_probabilities(logits, split.targets[positions.rows, positions.columns])


def probe(
    host: Host, split: Split, claims: Claims, positions: Positions, found: Floats, random: np.random.Generator
) -> Probes:
    """Ask what explains a difference, one position at a time. The verdict has fallen: now B may see the truth."""
    again, company, suffix, truth, reclaimed = (np.full(len(positions), np.nan) for _ in range(5))
    rows = host.setting.rows
    for index in range(len(positions)):
        one = positions[np.array([index])]
        question = audit.questions(split, one, split.width, random)
        friends = audit.filler_rows(split, rows - 1, random)
        fixed = np.concatenate([question, friends])
        columns = np.concatenate([one.columns, np.zeros(rows - 1, np.int64)])
        target = split.targets[one.rows, one.columns]

        def look(
            tokens: NDArray[np.uint16], columns: NDArray[np.int64] = columns, target: NDArray[np.uint16] = target
        ) -> float:
            return float(audit.log_probabilities(host.logits(tokens, columns)[:1], target)[0])

        first = look(fixed)
        again[index] = found[index] + look(fixed) - first
        company[index] = (
            found[index] + look(np.concatenate([question, audit.filler_rows(split, rows - 1, random)])) - first
        )
        other = np.concatenate([audit.questions(split, one, split.width, random), friends])
        suffix[index] = found[index] + look(other) - first
        truth[index] = found[index] + look(np.concatenate([split.inputs[one.rows], friends])) - first
        begin = int(one.rows[0]) // rows * rows
        inputs, targets = split.inputs[begin : begin + rows], split.targets[begin : begin + rows]
        pad = audit.filler_rows(split, rows - len(inputs), random)
        claimed = host.claims(np.concatenate([inputs, pad]), np.concatenate([targets, pad]))
        reclaimed[index] = claimed[int(one.rows[0]) - begin, int(one.columns[0])]
    return Probes(
        claims[positions.rows, positions.columns].astype(np.float64), found, again, company, suffix, truth, reclaimed
    )
