"""Why claims and audit differ: a few more questions once the verdict has fallen.

A host that disagreed may now be shown the truth, for nothing that it says can change the verdict any more. Each flagged
position is asked about again with one thing changed at a time. What moves the answer names the reason, and each reason
is told with what usually causes it, so that an accident can be mended.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcp_server.scoring.audit import Estimate, Floats, Positions, Tolerance, filler_rows, log_probabilities, questions
from mcp_server.scoring.corpus import Split, Tokens
from mcp_server.scoring.remote import Host

CAUSES = {
    "non_causal": (
        "The prediction of a token depends on tokens behind it. Usual causes: attention without a causal mask; a norm, "
        "pooling, convolution or FFT over the time axis; features shifted the wrong way; expert choice or capacity "
        "limits that let later tokens compete with earlier ones; targets used inside forward."
    ),
    "stateful": (
        "The same row does not always get the same prediction. Usual causes: dropout or noise that eval() does not "
        "switch off; statistics over the batch; a cache or counter that lives from one forward to the next; weights "
        "updated while predicting; rows of one batch that see each other."
    ),
    "unnormalised": (
        "The log-probabilities are not the log-softmax of the logits that forward returns. Usual causes: a patched "
        "log_softmax or cross_entropy, or a forward that answers differently when it is given `targets`."
    ),
    "too_good": (
        "A score this good is audited in full, and the claims did not hold. The differences are too small or too rare "
        "to name their cause; look for whatever lets a prediction see more than the tokens before it."
    ),
    "bad_output": "forward must map token ids (B, T) int64 to finite float logits (B, T, vocab).",
    "host_died": "The process that runs build_model() and forward() ended early.",
    "host_stalled": "The process that runs build_model() and forward() did not answer in time.",
    "host_overspent": (
        "build_model() and forward() may build and answer, and nothing else: whatever learns belongs to the budget. "
        "Usual causes: training or searching in build_model(), in forward() or in a thread beside them."
    ),
    "no_artifact": "train.py must write model.safetensors to $AUTORESEARCH_OUT before it ends.",
}


@dataclass(frozen=True)
class Probes:
    """Log-probabilities (k,) of the true tokens at k flagged positions. All but `claimed` come from the second host."""

    claimed: Floats  # by host A, with the true row before it
    asked: Floats  # suffix replaced, in fixed company
    again: Floats  # the very same question once more
    company: Floats  # the same row among other rows
    suffix: Floats  # another replaced suffix
    truth: Floats  # full logits, with the true row before it
    reclaimed: Floats  # a claim, with host A's whole batch before it


def probe(
    host: Host, split: Split, claims: NDArray[np.float32], positions: Positions, random: np.random.Generator
) -> Probes:
    """Ask `host` about each of `positions`, one at a time. Raises HostFailed."""
    columns = [_probe_one(host, split, positions[np.array([i])], random) for i in range(len(positions))]
    asked, again, company, suffix, truth, reclaimed = np.array(columns).T
    claimed = claims[positions.rows, positions.columns].astype(np.float64)
    return Probes(claimed, asked, again, company, suffix, truth, reclaimed)


def _probe_one(host: Host, split: Split, place: Positions, random: np.random.Generator) -> list[float]:
    """The answers of `Probes` for one position, without `claimed`, in its order."""
    rows, width = host.setting.rows, split.width
    row, column = int(place.rows[0]), int(place.columns[0])
    target = split.targets[place.rows, place.columns]
    columns = np.full(rows, column)

    def look(first: Tokens, others: Tokens) -> float:
        return float(log_probabilities(host.logits(np.concatenate([first, others]), columns)[:1], target)[0])

    question, others = questions(split, place, width, random), filler_rows(split, rows - 1, random)
    answers = [
        look(question, others),
        look(question, others),
        look(question, filler_rows(split, rows - 1, random)),
        look(questions(split, place, width, random), others),
        look(split.inputs[place.rows], others),
    ]
    begin = row // rows * rows
    inputs, targets = split.inputs[begin : begin + rows], split.targets[begin : begin + rows]
    pad = filler_rows(split, rows - len(inputs), random)
    claimed = host.claims(np.concatenate([inputs, pad]), np.concatenate([targets, pad]))
    return [*answers, float(claimed[row - begin, column])]


def reason(probes: Probes, threshold: float) -> str | None:
    """The reason code that explains most positions, or None. Answers further apart than `threshold` nats differ.

    Order matters: where the same question gets different answers, nothing can be read from other comparisons.
    """

    def differ(left: Floats, right: Floats) -> NDArray[np.bool_]:
        away: NDArray[np.bool_] = ~(np.abs(left - right) <= threshold)
        return away

    unsteady = differ(probes.again, probes.asked) | differ(probes.company, probes.asked)
    leaks = ~unsteady & (differ(probes.suffix, probes.asked) | differ(probes.truth, probes.asked))
    invented = ~unsteady & ~leaks & ~differ(probes.reclaimed, probes.claimed) & differ(probes.claimed, probes.truth)
    votes = {
        "stateful": int(unsteady.sum()),
        "non_causal": int(leaks.sum()),
        "unnormalised": int(invented.sum()),
    }
    winner = max(votes, key=lambda name: votes[name])
    return winner if votes[winner] else None


def differing(flagged: int, estimate: Estimate, tolerance: Tolerance, why: str) -> str:
    """The words of an audit that failed."""
    low, high = estimate.interval
    return (
        f"The predictions claim {estimate.claimed:.4g} bits per byte; a second host that never saw what follows finds "
        f"{estimate.score:.4g} ({low:.4g} to {high:.4g}). {flagged} of {estimate.positions} audited positions differ "
        f"by more than {tolerance.largest:.2g} nats, the most by {estimate.largest:.3g}. {CAUSES[why]}"
    )
