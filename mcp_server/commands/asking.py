"""What commands share: the lab they act on, how they answer, and how they wait."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click
from rich.console import RenderableType

from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.lab import Lab, utc_now
from mcp_server.nouns.replies import Reply, ScoreReply
from mcp_server.personal.labs import introduce
from mcp_server.repo.drawn import keep_out, leave

INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended
Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """`--json` prints the reply as the tools of the server give it."""
    return click.option("--json", "as_json", is_flag=True, help="Print the reply as JSON.")(command)


def lab_at(place: Place) -> Lab:
    """The lab of a command, closed when the command ends; the page of all labs knows of it from then on."""
    lab = Lab(place.folder, campaign=place.campaign)
    ends = click.get_current_context().call_on_close
    ends(lab.close)
    ends(lambda: introduce(lab.paths, utc_now()))
    return lab


def left(
    place: Place, lab: Lab, out: Path | None, usual: str, files: Mapping[str, bytes]
) -> tuple[list[str], list[str]]:
    """Write files into the folder `out`, or `usual` and unseen by git where none was named: see `leave`."""
    folder = (place.folder / (out or usual)).resolve()
    if out is None:
        keep_out(lab.workspace, folder)
    return leave(lab.workspace, folder, files)


def answer(reply: Reply, as_json: bool, *parts: RenderableType | None) -> None:
    """Print a reply: its JSON, or the parts a person reads."""
    if as_json:
        click.echo(reply.model_dump_json(indent=1))
    else:
        terminal.show(terminal.screen(), *parts)


@contextmanager
def waiting(number: int, as_json: bool) -> Iterator[Callable[[ScoreReply], None]]:
    """Follow a run on stderr. Ctrl-C ends the wait, never the run, and says so."""
    asked = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, note)
    try:
        with terminal.following(terminal.screen(stderr=True), quiet=as_json) as tell:

            def heard(reply: ScoreReply) -> None:
                if asked:  # raised in a callback or a destructor, an interrupt gets lost
                    raise KeyboardInterrupt
                tell(reply)

            yield heard
    except KeyboardInterrupt:
        click.echo(
            f"Stopped waiting; experiment {number} goes on. `autoresearch score {number} --wait` waits again, "
            f"`autoresearch cancel {number}` stops it.",
            err=True,
        )
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, before)
