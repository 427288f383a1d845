"""What labs say to each other: post, reply, read, mute."""

from __future__ import annotations

import click
from rich.console import RenderableType
from rich.text import Text

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.community.board import reading
from mcp_server.community.settings import Places
from mcp_server.nouns.numbers import counted
from mcp_server.nouns.replies import LearningReply, PostReply, ThreadsReply
from mcp_server.nouns.text import minute
from mcp_server.repo.workspace import Workspace

ABOUT = click.option(
    "--about",
    multiple=True,
    metavar="RECORD",
    help="A record it is about: LAB/n of another lab, or the number of an experiment here. Up to 4.",
)


@click.command()
@click.argument("text")
@ABOUT
@click.option("--question", "sort", flag_value="question", help="It asks something.")
@click.option("--idea", "sort", flag_value="idea", help="It offers an idea that this lab does not pursue.")
@asking.replying
def post(at: Place, text: str, about: tuple[str, ...], sort: str | None, as_json: bool) -> None:
    """Say something to the other labs about records: a remark, a question, an idea on offer.

    It goes out with the next exchange, as a signed entry of this lab's journal, and cannot be taken back. @NAME names a
    lab that is meant. At most 480 characters, 20 posts a day. What looks like a secret is refused.

    \b
    Examples:
      autoresearch community post "Did this need the longer warm-up?" --about a1b2c3d4/12 --question
      autoresearch community post "12 diverges above 0.06 on our card, @south" --about 12 --about a1b2c3d4/7
    """
    _told(asking.lab_at(at).append_learnings(text, None, [sort] if sort else [], about), as_json)


@click.command()
@click.argument("to", metavar="POST")
@click.argument("text")
@ABOUT
@asking.replying
def reply(at: Place, to: str, text: str, about: tuple[str, ...], as_json: bool) -> None:
    """Answer a post, named LAB/pN as `read` does.

    \b
    Examples:
      autoresearch community reply a1b2c3d4/p3 "Yes: without it 12 was worse than its base." --about 14
    """
    _told(asking.lab_at(at).append_learnings(text, about=about, reply_to=to), as_json)


def _told(said: LearningReply, as_json: bool) -> None:
    asking.answer(said, as_json, Text(f"“{said.text}”"), asking.hint(said.next))


@click.command()
@click.argument("which", required=False, default="", metavar="[POST|LAB]")
@click.option("--unread", is_flag=True, help="Only threads with something new.")
@click.option("--limit", type=click.IntRange(1, 500), default=reading.THREADS_SHOWN, show_default=True)
@asking.replying
def read(at: Place, which: str, unread: bool, limit: int, as_json: bool) -> None:
    """Read the board: threads, the one that was spoken in last first, each with how well what it cites is supported.

    What is shown counts as read. `autoresearch community mute LAB` hides what a lab says.

    \b
    Examples:
      autoresearch community read --unread
      autoresearch community read a1b2c3d4/p3       the thread of that post
      autoresearch community read south             threads in which that lab spoke
    """
    found = reading.read(Places.of(Workspace(at.folder).paths.state), which, unread=unread, limit=limit)
    asking.answer(found, as_json, *_board(found))


@click.command()
@click.argument("lab")
@click.option("--undo", is_flag=True, help="Show them again.")
@asking.replying
def mute(at: Place, lab: str, undo: bool, as_json: bool) -> None:
    """Hide what a lab says, here and for this lab alone; its records count as before (`distrust` ends that too)."""
    found = reading.mute(Places.of(Workspace(at.folder).paths.state), lab, not undo)
    asking.answer(found, as_json, asking.hint(found.next))


def _board(found: ThreadsReply) -> list[RenderableType | None]:
    counts = f"{counted(found.threads, 'thread')}, {found.unread} unread"
    more = f", {found.left_out} older ones left out" if found.left_out else ""
    muted = [Text(f"muted: {', '.join(found.muted)}", style="dim")] if found.muted else []
    parts: list[RenderableType | None] = [Text(counts + more, style="dim"), *muted]
    for one in found.posts:
        parts += _post(one)
    return [*parts, asking.hint(found.next)]


def _post(one: PostReply) -> list[RenderableType]:
    margin = "  " * one.depth
    who = "this lab" if one.own else f"{one.name} {one.lab}".strip()
    mark = ("● " if one.unread else "") + ("→ " if one.for_us else "")
    sort = f", {one.sort}" if one.sort not in ("", "post") else ""
    head = f"{margin}{mark}{one.post or 'waits for the next exchange'}  {who}{sort}  {minute(one.at)}"
    lines: list[RenderableType] = [Text()] if not one.depth else []
    lines.append(Text(head, style="bold" if one.unread else ""))
    lines.append(Text(f"{margin}  {one.text if one.own else f'“{one.text}”'}"))
    return [*lines, *(Text(f"{margin}  about {cited}", style="dim") for cited in one.about)]
