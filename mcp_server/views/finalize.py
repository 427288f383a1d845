"""A campaign as commits for people to review: one in all, or a branch for each kept change, on top of where it began.

Only new refs below `autoresearch-final/` are made; branches, index and files stay as they are, and an existing ref is
never moved. The same campaign gives the same commits, so calling again is harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from mcp_server.arena.program import Arena
from mcp_server.campaign import progress
from mcp_server.campaign.attempt import Attempt, read
from mcp_server.campaign.bench import Bench, Readable
from mcp_server.campaign.exam import totals_of
from mcp_server.nouns.errors import NotNow, WorkspaceError
from mcp_server.nouns.numbers import counted, fixed
from mcp_server.nouns.replies import Reply
from mcp_server.nouns.rows import Campaign, Experiment
from mcp_server.nouns.text import clean_block, clean_line
from mcp_server.repo.vault import check_tag
from mcp_server.repo.workspace import Workspace
from mcp_server.views.chart.words import shown

PREFIX = "autoresearch-final"
TITLE = 72  # what `git log --oneline` and pull requests show of a title


class FinalBranch(Reply):
    """One branch that was made, or was there already."""

    branch: str
    commit: str
    title: str
    experiments: list[int]
    builds_on: list[int] = Field(default_factory=list, description="kept changes that it cannot stand without")


class FinalReply(Reply):
    """What a campaign was turned into."""

    campaign: str
    pinned: str
    branches: list[FinalBranch]
    next: str = ""


@dataclass(frozen=True)
class _Planned:
    branch: FinalBranch
    ref: str


def finalize(lab: Readable, each: bool) -> FinalReply:
    """One commit for the campaign, or (`each`) a branch for each kept change.

    Raises NotNow when nothing was kept, WorkspaceError when a ref of that name is somebody else's.
    """
    with lab.reading() as (bench, campaign, arena):
        kept = bench.ledger.kept(campaign.tag)
        if len(kept) < 2:
            raise NotNow("Nothing but the baseline was kept, so there is nothing to review. Keep an improvement first.")
        check_tag(campaign.tag)
        planned = (_branches if each else _squash)(bench, campaign, arena, kept)
        _make(bench.workspace, campaign.tag, planned)
    first = planned[0].branch
    return FinalReply(
        campaign=campaign.tag,
        pinned=campaign.pinned,
        branches=[one.branch for one in planned],
        next=f"Look at it: git log -p {campaign.pinned[:12]}..{first.branch}",
    )


def _make(workspace: Workspace, tag: str, planned: Sequence[_Planned]) -> None:
    """All of the refs or none: what is in the way is found before the first is made."""
    git, base = workspace.git, f"refs/heads/{PREFIX}"
    wanted = {one.ref: one.branch.commit for one in planned}
    there = {**git.refs(f"{base}/"), **({base: found} if (found := git.ref(base)) else {})}
    for name, commit in there.items():
        apart = all(not ref.startswith(f"{name}/") and not name.startswith(f"{ref}/") for ref in wanted)
        if wanted.get(name, commit) != commit or not apart:
            short = name.removeprefix("refs/heads/")
            raise WorkspaceError(
                f"The branch {short} is in the way; it holds something else, and nothing is overwritten. "
                f"Rename it (`git branch -m {short} another-name`), or delete it, and try again."
            )
    for name, commit in wanted.items():
        if not git.move_ref(name, commit, git.zero, f"autoresearch: finalize {tag}"):
            raise WorkspaceError(f"The ref {name} appeared just now and is not ours. Look at it, then try again.")


def _squash(bench: Bench, campaign: Campaign, arena: Arena, kept: Sequence[Experiment]) -> list[_Planned]:
    workspace, last = bench.workspace, kept[-1]
    message = message_of_all(bench, campaign, arena, kept)
    files = workspace.committed(arena.editable, str(last.commit_sha))
    commit = workspace.snapshot(arena.editable, campaign.pinned, message, _date(last), files=files).commit
    name = f"{PREFIX}/{campaign.tag}/all"  # beside those of single changes, which git would not let stand below it
    branch = FinalBranch(
        branch=name, commit=commit, title=message.split("\n", 1)[0], experiments=[one.number for one in kept[1:]]
    )
    return [_Planned(branch, f"refs/heads/{name}")]


def _branches(bench: Bench, campaign: Campaign, arena: Arena, kept: Sequence[Experiment]) -> list[_Planned]:
    """Each change alone on the starting point where it can stand there, else on all that were kept before it."""
    workspace, patterns = bench.workspace, arena.editable
    start = workspace.committed(patterns, campaign.pinned)
    planned: list[_Planned] = []
    tip, before = campaign.pinned, [kept[0].number]
    for one, previous in zip(kept[1:], kept, strict=False):
        after = workspace.committed(patterns, str(one.commit_sha))
        alone = _carried(workspace, start, workspace.committed(patterns, f"{one.commit_sha}^"), after)
        builds_on = before[1:] if alone is None else []
        words = _message_of_one(bench, arena, one, previous, builds_on)
        # the campaign as a straight line of commits, for the changes that need what came before
        tip = workspace.snapshot(patterns, tip, words, _date(one), files=after).commit
        before.append(one.number)
        if alone == start:
            continue  # it takes back an earlier change: on the starting point there is nothing of it to see
        commit = (
            tip
            if alone is None
            else workspace.snapshot(patterns, campaign.pinned, words, _date(one), files=alone).commit
        )
        name = f"{PREFIX}/{campaign.tag}/{one.number}"
        title = words.split("\n", 1)[0]
        branch = FinalBranch(branch=name, commit=commit, title=title, experiments=[one.number], builds_on=builds_on)
        planned.append(_Planned(branch, f"refs/heads/{name}"))
    if not planned:
        raise NotNow("The kept changes cancel each other out, so no branch would show anything. Nothing was made.")
    return planned


def _carried(
    workspace: Workspace, start: Mapping[str, bytes], before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> dict[str, bytes] | None:
    """The files of `start` with the step from `before` to `after` made as well; None where it touches other changes."""
    merged = workspace.merge(start, before, after)
    return None if merged.conflicts else merged.files


def _date(one: Experiment) -> str:
    return one.decided_at or one.opened_at


# --- the evidence -----------------------------------------------------------------------------------------------------


def _message_of_one(bench: Bench, arena: Arena, one: Experiment, previous: Experiment, builds_on: Sequence[int]) -> str:
    lessons = bench.ledger.learnings_of(one.campaign, one.number)
    stands = (
        f"It cannot stand without what was kept before it: experiments {', '.join(map(str, builds_on))}."
        if builds_on
        else "This is the change alone; it was measured on top of what was kept before it."
    )
    parts = [
        clean_line(one.description, TITLE),
        f"Kept as experiment {one.number} of {_branch(one)}, next to experiment {previous.number}.\n"
        f"{_evidence(arena, read(bench.ledger, one))}",
        f"Why it was tried: {clean_block(one.hypothesis)}" if one.hypothesis else "",
        "\n".join(f"Learned: {clean_line(lesson.text, 400)}" for lesson in lessons),
        stands,
        f"Autoresearch-Experiment: {one.campaign}/{one.number}\nAutoresearch-Commit: {one.commit_sha}",
    ]
    return "\n\n".join(part for part in parts if part)


def _branch(one: Experiment) -> str:
    return f"autoresearch/{one.campaign}"


def _evidence(arena: Arena, one: Attempt) -> str:
    metric, sure = arena.metric, one.experiment.verdict.probability
    unit = f" {metric.unit}" if metric.unit else ""
    said = [
        f"{metric.name} {shown(one.score)}{unit}" if one.score is not None else "",
        f"gain {shown(one.gain)}" if one.gain is not None else "",
        f"{fixed(abs(one.widths), 1)} noise widths" if one.widths is not None else "",
        f"{100 * sure:.0f} % sure" if sure is not None else "",
        one.label,
    ]
    seeds = ", ".join(str(run.seed) for run in one.runs if run.counts)
    device = next((run.result.device.identity for run in one.runs if run.result and run.result.device), "")
    lines = [", ".join(part for part in said if part) + "."]
    if seeds:
        on = f" on {clean_line(device, 100)}" if device else ""
        lines.append(f"Seeds {seeds}{on}, {arena.budget.seconds:g} s a run.")
    return "\n".join(lines)


def message_of_all(bench: Bench, campaign: Campaign, arena: Arena, kept: Sequence[Experiment]) -> str:
    totals, metric = totals_of(bench.ledger, arena, campaign), arena.metric
    unit = f" {metric.unit}" if metric.unit else ""
    changes = len(kept) - 1
    count = counted(changes, "kept change")
    title = f"{metric.name} {shown(totals.baseline)} to {shown(totals.best)}: {count}"
    if totals.exam_gain is not None:
        edges = " to ".join(shown(edge) for edge in totals.exam_interval)
        honest = f"By the closing exam, on fresh seeds and an untouched split: {shown(totals.exam_gain)}{unit}"
        honest += f", 95 % interval {edges}" if edges else ""
    else:
        honest = f"Believable after allowing for luck in the choice: {shown(totals.honest_gain)}{unit}"
        honest += "; no closing exam was made"
    lines = []
    for one in kept[1:]:
        change = progress.rounded(one.verdict.change)
        gain = f", gain {shown(change)}" if change is not None else ""
        lines.append(f"- {one.number}: {clean_line(one.description, 120)} ({one.label or 'kept'}{gain})")
    parts = [
        clean_line(title, TITLE),
        clean_block(arena.goal),
        f"Claimed gain: {shown(totals.claimed_gain)}{unit}. {honest}.",
        "\n".join(lines),
        f"Autoresearch-Campaign: {campaign.tag}\nAutoresearch-Commit: {kept[-1].commit_sha}",
    ]
    return "\n\n".join(part for part in parts if part)
