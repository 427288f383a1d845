"""What runs leave on the disk: whose weights are still needed, what can go, and what a night will take.

A score is taken once, from weights that were sealed before, and no verdict, exam or report reads them again: each
trains what it compares. So of all that is kept only the incumbent's weights stay, for whoever wants the result itself,
and those of a run that may still be scored. Whatever goes can be made again: the attempt's commit and the run's seed
train the same. Removing may be cut short anywhere; the next call, or the next `gc`, removes the rest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pydantic import Field

from mcp_server.arena.program import Arena
from mcp_server.campaign.bench import Bench, Readable
from mcp_server.campaign.runs import dispatch, orders
from mcp_server.campaign.runs.pairing import choice_of
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import NotNow, UnknownExperiment
from mcp_server.nouns.files import remove
from mcp_server.nouns.paths import LabPaths
from mcp_server.nouns.records import RunState
from mcp_server.nouns.replies import Reply
from mcp_server.nouns.rows import Campaign, Run

GIGABYTE = 1e9
NIGHT = 100  # experiments


@dataclass(frozen=True)
class Removable:
    """Something in a run's folder that nothing needs any more."""

    run: Run
    what: str
    place: Path
    size_bytes: int


def needed(ledger: Ledger, run: Run) -> bool:
    """Whether a run's weights may still be read: by a scorer, or by whoever wants the incumbent's."""
    if not run.state.terminal:
        return True
    experiment = ledger.experiment(run.campaign, run.experiment)
    incumbent = ledger.incumbent(run.campaign)
    if experiment.decision is not None and (incumbent is None or incumbent.number != run.experiment):
        return experiment.decision == "keep" and not experiment.settled
    shown = next((one for one in ledger.runs(run.campaign, run.experiment) if one.counts), None)
    return shown is not None and shown.run == run.run


def drop_spare(bench: Bench, run: Run) -> None:
    """Remove a closed run's weights unless something needs them, and note what its folder holds. Raises OSError."""
    folder = bench.folder(run)
    if not orders.is_ours(folder, bench.order_of(run)):
        return
    if run.state.terminal and not needed(bench.ledger, run):
        dispatch.drop_artifact(folder)
    bench.ledger.note_folder(run, size(folder.folder))


def drop_superseded(bench: Bench, tag: str) -> None:
    """After a keep: the weights of all that was kept before, and the repeats of what is kept now. Raises OSError."""
    for one in bench.ledger.kept(tag):
        place = bench.paths.run(tag, one.number, 0).folder.parent
        if any(place.glob("*/artifact")):
            for run in bench.ledger.runs(tag, one.number):
                drop_spare(bench, run)


def removable(bench: Bench) -> Iterator[Removable]:
    """All that can go of the lab's folders, as it lies on the disk; what the ledger does not know is not ours."""
    for place in sorted((bench.paths.state / "runs").glob("*/*/*")):
        run = _run_of(bench.ledger, place)
        if run is None or not run.state.terminal or bench.engine.alive(bench.folder(run)):
            continue
        folder = bench.folder(run)
        if not orders.is_ours(folder, bench.order_of(run)):
            continue
        if folder.artifact.exists() and not needed(bench.ledger, run):
            yield Removable(run, "weights", folder.artifact, size(folder.artifact))
        for left in dispatch.left_behind(folder):
            yield Removable(run, "copies of code, scratch", left, size(left))


def sweep(bench: Bench, dry_run: bool = False) -> list[Removable]:
    """Remove what can go; only say so with `dry_run`. Raises OSError."""
    found = list(removable(bench))
    for one in found if not dry_run else ():
        remove(one.place)
    if not dry_run:
        there = []
        for place in (bench.paths.state / "runs").glob("*/*/*"):
            run = _run_of(bench.ledger, place)
            if run is not None and run.state.terminal:
                bench.ledger.note_folder(run, size(place))
                there.append(run.ticket)
        bench.ledger.only_folders(there)  # a person moves folders away too
    return found


class RemovedReply(Reply):
    """Something that nothing needs any more."""

    campaign: str
    experiment: int
    run: int
    what: str
    gb: float


class GcReply(Reply):
    """What was removed of the folders of runs, or would be; it can be made again from its commit and its seed."""

    removed: list[RemovedReply] = Field(default_factory=list)
    gb: float = 0.0
    dry_run: bool = False
    kept: str = Field(default="", description="where the incumbent's weights lie")
    leftovers_gb: float | None = Field(default=None, description="of folders that this ledger did not order")
    disk: str = ""
    next: str = ""


def gc(lab: Readable, dry_run: bool = False) -> GcReply:
    """Remove what runs left and nothing needs any more, and say what; only say it, with `dry_run`."""
    with lab.reading() as (bench, campaign, arena):
        return _collected(bench, campaign, arena, dry_run)


