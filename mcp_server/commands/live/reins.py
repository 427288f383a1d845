"""A person's hand on a campaign as commands: pause, resume, veto, note, ideas. Agents have no tool of these."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Column, Table

from mcp_server.campaign.reins.hands import IdeaReply, Reins, ReinsReply
from mcp_server.commands import asking
from mcp_server.commands.live.steering import one_veto
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.ledger.live.orders import IdeaState
from mcp_server.nouns.text import minute


def answer(reply: ReinsReply, as_json: bool) -> None:
    """What was done, and what holds now."""
    rows = [
        ("done", reply.done),
        ("paused", reply.paused),
        *(("veto", one_veto(one.experiment, one.reason)) for one in reply.vetoes),
        *(("note", f"{one.text}  ({_delivered(one.delivered_to, one.delivered_at)})") for one in reply.notes[-5:]),
        ("ideas", _waiting(reply.ideas)),
    ]
    said = terminal.facts(rows) if any(words for _, words in rows) else terminal.one_line("Nothing was said yet.")
    asking.answer(reply, as_json, said)


def _delivered(to: str, at: str) -> str:
    return f"delivered to {to}, {minute(at)}" if at else "not delivered yet"


def _waiting(ideas: list[IdeaReply]) -> str:
    waiting = [one for one in ideas if one.state in ("open", "pinned")]
    return f"{len(waiting)} waiting; `autoresearch ideas` lists them" if waiting else ""


@click.command()
@click.argument("reason", default="")
@click.option("--minutes", type=asking.Finite(0, min_open=True), help="For so long.  [default: until resume]")
@asking.replying
def pause(place: Place, reason: str, minutes: float | None, as_json: bool) -> None:
    """Let nothing new begin in this campaign: no experiment, no queued run. What runs goes on to its end.

    Agents are told why and until when; `ralph` starts none meanwhile.

    \b
    Examples:
      autoresearch pause "the machine is needed until noon" --minutes 120
      autoresearch resume
    """
    answer(Reins(asking.lab_at(place)).pause(reason, minutes), as_json)


@click.command()
@asking.replying
def resume(place: Place, as_json: bool) -> None:
    """Let a paused campaign go on; what waited begins at once."""
    answer(Reins(asking.lab_at(place)).resume(), as_json)


@click.command()
@click.argument("number", type=click.IntRange(min=1), required=False, metavar="[N]")
@click.option("--reason", default="", metavar="TEXT", help="Told to the agent and kept in the record.")
@click.option("--withdraw", is_flag=True, help="Take back what no keep has met yet.")
@asking.replying
def veto(place: Place, number: int | None, reason: str, withdraw: bool, as_json: bool) -> None:
    """Have the next keep reverted instead, or only a keep of experiment N, whatever the referee says.

    A veto is used up by the keep it meets; the attempt stays in the vault with its score and your reason. It can turn a
    keep into a revert, and nothing into a keep.

    \b
    Examples:
      autoresearch veto 12 --reason "it hard-codes the validation length"
      autoresearch veto
      autoresearch veto --withdraw
    """
    if withdraw and (number is not None or reason):
        raise click.UsageError("--withdraw takes back all of them: give it alone.")
    reins = Reins(asking.lab_at(place))
    answer(reins.withdraw() if withdraw else reins.veto(number, reason), as_json)


@click.command()
@click.argument("text", default="")
@asking.replying
def note(place: Place, text: str, as_json: bool) -> None:
    """Leave a note that the agent gets with its next reply; without TEXT show the last ones and whether they arrived.

    \b
    Examples:
      autoresearch note "Leave the tokenizer alone tonight."
      autoresearch note
    """
    reins = Reins(asking.lab_at(place))
    answer(reins.note(text) if text else reins.look(), as_json)


@click.group(invoke_without_command=True)
@asking.json_option
@click.pass_context
def ideas(ctx: click.Context, as_json: bool) -> None:
    """The queue of ideas of this campaign, in the order in which agents are told of them.

    `recall` and the `next` of replies read it. An agent adds one as a lesson with the tag `idea`, and strikes one off
    by naming it in an experiment's description ("idea 3: ...").

    \b
    Examples:
      autoresearch ideas
      autoresearch ideas add "rotary base 50,000" --priority 2
      autoresearch ideas pin 3
    """
    if ctx.invoked_subcommand is not None:
        asking.refuse("to be typed after the subcommand.", "as_json")
    else:
        place: Place = ctx.obj
        reply = Reins(asking.lab_at(place)).look()
        asking.answer(reply, as_json, table(reply.ideas) if reply.ideas else terminal.one_line("No ideas yet."))


def table(found: list[IdeaReply]) -> Table:
    """Ideas, one a row, those that wait first."""
    drawn = Table(Column("idea", justify="right"), "state", Column("priority", justify="right"), "by", "text", box=None)
    for one in found:
        state = f"tried as {one.experiment}" if one.experiment else one.state
        drawn.add_row(str(one.idea), state, str(one.priority or 0), one.source, one.text)
    return drawn


@ideas.command()
@click.argument("text")
@click.option("--priority", type=click.IntRange(-100, 100), default=0, show_default=True, help="Greater goes first.")
@asking.replying
def add(place: Place, text: str, priority: int, as_json: bool) -> None:
    """Put an idea into the queue."""
    answer(Reins(asking.lab_at(place)).add_idea(text, priority), as_json)


def _moving(name: str, state: IdeaState, words: str) -> click.Command:
    @click.command(name, help=words)
    @click.argument("number", type=click.IntRange(min=1), metavar="N")
    @click.option("--priority", type=click.IntRange(-100, 100), help="And let it be so urgent from now on.")
    @asking.json_option
    @click.pass_obj
    def move(place: Place, /, number: int, priority: int | None, as_json: bool, **_: Any) -> None:
        answer(Reins(asking.lab_at(place)).move_idea(number, state, priority), as_json)

    return move


for one in (
    _moving("pin", IdeaState.PINNED, "Put idea N before all others."),
    _moving("park", IdeaState.PARKED, "Leave idea N aside; agents are not told of it."),
    _moving("open", IdeaState.OPEN, "Let idea N wait in its turn again."),
    _moving("drop", IdeaState.DROPPED, "Drop idea N."),
):
    ideas.add_command(one)
