"""What a report is made of: a campaign's findings, gathered from the ledger; words and form are the report's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

from mcp_server.arena.program import Arena
from mcp_server.campaign.attempt import Attempt, read
from mcp_server.campaign.beginning.amend import told
from mcp_server.campaign.beginning.contract import since_first
from mcp_server.campaign.bench import Bench, Readable
from mcp_server.campaign.evidence import measured_noise
from mcp_server.campaign.exam import totals_of
from mcp_server.campaign.money.spending import of as money_of
from mcp_server.campaign.runs.dispatch import resolve_budget
from mcp_server.community.elsewhere import Elsewhere
from mcp_server.edits.themes import least_tried
from mcp_server.ledger import Ledger
from mcp_server.memory.advice import calibration, predictions
from mcp_server.nouns.records import DeviceReading
from mcp_server.nouns.replies import NoiseReply, TotalsReply
from mcp_server.nouns.rows import Campaign, Experiment, Learning
from mcp_server.views.front import Place, places
from mcp_server.views.pictures import Picture, picture_of
from mcp_server.views.watched import Watched, series

DIFF_BYTES = 6_000
MOST_KEPT, MOST_LESSONS, MOST_PICTURES = 40, 40, 6


@dataclass(frozen=True)
class Findings:
    """All a report says."""

    campaign: Campaign
    arena: Arena
    totals: TotalsReply
    noise: NoiseReply
    kept: tuple[Attempt, ...]  # without the baseline
    diffs: dict[int, str]  # of the first of them
    failed: tuple[Attempt, ...]  # decided and not kept, in order
    outcomes: dict[str, int]
    predicted: str
    untried: tuple[str, ...]
    lessons: tuple[Learning, ...]
    devices: tuple[DeviceReading, ...]
    tiers: tuple[str, ...]
    clock: str  # cpu or wall, as runs are timed on the devices that ran
    seconds: float  # from the campaign's begin to its last decision
    run_seconds: float
    money: str = ""  # what it has cost, as told
    left: int = 0  # undecided
    rules: tuple[str, ...] = ()  # where a person changed them
    elsewhere: tuple[str, ...] = ()  # what other labs tell, in lines
    watched: tuple[Watched, ...] = ()  # the keeps on a third draw
    places: tuple[Place, ...] = ()  # of attempts among several primary metrics
    pictures: tuple[tuple[Attempt, Picture], ...] = ()  # of the baseline and the latest keeps


def gather(lab: Readable) -> Findings:
    """Read the campaign this lab is on, beside the lab's lock: a long campaign takes a while and nobody shall wait."""
    with lab.reading() as (bench, campaign, arena):
        pass
    beside = Ledger(bench.paths.ledger)
    try:
        found = _read(replace(bench, ledger=beside), campaign, arena)
    finally:
        beside.close()
    kept = [one.experiment for one in found.kept[:MOST_KEPT]]
    others = Elsewhere(lab.paths.state, lab.workspace).told(campaign, arena)
    return replace(found, diffs={one.number: _diff(lab, one, arena) for one in kept}, elsewhere=tuple(others))


def _diff(lab: Readable, experiment: Experiment, arena: Arena) -> str:
    commit = experiment.snapshot
    return lab.workspace.diff(f"{commit}^", commit, arena.editable, limit=DIFF_BYTES)


def _read(bench: Bench, campaign: Campaign, arena: Arena) -> Findings:
    ledger, tag = bench.ledger, campaign.tag
    tried = [read(ledger, one) for one in ledger.experiments(tag)]
    by_number = {one.number: one for one in tried}
    kept = [by_number[one.number] for one in ledger.kept(tag)]
    decided = [one for one in tried if one.experiment.decision is not None]
    results = [run.result for one in tried for run in one.runs if run.result is not None]
    noise = measured_noise(ledger, arena, tag)
    stamps = [one.experiment.decided_at for one in decided if one.experiment.decided_at]
    pairs = predictions(tried)
    return Findings(
        campaign=campaign,
        arena=arena,
        totals=since_first(bench, campaign, arena, totals_of(ledger, arena, campaign)),
        noise=NoiseReply(sd=noise.sd, paired_sd=noise.paired_sd, repeat_sd=noise.repeat_sd, runs=noise.runs),
        kept=tuple(kept[1:]),
        diffs={},
        failed=tuple(one for one in decided if one.experiment.decision != "keep"),
        outcomes=dict(Counter(one.outcome for one in decided)),
        predicted=calibration(pairs).words() if pairs else "",
        untried=tuple(str(theme) for theme, _ in least_tried([one.experiment.theme for one in tried])),
        lessons=tuple(one for one in ledger.learnings() if one.campaign in (tag, None))[-MOST_LESSONS:],
        devices=tuple({one.device.identity: one.device for one in results if one.device is not None}.values()),
        tiers=tuple(sorted({str(one.tier) for one in results if one.tier is not None})),
        clock=resolve_budget(arena, tuple(one.device.name for one in results if one.device is not None)).clock,
        seconds=_seconds(campaign.began_at, max(stamps, default=campaign.began_at)),
        run_seconds=sum(one.wall_seconds or one.train_seconds or 0.0 for one in results),
        money=money_of(bench, campaign, arena).words,
        left=len(tried) - len(decided),
        rules=tuple(told(one) for one in ledger.amendments(tag)),
        watched=series(kept, arena),
        places=places(tried, ledger.secondaries(tag, list(arena.front)), arena),
        pictures=_pictures(bench, kept),
    )


def _pictures(bench: Bench, kept: list[Attempt]) -> tuple[tuple[Attempt, Picture], ...]:
    chosen = [*kept[:1], *kept[1:][-(MOST_PICTURES - 1) :]]
    found = [(one, picture_of(bench, one.runs)) for one in chosen]
    return tuple((one, picture) for one, picture in found if picture.content is not None)


def _seconds(began: str, ended: str) -> float:
    from_, to = (datetime.fromisoformat(stamp) for stamp in (began, ended))
    return max(0.0, (to - from_).total_seconds())
