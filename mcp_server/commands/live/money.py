"""Money as a command: what the campaign has cost, what it may, and how a client without MCP tells what it used."""

from __future__ import annotations

import click

from mcp_server.campaign.money import spending
from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.rows import Spent
from mcp_server.personal.telling import cost_of, tokens_of


def spent_given(cost: float | None, tokens: int | None) -> Spent:
    """What options told. Raises NotNow."""
    try:
        return Spent(None if cost is None else cost_of(cost), None if tokens is None else tokens_of(tokens))
    except ValueError as error:
        raise NotNow(f"That cannot be told: {error}.") from None


@click.command()
@click.argument("number", type=click.IntRange(1), metavar="[N]", required=False)
@click.option("--cost", type=asking.Finite(), metavar="USD", help="Experiment N has cost so many US dollars so far.")
@click.option("--tokens", type=int, metavar="TOKENS", help="It has taken so many tokens so far.")
@asking.replying
def money(place: Place, number: int | None, cost: float | None, tokens: int | None, as_json: bool) -> None:
    """What the campaign has cost, as far as anybody told, and what limits it.

    With --cost or --tokens it tells what experiment N (the last one by default) has taken so far; the last word counts.
    `stop: {cost: 5, tokens: 2000000}` in program.md ends a campaign. In your own config.yaml `spend: COMMAND` says what
    was spent where no client tells, and `quota: {experiments: 40, hours: 5}` postpones proposals (docs/money.md).

    \b
    Examples:
      autoresearch money
      autoresearch money 12 --cost 0.31 --tokens 48000
      autoresearch money --json | jq .cost_usd
    """
    lab, told = asking.lab_at(place), spent_given(cost, tokens)
    if number is not None and not told:
        raise click.UsageError("Say what experiment N took: --cost USD, --tokens TOKENS, or both.")
    spending.tell(lab, number, told)
    spending.look(lab)
    with lab.reading() as (bench, campaign, arena):
        reply = spending.of(bench, campaign, arena)
    limits = Spent(reply.stop_cost, reply.stop_tokens).words()
    asking.answer(
        reply,
        as_json,
        terminal.facts(
            [
                ("spent", Spent(reply.cost_usd, reply.tokens).words() or "nobody has told"),
                ("told for", f"{reply.told_by} of {reply.attempts} attempts"),
                ("`spend` asked", reply.read_at),
                ("ends at", limits),
                *(("quota", words) for words in reply.quota),
                ("next_eligible", reply.next_eligible),
            ]
        ),
        asking.problems(reply.problems),
    )