def _collected(bench: Bench, campaign: Campaign, arena: Arena, dry_run: bool) -> GcReply:
    paired = bool(choice_of(bench.ledger, arena, campaign).pairing)
    found, kept = sweep(bench, dry_run), weights_of(bench, campaign)
    total, strangers = sum(one.size_bytes for one in found), size(bench.paths.leftovers)
    again = (
        "An exam or a verdict trains what it compares, so nothing is missed; to have weights back, run their commit "
    )
    again += "(`git show refs/autoresearch/CAMPAIGN/N`) with the run's seed."
    return GcReply(
        removed=[
            RemovedReply(
                campaign=one.run.campaign,
                experiment=one.run.experiment,
                run=one.run.run,
                what=one.what,
                gb=round(one.size_bytes / GIGABYTE, 4),
            )
            for one in found
        ],
        gb=round(total / GIGABYTE, 4),
        dry_run=dry_run,
        kept=str(kept) if kept else "",
        leftovers_gb=round(strangers / GIGABYTE, 4) if strangers else None,
        disk=forecast(bench.ledger, bench.paths, campaign, paired).words(),
        next="Nothing can go: only the incumbent's weights, logs and records are there." if not found else again,
    )


def _run_of(ledger: Ledger, place: Path) -> Run | None:
    """The ledger's run whose folder this would be."""
    tag, experiment, number = place.parts[-3:]
    if not (experiment.isdecimal() and number.isdecimal()):
        return None
    try:
        ledger.experiment(tag, int(experiment))
    except UnknownExperiment:
        return None
    return next((one for one in ledger.runs(tag, int(experiment)) if one.run == int(number)), None)


def size(folder: Path) -> int:
    """Bytes that the files of a folder take on the disk; what vanishes meanwhile takes none."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(at, name)).st_blocks * 512
            except OSError:
                continue
    return total


# ---- what is to come -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forecast:
    """Bytes: what the folders of runs hold, what the next run needs while it works, and what a night will add."""

    held: int
    run: int | None  # None while no run has left anything
    night: int | None
    free: int

    def words(self) -> str:
        """`0.1 GB held by runs; 100 more experiments need about 0.3 GB; 45 GB free`"""
        said = [f"{self.held / GIGABYTE:.1f} GB held by runs"]
        if self.night is not None:
            said.append(f"{NIGHT} more experiments need about {self.night / GIGABYTE:.1f} GB")
        return "; ".join([*said, f"{self.free / GIGABYTE:.0f} GB free"])


def forecast(ledger: Ledger, paths: LabPaths, campaign: Campaign, paired: bool) -> Forecast:
    """From what the runs so far have left. paired: two are trained in each slot."""
    shown = ledger.incumbent(campaign.tag) or next(iter(ledger.experiments(campaign.tag, last=1)), None)
    runs = ledger.runs(campaign.tag, shown.number) if shown is not None else []
    weights = max((run.result.artifact_bytes or 0 for run in runs if run.result is not None), default=0)
    left = ledger.folders(newest=20)
    held, free = ledger.folders_total(), shutil.disk_usage(paths.state).free
    if not left:
        return Forecast(held, None, None, free)
    at_work = weights * (2 if paired else 1)
    # the incumbent's weights lie there already; an attempt leaves its log and its record alone
    small = median(one - weights if one >= weights else one for one in left)
    return Forecast(held, at_work, round(NIGHT * small) + at_work, free)


def refuse_when_full(bench: Bench, campaign: Campaign, arena: Arena) -> None:
    """Raises NotNow where one more run would take more than `budget.disk_gb` allows, when what can go has gone."""
    if arena.budget.disk_gb is None:
        return
    allowed = arena.budget.disk_gb * GIGABYTE
    paired = bool(choice_of(bench.ledger, arena, campaign).pairing)
    foreseen = forecast(bench.ledger, bench.paths, campaign, paired)
    if foreseen.held + (foreseen.run or 0) > allowed:
        sweep(bench)
        foreseen = forecast(bench.ledger, bench.paths, campaign, paired)
    if foreseen.held + (foreseen.run or 0) > allowed:
        raise NotNow(
            f"The folders of this lab's runs hold {foreseen.held / GIGABYTE:.2f} GB and the next run needs "
            f"{(foreseen.run or 0) / GIGABYTE:.2f} GB; program.md allows {arena.budget.disk_gb:g} GB "
            "(budget.disk_gb). Nothing more can be removed without losing the incumbent or a log: a person raises "
            "the bound, or moves old campaigns' folders away. Nothing was run."
        )


def weights_of(bench: Bench, campaign: Campaign) -> Path | None:
    """Where the incumbent's weights lie; None where they are not there any more."""
    incumbent = bench.ledger.incumbent(campaign.tag)
    runs = [] if incumbent is None else bench.ledger.runs(campaign.tag, incumbent.number)
    places = (bench.folder(run).artifact for run in runs if run.state is RunState.SCORED)
    return next((place for place in places if place.exists()), None)
