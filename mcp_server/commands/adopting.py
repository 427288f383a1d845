"""adopt: take over a repository that was made for karpathy/autoresearch, a fork of it, or pi-autoresearch."""

from __future__ import annotations

import click
from pydantic import Field
from rich.text import Text

from mcp_server.arena.metrics import better_asked
from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.nouns.replies import Reply
from mcp_server.setup.adopting.plan import Plan, Wanted, carry_out, plan

SHOWN_ROWS = 3


class AdoptReply(Reply):
    """What was or would be adopted."""

    folder: str
    made_for: str
    done: list[str] = Field(default_factory=list)
    program: str = Field(default="", description="the front matter as it is or would be written")
    tried_elsewhere: int = 0
    known: int = 0
    python: str = ""
    claimed: str = ""
    lacks: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    next: str = ""


@click.command()
@click.argument("attempt", required=False, metavar="[LAB/n]")
@click.option("--yes", is_flag=True, help="Do it; without a terminal nothing is done otherwise.")
@click.option("--editable", multiple=True, metavar="FILE", help="What the agent may change, in place of what was read.")
@click.option("--metric", default="", metavar="NAME", help="The number that counts, as a run prints it.")
@click.option("--direction", default="", metavar="WAY", help="Which way it is better: minimize or maximize.")
@click.option("--anyway", is_flag=True, help="LAB/n: also beyond the share of slots that others' attempts may have.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="LAB/n: stay until it is scored.")
@asking.replying
def adopt(
    place: Place,
    attempt: str | None,
    yes: bool,
    editable: tuple[str, ...],
    metric: str,
    direction: str,
    anyway: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Run another lab's attempt LAB/n on the own incumbent; or take over a repository made for another tool.

    With LAB/n: the edit of that attempt is merged into the incumbent's files and run as an own, paired experiment, in
    the sandbox, with this campaign's frozen files. Its record names what it repeats. Where both changed the same lines
    the two sides are shown, and nothing is run. `autoresearch decide` keeps or reverts it, as any other.

    Without: a repository of karpathy/autoresearch, of a fork, or of pi-autoresearch becomes a lab. What it does not say
    of its metric is asked for (--metric, --direction). Shows first what it
    would do: the arena that it would write above the text of program.md, the attempts of results.tsv (or
    .auto/log.jsonl) that would go into the memory as tried elsewhere, and what this machine lacks. Their train.py and
    prepare.py stay as they are. What a run prints as its score is CLAIMED BY THE RUN: nobody measures it, and status,
    record and report say so.

    \b
    Examples:
      autoresearch adopt                      show it, and ask
      autoresearch adopt --yes                do it
      autoresearch adopt --metric f05 --direction maximize
      autoresearch adopt a1b2c3d4/12          attempt 12 of another lab
    """
    wanted = Wanted(metric, better_asked(direction), editable)
    if attempt is not None:
        asking.refuse(f"for adopting a repository; {attempt} is an attempt.", "metric", "direction", "editable", "yes")
        from mcp_server.commands.claims.verbs import run_source  # adopting a repository needs no lab

        run_source(place, attempt, anyway, wait, as_json)
        return
    asking.refuse("for another lab's attempt, LAB/n; none was named.", "anyway", "wait")
    chosen = plan(place.folder, wanted)
    reply = _reply(chosen)
    nothing = chosen.text is None and not chosen.rows
    if not as_json:
        _show(reply, [row.text for row in chosen.rows[:SHOWN_ROWS]])
    if asking.agreed("Do this?", as_json, nothing or yes):
        reply.done = ["Nothing to do: it is adopted already."] if nothing else carry_out(chosen)
        # added first: git commits no file by name that it does not know, and theirs may have had none
        commit = ["git add program.md && git commit -m 'Adopt autoresearch' program.md"] if chosen.text else []
        reply.next = " ; ".join([*asking.way_to(chosen.paths.tree), *commit, "autoresearch start first"])
    else:
        reply.next = f"Nothing was changed. {asking.typed_again('--yes')} does it."
    asking.answer(reply, as_json, *map(Text, reply.done), asking.hint(reply.next))


def _reply(chosen: Plan) -> AdoptReply:
    front = "" if chosen.text is None else chosen.text.replace("\r\n", "\n").split("\n---\n", 1)[0] + "\n---"
    return AdoptReply(
        folder=str(chosen.paths.tree),
        made_for=chosen.kind,
        program=front,
        tried_elsewhere=len(chosen.rows),
        known=chosen.known,
        python=chosen.python,
        claimed=f"{chosen.arena.metric.name} will be CLAIMED BY THE RUN" if chosen.arena.claimed else "",
        lacks=list(chosen.lacking),
        notes=[note for note in chosen.notes if note],
    )


def _show(reply: AdoptReply, rows: list[str]) -> None:
    facts = [
        ("repository", reply.folder),
        ("made for", reply.made_for),
        ("python", reply.python),
        ("score", reply.claimed),
        ("the past", f"{reply.tried_elsewhere} attempts go into the memory" if reply.tried_elsewhere else ""),
        ("read", "; ".join(reply.notes)),
    ]
    screen = terminal.screen()
    terminal.show(screen, terminal.facts(facts), Text(reply.program, style="cyan") if reply.program else None)
    terminal.show(screen, *(Text(f"  {row}", style="dim") for row in rows), asking.problems(reply.lacks))
