"""What the live page shows of a campaign, and what of it changed since a client last heard.

Of a long past a first visit gets the newest experiments, what was kept and the totals, before anything that takes
longer to find out; it asks for the others page by page (`older`), once there is something to look at. Nothing is
changed here. The lab's lock is held for the few milliseconds of catching up; the rows are read beside it, through a
ledger of the feed's own, for SQLite lets readers work while others write.
"""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import Field

from mcp_server.arena.program import Arena
from mcp_server.arena.styles import style_version
from mcp_server.campaign import progress
from mcp_server.campaign.attempt import Attempt, read, read_all
from mcp_server.campaign.bench import Bench
from mcp_server.campaign.evidence import measured_noise
from mcp_server.campaign.exam import totals_of
from mcp_server.campaign.reins.hands import reins_of
from mcp_server.campaign.status import noise_reply
from mcp_server.dashboard.community import Look
from mcp_server.dashboard.front import Front
from mcp_server.dashboard.parts import Cursor, Parts
from mcp_server.judging.looks import told_live
from mcp_server.judging.noise import Noise
from mcp_server.judging.totals import Line
from mcp_server.lab import Lab
from mcp_server.ledger import Ledger
from mcp_server.ledger.foreign import UNUSABLE
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.records import RunState
from mcp_server.nouns.replies import Reply, StatusReply
from mcp_server.nouns.rows import Campaign, Standing
from mcp_server.nouns.text import clean_block, clean_line
from mcp_server.views.chart import ChartCampaign, ChartPoint
from mcp_server.views.chart.scale import scale_of
from mcp_server.views.history import HistoryRow, row_of
from mcp_server.views.publishing import line_of, point_of
from mcp_server.views.watched import series, words

LOOK_SECONDS = 0.4  # supervisors write their progress twice a second
COMMUNITY_SECONDS = 2.0
STATUS_SECONDS = 30.0  # what depends on the clock alone, such as a stop rule in hours
LESSONS = 100
FIRST_ROWS = 200  # of a first visit: eight pages of the table
KEPT_ROWS = 60  # and the newest of what was kept, from which the chart draws its line
OLDER_ROWS = 500  # at a time
CURVE_POINTS = 240


Outcome = tuple[int, str, tuple[float | None, float | None, int | None, str | None]]  # as `Ledger.outcomes` has it


class Row(HistoryRow):
    """One experiment, as the chart and the table want it."""

    mark: str = Field(default="", description="how the chart draws it; empty while there is no outcome")
    level: float | None = Field(default=None, description="where the chart draws it, unless at its score")
    machine: str = ""
    program: str = ""
    style: str = ""
    reason: str = ""
    knobs: str = ""


class LiveRun(Reply):
    """One run that is not over, with its curve so far."""

    campaign: str
    experiment: int
    run: int
    seed: int
    purpose: str
    state: str
    description: str = ""
    phase: str = ""
    device: str = ""
    elapsed_seconds: float | None = None
    budget_seconds: float | None = None
    eta_seconds: float | None = None
    ahead: int | None = None
    steps: int | None = None
    loss: float | None = None
    scored_fraction: float | None = None
    curve: list[list[float]] = Field(default_factory=list, description="[step, training loss]")


class Lesson(Reply):
    """One learning of the shared memory."""

    learning: int
    text: str
    experiment: int | None = None
    campaign: str = ""
    tags: list[str] = Field(default_factory=list)
    source: str = ""
    at: str = ""


