"""export: the attempts for the tools that people already use."""

from __future__ import annotations

import click
from pydantic import Field

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.exporting.gathering import sent
from mcp_server.exporting.targets import FOLDER, TARGETS
from mcp_server.faces import terminal
from mcp_server.nouns.replies import Reply
from mcp_server.repo.drawn import keep_out


class ExportReply(Reply):
    """What was exported where."""

    target: str
    where: str
    attempts: int = 0
    new: int = Field(default=0, description="attempts that were not there before")
    updated: int = Field(default=0, description="attempts that have changed since: decided, or measured again")
    unchanged: int = 0
    next: str = ""


@click.command()
@click.option("--to", "target", type=click.Choice(list(TARGETS)), required=True, help="The tool or kind of file.")
@click.option("--out", metavar="PLACE", help="File, folder or address.  [default: in ./exports]")
@click.option("--all", "every", is_flag=True, help="All campaigns of the lab, not this one alone.")
@click.option("--project", metavar="NAME", help="What a tracker calls it.  [default: the folder's name]")
@asking.replying
def export(place: Place, target: str, out: str | None, every: bool, project: str | None, as_json: bool) -> None:
    """Bring the attempts into another tool: one run for each, with constants, curve, score, gain and verdict.

    It may be repeated as often as one likes: nothing is doubled, and an attempt that was decided since is updated.
    Everything comes from the ledger and is written by the lab; a run never speaks to a tracker.

    \b
    Examples:
      autoresearch export --to csv
      autoresearch export --to jsonl --out night.jsonl --all
      autoresearch export --to mlflow --out http://127.0.0.1:5000
    """
    lab = asking.lab_at(place)
    if out is None:
        keep_out(lab.workspace, place.folder.resolve() / FOLDER)
    done = sent(lab, target, TARGETS[target].where(out, place.folder.resolve()), project, every=every)
    reply = ExportReply(
        target=target,
        where=done.where,
        attempts=done.new + done.updated + done.unchanged,
        new=done.new,
        updated=done.updated,
        unchanged=done.unchanged,
        next=done.look,
    )
    said = [(target, done.where), ("attempts", f"{done.new} new, {done.updated} updated, {done.unchanged} unchanged")]
    asking.answer(reply, as_json, terminal.facts(said), asking.hint(done.look) if done.look else None)
