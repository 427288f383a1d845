"""Face: the verbs of the lab for a terminal; nothing is decided here.

`commands/names.py` has the names and one line about each command. The commands themselves are loaded when they are
asked for, so that `autoresearch --help` and shell completion answer at once. Every name a tool of the server has is a
command too (`run_experiment` and `run-experiment` are `run`).
"""

from __future__ import annotations

import difflib
import errno
import gc
import importlib
import io
import keyword
import os
import sys
from pathlib import Path
from typing import Any

import click

from mcp_server import __version__
from mcp_server.commands.names import COMMANDS, TOOL_NAMES, Place, commands_in
from mcp_server.nouns.errors import AutoresearchError, refused, unsupported

EXAMPLES = """\
Examples:

\b
  autoresearch new lm my-lab && cd my-lab    write a language-model lab
  autoresearch start first                   branch autoresearch/first, baseline, noise
  $EDITOR train.py
  autoresearch run "twice the matrix rate"   one timed run, with a progress bar
  autoresearch decide                        keep or revert, as the referee says
  autoresearch learn "doubling it diverges"  for whoever comes next
  autoresearch watch                         in another terminal

Each command explains itself: autoresearch run --help. Most take --json: stdout then has JSON or, with an error,
nothing, for its words are on stderr. Exit status: 0 done, 1 an error, 2 a wrong command line, others as its help says.
"""


# a full or read-only disk, a missing right: nobody's mistake in here
OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENAMETOOLONG)


class Commands(click.Group):
    """The table above as a command group; a command's module is imported when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        name = name.replace("_", "-")
        name = TOOL_NAMES.get(name, name)
        if name not in COMMANDS:
            return None
        # by name, so that one command does not pay for what another one needs
        module = importlib.import_module(f"mcp_server.commands.{COMMANDS[name].module.replace('/', '.')}")
        if not gc.isenabled():  # see `main`
            gc.freeze()
            gc.enable()
        attribute = name.replace("-", "_")
        command: click.Command = getattr(module, attribute + "_" * keyword.iskeyword(attribute))
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name.replace("_", "-"), [*COMMANDS, *TOOL_NAMES], 1)
            hint = f" Did you mean `{near[0]}`?" if near else " `autoresearch --help` lists them."
            raise click.UsageError(f"There is no command `{name}`.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
            with formatter.section(section):
                rows = [(n.ljust(width), e.words) for n, e in COMMANDS.items() if e.section == section]
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Our errors become exit code 1 and their two sentences; anything else is a bug and looks like one."""
        try:
            return super().invoke(ctx)
        except AutoresearchError as error:
            raise click.ClickException(commands_in(str(error))) from None


@click.group(cls=Commands, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-C",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    metavar="DIR",
    help="Act as if started in DIR.",
)
@click.option("--campaign", metavar="TAG", help="Act on this campaign, whatever branch is checked out.")
@click.version_option(__version__, prog_name="autoresearch")
@click.pass_context
def cli(ctx: click.Context, folder: Path, campaign: str | None) -> None:
    """Research overnight, with numbers one can believe.

    An agent, or you, edits the files that program.md names. The lab runs each attempt for the same fixed budget, owns
    the score and the verdict, and remembers every attempt as a commit.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise click.ClickException("The folder that this was called in is gone. Go to one that is there.") from None
    ctx.obj = Place(folder, campaign)


def main() -> None:
    """The command `autoresearch`."""
    if sys.platform == "win32":  # much of the rest could not even be imported
        sys.exit(unsupported())
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an arrow or a file's name that the terminal's encoding lacks
    gc.disable()  # until the command's module is there: imports leave no garbage
    try:
        try:
            cli(prog_name="autoresearch")
        finally:
            gc.freeze()  # nothing is taken apart at the end: with both, a command takes a fifth less of the processor
            sys.stdout.flush()  # at exit Python only mutters about what could not be written
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still to be printed goes nowhere
        if error.errno in OF_THE_MACHINE:
            click.echo(f"Error: {refused(error)}", err=True)
        elif error.errno != errno.EPIPE:  # `| head` has read enough
            raise
        sys.exit(1)


def _open_closed() -> None:
    """`>&-` leaves a number free that the next file opened would get, and whoever prints would write into that."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115  # they stay open as long as we live
    sys.stdout = sys.stdout or open(1, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115


if __name__ == "__main__":
    main()
