"""For people: the live page and the report."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import webbrowser
from pathlib import Path

import click
from pydantic import Field

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.lab import Lab
from mcp_server.nouns.errors import GitError, WorkspaceError
from mcp_server.nouns.replies import Reply
from mcp_server.repo.workspace import Workspace
from mcp_server.views.chart import ChartRequest, start_drawing
from mcp_server.views.publishing import chart_campaign

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PRINT_SECONDS = 60.0


@click.command()
@click.option("--all", "everything", is_flag=True, help="All your labs on this machine, and each one's page.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Instead of the first free one from 8766, or 8786 for all; 0 takes any.",
)
@click.option("--open", "opened", is_flag=True, help="Open it in the browser.")
@click.option("--until-eof", is_flag=True, hidden=True, help="End when stdin does: `serve` starts it so.")
@asking.replying
def dashboard(place: Place, everything: bool, port: int | None, opened: bool, until_eof: bool, as_json: bool) -> None:
    """Serve the live page on this machine alone and print its link, until Ctrl-C.

    Who has the link sees everything and may pause, veto, cancel, leave notes and queue ideas; nothing else is written.

    With --all, or outside of any repository, it is one page for all your labs: a card for each with what runs, best
    score, queue, ideas, news, cost and problems. It goes on when the labs' servers end. A lab joins by itself once a
    campaign has begun there and a command, an agent or a loop has opened it. The page of all writes nothing.

    \b
    Examples:
      autoresearch dashboard                              then open the link it prints
      autoresearch dashboard --port 9000 --open
      autoresearch dashboard --all                        every lab of yours, from anywhere; ports from 8786
      ssh -L 8766:127.0.0.1:8766 gpu-box                  to look from another machine
    """

    def announce(link: str) -> None:
        ending = "" if until_eof else "\nCtrl-C ends it; runs go on."
        click.echo(json.dumps({"url": link}) if as_json else f"{link}{ending}")
        if opened:
            webbrowser.open(link)

    # by name: the web server takes a second to import, which the other commands of this module need not pay
    serving = importlib.import_module("mcp_server.dashboard.serving")
    ends = sys.stdin.buffer.read if until_eof else None
    if everything and place.campaign:
        raise click.UsageError("--all shows every campaign: leave --campaign out.")
    if everything or not (place.campaign or until_eof or in_repository(place.folder)):
        serving.serve_all_labs(port, announce, ends)
    else:
        serving.serve_dashboard(place.folder, place.campaign, port, announce, ends)


def in_repository(folder: Path) -> bool:
    """Whether this is a place where a lab could be."""
    try:
        Workspace(folder)
    except WorkspaceError as error:
        if isinstance(error, GitError):
            raise  # there may be one, which git cannot open
        return False
    return True


class WrittenReply(Reply):
    """Files that were written."""

    files: list[str]
    notes: list[str] = Field(default_factory=list)


@click.command()
@click.option("--out", type=asking.Here(file_okay=False), help="Into this folder.  [default: report]")
@click.option("--html/--no-html", default=True, show_default=True, help="Also as one self-contained HTML file.")
@click.option("--pdf", is_flag=True, help="Also as PDF, printed by a chromium of this machine.")
@click.option("--site", is_flag=True, help="As a folder to publish: index.html, chart, share card, results.csv.")
@asking.replying
def report(place: Place, out: Path | None, html: bool, pdf: bool, site: bool, as_json: bool) -> None:
    """Write the campaign's report: question, result with its interval, kept changes, failures, lessons, what is next.

    report.md can be a pull request's text as it is; progress.png lies beside it, and inside report.html.

    \b
    Examples:
      autoresearch report
      autoresearch report --out /tmp/night --pdf
      autoresearch report --site --out public    read-only; any web server, or none, shows it
    """
    if site:
        asking.refuse("not heeded with --site, which is one page: leave it out.", "html", "pdf")
    lab = asking.lab_at(place)
    if site:
        files = importlib.import_module("mcp_server.commands.pulls.site").site(lab)
        notes: list[str] = []
    else:
        files, notes = report_files(lab, html, pdf)
    written, moved = asking.left(place, lab, out, "site" if site else "report", files)
    reply = WrittenReply(files=written, notes=[*notes, *moved])
    rows = [("written", path) for path in reply.files]
    asking.answer(reply, as_json, terminal.facts(rows), asking.problems(reply.notes))


def report_files(lab: Lab, html: bool = True, pdf: bool = False) -> tuple[dict[str, bytes], list[str]]:
    """The report's files by name: Markdown, chart, and as one page if wanted; and what could not be made."""
    # by name: rendering and the chart's data take a moment to import, which `dashboard --help` need not pay
    words = importlib.import_module("mcp_server.views.report")
    found = importlib.import_module("mcp_server.views.findings").gather(lab)
    chart = draw_chart(lab)
    files: dict[str, bytes] = {"report.md": words.markdown(found, chart is not None).encode()}
    files |= {} if chart is None else {words.CHART: chart}
    files |= words.pictures(found)
    page = words.html(found, chart).encode()
    files |= {"report.html": page} if html or pdf else {}
    return with_pdf(files, "report.pdf", page) if pdf else (files, [])


def with_pdf(files: dict[str, bytes], name: str, page: bytes) -> tuple[dict[str, bytes], list[str]]:
    """The files and their page as PDF, or why there is none."""
    with tempfile.TemporaryDirectory() as place:
        source, pdf = Path(place) / "page.html", Path(place) / name
        source.write_bytes(page)
        problem = printed(source, pdf)
        return (files, [problem]) if problem else ({**files, name: pdf.read_bytes()}, [])


def draw_chart(lab: Lab) -> bytes | None:
    """The campaign's chart; None where charts are off or nothing could be drawn."""
    if os.environ.get("AUTORESEARCH_CHART") == "off":
        return None
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "chart.png"
        with lab.reading() as (bench, campaign, arena):
            request = ChartRequest((chart_campaign(bench.ledger, campaign, arena),), png=path)
        return path.read_bytes() if start_drawing(request).wait() == 0 else None


def printed(page: Path, pdf: Path) -> str:
    """Print an HTML file; what was missing, in words, or nothing."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return f"No PDF: none of {', '.join(BROWSERS)} is installed. Any browser prints the HTML."
    # the browser's socket in TMPDIR needs a short name, and it leaves its folder there
    with tempfile.TemporaryDirectory(dir="/tmp" if os.access("/tmp", os.W_OK) else None) as profile:
        # the page is our own and its policy forbids scripts, so a container's root may go without the browser's sandbox
        root = ["--no-sandbox"] if os.getuid() == 0 else []
        quiet = ["--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
        quiet += [
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={profile}",
            "--no-pdf-header-footer",
        ]
        command = [browser, *root, *quiet, f"--print-to-pdf={pdf}", page.as_uri()]
        try:
            env = {**os.environ, "TMPDIR": profile}
            subprocess.run(command, check=True, capture_output=True, timeout=PRINT_SECONDS, env=env)
        except (subprocess.SubprocessError, OSError) as error:
            said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().rpartition("\n")[2]
            return f"No PDF: {browser} failed ({said or type(error).__name__}). Any browser prints the HTML."
    return ""
