"""The campaign as pictures and as a folder to publish: read-only pages, nothing in them runs."""

from __future__ import annotations

import csv
import importlib
import io
import os
from pathlib import Path

from mcp_server.commands.reports import WrittenReply, draw_chart
from mcp_server.lab import Lab
from mcp_server.nouns.files import write_atomically
from mcp_server.views import findings, report
from mcp_server.views.publishing import chart_campaign

CARD, CHART = "card.png", "progress.png"
COLUMNS = ("experiment", "status", "label", "score", "gain", "low", "high", "commit", "description")


def pictures(lab: Lab, folder: Path) -> list[Path]:
    """The share card and the chart in `folder`; none where charts are off."""
    if os.environ.get("AUTORESEARCH_CHART") == "off":
        return []
    draw = importlib.import_module("mcp_server.views.card").draw  # it brings the plotting library
    with lab.reading() as (bench, campaign, arena):
        shown = chart_campaign(bench.ledger, campaign, arena)
        goal = arena.goal
    written = []
    for name, content in draw(shown, goal).items():
        write_atomically(folder / name, content)
        written.append(folder / name)
    if draw_chart(lab, folder / CHART) is not None:
        written.append(folder / CHART)
    return written


def report_text(lab: Lab, folder: Path, chart: bool) -> tuple[str, list[Path]]:
    """The report, and the pictures it shows beside the chart, which are written to `folder`."""
    found = findings.gather(lab)
    shown = report.pictures(found)
    for name, content in shown.items():
        write_atomically(folder / name, content)
    return report.markdown(found, chart), [folder / name for name in shown]


def write_site(lab: Lab, folder: Path) -> WrittenReply:
    """index.html with the report, its pictures, and all attempts as a table."""
    folder.mkdir(parents=True, exist_ok=True)
    written = pictures(lab, folder)
    found = findings.gather(lab)
    chart = folder / CHART
    inside = report.inside(found, chart.read_bytes() if chart in written else None)
    text = report.markdown(found, chart in written) + "\n\n[All attempts as a table](results.csv)\n"
    card = CARD if folder / CARD in written else ""
    page = report.rendered(text, inside, found.campaign.tag, "report.html", card=card)
    write_atomically(folder / "index.html", page.encode())
    write_atomically(folder / "results.csv", _table(found).encode())
    return WrittenReply(files=[str(path) for path in (folder / "index.html", folder / "results.csv", *written)])


def _table(found: findings.Findings) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for one in sorted((*found.kept, *found.failed), key=lambda attempt: attempt.number):
        low, high = one.interval or ("", "")
        commit, words = one.experiment.commit_sha or one.experiment.snapshot, one.experiment.description
        table.writerow((one.number, one.status, one.label, one.score, one.gain, low, high, commit, _plain(words)))
    return out.getvalue()


def _plain(words: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{words}" if words[:1] in "=+-@" else words
