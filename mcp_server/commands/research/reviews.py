"""Reviews: open the claims of a paper as a checklist, run what is asked for, tell the authors what came of it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.commands.verbs import by_terminal
from mcp_server.community.settings import Places, joined
from mcp_server.faces import terminal
from mcp_server.lab import Lab
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.replies import Reply
from mcp_server.reviewing.opening import opened_review, remember, remembered
from mcp_server.reviewing.running import run_all
from mcp_server.reviewing.sheet import Review, Sheet, as_post, asks, id_of, read, told, written

RUNS = 4


class ReviewReply(Reply):
    """How a review stands."""

    review: str
    file: str
    paper: str
    verdicts: dict[str, str]  # by claim
    outcomes: dict[str, list[str]]
    left: int = 0  # requests that the budget had no room for
    posted: str = ""
    next: str


@click.command()
@click.argument("target", metavar="LAB/pN|PAPER|REVIEW")
@click.option("--out", type=asking.Here(dir_okay=False), help="The review's file.  [default: review.md]")
@click.option("--run", "running", is_flag=True, help="Run what is ticked in a review's file.")
@click.option("--most", type=click.IntRange(1, 100), default=RUNS, show_default=True, help="Requested runs, at most.")
@click.option("--publish", is_flag=True, help="Tell the verdicts in the signed journal, as a reply to the paper.")
@asking.replying
def review(place: Place, target: str, out: Path | None, running: bool, most: int, publish: bool, as_json: bool) -> None:
    """Review a paper: its claims become a checklist, what you tick is run here, verdicts are worked out from the runs.

    TARGET is a paper's journal entry (LAB/pN), a paper's file, or a review that was opened. A claim is supported,
    weakened, refuted or unexamined; what you write beside it decides nothing.

    \b
    Examples:
      autoresearch review a1b2c3d4/p3                  writes review.md
      autoresearch review review.md --run --most 6     runs what is ticked in it
      autoresearch review review.md --publish
    """
    if not running:
        asking.refuse("heeded with --run alone.", "most")
    lab = asking.lab_at(place)
    file = place.folder / target
    found = _begun(lab, file)
    if found is None:
        if running or publish:
            raise click.UsageError("--run and --publish need a review's file: open one first.")
        file = out or place.folder / "review.md"
        if file.exists() and _begun(lab, file) is None:
            raise NotNow(f"{file.name} is there and is no review. Name another file with --out.")
        current = opened_review(lab, target, place.folder)
        kept = _begun(lab, file) if file.exists() else None
        if kept is not None and kept[0].id != current.id:
            raise NotNow(f"{file.name} reviews another paper. Name another file with --out.")
        sheet = kept[1] if kept is not None else Sheet()
        remember(lab, current)
    else:
        asking.refuse(f"for a review that is opened; {target} is one.", "out")
        current, sheet = found
    left = 0
    if running:
        current, left = run_all(
            lab, current, sheet, most, by_terminal(), lambda said: click.echo(said, file=sys.stderr)
        )
    write_atomically(file, written(current, sheet).encode())
    posted = _publish(lab, current) if publish else ""
    _answer(current, file, left, posted, as_json)


def _begun(lab: Lab, file: Path) -> tuple[Review, Sheet] | None:
    """The review that a file is, with what its reviewer wrote; None where it is none. Raises NotNow."""
    try:
        text = file.read_text("utf-8") if file.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return None
    name = id_of(text)
    if not name:
        return None
    found = remembered(lab, name)
    if found is None:
        raise NotNow(f"{file.name} is a review that was not opened in this lab. Open one: `review LAB/pN`.")
    return found, read(text, found.claims)


def _publish(lab: Lab, current: Review) -> str:
    """Reply to the paper's entry with what came of each claim. Raises AutoresearchError."""
    if not current.post:
        raise NotNow("This paper has no entry in another lab's journal, so there is nothing to reply to.")
    joined(Places.of(lab.paths.state))
    return lab.append_learnings(as_post(current), None, ["question"] if asks(current) else [], (), current.post).text


def _answer(current: Review, file: Path, left: int, posted: str, as_json: bool) -> None:
    reply = ReviewReply(
        review=current.id,
        file=str(file),
        paper=current.paper,
        verdicts={claim.name: str(current.verdict(claim)) for claim in current.claims},
        outcomes={
            name: [f"{one.request.words()}: {told(one)}" for one in some] for name, some in current.outcomes.items()
        },
        left=left,
        posted=posted,
        next=f"{left} requests are left: --run again." if left else f"Tick runs in {file.name}, then --run.",
    )
    rows = [("review", reply.file), *reply.verdicts.items()]
    rows += [("", said) for some in reply.outcomes.values() for said in some]
    rows += [("journal", posted)] if posted else []
    asking.answer(reply, as_json, terminal.facts(rows), asking.hint(reply.next))
