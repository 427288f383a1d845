"""Looking at a lab: status, watch, history, show."""

from __future__ import annotations

import time

import click

from mcp_server.commands import asking
from mcp_server.commands.live import steering
from mcp_server.commands.names import Place
from mcp_server.commands.screens import pages
from mcp_server.faces import terminal
from mcp_server.lab import Lab
from mcp_server.nouns.errors import UnknownExperiment
from mcp_server.nouns.records import Status
from mcp_server.nouns.replies import Reply
from mcp_server.views.history import PAGE, page
from mcp_server.views.history import history as history_of

STATUSES = [status.value for status in Status]


@click.command()
@click.option("--brief", is_flag=True, help="Three lines.")
@asking.replying
def status(place: Place, brief: bool, as_json: bool) -> None:
    """Where the lab stands: incumbent, honest gain, queue, noise, last results, open decisions.

    \b
    Examples:
      autoresearch status
      autoresearch -C ~/lab --campaign nov22 status --brief
    """
    reply = asking.lab_at(place).lab_status()
    asking.answer(reply, as_json, *pages.lab(reply, terminal.screen().width, short=brief))


@click.command()
@click.option("--until-idle", is_flag=True, help="Stop once nothing runs or waits for a device.")
@asking.replying
def watch(place: Place, until_idle: bool, as_json: bool) -> None:
    """The status and the last experiments, live, until Ctrl-C or q.

    At a terminal keys act: p pauses and resumes, v vetoes the next keep, c cancels an experiment, n leaves the agent a
    note, i adds an idea, + pins and - parks one. Watching alone changes nothing, and runs do not need it.

    Without a terminal each change of an experiment is one line; with --json one line of JSON.
    """
    lab = asking.lab_at(place)
    console = terminal.screen()
    try:
        if console.is_terminal and not as_json:
            steering.watch_screen(lab, console, until_idle)
        else:
            _watch_lines(lab, until_idle, as_json)
    except KeyboardInterrupt:
        return


def _watch_lines(lab: Lab, until_idle: bool, as_json: bool) -> None:
    told: dict[int, str] = {}
    while True:
        reply = lab.lab_status()
        rows = steering.rows_of(lab, reply, 50)
        for row in rows.experiments if rows else []:
            if told.get(row.experiment) == row.status:
                continue
            told[row.experiment] = row.status
            said = f"{row.experiment}\t{row.status}\t{terminal.number(row.score)}\t{row.description}"
            click.echo(row.model_dump_json() if as_json else said)
        if until_idle and steering.idle(reply):
            return
        time.sleep(steering.FRAME_SECONDS)


@click.command()
@click.option("--campaign", "tag", metavar="TAG", help="Of this campaign.")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Only these; may be given again."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help=f"Only the newest N.  [default: {PAGE}]")
@click.option("--before", type=click.IntRange(min=2), metavar="NUMBER", help="Older ones: only below this experiment.")
@click.option("--all", "everything", is_flag=True, help="All of them, however many.")
@asking.replying
def history(
    place: Place,
    tag: str | None,
    statuses: tuple[str, ...],
    limit: int | None,
    before: int | None,
    everything: bool,
    as_json: bool,
) -> None:
    """The newest experiments in a table, oldest first; in a pager when it is longer than the screen.

    \b
    Examples:
      autoresearch history
      autoresearch history --before 800                the page before
      autoresearch history --status kept --status crashed
      autoresearch history --limit 20 --json | jq '.experiments[].score'
    """
    if everything and limit is not None:
        raise click.UsageError("--all and --limit contradict each other: give one of them.")
    most = None if everything else limit or PAGE
    reply = history_of(asking.lab_at(asking.of_campaign(place, tag)), statuses, most, before)
    if not reply.experiments and not as_json:
        raise UnknownExperiment("No experiment to show. `autoresearch history` without filters shows all there are.")
    _paged(reply, as_json, pages.table(reply))


@click.command()
@click.argument("number", type=click.IntRange(min=1), required=False, metavar="[N]")
@asking.replying
def show(place: Place, number: int | None, as_json: bool) -> None:
    """One experiment (the last one by default): verdict, runs, training curve, crash, learnings, diff.

    \b
    Examples:
      autoresearch show 12
      autoresearch show 12 --json | jq -r .diff | git apply     take a discarded change up again
    """
    lab = asking.lab_at(place)
    reply = page(lab, lab.read_score(number))
    _paged(reply, as_json, pages.experiment(reply))


def _paged(reply: Reply, as_json: bool, parts: pages.Parts) -> None:
    console = terminal.screen()
    if as_json or not console.is_terminal:
        asking.answer(reply, as_json, *parts)
        return
    with console.capture() as captured:
        console.print(terminal.stack(parts))
    text = captured.get()
    if text.count("\n") < console.height:
        click.echo(text, nl=False, color=True)
    else:
        click.echo_via_pager(text.rstrip("\n"), color=True)
