"""Other labs' attempts on the own incumbent: adopt one, combine two, repeat what is worth a run."""

from __future__ import annotations

import contextlib

import click

from mcp_server.campaign import waiting
from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.commands.screens import pages
from mcp_server.commands.verbs import by_terminal, told_start
from mcp_server.community.claims.desk import Desk
from mcp_server.faces import terminal
from mcp_server.lab import Lab
from mcp_server.nouns.errors import NotNow, StillRunning
from mcp_server.nouns.exchanged import short
from mcp_server.nouns.numbers import counted
from mcp_server.nouns.replies import DecisionReply, ReplicateReply
from mcp_server.nouns.text import complaint

WAIT = click.option("--wait/--no-wait", default=True, show_default=True, help="Stay until it is scored.")
ANYWAY = click.option("--anyway", is_flag=True, help="Also beyond the share of slots that others' attempts may have.")


def run_source(place: Place, source: str, anyway: bool, wait: bool, as_json: bool) -> None:
    """Run another lab's edit on the incumbent, and show what `run` shows."""
    wrong = complaint("source", source, 200)
    if wrong:
        raise NotNow(wrong)
    lab = asking.lab_at(place)
    reply = lab.run_experiment("", insist=anyway, source=source, proposer=by_terminal())
    told_start(lab, reply, wait, as_json)


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@ANYWAY
@WAIT
@asking.replying
def combine(place: Place, first: str, second: str, anyway: bool, wait: bool, as_json: bool) -> None:
    """Run the incumbent with two edits that do not overlap.

    A and B are attempts of other labs (LAB/n) or experiments of this campaign (n). Where they change the same lines or
    constants both sides are shown, and nothing is run.

    \b
    Examples:
      autoresearch combine a1b2c3d4/12 77ee01aa/3
      autoresearch combine 14 a1b2c3d4/12
    """
    run_source(place, f"{first} + {second}", anyway, wait, as_json)


@click.command()
@click.argument("count", type=click.IntRange(1, 100), default=1, metavar="[N]")
@ANYWAY
@asking.replying
def replicate(place: Place, count: int, anyway: bool, as_json: bool) -> None:
    """Repeat what other labs claim, N of them (1 by default), and decide on each: keep or revert.

    The best that `community frontier` would build on comes first, then claims that nobody has repeated, then a discard
    drawn at random. Each is an own paired run of the edit on the incumbent; what it shows goes out with its name. Only
    labs with the role `replicate` are worth a run: `community trust` gives it.

    \b
    Examples:
      autoresearch replicate
      autoresearch replicate 3
    """
    lab = asking.lab_at(place)
    reply = ReplicateReply()
    while len(reply.decided) < count:
        choice = lab.to_repeat(asked_for=True)
        if choice is None:
            reply.next = _nothing(lab, bool(reply.decided))
            break
        try:
            begun = lab.run_experiment(source=choice.name, insist=anyway, proposer=by_terminal())
        except NotNow as error:
            reply.next = str(error)
            break
        if not as_json:
            said = [f"Experiment {begun.experiment} repeats {choice}.", *begun.warnings]
            terminal.show(terminal.screen(stderr=True), *pages.lines(said))
        decision = _decided(lab, begun.experiment, as_json)
        if decision is None:
            reply.next = f"Experiment {begun.experiment} is still out; `autoresearch decide {begun.experiment}` later."
            break
        reply.decided.append(f"experiment {decision.experiment}, {short(choice.name)}: {decision.decision}")
        reply.experiments.append(decision.experiment)
    asking.answer(reply, as_json, *pages.lines(reply.decided), asking.hint(reply.next))


def _decided(lab: Lab, number: int, as_json: bool) -> DecisionReply | None:
    """What became of it; None where only the world can tell, later."""
    with asking.waiting(number, as_json) as tell, contextlib.suppress(StillRunning):
        return waiting.until_decided(lab, number, "auto", tell, field_seconds=0)
    return None


def _nothing(lab: Lab, done: bool) -> str:
    if done:
        return "Nothing else is worth a run now."
    strangers = Desk(lab.paths.state, lab.workspace).strangers()
    if strangers:
        return (
            f"Nothing is worth a run: {counted(strangers, 'lab')} here may only advise. "
            "`autoresearch community trust LAB` lets its claims be repeated."
        )
    return "Nothing is worth a run: no lab claims what was not tried here. `autoresearch community claims` lists them."