class Feed:
    """One campaign, looked at again and again. `lab` is the feed's own."""

    def __init__(self, lab: Lab, now: Callable[[], float] = time.monotonic) -> None:
        self.lab = lab
        self._now = now
        self._mutex = threading.Lock()
        self._looked = -LOOK_SECONDS
        self._others = Look(lab)
        self.front = Front(lab)
        self._ledger: Ledger | None = None
        self._begin("")

    def close(self) -> None:
        with self._mutex:
            if self._ledger is not None:
                self._ledger.close()
                self._ledger = None
            self.lab.close()

    def news(self, cursor: Cursor | None) -> tuple[Cursor, dict[str, str]]:
        """Look, and tell what is newer than `cursor`: JSON texts by name. None means everything.

        The first look at a campaign tells what the ledger says at once, the next one the rest: whoever heard something
        asks again without a pause.
        """
        with self._mutex:
            if self._now() - self._looked >= LOOK_SECONDS and self._look():
                self._looked = self._now()
            known = self._parts.known(cursor)
            told = self._parts.newer(known or 0)
            if known is None:
                told = {"rows": json.dumps(self._first_rows()), **told}
            elif rows := [row for version, row in self._rows.values() if version > known]:
                told = {"rows": json.dumps({"fresh": False, "rows": rows}), **told}
            return self._parts.cursor, told

    def _first_rows(self) -> dict[str, object]:
        """The newest rows and what was kept; before: the experiment below which `older` goes on, 0 for none."""
        first = max(1, max(self._rows, default=0) - FIRST_ROWS + 1)
        kept = [number for number, (_, row) in self._rows.items() if number < first and row["status"] == "kept"]
        shown = {*sorted(kept)[-KEPT_ROWS:], *(number for number in self._rows if number >= first)}
        rows = [self._rows[number][1] for number in sorted(shown)]
        return {"fresh": True, "rows": rows, "before": first if first > 1 else 0}

    def older(self, before: int) -> dict[str, object]:
        """A page of rows below an experiment, oldest first; before: where the next one begins, 0 when none is left."""
        with self._mutex:
            if not self._tag:
                return {"rows": [], "before": 0}
            ledger = self._beside()
            found = ledger.experiments(self._tag, last=OLDER_ROWS, before=before)
            rows = [_row(one, self._line.of(one)).model_dump() for one in read_all(ledger, found)]
            return {"rows": rows, "before": found[0].number if found and found[0].number > 1 else 0}

    # --- looking ------------------------------------------------------------------------------------------------------

    def _begin(self, tag: str) -> None:
        """Forget everything: another campaign is in force, or none was known."""
        self._tag = tag
        self._line = Line(False, None, ())
        self._parts = Parts()
        self._rows: dict[int, tuple[int, dict[str, Any]]] = {}
        self._open: set[int] = set()  # experiments that are not settled
        self._standing: Standing | None = None  # as far as rows were read
        self._past: Sequence[Outcome] | None = None  # of what was decided before that, read once
        self._seen: tuple[object, ...] = ()
        self._told_at = 0.0
        self._others_at = self._others_told_at = -STATUS_SECONDS

    def _look(self) -> bool:
        """Whether all was looked at; else the next look goes on."""
        try:
            with self.lab.reading() as (bench, campaign, arena):
                ledger = bench.ledger
                if campaign.tag != self._tag:
                    self._begin(campaign.tag)
                runs, held = _live_runs(bench, campaign, arena), reins_of(bench, campaign)
                seen = (
                    ledger.views_stamp(campaign.tag),
                    ledger.next_number(campaign.tag),
                    campaign.program,
                    tuple((run.campaign, run.experiment, run.run, run.state, run.phase) for run in runs),
                    tuple(ledger.active_campaigns()),
                    _edited(bench),
                )
        except AutoresearchError as error:
            self._without_campaign(str(error))
            return True
        self._parts.say("runs", [run.model_dump() for run in runs])
        self._parts.say("reins", held.model_dump())
        if self._standing is None:
            self._tell_first(campaign, arena)
            return False
        if seen != self._seen or self._now() - self._told_at >= STATUS_SECONDS:
            self._tell_all(campaign, arena)
            self._seen, self._told_at = seen, self._now()
        self._tell_of_others(campaign, arena)
        return True

    def _tell_of_others(self, campaign: Campaign, arena: Arena) -> None:
        """What other labs' records say, when it changed; and now and then, for its freshness is told in words."""
        now = self._now()
        if now - self._others_at < COMMUNITY_SECONDS:
            return
        self._others_at = now
        try:
            told = self._others.news(campaign, arena, anew=now - self._others_told_at >= STATUS_SECONDS)
        except (*UNUSABLE, AutoresearchError) as error:
            self._parts.say("community", {"problem": str(error)})
            return
        if told is not None:
            self._others_told_at = now
            self._parts.say("community", told.model_dump())

    def _tell_first(self, campaign: Campaign, arena: Arena) -> None:
        """All of a first screen but the chart."""
        ledger, tag = self._beside(), campaign.tag
        self._read_rows(ledger, campaign, arena)
        noise = measured_noise(ledger, arena, tag)
        short = StatusReply(
            campaign=tag,
            branch=campaign.branch,
            goal=arena.goal,
            experiments=ledger.count(tag),
            noise=noise_reply(noise),
            totals=totals_of(ledger, arena, campaign),
        )
        self._parts.say("status", {**short.model_dump(), **_about(ledger, campaign, arena, noise)})
        self._tell_lessons(ledger)

    def _tell_all(self, campaign: Campaign, arena: Arena) -> None:
        ledger = self._beside()
        self._read_rows(ledger, campaign, arena)
        status, noise = self.lab.lab_status(suggesting=False).model_dump(), measured_noise(ledger, arena, campaign.tag)
        status |= _about(ledger, campaign, arena, noise)
        status.update(
            scale=self._scale(ledger, arena, status["noise_sd"]),
            front=list(arena.front),
            # on the page alone: no tool tells it
            watched=_watched(ledger, campaign, arena),
        )
        self._parts.say("status", status)
        self._tell_lessons(ledger)
        known = {digest: at for digest, _, at in ledger.programs()}
        now = (campaign.program, style_version(arena.style, self.lab.paths.tree) or "")
        self._parts.say("conditions", _conditions(ledger.conditions(campaign.tag), now, known))

    def _tell_lessons(self, ledger: Ledger) -> None:
        self._parts.say("lessons", [_lesson(one).model_dump() for one in reversed(ledger.learnings(last=LESSONS))])

    def _read_rows(self, ledger: Ledger, campaign: Campaign, arena: Arena) -> None:
        """Rows that are new or may have changed: what was opened, decided, settled or run since they were read."""
        tag = campaign.tag
        then, self._standing = self._standing, ledger.standing(tag)
        if then is None:
            changed = [*ledger.kept(tag, last=KEPT_ROWS), *ledger.experiments(tag, last=FIRST_ROWS)]
        else:
            behind = ledger.next_number(tag) - 1 - max(self._rows, default=0)
            changed = [*ledger.settled_since(tag, then), *ledger.experiments(tag, last=max(behind, 0))]
        numbers = {one.number: one for one in changed}
        for number in self._open - numbers.keys():
            numbers[number] = ledger.experiment(tag, number)
        line = self._line = line_of(ledger, campaign, arena)
        for attempt in read_all(ledger, [one for _, one in sorted(numbers.items())]):
            number, row, one = attempt.number, _row(attempt, line.of(attempt)).model_dump(), attempt.experiment
            if number not in self._rows or self._rows[number][1] != row:
                self._rows[number] = (self._parts.step(), row)
            (self._open.discard if one.decision is not None and one.settled else self._open.add)(number)

    def _scale(self, ledger: Ledger, arena: Arena, noise_sd: float | None) -> list[float]:
        """The stretch of scores that progress.png would show; empty while nothing has a score."""
        if self._past is None:
            self._past = ledger.outcomes(self._tag)
        told = {one: (self._line.level(*at), how) for one, how, at in self._past if one not in self._rows}
        rows = {one: row for one, (_, row) in self._rows.items() if row.get("mark")}
        told |= {one: (row.get("level", row.get("score")), row["mark"]) for one, row in rows.items()}
        points = tuple(ChartPoint(number, *one) for number, one in told.items())
        found = scale_of([ChartCampaign(self._tag, points, direction=arena.metric.direction, noise_sd=noise_sd)])
        return [found.low, found.high] if found else []

    def _without_campaign(self, words: str) -> None:
        """No campaign to show: what a person can do about it, in the lab's own words."""
        if self._tag:
            self._begin("")
        self._seen = ()
        try:
            status = self.lab.lab_status(suggesting=False).model_dump()
        except AutoresearchError as error:
            status = {"problems": [str(error)]}
        self._parts.say("status", {"next": words, **status})
        self._parts.say("runs", [])
        self._parts.say("reins", {})

    def _beside(self) -> Ledger:
        if self._ledger is not None and not self._ledger.in_place():
            self._ledger.close()
            self._ledger = None
        if self._ledger is None:
            self._ledger = Ledger(self.lab.paths.ledger)
        return self._ledger


