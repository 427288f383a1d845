"""The kept stack of a campaign on the present tip of a branch: merged, measured there again, refused when stale."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mcp_server.campaign.bench import Readable
from mcp_server.nouns.errors import NotNow, WorkspaceError
from mcp_server.nouns.text import clean_line
from mcp_server.pulls.claims import trailers
from mcp_server.pulls.pairs import Paired, measure, program_at
from mcp_server.repo.vault import check_tag
from mcp_server.views.finalize import PREFIX, TITLE, message_of_all


@dataclass(frozen=True)
class Pulled:
    """A branch that is ready to be proposed."""

    branch: str
    onto: str  # the branch it is for
    onto_commit: str
    commit: str
    message: str
    measured: Paired


def pull(lab: Readable, onto: str, pairs: int, say: Callable[[str], None]) -> Pulled:
    """Make the branch. Raises NotNow when nothing was kept or the gain is gone, WorkspaceError where it cannot be laid.

    Only a new ref is made; HEAD, index, files and other branches stay as they are.
    """
    with lab.reading() as (bench, campaign, arena):
        kept = bench.ledger.kept(campaign.tag)
        if len(kept) < 2:
            raise NotNow(
                "Nothing but the baseline was kept, so there is nothing to propose. Keep an improvement first."
            )
        check_tag(campaign.tag)
        message = message_of_all(bench, campaign, arena, kept)
        in_force = bench.ledger.program_text(campaign.program) or ""
        last = kept[-1]
    workspace, patterns = lab.workspace, arena.editable
    tip = workspace.resolve(onto)
    name = f"{PREFIX}/{campaign.tag}/onto-{re.sub(r'[^A-Za-z0-9]+', '-', onto).strip('-')}-{tip[:8]}"
    if (there := workspace.git.ref(f"refs/heads/{name}")) is not None:
        raise WorkspaceError(
            f"The branch {name} is there already ({there[:12]}): this was measured on that commit of {onto}. Propose "
            f"it, or delete it (`git branch -D {name}`) to measure again."
        )
    now = workspace.committed(patterns, tip)
    start = workspace.committed(patterns, campaign.pinned)
    merged = workspace.merge(now, start, workspace.committed(patterns, str(last.commit_sha)))
    if merged.conflicts:
        raise WorkspaceError(
            f"{onto} and the kept changes changed the same lines; nothing was made. Begin a campaign on {onto} and run "
            f"the changes there. {merged.words()}"
        )
    if merged.files == now:
        raise NotNow(f"{onto} has the kept changes already; there is nothing to propose.")
    found = measure(workspace, tip, program_at(workspace, tip, in_force), now, merged.files, pairs, say)
    if not found.better:
        raise NotNow(
            f"Gone stale: on {onto} at {tip[:12]} the kept stack shows a {found.words()}, which does not exclude that "
            "it brings nothing. Nothing was made. More --pairs tell smaller gains; a new campaign begins from there."
        )
    words = f"Measured again on {onto} at {tip[:12]}: {found.words()}."
    text = f"{message.rstrip()}\n{trailers(found)}"
    title, _, body = text.partition("\n")
    text = f"{clean_line(title, TITLE)}\n\n{words}\n{body}"
    commit = workspace.snapshot(patterns, tip, text, last.decided_at or last.opened_at, files=merged.files).commit
    git = workspace.git
    if not git.move_ref(f"refs/heads/{name}", commit, git.zero, f"autoresearch: finalize {campaign.tag}"):
        raise WorkspaceError(f"The ref {name} appeared just now and is not ours. Look at it, then try again.")
    return Pulled(name, onto, tip, commit, text, found)


def body(pulled: Pulled, report: str, pictures: bool) -> str:
    """The pull request's text: what was measured on its base, then the campaign's report."""
    found = pulled.measured
    card = "![What this changes](card.png)\n\n" if pictures else ""
    again = f"autoresearch pairs {pulled.onto_commit[:12]} {pulled.branch} --pairs {len(found.after)}"
    return (
        f"{card}**Measured again on `{pulled.onto}` at {pulled.onto_commit[:12]}, as interleaved pairs on shared "
        f"seeds: {found.words()}.**\n\n{found.table()}\n\n"
        f"To repeat it: `{again}`\n\n{report}"
    )
