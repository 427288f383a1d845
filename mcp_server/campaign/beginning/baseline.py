"""How a campaign gets its baseline: the runs that measure it, what is repeated, and how it is told.

A baseline is never reverted: it is the code the user has. What failed for a reason outside of the code is run again by
the lab; code that failed by itself is replaced by the next attempt, which gets the same number of runs.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

from mcp_server.arena.program import Arena
from mcp_server.arena.styles import style_version
from mcp_server.campaign import progress
from mcp_server.campaign.bench import Bench
from mcp_server.campaign.runs import pairing
from mcp_server.edits.fingerprint import change, fingerprint, nodes
from mcp_server.nouns.attempt import failure_of
from mcp_server.nouns.baseline import Baseline, calibration
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.errors import NotNow, StillRunning
from mcp_server.nouns.records import Kind, Purpose, RunState
from mcp_server.nouns.rows import Campaign, Experiment, Run
from mcp_server.nouns.text import clean_line
from mcp_server.repo import messages

OFTEN = 4  # runs beside other programs, after which another clock is offered
OF_THE_SCORER = ("scorer_failed", "scorer_timeout")
AT_LEAST_AGAIN = ("disk_full", "no_sandbox", "killed", "suspended", "supervisor_lost", "cancelled")


def open_first(bench: Bench, campaign: Campaign) -> None:
    """Experiment 1: the code as it was found, with the runs that measure its noise."""
    program = bench.program(campaign.program)
    sources = bench.workspace.committed(program.arena.editable, campaign.pinned)
    begun = next(iter(bench.workspace.git.commits(campaign.pinned, limit=1)), None)
    at = bench.stamp()
    experiment = Experiment(
        campaign=campaign.tag,
        number=1,
        kind=Kind.BASELINE,
        description="baseline: unchanged code",
        hypothesis="",
        expected_delta=None,
        snapshot="",
        base=None,
        fingerprint=fingerprint(sources),
        edit=change(sources, sources),
        nodes=nodes(sources),
        knobs=(),
        protocol=(),
        theme="baseline",
        program=campaign.program,
        style=style_version(program.arena.style, bench.paths.tree),
        opened_at=at,
        tree=str(bench.paths.tree),
        repeats=messages.origin_of(begun.message) if begun else "",
    )
    snapshot = bench.workspace.commit_like(campaign.pinned, campaign.pinned, messages.opened(campaign, experiment), at)
    paired = bool(pairing.choice_of(bench.ledger, program.arena, campaign).pairing)
    ordered = calibration(campaign.seed, campaign.calibrate, paired)
    bench.workspace.hold(campaign.tag, [snapshot], at)
    bench.ledger.open_experiment(dataclasses.replace(experiment, snapshot=snapshot), ordered)


def tend(bench: Bench, tag: str) -> bool:
    """Adopt a baseline that has a score, repeat what has to be repeated, settle what was replaced; True if any was."""
    baseline = bench.ledger.baseline(tag)
    if baseline is None:
        return False
    changed = False
    for experiment in bench.ledger.undecided(tag) if baseline.number > 1 else ():
        if experiment.kind == Kind.BASELINE and experiment.number != baseline.number:
            said = Decided(reason=f"it failed, and experiment {baseline.number} is the baseline instead")
            bench.ledger.intend(tag, experiment.number, "revert", None, said, bench.stamp())
            changed = True
    decision = baseline.experiment.decision
    if decision is None and baseline.counting and not baseline.rejected:
        first = baseline.counting[0]
        verdict = Decided(score=first.score, seeds=(first.seed,), reason="the baseline", decision="keep")
        bench.ledger.intend(tag, baseline.number, "keep", "baseline", verdict, bench.stamp())
        changed = True
    again = baseline.again() if decision in (None, "keep") else []
    if not again or not _is_needed(bench, tag, baseline):
        return changed
    for seed in again:
        bench.ledger.open_run(tag, baseline.number, seed, Purpose.RETRY, bench.stamp(), baseline.not_before())
    return True


def _is_needed(bench: Bench, tag: str, baseline: Baseline) -> bool:
    """Whether a repeat is worth the machine: nothing was kept over the baseline, and somebody works on the campaign."""
    incumbent = bench.ledger.incumbent(tag)
    if incumbent is not None and incumbent.number != baseline.number:
        return False
    here = bench.named or (bench.workspace.branch_at_head() or "").removeprefix("autoresearch/")
    return tag == here or tag in bench.ledger.joined()


def needs_baseline(bench: Bench, campaign: Campaign, arena: Arena) -> bool:
    """Whether the next attempt is to be the baseline. Raises NotNow while nothing can be compared and none is needed.

    A baseline that is in the field, for hours or days, hinders nobody: what is tried meanwhile is judged when it is in.
    """
    baseline = bench.ledger.baseline(campaign.tag)
    if baseline is None or baseline.failed:
        return True
    if baseline.kept or baseline.in_the_field:
        return False
    raise NotNow(f"{told(bench, campaign, arena, baseline)} Nothing was run or counted.")


def refuse_without_baseline(bench: Bench, campaign: Campaign, arena: Arena, found: Experiment) -> None:
    """Raises NotNow for the baseline itself, which nobody decides on, and for what nothing can be compared with yet."""
    baseline = bench.ledger.baseline(campaign.tag)
    assert baseline is not None  # a campaign with an experiment has one
    if found.kind == Kind.BASELINE:
        raise NotNow(f"A baseline is adopted, never reverted. {told(bench, campaign, arena, baseline)}".strip())
    incumbent = bench.ledger.incumbent(campaign.tag)
    if baseline.calibrated and incumbent is not None:
        return
    failed = failure_of(bench.ledger.runs(campaign.tag, found.number))
    if failed is None and (incumbent is None or incumbent.number == baseline.number):
        runs = any(not run.state.terminal for run in bench.ledger.runs(campaign.tag, baseline.number))
        raise (StillRunning if runs else NotNow)(
            f"Experiment {found.number} cannot be judged yet. {told(bench, campaign, arena, baseline)} "
            f"commit_or_revert({found.number}, 'revert') puts the files back without a verdict."
        )


def of_campaign(bench: Bench, campaign: Campaign, arena: Arena) -> str:
    """How the campaign's baseline stands and which verb leads on; "" when it is measured."""
    baseline = bench.ledger.baseline(campaign.tag)
    if baseline is None:
        return f"Campaign {campaign.tag} has not begun; lab_status says what hinders it, and any verb tries again."
    return told(bench, campaign, arena, baseline)


