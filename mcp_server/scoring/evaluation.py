"""One evaluation: claims from host A for every token, secret questions to host B, and what follows from both.

The order of events is the guarantee. Both hosts are ready before a validation token is sent; then B is stopped while A
answers everything, and A is killed before B wakes; what either could leave for the other is counted. Only then are
positions drawn, and B is asked about them without ever being shown what lies behind. The verdict falls on these answers
alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mcp_server.nouns.records import Audit, HostUse
from mcp_server.scoring import audit
from mcp_server.scoring.audit import Estimate, Floats, Positions, Tolerance
from mcp_server.scoring.corpus import Split, Tokens
from mcp_server.scoring.probes import CAUSES, differing, probe, reason
from mcp_server.scoring.remote import Host, HostFailed, Setting

Claims = NDArray[np.float32]
Progress = Callable[[float], None]

PROBED = 8  # flagged positions that are looked into
FULL = 4  # a full audit asks about this many times the positions of a usual one
FLOOR = 0.3  # bits per byte; a model that a lab can train does not get there on any text it has not seen
# Logits in one batch. On a CPU a batch that stays in its caches is up to 1.6 times faster.
LOGITS = {"cpu": 1 << 22, "cuda": 1 << 28}
ROWS = 64
SELECTED = {"cpu": 32, "cuda": 8}  # times as many rows at once where a host computes one column of each
NOWHERE = Positions(np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Rule:
    """How closely to look."""

    positions: int
    suspect_below: float  # a lower score is quarantined: audited in full before it counts
    tolerance: Callable[[str], Tolerance]  # by the dtype that the model uses


@dataclass(frozen=True)
class Scored:
    """A score that the audit bears out."""

    estimate: Estimate
    audit: Audit
    precision: str  # the model's dtype, by its host's word
    hosts: HostUse | None = None  # of the host that claims
    documents: Floats | None = None  # (D,): what each contributes to the score, which is their sum


@dataclass(frozen=True)
class Rejected:
    """No score: the reason code, words for the agent, and what the audit found, as far as it came."""

    reason: str
    detail: str
    audit: Audit | None = None
    estimate: Estimate | None = None  # of what an honest use of the weights scores; never given out as a score


def batch_rows(split: Split, device: str) -> int:
    """B: how many rows a host is asked about at once. Nothing of the agent's enters it."""
    return max(1, min(ROWS, LOGITS[device] // (split.width * split.vocab_size)))


def hosts(setting: Setting) -> tuple[Host, Host]:
    """A and B, starting up. Close them."""
    first = Host("A", setting)
    try:
        return first, Host("B", setting)
    except BaseException:
        first.close()
        raise


def evaluate(
    split: Split,
    setting: Setting,
    rule: Rule,
    random: np.random.Generator,
    progress: Progress,
    warm: tuple[Host, Host] | None = None,
) -> Scored | Rejected:
    """Score the sealed model on `split`. `random` must be unpredictable to the model; `progress` hears fractions.

    warm: `hosts` that were started before there was anything to score; they are closed here.
    """
    try:
        return _evaluate(split, setting, rule, random, progress, warm or hosts(setting))
    except HostFailed as failure:
        return Rejected(failure.reason, f"{failure.detail} {CAUSES[failure.reason]}")


def _evaluate(
    split: Split,
    setting: Setting,
    rule: Rule,
    random: np.random.Generator,
    progress: Progress,
    pair: tuple[Host, Host],
) -> Scored | Rejected:
    with ExitStack() as stack:
        first, second = (stack.enter_context(closing(host)) for host in pair)
        first.load()
        second.load()
        first.wait_until_ready()
        second.wait_until_ready()
        # Two processes of one machine can signal to each other by the load they make. From the moment when A is shown
        # a token, they never run at the same time.
        second.freeze()
        claims = claim_all(first, split, random, progress)
        used, claimed_at = first.use, time.monotonic()
        first.close()
        if first.survived:
            raise HostFailed("host_died", "Processes that host A had started lived on after it was ended.")
        second.thaw()
        # the dtype is a host's word; two that disagree get the narrower tolerance
        tolerance = rule.tolerance(first.precision if first.precision == second.precision else "float32")
        outcome = doubt(split, claims, tolerance)
        if outcome is not None:
            return outcome
        judged = examine(second, split, claims, rule.positions, tolerance, random)
        used = _most(used, second.use)
        if isinstance(judged, Rejected) or judged.estimate.score >= max(rule.suspect_below, FLOOR):
            return _with(judged, used, claimed_at)
        second.close()
        third = stack.enter_context(closing(Host("B2", setting)))
        third.mute()  # it is not the first to see this split: what it says may come from there
        third.wait_until_ready()
        judged = examine(third, split, claims, FULL * rule.positions, tolerance, random, full=True)
        return _with(judged, _most(used, third.use), claimed_at)


def _most(used: HostUse, other: HostUse) -> HostUse:
    """What any host did that another could find, with A's seconds."""
    counts = (used.traces, other.traces)
    found = None if None in counts else max(count for count in counts if count is not None)
    return used.model_copy(update={"read_mb": max(used.read_mb, other.read_mb), "traces": found})


def _with(judged: Scored | Rejected, used: HostUse, claimed_at: float) -> Scored | Rejected:
    """With what the hosts did, and how long the audit took that began at `claimed_at` (monotonic)."""
    used = used.model_copy(update={"audit_seconds": round(time.monotonic() - claimed_at, 1)})
    return replace(judged, hosts=used) if isinstance(judged, Scored) else judged


def claim_all(host: Host, split: Split, random: np.random.Generator, progress: Progress) -> Claims:
    """The host's claimed log-probability of every target (R, T). Raises HostFailed."""
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
    """Refuse claims that no log-probability can be."""
    counted = claims[split.counted]
    impossible = int((~np.isfinite(counted)).sum())
    if impossible:
        words = f"{impossible} of {counted.size} log-probabilities are NaN or infinite."
        return Rejected("bad_output", f"{words} {CAUSES['bad_output']}")
    if counted.max() > tolerance.largest:
        claimed = audit.estimate(split, claims, NOWHERE, np.zeros(0), 0.0).claimed
        words = f"The predictions claim {claimed:.4g} bits per byte, with log-probabilities up to {counted.max():.3g}."
        return Rejected("unnormalised", f"{words} {CAUSES['unnormalised']}")
    return None


def examine(
    host: Host,
    split: Split,
    claims: Claims,
    count: int,
    tolerance: Tolerance,
    random: np.random.Generator,
    full: bool = False,
) -> Scored | Rejected:
    """Draw `count` secret positions, ask `host` about them, and judge the claims by its answers. Raises HostFailed."""
    positions = audit.draw(split.counted, count, random)
    found = interrogate(host, split, claims, positions, tolerance, random)
    flagged = audit.beyond(claims, positions, found, tolerance)
    if not np.isfinite(found).all():
        return Rejected("bad_output", f"Some logits are NaN or infinite. {CAUSES['bad_output']}")
    estimate = audit.estimate(split, claims, positions, found, tolerance.mean)
    entry = Audit(
        correction=estimate.correction,
        correction_sd=estimate.sd,
        largest_difference=estimate.largest,
        positions=estimate.positions,
        tolerance=tolerance.largest,
        full=full,
    )
    if not flagged.any() and not estimate.significant:
        return Scored(estimate, entry, host.precision, documents=audit.by_document(split, claims, estimate))
    worst = np.argsort(-np.abs(claims[positions.rows, positions.columns] - found))[:PROBED]
    threshold = tolerance.largest if flagged.any() else tolerance.mean
    try:
        why = reason(probe(host, split, claims, positions[worst], random), threshold)
    except HostFailed:
        why = None  # it answered a moment ago, and the verdict stands without
    # unexplained: no fresh process repeats the claims, so they came from what host A had seen before
    why = why or ("too_good" if full else "stateful")
    words = differing(int(flagged.sum()), estimate, tolerance, why)
    return Rejected(why, words, entry, estimate)


def interrogate(
    host: Host,
    split: Split,
    claims: Claims,
    positions: Positions,
    tolerance: Tolerance,
    random: np.random.Generator,
) -> Floats:
    """The host's log-probability (n,) of the true token at each position, asked in rounds that give nothing away."""
    found = np.full(len(positions), np.nan)
    turns = audit.rounds(positions, split.width)
    for turn in range(int(turns.max(initial=-1)) + 1):
        members = np.flatnonzero(turns == turn)
        found[members] = ask(host, split, positions[members], True, random)
        again = members[audit.beyond(claims, positions[members], found[members], tolerance)]
        if (host.narrow or host.selective) and len(again):
            # Another shape rounds differently, and a near tie (in a router, say) can tip over. Asked again in A's own
            # an honest model answers to the last bit. It must be now: a later round would show the answers.
            found[again] = ask(host, split, positions[again], False, random)
    return found


def ask(host: Host, split: Split, positions: Positions, quick: bool, random: np.random.Generator) -> Floats:
    """One round: the log-probability (n,) of the true token at each position, everything behind it replaced.

    quick: in the shapes that the host answers soonest; else in those of the claims.
    """
    found = np.full(len(positions), np.nan)
    rows = host.setting.rows * (SELECTED[host.setting.device] if quick and host.selective else 1)
    for members, span in audit.batches(positions, split.width, rows, quick and host.narrow, random):
        batch = positions[members]
        tokens, columns = _filled(host, split, audit.questions(split, batch, span, random), batch.columns, random)
        logits = host.logits(tokens, columns)[: len(batch)]
        found[members] = audit.log_probabilities(logits, split.targets[batch.rows, batch.columns])
    return found


def _filled(
    host: Host, split: Split, tokens: Tokens, columns: NDArray[np.int64], random: np.random.Generator
) -> tuple[Tokens, NDArray[np.int64]]:
    """A batch of full width with as many rows as host A was asked about; a narrow one as it is."""
    missing = host.setting.rows - len(tokens)
    if tokens.shape[1] < split.width or missing <= 0:
        return tokens, columns
    return (
        np.concatenate([tokens, audit.filler_rows(split, missing, random)]),
        np.concatenate([columns, np.zeros(missing, np.int64)]),
    )