def _about(ledger: Ledger, campaign: Campaign, arena: Arena, noise: Noise) -> dict[str, Any]:
    """What the page says of a campaign beside its status."""
    metric = arena.metric
    return {
        "name": metric.name,
        "unit": metric.unit,
        "direction": metric.direction,
        "campaigns": ledger.active_campaigns(),
        "noise_sd": noise.paired_sd if noise.paired_sd is not None else noise.sd,
        "began_at": campaign.began_at,
    }


def _watched(ledger: Ledger, campaign: Campaign, arena: Arena) -> str:
    if not arena.watch:
        return ""
    return words(series([read(ledger, one) for one in ledger.kept(campaign.tag)], arena))


def _edited(bench: Bench) -> tuple[int, ...]:
    """When program.md and its style were written last, so that an edit shows at once."""
    found = []
    for path in (bench.paths.program, bench.paths.tree / "styles"):
        try:
            found.append(path.stat().st_mtime_ns)
        except OSError:
            found.append(0)
    return tuple(found)


def _row(found: Attempt, level: float | None) -> Row:
    row, experiment = row_of(found), found.experiment
    verdict = experiment.verdict
    return Row(
        **{name: getattr(row, name) for name in HistoryRow.model_fields},
        mark=point_of(found, level).kind or "",
        level=None if level == found.score else progress.rounded(level),
        machine=_machine(verdict.machine),
        program=experiment.program,
        style=experiment.style or "",
        reason=clean_line(verdict.reason, 300),
        knobs=clean_line(", ".join(f"{name} {old} → {new}" for name, old, new in experiment.knobs[:6]), 240),
    )


