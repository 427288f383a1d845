"""Lets git follow what the ledger decided: the attempts' refs, the branch, the files of the work tree.

Each step may be cut short anywhere and is done again by the next call; doing it twice is doing it once. A ref is made,
or moved from a commit of the same attempt; whatever else lies there is somebody's, and is named.
"""

from __future__ import annotations

import contextlib
import dataclasses
from functools import partial

from mcp_server.campaign.beginning.amend import told
from mcp_server.campaign.bench import Bench, incumbent_commit
from mcp_server.campaign.gathered.record import note_record
from mcp_server.campaign.runs import dispatch, orders
from mcp_server.campaign.trees import astray
from mcp_server.campaign.upkeep import disk
from mcp_server.campaign.upkeep.caught import CaughtUp, each
from mcp_server.nouns.errors import GitError, NotNow
from mcp_server.nouns.records import Kind
from mcp_server.nouns.rows import Campaign, Experiment
from mcp_server.repo import messages


def fill_vault(bench: Bench, done: CaughtUp) -> None:
    """Give each new attempt its ref."""
    for experiment in bench.ledger.unvaulted():
        with each(done, f"storing experiment {experiment.number} in the vault"):
            try:
                _point(bench, experiment, experiment.snapshot)
            except GitError:
                if bench.workspace.whole(experiment.snapshot):
                    raise  # its runs say that it is gone
            bench.ledger.vaulted(experiment.campaign, experiment.number)
            done.changed = True


def hold_snapshots(bench: Bench, done: CaughtUp) -> None:
    """Have git keep what an older version left to its gc, where that is still there."""
    by_tag: dict[str, list[Experiment]] = {}
    for experiment in bench.ledger.unheld():
        by_tag.setdefault(experiment.campaign, []).append(experiment)
    for tag, experiments in by_tag.items():
        with each(done, f"keeping the attempts of {tag} from git's gc"):
            found = [one for one in experiments if _named(one)]
            if not bench.workspace.whole(*(commit for one in found for commit in _named(one))):
                found = [one for one in found if bench.workspace.whole(*_named(one))]
            bench.workspace.hold(tag, [commit for one in found for commit in _named(one)], bench.stamp())
            bench.ledger.held([(tag, one.number) for one in found])
            there = {one.number for one in found}
            bench.ledger.held([(tag, one.number) for one in experiments if one.number not in there], gone=True)
            dispatch.unlock_artifacts(bench.paths, tag)
            done.changed = True


def _named(experiment: Experiment) -> list[str]:
    """The commits that the ledger names for an attempt."""
    return [experiment.snapshot, *([experiment.commit_sha] if experiment.commit_sha else [])]


def settle_decisions(bench: Bench, done: CaughtUp) -> None:
    """Carry out what was decided, in the order of the decisions."""
    for experiment in bench.ledger.unsettled():
        with each(done, f"settling experiment {experiment.number}"):
            try:
                _settle(bench, experiment, done)
            except GitError:
                if bench.workspace.whole(experiment.snapshot):
                    raise
                _settle_without_code(bench, experiment)
            note_record(bench.ledger, experiment.campaign)
            done.changed = True


def _settle_without_code(bench: Bench, experiment: Experiment) -> None:
    """An attempt whose snapshot git lost: a keep cannot be carried out any more, and nothing is left to be reverted."""
    said = f"The commit {experiment.snapshot[:12]} of experiment {experiment.number} is gone from this repository."
    decision = "overtaken" if experiment.decision == "keep" else experiment.decision or "revert"
    _clear(bench, experiment, decision)
    bench.ledger.settle(experiment.campaign, experiment.number, decision, None, said, gone=True)


