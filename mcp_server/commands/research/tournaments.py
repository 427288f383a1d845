"""tournament: arms of program, style and agent, several campaigns each, played and compared."""

from __future__ import annotations

import importlib
import signal
import sys
from functools import partial
from pathlib import Path

import click

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.commands.research.comparing import tell
from mcp_server.repo.git import Repository


@click.command()
@click.argument("plan", type=asking.Here(dir_okay=False))
@click.option("--out", type=asking.Here(file_okay=False), help="Its folder.  [default: PLAN-tournament]")
@click.option("--svg", type=asking.Here(dir_okay=False), help="Draw the curves into this file.")
@asking.replying
def tournament(place: Place, /, plan: Path, out: Path | None, svg: Path | None, as_json: bool) -> None:
    """Play programs, styles and agents against each other: PLAN names the arms, and what a campaign may use.

    Every arm gets the same number of campaigns, each in a clone of its own at one commit, driven as `ralph` does it.
    Campaigns of one block follow each other and share seeds, so that the arms meet the same machine and luck; the order
    changes from block to block. In the end every campaign sits the exam, all on one secret split, and the arms are
    compared. Interrupted, the same command goes on from where it was.

    \b
    A plan:
      campaigns: 5            # of each arm
      experiments: 20         # of each campaign; also hours, cost_usd, minutes (of one turn)
      arms:
        - {name: old, agent: claude -p --output-format json}
        - {name: new, agent: claude -p --output-format json, program: new-memo.md, style: bold}

    `agent: built-in` is the researcher without a language model (`built-in --researcher tpe`). See docs/compare.md.

    \b
    Examples:
      autoresearch tournament plan.yaml
      autoresearch tournament plan.yaml --out /data/night --svg curves.svg
    """
    # both end tidily; a shell makes its background jobs ignore the first
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    plans = importlib.import_module("mcp_server.tournament.plan")
    play = importlib.import_module("mcp_server.tournament.play")
    path = plan.resolve()
    told = plans.read_plan(path)
    folder = out.resolve() if out else path.with_name(f"{path.stem}-tournament")
    found = play.Tournament(told, path.parent, Repository.at(place.folder), folder, partial(click.echo, err=True))
    try:
        reply = found.play()
    except KeyboardInterrupt:
        click.echo("Stopped; no agent and no run is left. The same command goes on from here.", err=True)
        sys.exit(asking.INTERRUPTED)
    tell(reply, svg, as_json)
