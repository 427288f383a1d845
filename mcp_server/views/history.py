"""A campaign's experiments as rows, and one of them as a page: what people browse, for every face that lists them.

Reads the ledger and the vault, changes nothing. What was not kept is told from its verdict alone, so that a table of
thousands asks the database for few; a keep may have been measured again since.
"""

from __future__ import annotations

from pydantic import Field

from mcp_server.campaign import progress
from mcp_server.campaign.attempt import Attempt, read, read_all
from mcp_server.campaign.beginning.amend import told
from mcp_server.campaign.bench import Readable
from mcp_server.judging.looks import told_live
from mcp_server.nouns.records import RunState
from mcp_server.nouns.replies import Reply, RunReply, ScoreReply
from mcp_server.nouns.text import clean_block, clean_line

DIFF_BYTES = 40_000
PAGE = 200  # rows at a time


class HistoryRow(Reply):
    """One experiment in a table."""

    experiment: int
    status: str
    label: str = ""
    kind: str = ""
    description: str = ""
    score: float | None = None
    change: float | None = Field(default=None, description="gain over the incumbent of its time; positive is better")
    interval: list[float] = Field(default_factory=list, description="95 % interval of the gain")
    noise_widths: float | None = None
    looks: int | None = Field(default=None, description="runs spent on it, those without a score included")
    theme: str = ""
    opened_at: str = ""
    decided_at: str = ""


class HistoryReply(Reply):
    """The experiments of a campaign, oldest first."""

    campaign: str
    metric: str = ""
    unit: str = ""
    direction: str = ""
    experiments: list[HistoryRow] = Field(default_factory=list)
    rules: list[str] = Field(default_factory=list, description="where a person changed the campaign's rules")
    left_out: int = Field(default=0, description="rows that the limit, the page or the filter left out")


class PageReply(Reply):
    """All that is known of one experiment, for a person."""

    score: ScoreReply
    row: HistoryRow
    hypothesis: str = ""
    proposed_by: str = Field(default="", description="client and version, model, tokens, cost, as told; and the style")
    expected_delta: float | None = None
    base: int | None = None
    runs: list[RunReply] = Field(default_factory=list)
    curve: list[list[float]] = Field(default_factory=list, description="[step, training loss]")
    device: str = ""
    tier: str = ""
    learnings: list[str] = Field(default_factory=list)
    commit: str = ""
    vault: str = Field(default="", description="the ref that holds the attempt")
    log: str = Field(default="", description="where the log of its last run lies")
    diff: str = ""


def history(
    lab: Readable, statuses: tuple[str, ...] = (), limit: int | None = None, before: int | None = None
) -> HistoryReply:
    """The rows of a campaign, oldest first; the newest `limit` of those whose status is asked for, below `before`."""
    with lab.reading() as (bench, campaign, arena):
        shown: list[HistoryRow] = []
        step, below = limit or PAGE, before
        while limit is None or len(shown) < limit:
            found = bench.ledger.experiments(campaign.tag, last=step, before=below)
            rows = [row_of(one) for one in read_all(bench.ledger, found)]
            shown = [*(row for row in rows if not statuses or row.status in statuses), *shown]
            if len(found) < step:
                break
            step, below = max(step, PAGE), found[0].number
        shown = shown if limit is None else shown[-limit:]
        return HistoryReply(
            campaign=campaign.tag,
            metric=arena.metric.name,
            unit=arena.metric.unit,
            direction=arena.metric.direction,
            experiments=shown,
            rules=[told(one) for one in bench.ledger.amendments(campaign.tag)],
            left_out=bench.ledger.count(campaign.tag)["all"] - len(shown),
        )


def row_of(found: Attempt) -> HistoryRow:
    """One experiment as a row."""
    experiment = found.experiment
    return HistoryRow(
        experiment=experiment.number,
        status=found.status,
        label=found.label,
        kind=experiment.kind,
        description=clean_line(experiment.description),
        score=progress.rounded(found.score),
        change=progress.rounded(found.gain),
        interval=progress.edges(experiment.verdict.interval),
        noise_widths=progress.rounded(found.widths, 2),
        looks=experiment.verdict.looks or None,
        theme=experiment.theme,
        opened_at=experiment.opened_at,
        decided_at=experiment.decided_at or "",
    )


def page(lab: Readable, score: ScoreReply) -> PageReply:
    """The experiment of a score with its diff, curve, runs and learnings."""
    number = score.experiment
    with lab.reading() as (bench, campaign, arena):
        ledger = bench.ledger
        experiment = ledger.experiment(campaign.tag, number)
        found = read(ledger, experiment)
        runs = found.runs
        told = next((run for run in runs if run.result is not None and run.result.curve), None)
        last = bench.paths.run(campaign.tag, number, runs[-1].run) if runs else None
        live = runs[-1] if runs and runs[-1].state is RunState.RUNNING and told_live(runs[-1]) else None
        now = progress.progress_of(bench.paths, live) if live else None
        curve = told.result.curve if told and told.result else now.curve if now else ()
        measured = next((run.result for run in reversed(runs) if run.result is not None), None)
        return PageReply(
            score=score,
            row=row_of(found),
            hypothesis=clean_block(experiment.hypothesis),
            proposed_by=", ".join(filter(None, (experiment.proposer.words(), experiment.style or ""))),
            expected_delta=experiment.expected_delta,
            base=experiment.base,
            runs=[progress.run_reply(run) for run in runs],
            curve=[[point.step, point.loss] for point in curve],
            device=measured.device.identity if measured and measured.device else "",
            tier=measured.tier or "" if measured else "",
            learnings=[clean_block(learning.text) for learning in ledger.learnings_of(campaign.tag, number)],
            commit=experiment.commit_sha or "",
            vault=f"refs/autoresearch/{campaign.tag}/{number}",
            log=str(last.log) if last is not None and last.log.exists() else "",
            diff=lab.workspace.diff(f"{experiment.snapshot}^", experiment.snapshot, arena.editable, limit=DIFF_BYTES),
        )