def _settle(bench: Bench, experiment: Experiment, done: CaughtUp) -> None:
    """Let git follow a decision; doing it twice is doing it once."""
    campaign = bench.ledger.campaign(experiment.campaign)
    assert campaign is not None
    assert experiment.decided_at is not None
    arena = bench.arena(experiment)
    tip = incumbent_commit(bench.ledger, campaign)
    rules = _rules_since_keep(bench, experiment)
    message = messages.decided(campaign, experiment, arena.metric.name, arena.metric.unit, rules)
    at, number = experiment.decided_at, experiment.number
    commit: str | None = None
    decision, said = experiment.decision or "revert", ""
    if decision == "keep":
        tree = bench.tree_of(experiment)
        workspace = tree or bench.workspace
        known = partial(astray.measured, bench, campaign)
        vault = (number, experiment.snapshot) if bench.workspace.vault_at(campaign.tag, number) else None
        outcome = workspace.keep(campaign.tag, experiment.snapshot, tip, message, at, arena.editable, known, vault)
        commit = outcome.commit
        if tree is not None and commit is not None:
            # who proposes ahead has put the former incumbent's files back: they follow, unless they were edited
            tree.revert(arena.editable, tip, commit)
        if outcome.status == "overtaken":
            decision, commit, said = "overtaken", None, outcome.detail
            evidence = experiment.verdict.model_copy(update={"reason": said})
            overtaken = dataclasses.replace(experiment, decision=decision, label=None, verdict=evidence)
            message = messages.decided(campaign, overtaken, arena.metric.name, arena.metric.unit)
        if outcome.index == "locked":
            raise NotNow(
                "Another git holds the index, so the kept files could not be marked as committed there. Let it finish, "
                "or remove a stale index.lock; the next call completes the keep."
            )
    else:
        _put_back(bench, campaign, experiment, done)
    # the vault's commit tells the outcome too, so that git alone has the whole story
    settled = commit or bench.workspace.commit_like(experiment.snapshot, f"{experiment.snapshot}^", message, at)
    _point(bench, experiment, settled)
    _clear(bench, experiment, decision)
    bench.ledger.settle(campaign.tag, number, decision, commit, said)
    if decision == "keep":
        disk.drop_superseded(bench, campaign.tag)


def _clear(bench: Bench, experiment: Experiment, decision: str) -> None:
    """Leave of an attempt's runs what is still needed: the weights of a keep alone."""
    for run in bench.ledger.runs(experiment.campaign, experiment.number):
        folder = bench.folder(run)
        if orders.is_ours(folder, bench.order_of(run)):
            if run.state.terminal:
                dispatch.tidy(bench.paths, run)  # the process that closed the run may have died before it tidied
            if decision != "keep":
                dispatch.drop_artifact(folder)
                bench.ledger.note_folder(run, disk.size(folder.folder))


def asked_again(bench: Bench, campaign: Campaign, experiment: Experiment, decision: str) -> CaughtUp:
    """What a decision that is asked for again finds: to revert what is reverted looks at the files as they are now.

    In the work tree where it was made: whoever calls elsewhere touches nobody's next idea.
    """
    done = CaughtUp()
    again = decision == "revert" == experiment.decision and experiment.settled
    if again and bench.tree_of(experiment) is bench.workspace:
        bench.workspace.guard()
        with contextlib.suppress(GitError):  # git lost its snapshot, and nothing is left to compare the files with
            _put_back(bench, campaign, experiment, done)
    return done


def _put_back(bench: Bench, campaign: Campaign, experiment: Experiment, done: CaughtUp) -> None:
    """Bring the incumbent's files back where the disk has a reverted attempt's, and name those edited since."""
    tree = bench.tree_of(experiment)
    if tree is not None and experiment.kind != Kind.BASELINE:  # whose files are the user's own
        tip, editable = incumbent_commit(bench.ledger, campaign), bench.arena(experiment).editable
        reverted = tree.revert(editable, experiment.snapshot, tip)
        done.restored[(campaign.tag, experiment.number)] = list(reverted.restored)
        done.left[(campaign.tag, experiment.number)] = list(reverted.left)


def _point(bench: Bench, experiment: Experiment, commit: str) -> None:
    """Let an attempt's ref name `commit`. Raises WorkspaceError where another's attempt lies there.

    A ledger that was restored from a backup meets what was made of its attempts since: that is held, then replaced.
    """
    workspace, tag, number, snapshot = bench.workspace, experiment.campaign, experiment.number, experiment.snapshot
    there = workspace.vault_at(tag, number)
    if there == commit:
        return  # a keep took it along
    if there in (None, snapshot):
        workspace.move_vault(tag, number, there, commit)
    elif workspace.same_attempt(there, snapshot, bench.arena(experiment).editable):
        workspace.hold(tag, [there], bench.stamp())
        workspace.move_vault(tag, number, there, commit)
    else:
        workspace.move_vault(tag, number, snapshot, commit)


def _rules_since_keep(bench: Bench, experiment: Experiment) -> list[str]:
    """What a person changed of the rules since the keep before, as it goes into this one's commit."""
    if experiment.decision != "keep" or experiment.decided_at is None:
        return []
    kept = [one.decided_at or "" for one in bench.ledger.kept(experiment.campaign) if one.number != experiment.number]
    found = bench.ledger.amendments(experiment.campaign)
    return [told(one) for one in found if (kept[-1] if kept else "") < one.at <= experiment.decided_at]
