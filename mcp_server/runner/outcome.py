"""How a run ended, decided from what was seen of it: no files are written and no process is touched here."""

from __future__ import annotations

from mcp_server.nouns.numbers import LARGEST_SCORE
from mcp_server.nouns.records import Crash, Half, HostUse, RunResult, RunState, Tier
from mcp_server.runner import answers
from mcp_server.runner.machine import shares
from mcp_server.runner.process.crash import Diagnosis
from mcp_server.runner.seal import Refused
from mcp_server.runner.trainer import Training

CLAIMED = "claimed_by_the_run"  # flag of a score that the run printed and nobody measured
SLOW_FACTOR, SLOW_SECONDS = 2.0, 5.0  # a start-up this far beyond the baseline's is flagged
SHARED = tuple(
    name for name in Half.model_fields if name in RunResult.model_fields and name not in ("reason", "detail")
)
STARTUP = "A start-up beyond what the unchanged code needs counts as training: `prepare.Budget` takes it off by itself."
HINTS = {
    "over_budget": "The budget ended before the run did. "
    "Let the training loop stop at its time limit and leave room to write the artifact.",
    "stalled": "The run hardly used the processor, or took ten times its budget on the wall. "
    "It probably waited for something.",
    "suspended": "The machine slept or the supervisor was stopped during the run, so its time cannot be vouched for. "
    "Retry it.",
}


def ended(result: RunResult, state: RunState, reason: str, detail: str, crash: Crash | None = None) -> RunResult:
    """`result` with an ending."""
    return result.model_copy(update={"state": state, "reason": reason, "detail": detail, "crash": crash})


def measured(result: RunResult, training: Training, usual_startup_seconds: float | None, unbound: bool) -> RunResult:
    """`result` with the numbers of a training that is over, however it ended."""
    stretch, flags = training.stretch, list(training.flags)
    if usual_startup_seconds is not None:
        usual = SLOW_FACTOR * usual_startup_seconds + SLOW_SECONDS
        flags += ["startup_slow"] if (stretch.startup_seconds or 0.0) > usual else []
    flags += ["startup_charged"] if stretch.charged_seconds > 0 else []
    flags += ["unbound"] if unbound or training.unbound else []
    return result.model_copy(
        update={
            "startup_seconds": None if stretch.startup_seconds is None else round(stretch.startup_seconds, 3),
            "startup_spent_seconds": None if stretch.spent_seconds is None else round(stretch.spent_seconds, 3),
            "charged_seconds": round(stretch.charged_seconds, 3),
            "train_seconds": round(stretch.train_seconds, 3),
            "wall_seconds": round(stretch.wall_seconds + training.held_seconds, 3),
            "cpu_seconds": round(training.cpu_seconds, 3),
            "peak_memory_mb": round(training.peak_memory_bytes / 1e6, 1),
            "steps": training.steps,
            "tokens": training.tokens,
            "curve": training.curve,
            "flags": tuple(flags),
        }
    )


def of_training(result: RunResult, training: Training, diagnosis: Diagnosis) -> RunResult | None:
    """How a training ended that leaves nothing to score; None if it ended well."""
    if training.cancelled:
        return ended(result, RunState.CANCELLED, "cancelled", "Cancelled while it trained.")
    crash = diagnosis.crash
    if training.crossed is not None:
        reason, words = training.crossed.reason, training.crossed.detail
        return ended(result, RunState.CRASHED, reason, words, Crash(kind=reason, message=words, excerpt=crash.excerpt))
    if training.stretch.reason:
        reason, words = training.stretch.reason, HINTS[training.stretch.reason]
        if training.stretch.charged_seconds >= 0.05:
            words += f" {training.stretch.charged_seconds:.1f} s of it were used before the start mark. {STARTUP}"
        crash = crash.model_copy(update={"kind": reason, "message": words})
        return ended(result, RunState.TIMEOUT, reason, words, crash)
    if training.exit_status != 0:
        words = f"The run command ended with {crash.kind}{': ' if crash.message else ''}{crash.message}."
        words = f"{diagnosis.hint} {words}" if diagnosis.hint else words
        return ended(result, RunState.CRASHED, diagnosis.reason, words, crash)
    return None


def refused(result: RunResult, refusal: Refused, excerpt: str) -> RunResult:
    """The trainer ended well, but what it left cannot be sealed or scored."""
    state = RunState.REJECTED if refusal.reason == "bad_output" else RunState.CRASHED
    crash = Crash(kind=refusal.reason, message=refusal.detail, excerpt=excerpt)
    return ended(result, state, refusal.reason, refusal.detail, crash)


def beside(result: RunResult, theirs: RunResult) -> RunResult:
    """The candidate's `result` with what the incumbent's half came to; where that has no score the pair is broken."""
    broken = theirs.state not in (RunState.RUNNING, RunState.SCORED)
    detail = f"The incumbent's half has no score, so this was measured alone. {theirs.detail}"
    flags = tuple(flag for flag in result.flags if flag != "pair_broken")
    return result.model_copy(
        update={
            "incumbent_score": theirs.score,
            "incumbent_units": theirs.units,
            "flags": (*flags, "pair_broken") if broken else flags,
            "beside": Half(
                reason=(theirs.reason or str(theirs.state)) if broken else "",
                detail=detail if broken else "",
                **{name: getattr(theirs, name) for name in SHARED},
            ),
        }
    )


