"""The community as commands: join and leave, exchange, trust, look, carry a bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from mcp_server.commands import asking
from mcp_server.commands.claims.views import bounds, claims, frontier
from mcp_server.commands.labs import hosting, seeing, talking
from mcp_server.commands.names import Place
from mcp_server.commands.screens import pages
from mcp_server.community import membership
from mcp_server.community.membership import Wishes
from mcp_server.community.trust import Role
from mcp_server.faces import terminal
from mcp_server.nouns.numbers import counted
from mcp_server.nouns.replies import CommunityReply, JoinReply, SyncReply
from mcp_server.repo.workspace import Workspace

ROLES = [str(role) for role in Role if role is not Role.NONE]


@click.group()
def community() -> None:
    """Learn from other labs, and let them learn: every attempt of each is known to all, failures first of all.

    Each lab keeps a signed journal; a git remote, a folder or a bundle file carries them. Nothing leaves the house
    before `join`, and `join --dry-run` says what would. Another lab's word is advice: a claim is believed once it was
    repeated here.

    \b
    Examples:
      autoresearch community join ../journals            a folder: it is made if need be
      autoresearch community join --dry-run git@host:team/journals.git
      autoresearch community status
      autoresearch community trust ../other-lab/key.pub --role replicate
      autoresearch community bundle /media/usb/a.bundle   where no network is
    """


@community.command()
@click.argument("place", metavar="URL|FOLDER|BUNDLE")
@click.option("--name", default="", help="What the lab calls itself to others.")
@click.option("--key", type=asking.Here(), help="An Ed25519 SSH key to sign with.  [default: makes its own]")
@click.option("--no-code", is_flag=True, help="Records only: the editable files stay at home.")
@click.option(
    "--strangers",
    type=click.Choice([str(role) for role in Role]),
    default=str(Role.READ),
    show_default=True,
    help="What the word of labs that `trust` did not name is worth.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would leave the house.")
@asking.replying
def join(at: Place, /, place: str, no_code: bool, strangers: str, as_json: bool, **given: Any) -> None:
    """Exchange attempts with the labs at a git remote, in a folder, or in a bundle file.

    It prints exactly what leaves the house. From then on journals go out and come in by themselves while experiments
    run; `AUTORESEARCH_COMMUNITY=off` stops that. What looks like a key or a token keeps its attempt at home.

    \b
    Examples:
      autoresearch community join ~/journals
      autoresearch community join --no-code --name north https://git.example.org/team/journals.git
      autoresearch community join /media/usb/theirs.bundle
    """
    workspace = Workspace(at.folder)
    wishes = Wishes(place=place, code=not no_code, strangers=Role(strangers), **given)
    reply = membership.join(workspace, wishes, at.folder.absolute())
    asking.answer(reply, as_json, *_joined(reply))


@community.command()
@click.option("--forget", is_flag=True, help="Drop what was read of other labs as well.")
@click.option("--forget-key", is_flag=True, help="Drop the lab's own key too: it would come back as another lab.")
@asking.replying
def leave(at: Place, forget: bool, forget_key: bool, as_json: bool) -> None:
    """Publish and fetch no more. What was published stays with those who have it."""
    reply = membership.leave(Workspace(at.folder), forget, forget_key)
    asking.answer(reply, as_json, asking.hint(reply.next))


@community.command()
@click.argument("bundle", required=False, metavar="[BUNDLE]")
@asking.replying
def sync(at: Place, bundle: str | None, as_json: bool) -> None:
    """Exchange now, or read a bundle that somebody carried here. Offline it says so, and nothing is lost."""
    reply = membership.sync(Workspace(at.folder), bundle, at.folder.absolute())
    asking.answer(reply, as_json, *_synced(reply))


@community.command()
@asking.replying
def status(at: Place, as_json: bool) -> None:
    """The labs with freshness and trust, what they say together, and how the exchange goes."""
    reply = membership.status(Workspace(at.folder))
    asking.answer(reply, as_json, *_standing(reply))


@community.command()
@click.argument("whom", metavar="KEY|FILE|LAB")
@click.option("--role", type=click.Choice(ROLES), default=str(Role.REPLICATE), show_default=True)
@click.option("--name", default="", help="What you call that lab.")
@asking.replying
def trust(at: Place, whom: str, role: str, name: str, as_json: bool) -> None:
    """Enter a lab in the address book: read its records, repeat its claims, or build on its code.

    WHOM is the line that `autoresearch community key` prints there, a file with such lines, or a lab that status lists.

    \b
    Examples:
      autoresearch community trust "ssh-ed25519 AAAA..." --name north
      autoresearch community trust keys.txt --role read
    """
    reply = membership.trust(Workspace(at.folder), _meant(at, whom), Role(role), name)
    asking.answer(reply, as_json, *_standing(reply))


@community.command()
@click.argument("whom", metavar="KEY|FILE|LAB")
@asking.replying
def distrust(at: Place, whom: str, as_json: bool) -> None:
    """Neither fetch nor show a lab any more."""
    reply = membership.distrust(Workspace(at.folder), _meant(at, whom))
    asking.answer(reply, as_json, *_standing(reply))


def _meant(at: Place, whom: str) -> str:
    """WHOM, where it is a file seen from the folder that -C names."""
    file = at.folder / os.path.expanduser(whom)
    return str(file) if file.is_file() else whom


@community.command()
@click.pass_obj
def key(at: Place) -> None:
    """Print the lab's public key, which is its name among others; it is made on first use."""
    click.echo(membership.key_of(Workspace(at.folder)).public.line)


