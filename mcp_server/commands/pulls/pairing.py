"""pairs: two commits of an arena measured against each other, or the gains that commits claim, measured again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from pydantic import Field
from rich.text import Text

from mcp_server.arena.program import parse_program
from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.replies import Reply
from mcp_server.pulls.claims import Checked, claim_of, claims, recheck
from mcp_server.pulls.pairs import USUAL, Paired, measure, program_at
from mcp_server.repo.workspace import Workspace

MARK = "<!-- autoresearch pairs -->"  # by which a workflow finds its earlier comment


class PairsReply(Reply):
    """What interleaved pairs showed."""

    before: str
    after: str
    metric: str
    gain: float
    interval: list[float]
    better: bool
    claimed: float | None = None
    scores_before: list[float]
    scores_after: list[float]
    words: str


class KeptReply(Reply):
    """Claimed gains and what they are worth today."""

    decayed: int
    checked: list[dict[str, str | float]] = Field(default_factory=list)
    words: list[str] = Field(default_factory=list)


@click.command()
@click.argument("before", required=False)
@click.argument("after", required=False)
@click.option("--pairs", "count", type=click.IntRange(2, 100), default=USUAL, show_default=True, help="So many pairs.")
@click.option("--kept", is_flag=True, help="Instead: every gain that the history of HEAD claims, measured today.")
@click.option("--most", type=click.IntRange(1), default=10, show_default=True, help="With --kept: the newest so many.")
@click.option("--comment", type=asking.Here(dir_okay=False), help="Also as Markdown, into this file.")
@asking.replying
def pairs(
    place: Place,
    before: str | None,
    after: str | None,
    count: int,
    kept: bool,
    most: int,
    comment: Path | None,
    as_json: bool,
) -> None:
    """Measure commit AFTER against commit BEFORE as interleaved pairs on shared seeds. Needs program.md and no lab.

    The arena, its frozen files and its scorer are those of BEFORE, so a change cannot alter its judge. The exit code
    is 0 whatever the numbers say: noise is no failure. With --kept each commit that claims a gain (the trailer that
    `finalize --onto` writes) is taken out of HEAD and both are measured; a claim has decayed where today's whole
    interval lies below its own.

    \b
    Examples:
      autoresearch pairs origin/main HEAD --comment comment.md
      autoresearch pairs --kept --pairs 8
    """
    if kept and before is not None:
        raise click.UsageError("--kept measures what the history of HEAD claims: name no commits beside it.")
    if not kept:
        asking.refuse("heeded with --kept alone.", "most")
    workspace = Workspace(place.folder)

    def say(words: str) -> None:
        click.echo(words, err=True)

    if kept:
        _tell_kept(_checked(workspace, most, count, say), comment, as_json)
        return
    if before is None or after is None:
        raise click.UsageError("Name two commits, BEFORE and AFTER, or say --kept.")
    old, new = workspace.resolve(before), workspace.resolve(after)
    program = program_at(workspace, old)
    patterns = parse_program(program).arena.editable
    versions = [workspace.committed(patterns, commit) for commit in (old, new)]
    if versions[0] == versions[1]:
        raise NotNow(f"{before} and {after} have the same editable files ({', '.join(patterns)}): nothing to measure.")
    found = measure(workspace, old, program, versions[0], versions[1], count, say)
    claimed = next((told[0] for one in workspace.git.commits(new, old) if (told := claim_of(one.message))), None)
    reply = PairsReply(
        before=old,
        after=new,
        metric=found.metric,
        gain=found.gain,
        interval=[found.low, found.high],
        better=found.better,
        claimed=claimed,
        scores_before=list(found.before),
        scores_after=list(found.after),
        words=_verdict(found),
    )
    if comment is not None:
        write_atomically(comment, _comment(reply, found).encode())
    asking.answer(reply, as_json, Text(reply.words))


def _checked(workspace: Workspace, most: int, count: int, say: Callable[[str], None]) -> list[Checked]:
    """The newest claims in the history of HEAD, measured today."""
    head, found = workspace.resolve("HEAD"), []
    for claim in claims(workspace, head)[:most]:
        say(f"{claim.commit[:10]} {claim.title}")
        found.append(recheck(workspace, head, claim, count, say))
    return found


def _verdict(found: Paired) -> str:
    said = "better" if found.better else "worse" if found.high < 0 else "no difference that these pairs can tell"
    return f"{said}: {found.words()}"


def _comment(reply: PairsReply, found: Paired) -> str:
    claimed = f" The change claims {reply.claimed:g}." if reply.claimed is not None else ""
    return (
        f"{MARK}\n**{reply.words}**{claimed}\n\n{found.table()}\n\n"
        f"Measured by `autoresearch pairs` on one machine, `{reply.before[:10]}` beside `{reply.after[:10]}`, on "
        "shared seeds. This check does not fail: more pairs tell smaller gains.\n"
    )


def _tell_kept(checked: list[Checked], comment: Path | None, as_json: bool) -> None:
    decayed = [one for one in checked if one.verdict == "decayed"]
    words = [one.words() for one in checked] or ["No commit in the history of HEAD claims a gain."]
    rows: list[dict[str, str | float]] = []
    for one in checked:
        claim, today = one.claim, one.measured
        row: dict[str, str | float] = {"commit": claim.commit, "title": claim.title, "verdict": one.verdict}
        row["claimed"] = claim.gain
        if today is not None:
            row.update(gain=today.gain, low=today.low, high=today.high)
        rows.append(row)
    if comment is not None:
        head = f"{len(decayed)} of {len(checked)} kept gains have decayed" if decayed else "No kept gain has decayed"
        lines = "\n".join(f"- {one}" for one in words)
        write_atomically(comment, f"{MARK}\n**{head}**\n\n{lines}\n".encode())
    reply = KeptReply(decayed=len(decayed), checked=rows, words=words)
    asking.answer(reply, as_json, terminal.facts([("decayed", str(len(decayed)))]), *map(Text, words))
