"""A person's change of the rules while a campaign runs, as a command. It is no tool of the server."""

from __future__ import annotations

import sys

import click

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.nouns.errors import NotNow


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@asking.replying
def amend(place: Place, yes: bool, as_json: bool) -> None:
    """Put an edit of program.md in force that widens what runs may do, or lowers a bar, while a campaign runs.

    Such an edit does not apply by being written: any agent can write it. This shows what would change and asks. The
    change is recorded and told in status, history, report and the commit of the next keep. What is measured (metric,
    run, score, frozen, the budget's seconds and clock) cannot change within a campaign.

    \b
    Examples:
      autoresearch amend
      autoresearch amend --yes
    """
    lab = asking.lab_at(place)
    found = lab.amend()
    if not yes:
        if not sys.stdin.isatty():
            raise NotNow(f"This would change {'; '.join(found.changes)}, and nobody is here to ask. Add --yes.")
        terminal.show(
            terminal.screen(stderr=True), terminal.facts([("would change", words) for words in found.changes])
        )
        click.confirm(f"Put this in force in campaign {found.campaign}?", abort=True, err=True)
    reply = lab.amend(found.after)
    rows = [("campaign", reply.campaign), *(("changed", words) for words in reply.changes)]
    asking.answer(reply, as_json, terminal.facts(rows), asking.hint(reply.next))
