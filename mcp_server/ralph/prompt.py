"""What each fresh agent is told: the lab's own PROMPT.md or our words, and where the lab stands now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcp_server.lab import Lab
from mcp_server.nouns.errors import WorkspaceError
from mcp_server.nouns.text import clean_block
from mcp_server.ralph.settling import Position

OWN = "PROMPT.md"
LIMIT_CHARACTERS = 40_000
WORDS = """\
You are one turn of a loop in this git repository. You remember nothing of the turns before: what they left is in
program.md (the arena and the memo), in `git log`, in progress.txt where there is one, and in the lab, which
`autoresearch status` and `autoresearch recall "an idea"` ask.

Do one thing that could improve the score, and only that:
1. Read program.md and what was tried. Choose one idea.
2. Edit only the files that program.md names as editable. Leave program.md, frozen files and git alone: the lab makes
   the commits, and whatever you change elsewhere is put back or ignored.
3. End your turn. The lab then runs and scores what you left, and keeps or reverts it. If you have the lab's tools you
   may call run_experiment, read_score, commit_or_revert and append_learnings yourself.
Nothing you say about the result counts, and nobody will answer a question.
"""


def prompt_for(lab: Lab, chosen: Path | None, number: int, now: Position, last: Sequence[str]) -> str:
    """The prompt of iteration `number`. Raises WorkspaceError when the chosen file cannot be read."""
    path = chosen or lab.paths.tree / OWN
    try:
        words = path.read_text("utf-8", errors="replace")[:LIMIT_CHARACTERS] if chosen or path.is_file() else WORDS
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}. Name another file with --prompt.") from None
    with lab.reading() as (_, campaign, arena):
        facts = [f"This is iteration {number} in campaign {campaign.tag}. Editable: {', '.join(arena.editable)}."]
    score = "none yet" if now.score is None else f"{now.score:g} ({arena.metric.name}, {arena.metric.direction})"
    facts.append(f"Best score: {score}." + ("" if now.target is None else f" Target: {now.target:g}."))
    status = lab.lab_status()
    if now.score is None:
        facts.append(f"The lab says: {clean_block(status.next, 1000)}")  # why there is no baseline, and what leads on
    if now.secondary:
        facts.append("Measured on the best: " + ", ".join(f"{k} {v:g}" for k, v in sorted(now.secondary.items())) + ".")
    if last:
        facts.append("Of the iteration before the lab says: " + clean_block(" ".join(last), 2000))
    facts += [f"A person left you a note: {note}" for note in lab.notes(f"ralph, iteration {number}")]
    facts += [f"In the queue: {one}" for one in status.ideas]
    prompt = f"{words.rstrip()}\n\n## Where the lab stands\n\n" + "\n".join(facts) + "\n"
    return prompt.replace("\0", "\ufffd")  # no program can be started with it in an argument
