"""Draws the views of one work tree from the ledger, when something they show has changed or one of them is missing.

AUTORESEARCH_CHART=off leaves progress.png out: drawing it takes a second of a processor.

A view that cannot be written (a full disk, a read-only folder) is a problem to tell, never a reason for a verb to fail.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mcp_server.arena.program import Arena
from mcp_server.campaign.attempt import Attempt, read, read_all
from mcp_server.campaign.bench import Bench
from mcp_server.campaign.evidence import measured_noise
from mcp_server.campaign.exam import totals_of
from mcp_server.community.elsewhere import Elsewhere
from mcp_server.judging.totals import Line
from mcp_server.ledger import Ledger
from mcp_server.memory.admission import admit
from mcp_server.nouns.exchanged import short
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.rows import Campaign, Standing
from mcp_server.repo.drawn import Drawn, lab_mark, place_of
from mcp_server.views.chart import ChartCampaign, ChartPoint, ChartRequest, start_drawing
from mcp_server.views.tables import (
    Entry,
    learnings_md,
    result_line,
    results_tsv,
    taken_in,
    unsaid,
    with_rows,
    write_drawn,
    write_results,
)

LEARNINGS_LIMIT_BYTES = 4_000_000
CHART_SECONDS = 10.0
LESSONS_SHOWN = 300  # of the newest: a page that grows for ever is read by nobody, and drawn after every decision
LESSONS_OF_FAILURES = 40  # experiments looked through for failures nobody drew a lesson from


def decided_attempts(ledger: Ledger, campaign: Campaign) -> list[Attempt]:
    """In order of number, with their runs."""
    decided = [one for one in ledger.experiments(campaign.tag) if one.decision is not None and one.settled]
    return [read(ledger, one) for one in decided]


def results_text(ledger: Ledger, campaign: Campaign, arena: Arena) -> str:
    """results.tsv as it would be written now."""
    metric = arena.metric
    return results_tsv(decided_attempts(ledger, campaign), metric.name, metric.unit, metric.direction)


def learning_entries(ledger: Ledger) -> list[Entry]:
    """The newest learnings of the lab, oldest first."""
    learnings = ledger.learnings(last=LESSONS_SHOWN)
    found = ledger.named([(one.campaign, one.experiment) for one in learnings if one.campaign and one.experiment])
    origins = dict(zip(found, read_all(ledger, list(found.values())), strict=True))
    return [Entry(one, origins.get((one.campaign or "", one.experiment or 0))) for one in learnings]


def learnings_text(ledger: Ledger, tag: str, elsewhere: Sequence[str] = ()) -> str:
    """learnings.md as it would be written now. elsewhere: what other labs tell."""
    recent, entries = read_all(ledger, ledger.experiments(tag, last=LESSONS_OF_FAILURES)), learning_entries(ledger)
    older = ledger.count_learnings() - len(entries)
    return learnings_md(entries, recent, tag, lab_mark(ledger.lab), elsewhere, older)


def take_in_learnings(bench: Bench, tag: str, path: Path) -> bool:
    """Lines a person wrote into learnings.md become learnings; whether all of what they wrote did."""
    try:
        if path.is_symlink() or path.stat().st_size > LEARNINGS_LIMIT_BYTES:
            return False
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    known = [one.text for one in bench.ledger.learnings()]
    for lesson in taken_in(text, known):
        admitted = admit(lesson, known)
        if admitted.text is not None:
            bench.ledger.add_learning(tag, None, admitted.text, [], "person", bench.stamp())
            known.append(admitted.text)
    return not unsaid(text, known)


def line_of(ledger: Ledger, campaign: Campaign, arena: Arena) -> Line:
    """What was kept so far, as charts draw it."""
    kept = ledger.kept(campaign.tag)
    begun = read(ledger, kept[0]).score if kept else None
    return Line(arena.metric.direction == "maximize", begun, kept)


def point_of(found: Attempt, level: float | None) -> ChartPoint:
    """As the drawing process is told of it; `level`: where it stands."""
    one = found.experiment
    adopted = short(one.repeats) if "/" in one.repeats else ""
    said = f"{adopted}: {one.description}" if adopted else one.description  # a label is cut at its end
    machine = one.verdict.machine
    return ChartPoint(one.number, level, found.mark, said, one.opened_at, machine, one.program, adopted)


def chart_campaign(ledger: Ledger, campaign: Campaign, arena: Arena) -> ChartCampaign:
    """What the chart shows of a campaign."""
    line = line_of(ledger, campaign, arena)
    points = [point_of(one, line.of(one)) for one in read_all(ledger, ledger.experiments(campaign.tag))]
    totals = totals_of(ledger, arena, campaign)
    noise = measured_noise(ledger, arena, campaign.tag)
    return ChartCampaign(
        tag=campaign.tag,
        points=tuple(points),
        metric=arena.metric.name,
        unit=arena.metric.unit,
        direction=arena.metric.direction,
        noise_sd=noise.paired_sd if noise.paired_sd is not None else noise.sd,
        claimed_gain=totals.claimed_gain,
        honest_gain=totals.exam_gain if totals.exam_gain is not None else totals.honest_gain,
        honest_interval=(totals.exam_interval[0], totals.exam_interval[1]) if totals.exam_interval else None,
    )


# What this process is drawing, for all its labs. Kept so that an ended drawing is reaped by the next.
_drawings: list[subprocess.Popen[bytes]] = []


class Publisher:
    """Keeps the views of one work tree up to date; remembers what it drew last, beside the ledger."""

    def __init__(self, tree: str, state: Path) -> None:
        self._stamp_file = state / ("views-" + hashlib.sha256(tree.encode()).hexdigest()[:12])
        self._drawn: tuple[str, Drawn] | None = None

    def _views(self, bench: Bench) -> Drawn:
        """What was drawn here by this ledger; another may have been put in its place meanwhile."""
        if self._drawn is None or self._drawn[0] != bench.ledger.lab:
            self._drawn = bench.ledger.lab, Drawn(bench.workspace, bench.ledger.lab, self._stamp_file.exists())
        return self._drawn[1]

    def make_room(self, bench: Bench, tag: str) -> list[str]:
        """See that no file of the user's is where a view goes; what was done about one, in words."""
        try:
            said = self._views(bench).make_room(tag)
        except OSError as error:
            return [f"The place of a view could not be looked at: {error}. It is left alone."]
        if said:
            self._stamp_file.unlink(missing_ok=True)  # all views are drawn anew, where they belong now
        return said

    def publish(self, bench: Bench, campaign: Campaign, arena: Arena, *, at_once: bool = False) -> list[str]:
        """Bring results.tsv, learnings.md and progress.png up to date; what could not be written, in words."""
        ledger, views = bench.ledger, self._views(bench)
        said = self.make_room(bench, campaign.tag)
        results, learnings, chart = (place_of(bench.paths, name) for name in Drawn.NAMES)
        try:
            last = self._last()
            before = drawn, charted, lesson_drawn, drawn_at, heard = last[:5]
            others = Elsewhere(bench.paths.state, bench.workspace)
            told = others.stamp()
            on_disk = learnings.stat().st_mtime_ns if learnings.exists() else 0
            if on_disk != drawn_at and not take_in_learnings(bench, campaign.tag, learnings):
                kept = views.keep_copy(learnings, campaign.tag)
                said.append(f"Not all that was written into learnings.md is a lesson; what it was is kept as {kept}.")
            stamp, lesson = ledger.views_stamp(campaign.tag)
            standing = ledger.standing(campaign.tag)
            if stamp != drawn or not results.exists():
                then = last[5] if drawn.startswith(f"{campaign.tag} ") else None
                text, metric = _results_since(ledger, campaign, arena, results, then), arena.metric
                if text is not None:
                    write_drawn(results, text, views.note)
                else:
                    rows = decided_attempts(ledger, campaign)
                    write_results(results, rows, metric.name, metric.unit, metric.direction, views.note)
            if (stamp, lesson, on_disk, told) != (drawn, lesson_drawn, drawn_at, heard):
                write_drawn(learnings, learnings_text(ledger, campaign.tag, others.told(campaign, arena)), views.note)
                on_disk = learnings.stat().st_mtime_ns
            wanted = os.environ.get("AUTORESEARCH_CHART") != "off" and (stamp != charted or not chart.exists())
            if wanted and (at_once or _may_draw(chart)):
                # the drawing process reads the ledger: all points of a long past are no verb's business
                request = ChartRequest(png=chart, mark=lab_mark(ledger.lab), ledger=ledger.path, tag=campaign.tag)
                _drawings.append(start_drawing(request))
                charted = stamp
            now = stamp, charted, lesson, on_disk, told
            if now != before:
                lines = (*now, json.dumps(asdict(standing)))
                write_atomically(self._stamp_file, "".join(f"{one}\n" for one in lines).encode())
        except OSError as error:
            return [*said, f"The views could not be drawn: {error}. The next call draws them."]
        return said

    def _last(self) -> tuple[str, str, str, int, str, Standing | None]:
        """Of what was drawn last: stamps of table, chart and lessons, when learnings.md was, other labs', how far."""
        try:
            drawn, charted, lesson, at, told, *rest = self._stamp_file.read_text().split("\n")
            return drawn, charted, lesson, int(at), told, _standing(rest[0]) if rest and rest[0] else None
        except (OSError, ValueError, TypeError, KeyError):
            return "", "", "", 0, "", None


