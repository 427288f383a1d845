"""What becomes of a scored experiment: the verdict, the intent in the ledger, and how the outcome is said."""

from __future__ import annotations

import dataclasses
import shlex

from mcp_server.arena.program import Arena
from mcp_server.campaign import progress
from mcp_server.campaign.attempt import read
from mcp_server.campaign.beginning import contract
from mcp_server.campaign.bench import Bench
from mcp_server.campaign.evidence import Judgement, judge_experiment
from mcp_server.campaign.runs import pairing
from mcp_server.campaign.status import dry_spell
from mcp_server.campaign.transfers.rebasing import changes_of, rebase
from mcp_server.campaign.trees import astray
from mcp_server.campaign.upkeep.caught import CaughtUp
from mcp_server.judging.verdict import Decision
from mcp_server.nouns.attempt import failure_of
from mcp_server.nouns.baseline import quiet_again
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.errors import NotNow, StillRunning
from mcp_server.nouns.records import Kind, Status
from mcp_server.nouns.replies import DecisionReply
from mcp_server.nouns.rows import Campaign, Experiment
from mcp_server.nouns.text import clean_block

REBASED = "rebased"  # the code of a change that goes on as an attempt on a later incumbent
WRITE_FIRST = "Write down what it teaches (append_learnings)."  # left out where the lesson came with the decision


def judgement_of(bench: Bench, campaign: Campaign, found: Experiment) -> Judgement | None:
    """The referee's view, or None while there is nothing to compare."""
    if found.kind == Kind.BASELINE or found.decision is not None:
        return None
    rules = bench.rules_of(campaign, found)
    return judge_experiment(bench.ledger, rules, campaign, found, contract.earlier(bench, campaign))


def conclude(
    bench: Bench, campaign: Campaign, arena: Arena, found: Experiment, judgement: Judgement | None, decision: str
) -> Judgement | None:
    """Write down what becomes of it as the caller asked, or open the repeats that the referee wants. Raises NotNow.

    The judgement that was followed in the end.
    """
    if decision == "revert":
        runs = bench.ledger.runs(campaign.tag, found.number)
        if any(not run.state.terminal for run in runs):
            raise NotNow(
                f"Experiment {found.number} is still running. Wait with read_score, or call cancel_experiment first."
            )
        intend(bench, found, "revert", None, judgement, "asked for by the agent")
    elif judgement is None:
        decide_without_score(bench, campaign, found)
    else:
        return follow(bench, campaign, arena, found, judgement, decision)
    return judgement


def follow(
    bench: Bench, campaign: Campaign, arena: Arena, found: Experiment, judgement: Judgement, decision: str
) -> Judgement:
    """Write down what follows from a judgement: an intent, or the runs it asks for. The judgement that was followed.

    Raises NotNow or StillRunning, and nothing has changed then.
    """
    verdict = judgement.verdict
    if any(not run.state.terminal for run in judgement.runs):
        raise StillRunning(f"Experiment {found.number} is still running. read_score({found.number}) waits for it.")
    if verdict.decision is Decision.CONFIRM and decision == "auto":
        paired = bool(pairing.choice_of(bench.ledger, bench.arena(found), campaign).pairing)
        mine = {seed for number, seed, _ in judgement.wanted if number == found.number}
        theirs = bench.ledger.runs(campaign.tag, judgement.incumbent)
        ordered = {(run.seed, run.purpose) for run in theirs if not run.state.terminal}
        for number, seed, purpose in judgement.wanted:
            if paired and number == judgement.incumbent and seed in mine:
                continue  # it is trained in the candidate's own slot
            if number == judgement.incumbent and (seed, purpose) in ordered:
                continue  # another candidate waits for it as well
            later = quiet_again(bench.ledger.runs(campaign.tag, number))
            bench.ledger.open_run(campaign.tag, number, seed, purpose, bench.stamp(), later)
        return judgement
    if decision == "keep" and verdict.decision is not Decision.KEEP:
        raise NotNow(
            f"The referee does not keep experiment {found.number}: {verdict.reason} "
            "`keep` cannot overrule it; use auto, or revert."
        )
    kept = verdict.decision is Decision.KEEP
    waiting = [one.number for one in bench.ledger.unsettled() if one.campaign == campaign.tag]
    if waiting:
        raise NotNow(
            f"Experiment {waiting[0]} is decided, but git could not follow yet; lab_status says why. Mend that first: "
            f"experiment {found.number} has to be judged against what comes of it."
        )
    if verdict.decision is Decision.REBASE:
        return _carry_on(bench, campaign, arena, found, judgement)
    veto = bench.ledger.veto_on(campaign.tag, changes_of(bench, found)) if kept else None
    if veto is not None:
        said = f" ({veto.text})" if veto.text else ""
        reason = f"A person vetoed this keep{said}. The referee said: {verdict.reason}"
        intend(bench, found, "revert", None, judgement, reason, veto.id)
        return judgement
    intend(bench, found, "keep" if kept else "revert", judgement.label if kept else None, judgement, verdict.reason)
    return judgement


