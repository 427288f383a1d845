"""The loop of fresh agents as a command: what it is asked for on the command line, and what it comes to."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from typing import Any

import click

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.commands.screens import turns
from mcp_server.faces import terminal
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.text import tag_complaint
from mcp_server.ralph.driver import Plan, loop
from mcp_server.ralph.pacing import End, Limits

NOT_COMPLETE = 3


@click.command()
@click.option("--iterations", type=click.IntRange(1), default=20, show_default=True, help="At most this many agents.")
@click.option("--hours", type=asking.Finite(0, min_open=True), help="At most this long.")
@click.option("--cost", type=asking.Finite(0, min_open=True), metavar="USD", help="At most this many dollars.")
@click.option(
    "--minutes",
    type=asking.Finite(0, min_open=True),
    default=30.0,
    show_default=True,
    help="For one agent; beyond them it is ended, with everything it started.",
)
@click.option("--stall", type=click.IntRange(1), default=5, show_default=True, help="Stop after N without a keep.")
@click.option("--rest", type=asking.Finite(0), default=0.0, show_default=True, help="Seconds between two agents.")
@click.option("--prompt", type=asking.Here(exists=True, dir_okay=False), help="[default: PROMPT.md]")
@click.option("--tag", default="ralph", show_default=True, help="The campaign to begin where there is none.")
@click.option("--plain", is_flag=True, help="Lines instead of a live screen.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: each turn, then the end.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def ralph(place: Place, /, command: tuple[str, ...], plain: bool, as_json: bool, tag: str, **given: Any) -> None:
    """Restart a fresh agent for every iteration until the arena's target is reached.

    COMMAND is any program that edits files in the lab: it gets the prompt on stdin, or as an argument where it says
    {prompt}. When it ends, the lab runs and scores what it left and keeps or reverts it; an agent that calls the lab's
    tools itself is fine too. Nothing the agent says counts: only the lab's score reaches the target, as in
    `stop: {target: 6}` of program.md.

    \b
    An agent that crashes or is refused by its service (rate limit) is started again after a growing rest; one that
    hangs is ended. What it changes in program.md, in frozen files or on the branch is put back. The cost is read from
    Claude Code's JSON; where no output tells it, --cost stops the loop rather than guess. One loop for each work tree.
    Ctrl-C leaves no agent and no run behind. Exit status: 0 complete, 3 ended otherwise, 1 an error.

    \b
    Examples:
      autoresearch ralph -- claude -p --output-format json --permission-mode acceptEdits
      autoresearch ralph --cost 5 --hours 8 --stall 4 -- claude -p --output-format json
      autoresearch ralph --minutes 10 -- codex exec --json -s workspace-write -
      autoresearch ralph -- ./my-agent --task {prompt}
    """
    if place.campaign:
        asking.refuse(f"not heeded where --campaign says {place.campaign}: leave it out.", "tag")
    wrong = tag_complaint(tag)
    if wrong:
        raise NotNow(wrong)
    # both end tidily; a shell makes its background jobs ignore the first, and nobody would hear the second then
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, lambda *_: signal.raise_signal(signal.SIGINT))
    limits = Limits(given["iterations"], given["hours"], given["cost"], given["stall"], given["rest"])
    plan = Plan(
        tree=place.folder.resolve(),
        command=command,
        tag=tag,
        campaign=place.campaign,
        limits=limits,
        iteration_seconds=given["minutes"] * 60,
        prompt=given["prompt"],
    )
    console = terminal.screen()
    try:
        with turns.audience(console, plain, as_json, shlex.join(command)) as audience:
            report = loop(plan, audience)
    except KeyboardInterrupt:
        click.echo("Stopped; no agent and no run is left. The same command goes on from here.", err=True)
        sys.exit(asking.INTERRUPTED)
    if as_json:
        click.echo(json.dumps(turns.as_data(report)))
    else:
        terminal.show(console, *turns.ending(report))
    sys.exit(0 if report.end is End.COMPLETE else NOT_COMPLETE)