def _standing(text: str) -> Standing:
    """As it was written down. Raises ValueError, TypeError or KeyError."""
    found = json.loads(text)
    return Standing(int(found["turn"]), int(found["ticket"]), tuple(found["opened"]), tuple(found["unsettled"]))


def _results_since(ledger: Ledger, campaign: Campaign, arena: Arena, drawn: Path, then: Standing | None) -> str | None:
    """results.tsv as it is now, from the one that was drawn and what has happened since; None where that is not enough.

    It is written whole all the same, for who reads it must never meet half a row; what would take seconds after ten
    thousand experiments is asking for all of them again.
    """
    if then is None or not drawn.exists():
        return None
    metric, lines = arena.metric, {}
    for one in ledger.settled_since(campaign.tag, then):
        lines[one.number] = result_line(read(ledger, one), metric.name, metric.unit, metric.direction)
    return with_rows(drawn.read_text(encoding="utf-8", errors="replace"), lines)


def _may_draw(chart: Path) -> bool:
    """A chart costs a second of processor time: one at a time, and not again while the last one is fresh."""
    _drawings[:] = [one for one in _drawings if one.poll() is None]
    if _drawings:
        return False
    try:
        return time.time() - chart.stat().st_mtime >= CHART_SECONDS
    except OSError:
        return True


def finish_drawing() -> None:
    """Wait for the drawings under way: a second at most."""
    for drawing in _drawings:
        drawing.wait()
    _drawings.clear()