def _carry_on(bench: Bench, campaign: Campaign, arena: Arena, found: Experiment, judgement: Judgement) -> Judgement:
    """Let the change of a candidate that began from an older incumbent be measured on the present one."""
    made, verdict = rebase(bench, campaign, arena, found), judgement.verdict
    if made.same:
        again = bench.ledger.experiment(campaign.tag, found.number)
        standing = judgement_of(bench, campaign, again)
        assert standing is not None
        return follow(bench, campaign, arena, again, standing, "auto")
    if made.number is None:
        said = f"Discard: another experiment was kept since, and {made.why}."
        verdict = dataclasses.replace(verdict, decision=Decision.DISCARD, code="superseded", reason=said)
    else:
        verdict = dataclasses.replace(verdict, reason=f"{verdict.reason} It goes on as experiment {made.number}.")
    if made.clash:
        verdict = dataclasses.replace(verdict, reason=f"{verdict.reason} Both changed the same lines; {made.clash}")
    judgement = dataclasses.replace(judgement, verdict=verdict)
    intend(bench, found, "revert", None, judgement, verdict.reason)
    return judgement


def decide_without_score(bench: Bench, campaign: Campaign, found: Experiment) -> None:
    """A baseline or a failed attempt: there is nothing to judge."""
    runs = bench.ledger.runs(campaign.tag, found.number)
    if any(not run.state.terminal for run in runs):
        raise StillRunning(f"Experiment {found.number} is still running. read_score({found.number}) waits for it.")
    failed = failure_of(runs)
    if failed is None and found.kind != Kind.BASELINE and bench.ledger.incumbent(found.campaign) is None:
        raise NotNow(
            f"Experiment {found.number} has a score, but the baseline has none yet to compare it with. "
            "Wait for it with read_score(1)."
        )
    reason = (failed.result.reason if failed and failed.result else "") or "it has no score"
    intend(bench, found, "revert", None, None, reason)


def intend(
    bench: Bench,
    found: Experiment,
    decision: str,
    label: str | None,
    judgement: Judgement | None,
    reason: str,
    veto: int | None = None,
) -> None:
    failed = failure_of(bench.ledger.runs(found.campaign, found.number))
    outcome = "kept" if decision == "keep" else str(failed.state) if failed else "discarded"
    evidence = judgement.decided(reason, outcome) if judgement else Decided(reason=reason, outcome=outcome)
    bench.ledger.intend(found.campaign, found.number, decision, label, evidence, bench.stamp(), veto)


def confirming(bench: Bench, found: Experiment, judgement: Judgement | None) -> DecisionReply:
    runs = [run for run in bench.ledger.runs(found.campaign, found.number) if not run.state.terminal]
    assert judgement is not None
    return DecisionReply(
        experiment=found.number,
        decision="confirming",
        change=progress.rounded(judgement.change),
        noise_widths=progress.rounded(judgement.widths, 2),
        probability=progress.rounded(judgement.verdict.probability, 3),
        reason=judgement.verdict.reason,
        units=judgement.shown.examples,
        flipped=list(judgement.shown.flipped),
        runs=[progress.run_reply(run) for run in runs],
        next=f"read_score({found.number}) waits for the repeats; then commit_or_revert({found.number}) again.",
    )


