"""Which kinds of work are ripe for a loop? readiness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.replies import Reply
from mcp_server.setup.readiness import (
    ASSIST,
    AUTOMATIC,
    FAST_SECONDS,
    FIELD,
    LOOP,
    RUBRIC,
    Placed,
    placed,
    read_processes,
    shipped_example,
)
from mcp_server.views.chart.places import MapRequest, draw_map
from mcp_server.views.chart.places import Place as Spot


class ProcessReply(Reply):
    """One work process. Properties from 0 to 10, the higher the riper."""

    name: str
    ripe: float
    properties: dict[str, float]
    quadrant: str
    advice: str
    template: str = ""
    note: str = ""


class ReadinessReply(Reply):
    """All processes of a file, the ripest first."""

    processes: list[ProcessReply]
    picture: str = ""


@click.command()
@click.argument("file", type=asking.Here(), required=False, metavar="[FILE.yaml]")
@click.option("--out", type=asking.Here(dir_okay=False), metavar="map.png", help="Draw the map: .png, .svg.")
@click.option("--example", is_flag=True, help="Print the file that ships, to begin from; it explains its keys.")
@asking.replying
def readiness(place: Place, file: Path | None, out: Path | None, example: bool, as_json: bool) -> None:
    """Place work processes on a map: how automatic is the evaluation, how fast does an iteration turn?

    FILE.yaml describes each process by five properties: an objective score, fast and cheap iterations, a bounded
    environment, a low cost of a bad attempt, traces left. The table says how ripe each is for automated research, what
    to do in its quadrant, and which template of `autoresearch new` fits. Without FILE the shipped examples are taken.
    The numbers are what you say they are; nothing is measured.

    \b
    Examples:
      autoresearch readiness --example > processes.yaml
      autoresearch readiness processes.yaml --out map.png
      autoresearch readiness --json
    """
    if example:
        asking.refuse("not heeded with --example: leave it out.", "out", "as_json")
        click.echo(shipped_example().read_text("utf-8"), nl=False)
        return
    source = file or shipped_example()
    found = sorted((placed(process) for process in read_processes(source)), key=lambda one: -one.ripe)
    if out is not None:
        _draw(found, out.absolute())
    reply = ReadinessReply(
        processes=[
            ProcessReply(
                name=one.process.name,
                ripe=one.ripe,
                properties=one.properties,
                quadrant=one.quadrant.words,
                advice=one.advice,
                template=one.template,
                note=one.process.note,
            )
            for one in found
        ],
        picture=str(out) if out is not None else "",
    )
    asking.answer(reply, as_json, *_readiness_page(reply))


def _draw(found: list[Placed], out: Path) -> None:
    if out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise NotNow(f"{out.name} is no picture. Name it .png, .svg or .pdf.")
    words = (LOOP.words, FIELD.words, RUBRIC.words, ASSIST.words)
    spots = tuple(Spot(one.process.name, one.process.iteration, one.process.automatic, one.ripe) for one in found)
    problem = draw_map(MapRequest(spots, out, FAST_SECONDS, AUTOMATIC, words))
    if problem:
        raise NotNow(f"The map could not be drawn: {problem.splitlines()[-1]}. The table needs no picture.")


def _readiness_page(reply: ReadinessReply) -> Iterator[RenderableType | None]:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("process", "ripe", "score", "speed", "bounded", "safe", "traces", "do", "template"):
        numeric = name not in ("process", "do", "template")
        table.add_column(name, justify="right" if numeric else "left", no_wrap=name != "process")
    for one in reply.processes:
        five = [f"{value:.0f}" for value in one.properties.values()]
        table.add_row(Text(one.name), f"{one.ripe:.1f}", *five, one.quadrant, one.template or "—")
    yield table
    yield Text("")
    for advice in dict.fromkeys(one.advice for one in reply.processes):
        names = ", ".join(one.name for one in reply.processes if one.advice == advice)
        line = Table.grid(Column(), padding=(0, 0))
        line.add_row(Text(names, style="bold"))
        line.add_row(Text(f"  {advice}"))
        yield line
    yield asking.hint(f"{reply.picture} is drawn" if reply.picture else "autoresearch new lists the templates")
