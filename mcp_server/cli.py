"""Face: the verbs of the lab for a terminal; nothing is decided here.

This module knows the names and one line about each command. The commands themselves live in `commands/` and are loaded
when they are asked for, so that `autoresearch --help` and shell completion answer at once. Every name a tool of the
server has is a command too (`run_experiment` and `run-experiment` are `run`).
"""

from __future__ import annotations

import difflib
import importlib
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from mcp_server import __version__
from mcp_server.nouns.errors import AutoresearchError


@dataclass(frozen=True)
class Entry:
    """One line of `autoresearch --help`, and the module of `commands/` that holds the rest."""

    section: str
    module: str
    words: str


COMMANDS = {
    "new": Entry("Begin", "beginnings", "Write a lab from a template: program.md and the files it names."),
    "adopt": Entry("Begin", "adopting", "Take over a repository of karpathy/autoresearch, a fork, or pi-autoresearch."),
    "prepare": Entry("Begin", "beginnings", "Build the corpus of a language-model lab."),
    "doctor": Entry("Begin", "beginnings", "Check this machine and say how to fix what is missing."),
    "check-arena": Entry("Begin", "proofs", "Prove an arena before any loop: runs, cheats, harms, a verdict."),
    "readiness": Entry("Begin", "maps", "Place work processes on the map of what is ripe for research."),
    "demo": Entry("Begin", "beginnings", "Watch a campaign of real training with a built-in researcher."),
    "serve": Entry("Begin", "beginnings", "Serve the lab to an agent over MCP (stdio)."),
    "start": Entry("Work", "verbs", "Begin a campaign, or join it: branch, baseline, calibration."),
    "run": Entry("Work", "verbs", "Run an experiment on the editable files as they are now."),
    "score": Entry("Work", "verbs", "Read the score and the verdict of an experiment."),
    "decide": Entry("Work", "verbs", "Keep or revert, as the referee says."),
    "keep": Entry("Work", "verbs", "Keep an experiment; the referee is not overruled."),
    "revert": Entry("Work", "verbs", "Put the files back as the incumbent has them."),
    "cancel": Entry("Work", "verbs", "Stop the runs of an experiment."),
    "learn": Entry("Work", "verbs", "Write down what was learned."),
    "ralph": Entry("Work", "looping", "Restart a fresh agent for every iteration, until the target is reached."),
    "recall": Entry("Look", "verbs", "What was tried and learned, best match first."),
    "status": Entry("Look", "views", "Where the lab stands, on one screen."),
    "watch": Entry("Look", "views", "The same, live."),
    "history": Entry("Look", "views", "All experiments in a table."),
    "dashboard": Entry("Look", "reports", "Serve the live page: chart, table, running experiment."),
    "amend": Entry("Work", "amend", "Put an edit of program.md in force while a campaign runs."),
    "exam": Entry("End", "closings", "Measure the honest gain on fresh seeds and the untouched split."),
    "report": Entry("End", "reports", "Write the campaign's report: Markdown, HTML, PDF."),
    "finalize": Entry("End", "reports", "Turn the campaign into commits to review."),
    "prune": Entry("End", "closings", "Re-test provisional keeps and drop those that do not matter."),
    "show": Entry("Look", "views", "One experiment: diff, curve, verdict, crash, learnings."),
}
# what the tools of the server are called, where the command line has a shorter word
TOOL_NAMES = {
    "start-campaign": "start",
    "run-experiment": "run",
    "read-score": "score",
    "commit-or-revert": "decide",
    "append-learnings": "learn",
    "lab-status": "status",
    "cancel-experiment": "cancel",
}
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

Each command explains itself: autoresearch run --help. Most take --json.
"""


def commands_in(words: str) -> str:
    """The server's words for a person at a terminal, who types commands, not tools: `read_score(3)` is `score 3`."""
    for tool, command in TOOL_NAMES.items():
        called = rf"`?\b{tool.replace('-', '_')}\b(?:\(([^()]*)\))?`?"
        words = re.sub(called, partial(_typed, command), words)
    return words


def _typed(command: str, found: re.Match[str]) -> str:
    return f"`{command} {found[1] or ''}".rstrip() + "`"


@dataclass(frozen=True)
class Place:
    """Where a command acts: a folder of the lab, and the campaign if it is named."""

    folder: Path
    campaign: str | None = None


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
        module = importlib.import_module(f"mcp_server.commands.{COMMANDS[name].module}")
        command: click.Command = getattr(module, name.replace("-", "_"))
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
    ctx.obj = Place(folder, campaign)


def main() -> None:
    """The command `autoresearch`."""
    cli(prog_name="autoresearch")


if __name__ == "__main__":
    main()