@community.command()
@click.argument("file", type=asking.Here(dir_okay=False))
@asking.replying
def bundle(at: Place, file: Path, as_json: bool) -> None:
    """Write all journals into one file, for a machine without a network.

    \b
    Examples:
      autoresearch community bundle /media/usb/ours.bundle
      autoresearch community sync /media/usb/theirs.bundle
    """
    reply = membership.carry(Workspace(at.folder), file.absolute())
    asking.answer(reply, as_json, *_synced(reply))


_TALK = (talking.post, talking.reply, talking.read, talking.mute, seeing.graph, seeing.site)
for command in (claims, frontier, bounds, *_TALK, hosting.serve, hosting.token):
    community.add_command(command)


def _joined(reply: JoinReply) -> pages.Parts:
    rows: list[tuple[str, RenderableType | str | None]] = [
        ("with", reply.remote),
        ("lab", reply.lab),
        *(("leaves the house", words) for words in reply.leaves),
        ("never leaves", reply.never),
        ("ready", f"{reply.attempts:,} attempts, {reply.code_bytes / 1000:,.0f} kB of code before packing"),
        ("key", reply.key),
    ]
    parts: pages.Parts = [terminal.facts(rows), asking.problems(reply.kept_home)]
    if reply.sync is not None:
        parts += _synced(reply.sync.model_copy(update={"next": "", "kept_home": []}))
    return [*parts, asking.hint(reply.next)]


def _synced(reply: SyncReply) -> pages.Parts:
    sent = "sent" if reply.sent else "nothing to send"
    rows: list[tuple[str, RenderableType | str | None]] = [
        ("ours", f"{reply.published} new, {sent}"),
        ("others", f"{reply.received} new; {counted(reply.labs, 'lab')} in all"),
    ]
    trouble = [reply.trouble] if reply.trouble else []
    said = asking.problems([*trouble, *reply.kept_home, *reply.problems])
    return [terminal.facts(rows), said, asking.hint(reply.next)]


def _standing(reply: CommunityReply) -> pages.Parts:
    if not reply.joined and not reply.labs:
        return [asking.hint(reply.next or "This lab has joined no community; its address book is kept.")]
    rows: list[tuple[str, RenderableType | str | None]] = [
        ("joined", reply.joined or "no"),
        ("lab", f"{reply.lab} {reply.name}".strip()),
        ("key", reply.key),
        ("sends", None if reply.code is None else "records and code" if reply.code else "records only"),
        ("strangers", reply.strangers),
        ("exchange", reply.exchange),
        ("known", f"{reply.attempts:,} attempts of {counted(len(reply.labs), 'lab')}"),
    ]
    table = Table(Column("lab"), Column("name"), Column("role"), Column("attempts", justify="right"), Column("new"))
    table.box, table.pad_edge = None, False
    for lab in reply.labs:
        more = " forked" if lab.forked else ""
        table.add_row(lab.lab, lab.name, lab.role + more, f"{lab.attempts:,}", lab.fresh)
    held = [words for lab in reply.labs for words in lab.held_back]
    trouble = [reply.trouble] if reply.trouble else []
    rows += [("runs elsewhere", words) for words in reply.running]
    board = [Text(), *pages.lines(reply.board)] if reply.board else []
    parts: pages.Parts = [terminal.facts(rows), Text(), table if reply.labs else None, *board]
    return [*parts, asking.problems([*trouble, *reply.problems, *held]), asking.hint(reply.next)]
