"""What a rejection says to the agent: what happened, and what usually causes it, so that an accident can be mended."""

from __future__ import annotations

from mcp_server.scoring.audit import Estimate, Tolerance

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
        "log_softmax or cross_entropy, or a forward that answers differently when it is asked for a loss."
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


def differing(flagged: int, estimate: Estimate, tolerance: Tolerance, why: str) -> str:
    """The words of an audit that failed."""
    low, high = estimate.interval
    return (
        f"The predictions claim {estimate.claimed:.4g} bits per byte; a second host that never saw what follows finds "
        f"{estimate.score:.4g} ({low:.4g} to {high:.4g}). {flagged} of {estimate.positions} audited positions differ "
        f"by more than {tolerance.largest:.2g} nats, the most by {estimate.largest:.3g}. {CAUSES[why]}"
    )