@functools.lru_cache(maxsize=64)
def _machine(name: str) -> str:
    return clean_line(name, 120)


def _live_runs(bench: Bench, campaign: Campaign, arena: Arena) -> list[LiveRun]:
    """Of all campaigns, for they share the devices; curves of this one's."""
    found = []
    for run in bench.ledger.open_runs():
        experiment = bench.ledger.experiment(run.campaign, run.experiment)
        now = progress.progress_of(bench.paths, run) if run.state is RunState.RUNNING else None
        live = LiveRun(
            campaign=run.campaign,
            experiment=run.experiment,
            run=run.run,
            seed=run.seed,
            purpose=run.purpose,
            state=run.state,
            description=clean_line(experiment.description),
        )
        if run.campaign == campaign.tag:
            short = progress.experiment_reply(bench.ledger, bench.paths, experiment, arena, bench.now())
            live.eta_seconds, live.ahead = short.eta_seconds, short.queue_position
        if now is not None:
            live.phase, live.device = now.phase, " ".join(filter(None, (now.node, now.device)))
            live.elapsed_seconds = round(now.elapsed_seconds, 1)
            live.budget_seconds, live.steps = now.budget_seconds or None, now.steps
            live.scored_fraction = now.scored_fraction
            if told_live(run):
                live.loss = progress.rounded(now.loss, 4)
                shown = progress.thinned(now.curve, CURVE_POINTS)
                live.curve = [[point.step, round(point.loss, 4)] for point in shown]
        found.append(live)
    return found


def _lesson(one: Any) -> Lesson:
    return Lesson(
        learning=one.id,
        text=clean_block(one.text),
        experiment=one.experiment,
        campaign=one.campaign or "",
        tags=[clean_line(tag, 32) for tag in one.tags],
        source=one.source,
        at=one.at,
    )


def _conditions(
    stretches: Sequence[tuple[int, str, str]], now: tuple[str, str], known: dict[str, str]
) -> list[dict[str, Any]]:
    """Program and style by the experiment from which they were in force, newest first; the first, `now`, holds now."""
    found: list[dict[str, Any]] = [
        {"program": program, "style": style, "since": number} for number, program, style in stretches
    ]
    if not found or (found[-1]["program"], found[-1]["style"]) != now:
        found.append({"program": now[0], "style": now[1], "since": None})
    return [{**one, "first_seen": known.get(one["program"], "")} for one in reversed(found)]
