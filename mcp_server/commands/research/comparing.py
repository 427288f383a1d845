"""compare: ways of doing research side by side, over whole campaigns of one contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.lab import Lab
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import write_atomically
from mcp_server.views.comparison import compare as comparison
from mcp_server.views.comparison.courses import AXES, Course, all_courses
from mcp_server.views.comparison.picture import svg as curves


@click.command()
@click.argument("arms", nargs=-1, metavar="ARM ARM ...")
@click.option(
    "--lab",
    "labs",
    multiple=True,
    type=asking.Here(exists=True, file_okay=False),
    help="Also the campaigns of this lab; may be given again.",
)
@click.option("--axis", type=click.Choice(AXES), default="experiments", show_default=True, help="What is spent.")
@click.option(
    "--measure",
    type=click.Choice(comparison.MEASURES),
    default="gain",
    show_default=True,
    help="What the difference is taken of.",
)
@click.option("--target", type=asking.Finite(), metavar="GAIN", help="Also tell when this gain was reached.")
@click.option("--svg", type=asking.Here(dir_okay=False), help="Draw the curves into this file.")
@asking.replying
def compare(
    place: Place,
    arms: tuple[str, ...],
    labs: tuple[Path, ...],
    axis: str,
    measure: str,
    target: float | None,
    svg: Path | None,
    as_json: bool,
) -> None:
    """Compare ways of doing research: programs, styles, agents, engines, over whole campaigns.

    ARM is [NAME=]SELECTOR[,SELECTOR]: a campaign's tag, a pattern (night-*), or program:DIGEST, style:NAME, agent:NAME,
    engine:NAME, lab:NAME. Without arms every campaign of the newest contract is one. Only campaigns that measure the
    same are compared, each by its gain over its own baseline, as far as all of them got. A campaign is one observation;
    those that ran beside each other are paired. A difference is called one where its 97.5 % interval leaves zero out.

    \b
    Examples:
      autoresearch compare old=program:3f2a new=program:9c41
      autoresearch compare agent:claude-code agent:codex-mcp-client --axis cost_usd
      autoresearch compare bold=night-1,night-3 careful=night-2,night-4 --measure area --svg curves.svg
    """
    courses = _courses(place, labs)
    if not courses:
        raise NotNow("No campaign has begun here, so there is nothing to compare. Begin one: autoresearch start first")
    chosen = comparison.arms_of(arms, courses) if arms else comparison.default_arms(courses)
    tell(comparison.compare(chosen, axis, measure, target), svg, as_json)


def tell(reply: comparison.CompareReply, svg: Path | None, as_json: bool) -> None:
    """Answer with a comparison, its curves drawn into a file where one is named."""
    if svg is not None:
        path = svg.resolve()
        write_atomically(path, curves(reply).encode())
        reply.files = [str(path)]
    asking.answer(reply, as_json, *shown(reply))


def _courses(place: Place, labs: tuple[Path, ...]) -> list[Course]:
    """The courses of all campaigns of this lab and the others named."""
    found: list[Course] = []
    folders = dict.fromkeys([place.folder.resolve(), *(one.resolve() for one in labs)])
    for folder in folders:
        lab = Lab(folder)
        click.get_current_context().call_on_close(lab.close)
        name = folder.name if len(folders) > 1 else ""
        found += all_courses(lab, name)
    return found


def shown(reply: comparison.CompareReply) -> list[Any]:
    """The comparison for people: arms in a table, then each difference in a sentence."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    heads = ("arm", "campaigns", "gain", "95 %", "area", "exam", "keeps", "false", "again", "crashed", "hours", "USD")
    for head in heads:
        table.add_column(head, justify="left" if head == "arm" else "right", no_wrap=True)
    for one in reply.arms:
        table.add_row(
            one.arm,
            str(len(one.campaigns)),
            terminal.number(one.gain, sign=True),
            " to ".join(terminal.number(edge, sign=True) for edge in one.interval),
            terminal.number(one.area, sign=True),
            terminal.number(one.exam_gain, sign=True),
            "" if one.keep_rate is None else f"{one.keep_rate:.0%}",
            "" if one.false_keeps is None else f"{one.false_keeps:.1f}",
            str(one.duplicates),
            str(one.crashes),
            f"{one.hours:.2f}",
            "" if one.cost_usd is None else f"{one.cost_usd:.2f}",
        )
    said = [("compared", f"{reply.metric} over each campaign's baseline, at {reply.budget:g} {reply.axis}")]
    for two in reply.differences:
        edges = f", 95 % {two.interval[0]:+.4g} to {two.interval[1]:+.4g}" if two.interval else ""
        pair = ", paired" if two.paired else ""
        said.append((f"{two.first} - {two.second}", f"{two.difference:+.4g}{edges}{pair}: {two.verdict}"))
    said += [(f"{one.arm} reached", one.reached) for one in reply.arms if one.reached]
    said += [("drawn", path) for path in reply.files]
    return [table, terminal.facts(said), asking.problems(reply.notes), asking.hint(reply.next)]