def of_half(result: RunResult) -> RunResult:
    """The incumbent's half of a recorded `result`, as the run that it was."""
    half = result.beside or Half(reason="bad_output", detail="Nothing is recorded of it.")
    state = RunState.CRASHED if half.reason else RunState.RUNNING
    fields = {name: getattr(half, name) for name in SHARED}
    return RunResult(state=state, reason=half.reason, detail=half.detail, **fields)


def weighted(answer: answers.Answer | None, weights: dict[str, float], metric: str) -> answers.Answer | None:
    """The answer with the weighted sum of its metrics as the score, where the arena names weights.

    metric: the name of the score command's own score, which moves to the secondary metrics. What single examples
    contribute does not add up to such a sum.
    """
    if not weights or not isinstance(answer, answers.Score):
        return answer
    told = {metric: answer.score} | answer.secondary if metric in weights else answer.secondary
    missing = [name for name in weights if name not in told]
    if missing:
        words = f"The arena weighs {', '.join(missing)}, which the score command's answer has not under `secondary`."
        return answers.Failure("scorer_failed", f"{words} It has: {', '.join(told) or 'nothing'}.")
    score = sum(weight * told[name] for name, weight in weights.items())
    if not abs(score) < LARGEST_SCORE:
        return answers.Failure("not_a_number", f"The weighted score {answers.NO_NUMBER.format(value=f'{score:.3g}')}")
    cleared: dict[str, object] = {"units": {}, "incumbent_units": {}, "interval": None, "incumbent": None}
    return answer.model_copy(update={"score": score, "secondary": told, **cleared})


def of_suite(result: RunResult, name: str, answer: answers.Answer | None) -> RunResult:
    """A scored run with what a further score command of the arena's says; without its score the run has none."""
    match answer:
        case None:
            return ended(result, RunState.CANCELLED, "cancelled", "Cancelled while it was scored.")
        case answers.Score():
            return result.model_copy(update={"suite": result.suite | {name: answer.score}})
        case answers.Pending():
            words = f"The score command `{name}` of the suite answers `pending`: only the arena's own may."
            return _unscored(result, RunState.CRASHED, "scorer_failed", words)
        case answers.Rejection():
            return _unscored(result, RunState.REJECTED, answer.rejected, f"`{name}` of the suite: {answer.detail}")
        case answers.Failure():
            return _unscored(result, RunState.CRASHED, answer.reason, f"`{name}` of the suite: {answer.detail}")


def of_watch(result: RunResult, answer: answers.Answer | None) -> RunResult:
    """A scored run with what the scorer says of it on the third draw; whatever that is, the run keeps its score."""
    return result.model_copy(update={"watch": answer.score}) if isinstance(answer, answers.Score) else result


def _unscored(result: RunResult, state: RunState, reason: str, detail: str) -> RunResult:
    result = result.model_copy(update={"score": None, "incumbent_score": None, "units": {}, "incumbent_units": {}})
    return ended(result, state, reason, detail, Crash(kind=reason, message=detail))


def of_answer(
    result: RunResult, answer: answers.Answer | None, failed_checks: tuple[str, ...], usual: HostUse | None = None
) -> RunResult:
    """What the scorer's answer makes of a sealed run. A failed check costs the keep, never the score.

    usual: what the model's hosts need by rights; a score that took far more is flagged, and that costs the keep too.
    """
    detail = "\n".join(failed_checks)
    if failed_checks:
        result = result.model_copy(update={"flags": (*result.flags, "checks_failed")})
    if isinstance(answer, answers.Score) and answer.claimed:
        result = result.model_copy(update={"flags": (*result.flags, CLAIMED)})
    match answer:
        case None:
            return ended(result, RunState.CANCELLED, "cancelled", "Cancelled while it was scored.")
        case answers.Score():
            strange = answer.hosts is not None and shares.unusual(answer.hosts, usual)
            flags = [*result.flags, *(["hosts_unusual"] if strange else [])]
            if answer.hosts is not None and answer.hosts.traces is None and result.tier is not Tier.T0:
                flags.append("hosts_uncounted")
            result = result.model_copy(
                update={
                    "flags": tuple(flags),
                    "hosts": answer.hosts,
                    "score": answer.score,
                    "units": answer.units,
                    "incumbent_score": answer.incumbent,
                    "incumbent_units": answer.incumbent_units,
                    "interval": answer.interval,
                    "secondary": answer.secondary,
                    "audit": answer.audit,
                }
            )
            return ended(result, RunState.SCORED, "checks_failed" if failed_checks else "", detail)
        case answers.Pending():
            result = result.model_copy(update={"retry_after_seconds": answer.retry_after_seconds})
            return ended(result, RunState.PENDING, "", detail)
        case answers.Rejection():
            result = result.model_copy(update={"audit": answer.audit})
            return ended(result, RunState.REJECTED, answer.rejected, answer.detail)
        case answers.Failure():
            crash = Crash(kind=answer.reason, message=answer.detail, excerpt=answer.excerpt)
            return ended(result, RunState.CRASHED, answer.reason, answer.detail, crash)
