"""What the honest runs say: does the arena run, what does it cost, are better and worse told apart? Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mcp_server.nouns.records import RunState, Tier
from mcp_server.proving.evidence import Aim, Evidence, Finding, Severity, Trial, Tried

Gain = Callable[[float], float]  # of a loss, over the baseline; 0 where chance explains it

LONG_SECONDS = 3600.0
TIGHT = 0.9  # of the budget


def of_baseline(baseline: Sequence[Trial]) -> Iterator[Finding]:
    """Whether unchanged code gives a score, every time, and the same one."""
    for trial in baseline:
        if trial.result.state is RunState.PENDING:
            yield Finding(
                "pending",
                Severity.BLOCKS,
                f"After {trial.seconds:.0f} s the world has not answered yet.",
                "Prove the arena against a simulator, on an accelerated clock, or give --patience SECONDS.",
            )
            return
        if trial.score is None:
            yield Finding(
                "no_score",
                Severity.BLOCKS,
                f"The unchanged arena gives no score: {trial.ending}. {trial.result.detail}".strip(),
                _last_words(trial),
            )
            return
        if trial.failed_checks:
            yield Finding(
                "checks_fail_unchanged",
                Severity.BLOCKS,
                f"The unchanged arena fails its own checks. {trial.result.detail}".strip(),
                "Nothing could ever be kept. Mend the check, or the code.",
            )
            return
    first = [trial.score for trial in baseline if trial.seed == baseline[0].seed]
    if len(first) > 1 and len(set(first)) > 1:
        yield Finding(
            "not_repeatable",
            Severity.NOTES,
            f"The same code on the same seed scored {', '.join(f'{score:.6g}' for score in first)}.",
            "Seed everything from $AUTORESEARCH_SEED where that is possible; what remains is counted as noise.",
        )


def _last_words(trial: Trial) -> str:
    crash = trial.result.crash
    lines = (crash.excerpt if crash and crash.excerpt else trial.log).strip().splitlines()
    return f"Its last words: {lines[-1][:200]}" if lines else "Run the `run` and `score` commands by hand."


def iteration_seconds(baseline: Sequence[Trial]) -> float:
    """The middle one of the times a loop would have waited."""
    times = sorted(trial.seconds for trial in baseline)
    return times[len(times) // 2] if times else 0.0


def of_cost(evidence: Evidence) -> Iterator[Finding]:
    """Time and walls."""
    seconds = iteration_seconds(evidence.baseline)
    if seconds > LONG_SECONDS:
        yield Finding(
            "slow",
            Severity.WARNS,
            f"An iteration takes {seconds / 3600:.1f} h: {8 * 3600 / seconds:.0f} in a night.",
            "Look for a smaller stand-in that ranks changes the same way.",
        )
    budget = evidence.arena.budget.seconds
    used = max((trial.result.train_seconds or 0.0 for trial in evidence.baseline), default=0.0)
    if used > TIGHT * budget:
        yield Finding(
            "tight_budget",
            Severity.WARNS,
            f"The unchanged code uses {used:.1f} of {budget:g} s.",
            "A run that stops at its own time limit is fine; else leave room, or small changes will time out.",
        )
    tier = evidence.baseline[0].result.tier
    if tier is not None and tier is not Tier.T2:
        yield Finding(
            "weak_walls",
            Severity.WARNS,
            f"This machine shuts runs in at {tier} only, so what a run can reach was tried with weak walls.",
            "docs/trust.md says how to get T2.",
        )
    if any(trial.result.tainted for trial in evidence.baseline):
        yield Finding(
            "busy", Severity.NOTES, "The machine was busy beside some of these runs.", "Prove again when it is idle."
        )


def of_changes(evidence: Evidence, gain: Gain, difference: Gain) -> Iterator[Finding]:
    """Whether a deliberate improvement and a deliberate harm are told apart."""
    better, worse, harms = (_of(evidence, aim) for aim in (Aim.BETTER, Aim.WORSE, Aim.HARM))
    gains = {id(one): _gain(evidence, one, gain) for one in (*better, *worse, *harms)}
    if any(gains[id(one)] < 0 for one in better) and any(gains[id(one)] > 0 for one in worse):
        yield Finding(
            "upside_down",
            Severity.BLOCKS,
            f"The better version scores worse ({better[0].trial.ending}) and the worse one better "
            f"({worse[0].trial.ending}).",
            f"metric.direction is {evidence.arena.metric.direction}; is it the other one?",
        )
        return
    for one in better:
        if gains[id(one)] == 0 and _gain(evidence, one, difference) > 0:
            yield _in_noise("improvement", one)
        elif gains[id(one)] <= 0:
            yield Finding(
                "improvement_unseen",
                Severity.BLOCKS,
                f"The deliberate improvement ({one.what}) does not show: {one.trial.ending}.",
                "Either it is none, or the score does not measure what it improves.",
            )
    for one in worse:
        if gains[id(one)] == 0 and _gain(evidence, one, difference) < 0:
            yield _in_noise("harm", one)
        elif gains[id(one)] >= 0 and one.trial.keepable(evidence.arena):
            yield Finding(
                "harm_unseen",
                Severity.BLOCKS,
                f"The deliberate harm ({one.what}) does not show: {one.trial.ending}.",
                "A loop would keep such changes. What is lost in it has to be part of the score or of a guard.",
            )
    if not worse and harms and not any(_noticed(one, gains[id(one)], evidence) for one in harms):
        idle = _of(evidence, Aim.IDLE)
        if any(_noticed(one, _gain(evidence, one, gain), evidence) for one in idle):
            said = f"No harm that was tried shows ({'; '.join(one.what for one in harms)}); only doing nothing does."
            yield Finding("harm_not_found", Severity.WARNS, said, "Give a worse version by hand: --worse FILE.")
    if not better:
        found = next((one for one in harms if gains[id(one)] > 0), None)
        said = f"An improvement was found by chance: {found.what}, {found.trial.ending}." if found else ""
        yield Finding(
            "improvement_untried",
            Severity.NOTES,
            said or "No deliberate improvement was tried.",
            "" if found else "--better FILE shows that one would be seen.",
        )


def _in_noise(what: str, one: Tried) -> Finding:
    return Finding(
        f"{what}_in_noise",
        Severity.WARNS,
        f"The deliberate {what} ({one.what}) goes the right way, but chance explains it: {one.trial.ending}.",
        "Choose a larger one, or expect that changes of this size take repeats.",
    )


def _of(evidence: Evidence, aim: Aim) -> list[Tried]:
    return [one for one in evidence.tried if one.aim is aim]


def _gain(evidence: Evidence, one: Tried, gain: Gain) -> float:
    return 0.0 if one.trial.score is None else gain(evidence.arena.loss(one.trial.score))


def _noticed(one: Tried, gain: float, evidence: Evidence) -> bool:
    return gain < 0 or not one.trial.keepable(evidence.arena)
