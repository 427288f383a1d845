"""init: look at any repository, propose an arena in words and files, and say the three commands that come next."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from pydantic import Field
from rich.text import Text

from mcp_server.arena.frontmatter import has_front_matter
from mcp_server.arena.metrics import better_asked
from mcp_server.arena.program import parse_program
from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.nouns.errors import WorkspaceError
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.replies import Reply
from mcp_server.repo.workspace import Workspace
from mcp_server.setup.adopting.plan import Wanted, ends_like, plan
from mcp_server.setup.newlab import in_repository
from mcp_server.setup.proposing.arena import Proposed, propose
from mcp_server.setup.proposing.looking import look, lying

PROGRAM = "program.md"


class InitReply(Reply):
    """What was seen, what is proposed, and what to type next."""

    folder: str
    words: list[str]
    files: dict[str, str] = Field(default_factory=dict, description="the proposed files and what they hold")
    written: list[str] = Field(default_factory=list)
    next: list[str]


@click.command()
@click.option("--yes", is_flag=True, help="Write the files; without a terminal nothing is written otherwise.")
@click.option("--run", default="", metavar="COMMAND", help="What makes the number, where nothing here says so.")
@click.option("--metric", default="", metavar="NAME", help="The number that counts, as a run prints or writes it.")
@click.option("--direction", default="", metavar="WAY", help="Which way it is better: minimize or maximize.")
@asking.replying
def init(place: Place, yes: bool, run: str, metric: str, direction: str, as_json: bool) -> None:
    """Look at the repository in this folder and propose an arena for it.

    Looks for its language, its tests, commands that measure something and numbers that earlier runs left; nothing of it
    is run. Proposes program.md and measure.py, writes them if you agree, overwrites nothing and commits nothing; what
    stands in a program.md stays below the arena. The last lines are the three commands that come next.

    \b
    Examples:
      autoresearch init            look, propose, ask
      autoresearch init --yes      and write
      autoresearch init --run "python opt.py" --metric score --direction minimize
    """
    tree = (Workspace(place.folder).paths.tree if in_repository(place.folder) else place.folder).resolve()
    reply, proposed = _looked(tree, Wanted(metric, better_asked(direction)), run)
    if proposed is None:
        reply.next[0] = " && ".join([*asking.way_to(tree), reply.next[0]])
    if not as_json:
        _show(reply)
    if proposed is not None and asking.agreed("Write these files?", as_json, yes):
        for name, text in proposed.files.items():
            write_atomically(tree / name, ends_like(text, tree / name).encode())
        reply.written = list(proposed.files)
        reply.next[0] = " && ".join([*asking.way_to(tree), _commit(tree, proposed)])
    said = [Text(f"Wrote {', '.join(reply.written)}.")] if reply.written else []
    asking.answer(reply, as_json, *said, Text("Next:"), *(Text(f"  {one}", style="cyan") for one in reply.next))


def _looked(tree: Path, wanted: Wanted, run: str) -> tuple[InitReply, Proposed | None]:
    program = tree / PROGRAM
    memo = program.read_text("utf-8-sig", errors="replace") if program.is_file() else ""
    if has_front_matter(memo):
        words = ["program.md describes an arena already."]
        steps = ["autoresearch doctor", "autoresearch check-arena", "autoresearch start first"]
        return InitReply(folder=str(tree), words=words, next=steps), None
    if in_repository(tree):
        try:
            words = [f"This was made for {plan(tree, wanted).kind}: `autoresearch adopt` takes it over as it stands."]
            told = {"--metric": wanted.metric, "--direction": wanted.direction}
            said = [word for name, value in told.items() if value for word in (name, value)]
            steps = [shlex.join(["autoresearch", "adopt", *said]), "autoresearch doctor", "autoresearch start first"]
            return InitReply(folder=str(tree), words=words, next=steps), None
        except WorkspaceError:
            pass  # of no shape that is known, or nothing committed: it is looked at instead
    seen = look(tree, _files(tree), run)
    proposed = propose(seen, wanted.metric, wanted.direction, memo, run)
    if proposed is None:
        words = [
            f"{seen.language or 'No program'} here, and nothing that measures it: no tests, no command whose name says "
            "so, no numbers of earlier runs. An arena needs one number that software can work out. Say which, and what "
            "makes it: autoresearch init --run COMMAND --metric NAME --direction minimize"
        ]
        steps = ["autoresearch new", "autoresearch readiness", "autoresearch demo --quick"]
        return InitReply(folder=str(tree), words=words, next=steps), None
    there = [name for name in proposed.files if (tree / name).exists() and not (name == PROGRAM and memo)]
    if there:
        raise WorkspaceError(
            f"{', '.join(there)} exists in {tree} already; nothing was written. Move it away, and try again."
        )
    parse_program(proposed.files[PROGRAM])  # what is proposed is an arena
    steps = [asking.typed_again("--yes"), "autoresearch check-arena", "autoresearch start first"]
    words, kept_out = list(proposed.words), _kept_out(tree)
    if kept_out:
        words.append(f"Kept out of git: {', '.join(kept_out)}. What of it a run reads goes into `readable:`.")
    return InitReply(folder=str(tree), words=words, files=proposed.files, next=steps), proposed


def _files(tree: Path) -> list[str]:
    """What git knows; where it knows nothing, what lies there, hidden folders left out."""
    known = _committed(tree)
    return lying(tree)[0] if known is None else known


def _committed(tree: Path) -> list[str] | None:
    """The files of the commit that is checked out; None where there is none."""
    if not in_repository(tree):
        return None
    workspace = Workspace(tree)
    try:
        return sorted(workspace.git.entries(workspace.resolve("HEAD")))
    except WorkspaceError:
        return None


def _commit(tree: Path, proposed: Proposed) -> str:
    add = f"git add {' '.join(proposed.files)}"
    if _committed(tree) is None:  # what is measured has to be in git as well
        kept_out = _kept_out(tree)
        ignore = f"printf '%s\\n' '' {shlex.join(kept_out)} >> .gitignore && " if kept_out else ""
        add = f"{ignore}{'' if in_repository(tree) else 'git init && '}git add --all"
    return f'{add} && git commit -m "Begin the lab"'


def _kept_out(tree: Path) -> list[str]:
    """What a first commit of everything would take and should not, as far as .gitignore does not say so already."""
    if _committed(tree) is not None:
        return []
    try:
        said = {line.strip().strip("/") for line in (tree / ".gitignore").read_text(errors="replace").splitlines()}
    except OSError:
        said = set()
    return [one for one in lying(tree)[1] if one.strip("/") not in said]


def _show(reply: InitReply) -> None:
    screen = terminal.screen()
    terminal.show(screen, *(Text(one) for one in reply.words))
    if PROGRAM in reply.files:
        front = reply.files[PROGRAM].split("\n---\n", 1)[0] + "\n---"
        terminal.show(screen, Text(f"\n{PROGRAM}", style="bold"), Text(front, style="cyan"))
        others = [name for name in reply.files if name != PROGRAM]
        terminal.show(screen, Text(f"and {', '.join(others)}, which measures\n"))
