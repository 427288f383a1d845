"""Which campaign, program and experiment a verb means, and how a work tree joins a campaign."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mcp_server.arena.program import Arena
from mcp_server.campaign.beginning.amend import program_in_force
from mcp_server.campaign.beginning.baseline import of_campaign
from mcp_server.campaign.bench import Bench
from mcp_server.campaign.trees import company
from mcp_server.nouns.attempt import status_of
from mcp_server.nouns.errors import NotNow, UnknownExperiment, WorkspaceError
from mcp_server.nouns.replies import CampaignReply
from mcp_server.nouns.rows import Campaign, Experiment
from mcp_server.nouns.text import clean_line
from mcp_server.programs.check import refuse_missing

SYMBOLIC_LINK = "120000"  # as git writes the mode
EDITABLE_LIMIT_BYTES = 2_000_000


def campaign_at(bench: Bench) -> tuple[Campaign, Arena]:
    """The campaign a verb called here acts on, and the arena in force. Raises UnknownExperiment."""
    head = bench.workspace.branch_at_head()
    by_branch = head.removeprefix("autoresearch/") if head and head.startswith("autoresearch/") else None
    joined = bench.ledger.campaign_of(str(bench.paths.tree))
    for tag in (bench.named,) if bench.named else (by_branch, joined):
        campaign = bench.ledger.campaign(tag) if tag else None
        if campaign is not None and campaign.ready:
            program, _ = program_in_force(bench, campaign)
            return bench.ledger.campaign(campaign.tag) or campaign, program.arena
    tags = bench.ledger.active_campaigns()
    if bench.named or not tags:
        raise no_campaign(bench.named)
    raise UnknownExperiment(
        f"This work tree is on no campaign. Join one with `autoresearch start {tags[-1]}` or start_campaign(tag): "
        f"{', '.join(tags[-10:])}."
    )


def no_campaign(named: str | None) -> UnknownExperiment:
    """What to say where there is none, or none of the name that a caller gave."""
    return UnknownExperiment(
        (f"There is no campaign {named}. " if named else "No campaign has begun in this lab. ")
        + "Begin one with start_campaign(tag), for example start_campaign('first')."
    )


def begins_other(named: str | None, tag: str) -> str:
    """What is wrong with beginning a campaign where the caller named another one for everything; "" if nothing is."""
    said = f"Everything here acts on campaign {named}, as --campaign says. Begin {tag} without it."
    return "" if named in (None, tag) else said


def experiment_at(bench: Bench, campaign: Campaign, number: int | None, session: str = "") -> Experiment:
    """The experiment of that number; without one, the last that `session` began, else the last of this work tree, else
    the last there is, and of these none that belongs to another living session.
    """
    if number is not None:
        return bench.ledger.experiment(campaign.tag, number)
    mine = bench.ledger.last_begun_by(campaign.tag, session) if session else None
    if mine is not None:
        return mine
    last = bench.ledger.last_begun_in(campaign.tag, str(bench.paths.tree))
    if last is None:
        last = next(iter(bench.ledger.experiments(campaign.tag, last=1)), None)
    if last is None:
        raise UnknownExperiment(f"Campaign {campaign.tag} has no experiment yet. run_experiment makes one.")
    if session and last.session in company.present(bench.paths.state):
        raise NotNow(
            f"Experiment {last.number} belongs to another session, and this one has begun none. Name the number "
            f"if that is the one you mean: read_score({last.number})."
        )
    return last


def open_here(bench: Bench, campaign: Campaign) -> list[Experiment]:
    """What is undecided and is for who works in this work tree to see to."""
    return company.to_see_to(bench.ledger.undecided(campaign.tag), str(bench.paths.tree), bench.paths.state)


def check_files(bench: Bench, arena: Arena, commit: str) -> None:
    """What the arena names must be in the commit the campaign begins from."""
    for key, paths_named in (("frozen", arena.frozen), ("editable", arena.editable)):
        for path in paths_named:
            _refuse_link(bench, key, path, commit)
    for key, named, mend in (("frozen", arena.frozen, "take it out of"), ("editable", arena.editable, "correct")):
        for path in named:
            if not bench.workspace.committed((path,), commit):
                raise WorkspaceError(
                    f"The {key} file {path} is not in commit {commit[:10]}. Commit it, or {mend} `{key}` in program.md."
                )
    bench.workspace.read_editable(arena.editable, commit, EDITABLE_LIMIT_BYTES)
    paths = bench.paths
    refuse_missing(
        arena, paths.tree, paths.common.parent, lambda path: bool(bench.workspace.git.entries(commit, (path,)))
    )


def _refuse_link(bench: Bench, key: str, path: str, commit: str) -> None:
    entry = bench.workspace.git.entry(commit, path)
    if entry is None or entry.mode != SYMBOLIC_LINK:
        return
    target = os.fsdecode(bench.workspace.git.blobs([entry.oid])[entry.oid])
    meant = os.path.normpath(os.path.join(os.path.dirname(path), target))
    raise WorkspaceError(
        f"{path} is a symbolic link to {clean_line(target, 200)}, and an attempt is stored as files. Name the file "
        f"itself in program.md, {key}: [{clean_line(meant, 200)}], or commit a regular file in the link's place."
    )


def join(bench: Bench, campaign: Campaign, problems: Sequence[str] = ()) -> CampaignReply:
    """Verbs called in this work tree act on the campaign from now on; the reply says how its baseline stands."""
    bench.ledger.join(str(bench.paths.tree), campaign.tag, bench.stamp())
    bench.workspace.ignore()
    head = bench.workspace.branch_at_head()
    warnings = list(problems)
    if head != campaign.branch:
        warnings.append(
            f"This work tree has {head or 'a detached HEAD'} checked out; verbs called here now act on "
            f"{campaign.branch}. `git restore --source {campaign.branch} -- FILE` brings the incumbent's files here."
        )
    incumbent, baseline = bench.ledger.incumbent(campaign.tag), bench.ledger.baseline(campaign.tag)
    reply = CampaignReply(
        campaign=campaign.tag,
        branch=campaign.branch,
        warnings=warnings,
        next=of_campaign(bench, campaign, bench.arena(campaign)),
    )
    if baseline is not None:
        reply.baseline, reply.seeds = baseline.number, [run.seed for run in baseline.measuring]
        reply.status = status_of(baseline.experiment, baseline.runs)
    if incumbent is not None:
        reply.next = f"Joined; the incumbent is experiment {incumbent.number}. {reply.next}".strip()
    return reply
