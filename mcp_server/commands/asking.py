"""What commands share: the lab they act on, how they answer, and how they wait."""

from __future__ import annotations

import math
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from rich.console import RenderableType

from mcp_server.commands.names import Place, commands_in
from mcp_server.faces import terminal
from mcp_server.lab import Lab, utc_now
from mcp_server.nouns.replies import Reply, ScoreReply
from mcp_server.personal.labs import introduce
from mcp_server.repo.drawn import keep_out, leave

INTERRUPTED = 130  # what shells expect of a program that Ctrl-C ended
Command = TypeVar("Command", bound=Callable[..., Any])


class Here(click.Path):
    """A path as somebody types it: seen from the folder that -C names, like everything else of a command."""

    def __init__(self, **wanted: Any) -> None:
        super().__init__(path_type=Path, **wanted)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        place = ctx.find_object(Place) if ctx is not None else None
        seen = os.path.expanduser(value)
        return super().convert(seen if place is None else place.folder / seen, param, ctx)


class Finite(click.FloatRange):
    """A number that can be reckoned with: Python reads `nan` and `inf` too, and a range lets them through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is no number to reckon with.", param, ctx)
        return found

    def _describe_range(self) -> str:
        """For --help: nothing where it has no edges."""
        return "" if self.min is None and self.max is None else super()._describe_range()


def json_option(command: Command) -> Command:
    """`--json` prints the reply as the tools of the server give it."""
    return click.option("--json", "as_json", is_flag=True, help="Print the reply as JSON.")(command)


def replying(command: Callable[..., Any]) -> Callable[..., Any]:
    """What nearly every command has: the place it acts on, first of its arguments, and `--json`."""
    return json_option(click.pass_obj(command))


def given(*names: str) -> list[str]:
    """Which of these options of the command were typed, as a person spells them; a default was not."""
    context = click.get_current_context()
    written = {one.name: max(one.opts, key=len) for one in context.command.params if isinstance(one, click.Option)}
    return [written[name] for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]


def refuse(why: str, *names: str) -> None:
    """Options that could not be heeded where others are as they are: an error, never passed over."""
    typed = given(*names)
    if typed:
        raise click.UsageError(f"{' and '.join(typed)} {'is' if len(typed) == 1 else 'are'} {why}")


def of_campaign(place: Place, tag: str | None) -> Place:
    """The place, with the campaign that the command's own --campaign names. Raises UsageError for two of them."""
    if tag and place.campaign and tag != place.campaign:
        raise click.UsageError(f"--campaign is given twice, as {place.campaign} and {tag}: give one of them.")
    return Place(place.folder, tag or place.campaign)


def typed_again(*more: str) -> str:
    """The command line as it was typed, whatever it was, with more options: what to type next."""
    context: click.Context | None = click.get_current_context()
    words: list[str] = []
    while context is not None:
        own = [word for one in context.command.params for word in _typed(one, context)]
        words = [context.info_name or "", *own, *(more if not words else ()), *words]
        context = context.parent
    return shlex.join(words)


def _typed(one: click.Parameter, context: click.Context) -> list[str]:
    value = context.params.get(one.name or "")
    if context.get_parameter_source(one.name or "") is not ParameterSource.COMMANDLINE:
        return []
    several = value if isinstance(value, tuple) else (value,)
    values = [str(each.absolute() if isinstance(one.type, Here) else each) for each in several]
    if isinstance(one, click.Argument):
        return values
    name = max(one.opts, key=len)
    if isinstance(one, click.Option) and one.is_flag:
        return [name if value else max(one.secondary_opts, key=len)]
    return [word for each in values for word in (name, each)]


def spelled(folder: Path) -> str:
    """A folder as somebody may type it from where they are."""
    folder, here = folder.resolve(), Path.cwd()
    return shlex.quote(str(folder.relative_to(here) if folder.is_relative_to(here) else folder))


def way_to(folder: Path) -> list[str]:
    """The step into a folder from where somebody typed, if one is needed."""
    return [f"cd {there}"] if (there := spelled(folder)) != "." else []


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
    folder = (out or place.folder / usual).resolve()
    if out is None:
        keep_out(lab.workspace, folder)
    return leave(lab.workspace, folder, files)


def hint(words: str) -> RenderableType | None:
    """The next step, in words of who types."""
    return terminal.hint(commands_in(words))


def problems(words: Iterable[str]) -> RenderableType | None:
    """Warnings, one a line, in words of who types; None when there are none."""
    return terminal.problems([commands_in(one) for one in words])


def answer(reply: Reply, as_json: bool, *parts: RenderableType | None) -> None:
    """Print a reply: its JSON, or the parts a person reads."""
    if as_json:
        click.echo(reply.model_dump_json(indent=1))
    else:
        terminal.show(terminal.screen(), *parts)


def agreed(question: str, as_json: bool, already: bool) -> bool:
    """Whether to go on: it was said already, or a person at the terminal says so now."""
    return already or (sys.stdin.isatty() and not as_json and click.confirm(question))


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
