"""slurm: a batch script that makes one long allocation a lab, and goes on in the next one."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import click

from mcp_server.arena.program import load_program
from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.text import tag_complaint
from mcp_server.repo.drawn import leave
from mcp_server.repo.workspace import Workspace
from mcp_server.setup.slurm import Allocation, complaint, script


@click.command()
@click.option("--time", default="24:00:00", show_default=True, help="Of one allocation, as Slurm writes it.")
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="More than one is a Ray cluster.")
@click.option("--gpus", type=click.IntRange(0), default=0, metavar="N", help="GPUs on each node.")
@click.option("--cpus", type=click.IntRange(0), default=0, metavar="N", help="Cores on each node.")
@click.option("--mem", default="", metavar="SIZE", help="Memory of each node, such as 64G.")
@click.option("--option", "options", multiple=True, metavar="LINE", help="Another option of sbatch: --partition=long.")
@click.option("--agents", type=click.IntRange(1), default=1, show_default=True, help="Loops at once, a tree for each.")
@click.option("--minutes", type=asking.Finite(0, min_open=True), default=30.0, show_default=True, help="Of one turn.")
@click.option("--stop", type=click.IntRange(1), default=120, show_default=True, help="Seconds for the end.")
@click.option("--tag", default="slurm", show_default=True, help="The campaign to begin, or to go on with.")
@click.option("--community", default="", metavar="PLACE", help="Join the labs at this place (a folder, a git remote).")
@click.option("--out", type=asking.Here(dir_okay=False), default="autoresearch.sbatch", show_default=True)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def slurm(place: Place, /, command: tuple[str, ...], out: Path, options: tuple[str, ...], **given: Any) -> None:
    """Write a batch script that runs this lab inside one long Slurm allocation, and goes on in the next one.

    COMMAND is the agent, as for `ralph`. The script checks the node, joins the community, loops fresh agents, begins
    no turn that could not end in time, stops on Slurm's signal with everything settled, and has submitted its
    successor meanwhile; a loop that ends by itself (target, stop rule, an error) takes that out of the queue again.
    Nothing is submitted here. The lab must lie where every allocation sees it.

    \b
    Examples:
      autoresearch slurm --time 12:00:00 --gpus 1 --option=--partition=long -- claude -p --output-format json
      autoresearch slurm --gpus 8 --agents 4 --community git@host:labs.git -- codex exec --json -s workspace-write -
      sbatch autoresearch.sbatch
    """
    wrong = tag_complaint(given["tag"]) or _not_an_option(options)
    if wrong:
        raise NotNow(wrong)
    workspace = Workspace(place.folder)
    arena = load_program(workspace.paths.program).arena
    budget = arena.budget
    slot = budget.startup_seconds + budget.seconds + budget.score_seconds + budget.grace_seconds
    if shutil.which(command[0]) is None:
        click.echo(f"{command[0]} is not found here; it must be on the nodes.", err=True)
    where = out.parent.resolve() / out.name
    asked = Allocation(
        lab=workspace.paths.tree,
        script=where,
        command=command,
        time=given["time"],
        turn_seconds=given["minutes"] * 60 + slot,
        stop_seconds=given["stop"],
        tag=given["tag"],
        agents=given["agents"],
        nodes=given["nodes"],
        gpus=given["gpus"],
        cpus=given["cpus"],
        memory=given["mem"],
        options=options,
        community=given["community"],
        minutes=given["minutes"],
        autoresearch=(shutil.which("autoresearch") or "autoresearch",),
    )
    wrong = complaint(asked)
    if wrong:
        raise NotNow(wrong)
    for moved in leave(workspace, where.parent, {where.name: script(asked).encode()})[1]:
        click.echo(moved, err=True)
    click.echo(f"Wrote {where}. It goes on until the target is reached: sbatch {shlex.quote(str(where))}")


def _not_an_option(options: tuple[str, ...]) -> str:
    """What is wrong with lines for sbatch: each would become a line of the script."""
    bad = next(
        (one for one in options if not one.startswith("--") or any(not char.isprintable() for char in one)), None
    )
    return "" if bad is None else f"{bad!r} is no option of sbatch. Write --option=--partition=long."
