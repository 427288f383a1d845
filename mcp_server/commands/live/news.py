"""News as commands: wait for something to happen, and who is told of it."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime

import click
from pydantic import Field
from rich.text import Text

from mcp_server.campaign.news.waiting import wait_for
from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.ledger.live.events import Event, EventKind
from mcp_server.nouns.replies import Reply
from mcp_server.personal.channels import channels_of
from mcp_server.personal.file import meant, personal_file

TIME_IS_UP = 124  # as timeout(1) says it


def _kinds(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> list[str]:
    named = [word.strip() for one in given for word in one.split(",") if word.strip()]
    for one in named:
        if one not in set(EventKind):
            raise click.BadParameter(f"{one!r} is no kind of event. There are {', '.join(EventKind)}.")
    return named


@click.command()
@click.option(
    "--for",
    "kinds",
    multiple=True,
    required=True,
    callback=_kinds,
    metavar="KIND",
    help=f"{', '.join(EventKind)}; several apart by commas, or given again.",
)
@click.option("--after", type=click.IntRange(0), metavar="N", help="Events beyond number N; 0 is from the beginning.")
@click.option("--timeout", type=asking.Finite(0), metavar="SECONDS", help="Give up then.  [default: never]")
@click.pass_obj
def wait(place: Place, kinds: list[str], after: int | None, timeout: float | None) -> None:
    """Wait until something happens in this campaign, and print it as one line of JSON.

    Without --after it waits for what happens from now on; a lab that is idle, or a campaign that is over, answers
    `idle` and `stop` at once. Each event has a number: --after takes the last one you had, so that a loop misses none.
    A keep is a decision too. The lines are those of events.jsonl (docs/news.md).

    \b
    Exit status: 0 it happened, 124 the time is up, 130 Ctrl-C, 1 an error. Waiting needs no server and stops no run.

    \b
    Examples:
      autoresearch wait --for keep
      autoresearch wait --for crash,stop --timeout 3600 | jq -r .words
      autoresearch wait --for decision --after 41
    """
    # a shell lets its background jobs ignore Ctrl-C; whoever sends it here means it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        found = wait_for(asking.lab_at(place), kinds, after, timeout)
    except KeyboardInterrupt:
        sys.exit(asking.INTERRUPTED)
    if found is None:
        click.echo(f"No {' or '.join(kinds)} within {timeout:g} s.", err=True)
        sys.exit(TIME_IS_UP)
    click.echo(found.line())


class NotifyReply(Reply):
    """Who is told what happens."""

    file: str
    channels: list[str] = Field(default_factory=list)
    sent: list[str] = Field(default_factory=list, description="how the trial of each went")
    failed: bool = False


@click.command()
@click.option("--test", is_flag=True, help="Send a trial message on each channel now.")
@asking.replying
def notify(place: Place, test: bool, as_json: bool) -> None:
    """Who is told what happens: the channels of your own configuration file, and whether they work.

    They stand in ~/.config/autoresearch/config.yaml, outside of every repository, so that no agent can choose an
    address. Each event is sent once, by a process beside the lab; a channel that fails touches no run.

    \b
    Example of the file:
      notify:
        - {ntfy: https://ntfy.sh/my-secret-topic, for: [keep, crash, stop]}
        - {webhook: https://example.org/hook}
        - {command: 'notify-send autoresearch {words}', for: [keep]}
        - {apprise: 'mailto://me:password@example.org'}    needs: pip install apprise
    """
    lab = asking.lab_at(place)
    channels = channels_of(lab.paths.common, lab.paths.tree)
    here = [one for one in channels if meant(one.labs, lab.paths.tree)]
    reply = NotifyReply(file=str(personal_file()))
    reply.channels = [f"{one.words()}: {', '.join(one.kinds)}" for one in here]
    if test:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        words = f"A trial of autoresearch's news, from {lab.paths.tree.name}."
        trial = Event(event=0, kind=EventKind.KEEP, at=at, lab="", campaign="trial", words=words)
        for channel in here:
            try:
                channel.send(trial)
                reply.sent.append(f"{channel.words()}: sent")
            except OSError as error:
                reply.failed = True
                reply.sent.append(f"{channel.words()}: {error}")
    none = "no channel" if channels else "no `notify:`"
    nobody = f"Nobody is told: there is {none} for this lab in {reply.file}. `autoresearch notify --help` shows one."
    said = [("file", reply.file), *(("channel", words) for words in reply.channels)]
    said += [("trial", words) for words in reply.sent]
    asking.answer(reply, as_json, terminal.facts(said) if here else Text(nobody))
    sys.exit(int(reply.failed))
