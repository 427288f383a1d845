"""demo: a campaign to watch, of real training or, with --quick, of packings in half a minute."""

from __future__ import annotations

import importlib
import signal
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from pydantic import Field

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.lab import Lab
from mcp_server.nouns.replies import Reply
from mcp_server.setup.newlab import LANGUAGE_MODEL, template
from mcp_server.views.history import HistoryRow

# What --quick means where nothing else is said: recorded proposals, runs of a second, half a minute in all. The limit
# leaves room for what comes after the last run: the chart and the page.
QUICK = {"budget": None, "experiments": 3, "calibrate": 3, "limit": 20.0, "researcher": "recorded"}
QUICK_ARENA = "packing"
# One random start differs so much from another that half a minute could not tell a gain from luck; the best of six
# differs half as much.
QUICK_BEGINS = ("pack.py", "STARTS = 1 ", "STARTS = 6 ")


@click.command()
@click.option(
    "--keep",
    "folder",
    type=asking.Here(file_okay=False),
    default="demo-lab",
    show_default=True,
    metavar="DIR",
    help="The lab's folder; an earlier demonstration in it is replaced, anything else is left alone.",
)
@click.option("--quick", is_flag=True, help="Half a minute, without torch: packings, from recorded proposals.")
@click.option("--budget", type=asking.Finite(1, 3600), default=15.0, show_default=True, help="Seconds of a run.")
@click.option("--experiments", type=click.IntRange(1, 100), default=8, show_default=True, help="After the baseline.")
@click.option("--calibrate", type=click.IntRange(0, 20), default=2, show_default=True, help="Runs that measure noise.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the researcher's choices.")
@click.option(
    "--researcher",
    type=click.Choice(("seeded", "tpe")),
    default="seeded",
    show_default=True,
    help="A seeded search, or the optimiser of `suggest`.",
)
@click.option("--limit", type=asking.Finite(1), default=330.0, show_default=True, help="Seconds for everything.")
@click.option("--plain", is_flag=True, help="Lines instead of a live screen.")
@asking.json_option
@click.pass_context
def demo(ctx: click.Context, /, folder: Path, plain: bool, as_json: bool, quick: bool, **numbers: Any) -> None:
    """Watch a campaign of real training with a small built-in researcher.

    Makes a throw-away lab, starts the real MCP server on it and does what an agent does: baseline, then experiment
    after experiment, keeping what improves and reverting the rest. The researcher has no language model: it moves the
    constants of train.py by a seeded search. On a slow machine the runs are made shorter, so that it ends in time.

    With --quick it packs circles instead, which needs neither torch nor a corpus: the proposals were recorded on an
    earlier day; each is really run, scored and judged here. It ends with the chart and the report as one page.

    \b
    Examples:
      autoresearch demo
      autoresearch demo --quick
      autoresearch demo --seed 3 --experiments 12 --limit 900
      autoresearch demo --researcher tpe
    """
    if quick:
        chosen = {name for name in numbers if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
        numbers |= {name: value for name, value in QUICK.items() if name not in chosen}
    # both end tidily; a shell makes its background jobs ignore the first, and nobody would hear the second then
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    show = importlib.import_module(
        "mcp_server.researcher.demo"
    )  # it brings the client of the SDK, which takes a second
    stage = importlib.import_module("mcp_server.commands.screens.stage")
    console = terminal.screen(stderr=as_json)
    plan = show.Plan(
        folder=folder.resolve(),
        template=template(QUICK_ARENA if quick else LANGUAGE_MODEL),
        budget_seconds=numbers["budget"],
        experiments=numbers["experiments"],
        calibrate=numbers["calibrate"],
        seed=numbers["seed"],
        limit_seconds=numbers["limit"],
        researcher=numbers["researcher"],
        begins=QUICK_BEGINS if quick else None,
    )
    try:
        with stage.audience(console, plain or as_json) as audience:
            outcome = show.demonstrate(plan, audience)
    except KeyboardInterrupt:
        click.echo(f"Stopped; nothing runs any more. What was done so far is in {plan.folder}.", err=True)
        sys.exit(asking.INTERRUPTED)
    pages = _pages(plan.folder) if quick else []
    if as_json:
        rows = list(outcome.rows.values())
        click.echo(DemoReply(folder=str(plan.folder), experiments=rows, files=pages).model_dump_json(indent=1))
        return
    metric = outcome.status.metric.partition(",")[0] if outcome.status else "score"
    terminal.show(console, *stage.ending(outcome, metric, pages))


def _pages(folder: Path) -> list[str]:
    """The chart and the report as one page, written beside the lab's other files."""
    make = importlib.import_module("mcp_server.commands.reports").report_files
    lab = Lab(folder)
    try:
        files, _ = make(lab)
        return asking.left(Place(folder), lab, None, "report", files)[0]
    finally:
        lab.close()


class DemoReply(Reply):
    """What a demonstration came to."""

    folder: str
    experiments: list[HistoryRow]
    files: list[str] = Field(default_factory=list, description="the chart and the page, where they were written")