def told(bench: Bench, campaign: Campaign, arena: Arena, baseline: Baseline) -> str:
    """How the baseline stands and which verb leads on; "" when it is measured."""
    number, name = baseline.number, f"The baseline, experiment {baseline.number},"
    if baseline.experiment.decision == "overtaken":
        return (
            f"{name} was overtaken: {clean_line(baseline.experiment.verdict.reason, 200)} Take that commit back with "
            f"`git revert` and call run_experiment, or start_campaign('{free_tag(bench, campaign)}') from it."
        )
    if baseline.failed:
        return f"{name} {_failure(baseline)}. {_way_out(bench, campaign, arena, baseline)}"
    if baseline.in_the_field:
        return f"{name} is in the field; read_score({number}) says when the next answer is due."
    if not baseline.open:
        if baseline.kept:
            return ""
        return f"{name} is scored and becomes the first commit of {campaign.branch}; lab_status says what hinders it."
    due = waits_until(baseline.open)
    if due is not None and due > bench.now():
        when = progress.tried_again(due, bench.now())
        said = f"{name} {beside_others(baseline)}; {when} read_score({number}) waits for it."
        return said + _never_quiet(bench, campaign, arena, baseline)
    if baseline.kept:
        return f"{name} is being repeated to measure the noise; read_score({number}) waits for it."
    return f"{name} is being measured; read_score({number}) waits for it."


def _never_quiet(bench: Bench, campaign: Campaign, arena: Arena, baseline: Baseline) -> str:
    """The way out for a machine that is never left alone: a clock that other programs hardly move."""
    on_wall = any(run.result is not None and run.result.clock == "wall" for run in baseline.tainted)
    if len(baseline.tainted) < OFTEN or not on_wall or "cuda" in arena.devices:
        return ""
    return (
        " If the machine never gets quiet, `budget: {clock: cpu}` in program.md counts processor time, which other "
        f"programs hardly move: start_campaign('{free_tag(bench, campaign)}') begins with it."
    )


def waits_until(runs: tuple[Run, ...]) -> datetime | None:
    """When the next of these runs may begin; None when one may at once."""
    if any(run.state is not RunState.QUEUED or run.ask_again_at is None for run in runs):
        return None
    return datetime.fromtimestamp(min(run.ask_again_at for run in runs if run.ask_again_at is not None), UTC)


def beside_others(baseline: Baseline) -> str:
    count = len(baseline.tainted)
    times = "once" if count == 1 else f"{count} times"
    return (
        f"was measured {times} beside other programs, which decides nothing ({clean_line(_last_taint(baseline), 120)})"
    )


def _last_taint(baseline: Baseline) -> str:
    return baseline.tainted[-1].tainted if baseline.tainted else "its run was disturbed"


def _failure(baseline: Baseline) -> str:
    """Which of its runs says best why there is no score, in a few words."""
    ended = [run for run in baseline.measuring if not run.counts]
    worst = next((run for run in reversed(ended) if run.state is RunState.REJECTED), ended[-1])
    result = worst.result
    said = f" ({result.reason})" if result is not None and result.reason not in ("", str(worst.state)) else ""
    crash = result.crash if result is not None else None
    if crash is not None and crash.message:
        said += f": {clean_line(f'{crash.kind}: {crash.message}', 160)}"
    words = {
        RunState.CRASHED: "crashed",
        RunState.TIMEOUT: "ran out of time",
        RunState.REJECTED: "was rejected by the scorer",
        RunState.CANCELLED: "was cancelled",
        RunState.LOST: "lost its supervisor every time",
    }
    return words.get(worst.state, "has no score that counts") + said


def _way_out(bench: Bench, campaign: Campaign, arena: Arena, baseline: Baseline) -> str:
    files = ", ".join(arena.editable)
    last = next(run for run in reversed(baseline.measuring) if not run.counts)
    reason = last.result.reason if last.result is not None else ""
    tag = free_tag(bench, campaign)
    fresh = f"What is frozen is fixed for a campaign: mend and commit it, then start_campaign('{tag}')"
    if reason in AT_LEAST_AGAIN or last.state in (RunState.LOST, RunState.CANCELLED):
        return "When the cause is gone call run_experiment: the code that lies here is measured as the baseline."
    if reason in OF_THE_SCORER:
        return f"{fresh}. If {files} left the wrong thing to score, mend that and call run_experiment."
    return (
        f"Mend {files} and call run_experiment: it becomes the baseline, with as many repeats. {fresh} if the fault "
        "is there."
    )


def free_tag(bench: Bench, campaign: Campaign) -> str:
    """A tag that no campaign has, for one that goes on from this one."""
    stem, _, count = campaign.tag.rpartition("-")
    number = int(count) + 1 if stem and count.isdigit() and len(count) < 4 else 2
    stem = stem if number > 2 else campaign.tag
    while bench.ledger.campaign(f"{stem[:43]}-{number}") is not None:
        number += 1
    return f"{stem[:43]}-{number}"
