"""What other labs' gains are worth: claims, frontier, bounds. Subcommands of `community`."""

from __future__ import annotations

import contextlib

import click
from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.commands.screens import pages
from mcp_server.community.claims.choosing import LATEST_ADOPTIONS, MOST
from mcp_server.community.claims.desk import Desk
from mcp_server.community.claims.telling import told_bounds, told_claims, told_frontier
from mcp_server.faces import terminal
from mcp_server.memory.wording import signed
from mcp_server.nouns.errors import ArenaError, UnknownExperiment
from mcp_server.nouns.numbers import counted
from mcp_server.nouns.replies import ClaimReply, ClassReply, StandingReply
from mcp_server.repo.workspace import Workspace

BARS = "▁▂▃▄▅▆▇█"


@click.command()
@click.option("--canonical", is_flag=True, help="The table that every lab with the same records prints alike.")
@asking.replying
def claims(place: Place, canonical: bool, as_json: bool) -> None:
    """What labs claim, what became of it in others' hands, and what each lab's word is worth.

    A claim is replicated, refuted or machine-bound by what other labs measured of the same edit, each paired on its own
    machine; the lab's own repeats do not count. Here are heard the labs with the role `replicate`, and this one; with
    --canonical everybody.
    """
    if canonical:
        asking.refuse("not heeded with --canonical: leave it out.", "as_json")
    lab, desk = asking.lab_at(place), _desk(place)
    if canonical:
        click.echo(desk.table(), nl=False)
        return
    with lab.reading() as (_, campaign, arena):
        reply = told_claims(desk, campaign, arena)
    table = Table(Column("claim"), Column("status"), Column("gain", justify="right"), Column("others"), Column("what"))
    table.box, table.pad_edge = None, False
    for one in reply.claims:
        table.add_row(one.claim, _status(one), signed(one.gain or 0.0), _others(one), _what(one))
    more = [f"{reply.more} more; `autoresearch recall` finds them"] if reply.more else []
    parts: pages.Parts = [table if reply.claims else Text("Nobody claims a gain yet."), *pages.lines(more)]
    parts += [Text(), _labs(reply.labs), Text(), *_classes(reply.classes)]
    asking.answer(reply, as_json, *parts, asking.hint(reply.next))


@click.command()
@asking.replying
def frontier(place: Place, as_json: bool) -> None:
    """What to build on: the best replicated gains, near misses, constants nobody moved, other islands' best.

    \b
    Examples:
      autoresearch community frontier
      autoresearch start north --from a1b2c3d4/12       a direction that begins from another lab's code
    """
    with asking.lab_at(place).reading() as (bench, campaign, arena):
        reply = told_frontier(_desk(place), bench.ledger, campaign, arena, bench.now())
    rows: list[tuple[str, RenderableType | str | None]] = [
        *(("build on", f"{one.claim} {_what(one)}: {_status(one)}, {_others(one)}") for one in reply.build_on),
        ("due now", reply.repeat or None),
        *(("near miss", one) for one in reply.near_misses),
        *(("island", one) for one in reply.islands),
        ("least moved", ", ".join(reply.least_explored) or None),
    ]
    asking.answer(reply, as_json, terminal.facts(rows), *_classes(reply.classes), asking.hint(reply.next))


@click.command()
@click.option("--replications", type=asking.Finite(0, MOST), metavar="SHARE", help=f"Of the runs; 0 to {MOST:g}.")
@click.option("--discards", type=asking.Finite(0, MOST), metavar="SHARE", help="Of the runs, for others' discards.")
@click.option("--apart", type=click.IntRange(0, 1000), metavar="N", help="Own attempts between two adoptions.")
@click.option(
    "--of-one-lab",
    type=click.IntRange(0, LATEST_ADOPTIONS),
    metavar="N",
    help=f"Of the last {LATEST_ADOPTIONS} adoptions at most so many come from one lab.",
)
@click.option("--patience-minutes", type=asking.Finite(0, 100_000), metavar="M", help="Until it is the next's turn.")
@asking.replying
def bounds(place: Place, /, as_json: bool, **given: float | int | None) -> None:
    """Show or set how much of the own time goes into others' claims, and how apart the islands stay.

    By default 8 % of the runs repeat others' attempts (never more than 15 %), 3 % of the runs others' discards.

    \b
    Examples:
      autoresearch community bounds
      autoresearch community bounds --replications 0.12 --apart 3
    """
    desk, changes = _desk(place), {name: value for name, value in given.items() if value is not None}
    if changes:
        desk.set_bounds(changes)
    reply = told_bounds(desk, None, None)
    with contextlib.suppress(UnknownExperiment, ArenaError), asking.lab_at(place).reading() as (bench, campaign, _):
        reply = told_bounds(desk, bench.ledger, campaign)
    latest = f"{reply.of_one_lab} of the last {LATEST_ADOPTIONS}"
    rows: list[tuple[str, RenderableType | str | None]] = [
        ("replications", f"at most {reply.replications:.0%} of the runs, {reply.discards:.0%} for discards"),
        ("islands", f"{reply.apart} own attempts between adoptions, {latest} from one lab"),
        ("turns", f"the next lab after {reply.patience_minutes:g} min"),
        ("so far", f"{reply.spent} of {reply.slots} runs for {reply.repeated} of others', {reply.adopted} adopted"),
    ]
    asking.answer(reply, as_json, terminal.facts(rows))


def _desk(place: Place) -> Desk:
    workspace = Workspace(place.folder)
    return Desk(workspace.paths.state, workspace)


def _status(one: ClaimReply) -> str:
    status = f"{one.status} {one.replicated}" if one.status == "replicated" else one.status
    return ", ".join((status, *one.reviews))


def _others(one: ClaimReply) -> str:
    if one.pooled is None:
        return "not repeated"
    reach = f" ± {signed((one.interval[1] - one.interval[0]) / 2).lstrip('+')}" if one.interval else ""
    bound = f", works on {', '.join(one.works_on)}, not on {', '.join(one.fails_on)}"
    return f"{signed(one.pooled)}{reach}, {counted(one.tried, 'lab')}" + (
        bound if one.works_on and one.fails_on else ""
    )


def _what(one: ClaimReply) -> str:
    return f"{', '.join(one.changes)} “{one.text}”".strip()


def _labs(labs: list[StandingReply]) -> Table:
    table = Table(
        Column("lab"), Column("name"), Column("role"), Column("replicated"), Column("refuted"), Column("trust")
    )
    table.box, table.pad_edge = None, False
    for one in labs:
        trust = "" if one.trust is None else f"{one.trust:.2f}"
        table.add_row(one.lab, one.name, one.role, str(one.replicated), str(one.refuted), trust)
    return table


def _classes(classes: list[ClassReply]) -> pages.Parts:
    """One line a class of machine: scores of two are never compared."""
    told = [
        f"{one.machine}: {counted(one.labs, 'lab')}, best {one.best} {signed(one.gain or 0.0)} {_curve(one.curve)}"
        for one in classes
    ]
    return [Text("by class of machine"), *pages.lines(told)] if told else []


def _curve(values: list[float]) -> str:
    low, high = min([0.0, *values]), max([0.0, *values])
    span = (high - low) or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in values)
