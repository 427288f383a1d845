"""The campaign as pictures and as a folder to publish: read-only pages, nothing in them runs."""

from __future__ import annotations

import csv
import importlib
import io
import os

from mcp_server.commands.reports import draw_chart
from mcp_server.lab import Lab
from mcp_server.views import findings, report
from mcp_server.views.publishing import chart_campaign

CARD, CHART = "card.png", "progress.png"
COLUMNS = ("experiment", "status", "label", "score", "gain", "low", "high", "commit", "description")


def pictures(lab: Lab) -> dict[str, bytes]:
    """The share card and the chart by name; none where charts are off."""
    if os.environ.get("AUTORESEARCH_CHART") == "off":
        return {}
    draw = importlib.import_module("mcp_server.views.card").draw  # it brings the plotting library
    with lab.reading() as (bench, campaign, arena):
        shown = chart_campaign(bench.ledger, campaign, arena)
        goal = arena.goal
    files: dict[str, bytes] = draw(shown, goal)
    chart = draw_chart(lab)
    return files if chart is None else {**files, CHART: chart}


def report_text(lab: Lab, chart: bool) -> tuple[str, dict[str, bytes]]:
    """The report, and the pictures it shows beside the chart."""
    found = findings.gather(lab)
    return report.markdown(found, chart), report.pictures(found)


def site(lab: Lab) -> dict[str, bytes]:
    """index.html with the report, its pictures, and all attempts as a table."""
    drawn, found = pictures(lab), findings.gather(lab)
    inside = report.inside(found, drawn.get(CHART))
    text = report.markdown(found, CHART in drawn) + "\n\n[All attempts as a table](results.csv)\n"
    card = CARD if CARD in drawn else ""
    page = report.rendered(text, inside, found.campaign.tag, "report.html", card=card)
    return {"index.html": page.encode(), "results.csv": _table(found).encode(), **drawn}


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