def decided(bench: Bench, found: Experiment, caught: CaughtUp) -> DecisionReply:
    verdict = found.verdict
    key = (found.campaign, found.number)
    incumbent = bench.ledger.incumbent(found.campaign)
    names = {"keep": "kept", "revert": "reverted", "overtaken": "overtaken"}
    carried = bench.ledger.carried_on(*key) if verdict.code == REBASED else None
    after = {
        "keep": f"{WRITE_FIRST} Build on it.",
        "revert": f"{WRITE_FIRST} Try something else.",
        "overtaken": _after_overtaken(bench, found) if found.decision == "overtaken" else "",
    }[found.decision or "revert"]
    dry = dry_spell(bench.ledger, found.campaign) if found.decision == "revert" else ""
    if dry:
        after = f"{WRITE_FIRST} {dry} Try something of another kind."
    if carried is not None:
        after = f"read_score({carried.number}) waits for its score there; commit_or_revert({carried.number}) decides."
    return DecisionReply(
        experiment=found.number,
        decision=REBASED if carried is not None else names[found.decision or "revert"],
        carried_on=None if carried is None else carried.number,
        label=found.label or "",
        score=progress.rounded(read(bench.ledger, found).score),
        change=progress.rounded(verdict.change),
        interval=progress.edges(verdict.interval),
        noise_widths=progress.rounded(verdict.noise_widths, 2),
        probability=progress.rounded(verdict.probability, 3),
        reason=clean_block(verdict.reason + _race(bench, found), 700),
        units=verdict.examples,
        flipped=list(verdict.flipped),
        commit=(found.commit_sha or "")[:12],
        restored=caught.restored.get(key, []),
        left=caught.left.get(key, []),
        incumbent=incumbent.number if incumbent else None,
        next=after,
    )


def _after_overtaken(bench: Bench, found: Experiment) -> str:
    """The way on for a candidate that the branch could not take."""
    campaign, arena = bench.ledger.campaign(found.campaign), bench.arena(found)
    assert campaign is not None
    state = astray.branch(bench, campaign, arena)
    files = shlex.join(arena.editable)
    again = f"`git restore --source refs/autoresearch/{found.campaign}/{found.number} -- {files}`, then run_experiment"
    return f"{state.said + ' ' if state else ''}The candidate stays in the vault: {again}, measures it again."


def _race(bench: Bench, found: Experiment) -> str:
    """What to know about a candidate beside which another experiment was kept."""
    against, incumbent = found.verdict.against, bench.ledger.incumbent(found.campaign)
    if against is None or incumbent is None or found.verdict.code == REBASED:
        return ""
    if incumbent.number != against and found.decision != "keep" and _later(incumbent, found):
        return f" Experiment {incumbent.number} was kept meanwhile; this was compared with {against}, its beginnings."
    if _later(bench.ledger.experiment(found.campaign, against), found):
        return f" Experiment {against} was kept meanwhile, so this was compared with it."
    return ""


def _later(kept: Experiment, found: Experiment) -> bool:
    """Whether one was kept between another's beginning and its decision."""
    return found.opened_at < (kept.decided_at or "") <= (found.decided_at or "")


def next_for(found: Experiment, status: Status, judgement: Judgement | None, due_seconds: float | None = None) -> str:
    """What the arena allows now; `due_seconds` until the world is asked again, if it is awaited."""
    number = found.number
    if due_seconds is not None:
        return progress.in_the_field([number], due_seconds)
    if status in (Status.QUEUED, Status.RUNNING, Status.PENDING, Status.CONFIRMING):
        return f"Not finished; read_score({number}) again. Giving up the wait never affects the run."
    if found.decision is not None:
        return "Decided; propose the next experiment."
    if judgement is not None and judgement.verdict.decision is Decision.CONFIRM:
        return f"commit_or_revert({number}) starts the repeats the referee asks for."
    if judgement is not None and judgement.verdict.decision is Decision.REBASE:
        return f"commit_or_revert({number}) has its change measured on the present incumbent."
    return f"commit_or_revert({number}) decides; `learned` takes the lesson."
