"""Papers: written from the ledger alone, checked, and told to other labs."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import Field

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.commands.reports import WrittenReply, with_pdf
from mcp_server.community.settings import Places, joined, read_settings
from mcp_server.faces import terminal
from mcp_server.lab import Lab
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.replies import Reply
from mcp_server.nouns.text import clean_line
from mcp_server.views.paper import making
from mcp_server.views.paper.making import Paper
from mcp_server.views.paper.material import Scope, collect
from mcp_server.views.paper.values import MEANT

QUESTION_CHARACTERS = 200
POSTED_CHARACTERS = 200
FILE = asking.Here(exists=True, dir_okay=False)


class PaperReply(WrittenReply):
    """A paper that was written."""

    digest: str
    kept: list[int]
    figures: list[str]
    posted: str = ""  # what the journal will say of it


class CheckReply(Reply):
    """Whether a paper says what was written."""

    whole: bool
    digest: str
    campaign: str
    vouched: str = Field(description="who vouches for it: this lab, or LAB/pN of a signed journal")
    problems: list[str]


class PlaceholdersReply(Reply):
    """What a discussion may put in: each placeholder with what it says, and what the names mean."""

    placeholders: dict[str, str]
    meant: dict[str, str]


@click.command()
@click.option("--kept", type=click.IntRange(min=1), metavar="N", help="About this kept change alone.")
@click.option("--campaign", "tag", metavar="TAG", help="About this campaign.  [default: the one of this work tree]")
@click.option("--question", default="", metavar="TEXT", help="About the attempts that share a word with it.")
@click.option("--discussion", type=FILE, help="A file with the words of an agent or yours; numbers by placeholders.")
@click.option("--out", type=asking.Here(file_okay=False), help="Into this folder.  [default: paper]")
@click.option("--pdf", is_flag=True, help="Also as PDF, printed by a chromium of this machine.")
@click.option("--publish", is_flag=True, help="Name it, by its digest, in this lab's signed journal.")
@click.option("--placeholders", is_flag=True, help="List what a discussion may put in, with its value; write nothing.")
@click.option("--check", "checked", type=FILE, help="Whether a paper says what was written: exit code 1 if not.")
@asking.replying
def paper(
    place: Place,
    kept: int | None,
    tag: str | None,
    question: str,
    discussion: Path | None,
    out: Path | None,
    pdf: bool,
    publish: bool,
    placeholders: bool,
    checked: Path | None,
    as_json: bool,
) -> None:
    """Write a paper from the ledger alone: method, every number with its record, failures, limits, how to repeat it.

    Markdown and HTML with figures. No number can be typed: a discussion takes them from placeholders such as
    {{gain:12}}, and a paper that was changed by hand is refused by --check.

    \b
    Examples:
      autoresearch paper --pdf
      autoresearch paper --kept 12 --discussion words.md --out paper-12
      autoresearch paper --question "does a larger batch help?"
      autoresearch paper --check paper/paper.md
    """
    not_written = ("discussion", "out", "pdf", "publish")
    if checked is not None:
        asking.refuse("not heeded with --check: leave it out.", "kept", "question", "placeholders", *not_written)
    if placeholders:
        asking.refuse("not heeded with --placeholders: leave it out.", *not_written)
    lab = asking.lab_at(asking.of_campaign(place, tag))
    if checked is not None:
        _check(lab, checked, as_json)
        return
    if kept is not None and question:
        raise click.UsageError("--kept and --question contradict each other: give one of them.")
    question = clean_line(question, 10 * QUESTION_CHARACTERS)
    if len(question) > QUESTION_CHARACTERS:
        raise click.UsageError(f"The question has {len(question)} characters; use at most {QUESTION_CHARACTERS}.")
    scope = Scope(kept, question)
    if placeholders:
        _list(lab, scope, as_json)
        return
    if publish:
        joined(Places.of(lab.paths.state))
    made = making.make(lab, scope, _words(discussion))
    files, notes = _files(made, pdf)
    written, moved = asking.left(place, lab, out, "paper", files)
    reply = PaperReply(
        files=written, notes=[*notes, *moved], digest=made.digest, kept=made.tells, figures=list(made.figures)
    )
    if publish:
        reply.posted = _publish(lab, made)
    elif read_settings(Places.of(lab.paths.state)) is not None:
        reply.notes.append("Other labs do not know of it: --publish names it in this lab's signed journal.")
    rows = [("written", path) for path in reply.files] + [("seal", made.digest[:16])]
    rows += [("journal", reply.posted)] if reply.posted else []
    asking.answer(reply, as_json, terminal.facts(rows), asking.problems(reply.notes))


def _words(discussion: Path | None) -> str:
    if discussion is None:
        return ""
    try:
        return discussion.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotNow(f"{discussion.name} cannot be read: {error}. A discussion is plain text in UTF-8.") from None


def _files(made: Paper, pdf: bool) -> tuple[dict[str, bytes], list[str]]:
    """The paper and its figures by name, and what could not be made."""
    page = making.html(made.text, made.figures)
    texts = {"paper.md": made.text, "paper.html": page, **made.figures}
    files = {name: words.encode() for name, words in texts.items()}
    return with_pdf(files, "paper.pdf", files["paper.html"]) if pdf else (files, [])


def _publish(lab: Lab, made: Paper) -> str:
    """Name the paper in the journal; the entry goes out with the next exchange. Raises AutoresearchError."""
    title = clean_line(made.text.partition("\n")[0].removeprefix("# ").replace("\\", ""), POSTED_CHARACTERS)
    about = [str(number) for number in made.tells]
    if not about:
        raise NotNow("The paper was written and not published: it has no attempt that an entry could be about.")
    said = f"Paper sha256:{made.digest} “{title}”; its records are named here."
    return lab.append_learnings(said, None, [], about).text


def _list(lab: Lab, scope: Scope, as_json: bool) -> None:
    """What a discussion may put in."""
    values = making.values_here(collect(lab, scope))
    found = {f"{{{{{name}}}}}": said for name, said in values.words.items()}
    found |= {f"{{{{{name}}}}}": "a table, on a line of its own" for name in values.tables}
    reply = PlaceholdersReply(placeholders=found, meant=MEANT)
    asking.answer(reply, as_json, terminal.facts(list(found.items())))


def _check(lab: Lab, path: Path, as_json: bool) -> None:
    found = making.check(lab, path)
    reply = CheckReply(
        whole=not found.problems,
        digest=found.digest,
        campaign=found.campaign,
        vouched=found.vouched,
        problems=list(found.problems),
    )
    if reply.whole:
        said = f"{path.name} says what was written; {found.vouched} vouches for it."
        asking.answer(reply, as_json, terminal.facts([("whole", said), ("seal", found.digest[:16])]))
        return
    if as_json:
        asking.answer(reply, True)
        click.get_current_context().exit(1)
    raise NotNow(f"{path.name} is refused: " + "; ".join(reply.problems) + ".")
