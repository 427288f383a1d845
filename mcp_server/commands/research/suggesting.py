"""suggest: what a classical optimiser would try next, beside whatever the agent thinks of."""

from __future__ import annotations

import click

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.commands.screens import pages
from mcp_server.faces import terminal


@click.command()
@click.option("--count", type=click.IntRange(1, 20), default=3, show_default=True, metavar="N", help="How many.")
@asking.replying
def suggest(place: Place, count: int, as_json: bool) -> None:
    """What a classical optimiser would try next over the constants in CAPITALS, and what is known of them, in words.

    It learns from this campaign's attempts, from those of other labs that stood where we stand, and from what runs. The
    range of a constant is written beside it (`RATE = 0.1  # 0.01..1`), else around its value, wider where values beyond
    were scored, narrower where they failed. Nothing is edited and nothing runs.

    \b
    Examples:
      autoresearch suggest
      autoresearch suggest --count 5 --json | jq '.suggestions[].constants'
    """
    reply = asking.lab_at(place).suggest(count)
    asking.answer(
        reply,
        as_json,
        *pages.lines([one.changes for one in reply.suggestions]),
        terminal.facts(
            [
                ("known", reply.landscape),
                ("from", f"{reply.observations} attempts here, {reply.elsewhere} elsewhere, {reply.running} running"),
                ("ranges", ", ".join(f"{name} {low:.4g}..{high:.4g}" for name, (low, high) in reply.ranges.items())),
            ]
        ),
        asking.hint(reply.next),
    )
