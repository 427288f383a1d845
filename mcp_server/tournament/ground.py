"""The ground of one campaign: a clone of its own at the tournament's commit, with the arm's program and style in it."""

from __future__ import annotations

import re
from pathlib import Path

from mcp_server.arena.frontmatter import has_front_matter
from mcp_server.arena.program import parse_program
from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.files import write_atomically
from mcp_server.repo.git import Repository, commit_in
from mcp_server.tournament.plan import ArmPlan

PROGRAM = "program.md"


def lay(repository: Repository, commit: str, arm: ArmPlan, beside: Path, folder: Path) -> None:
    """Make the clone; one that is there already is left as it is. beside: where the plan and its programs lie.

    Raises AutoresearchError.
    """
    if (folder / ".git").exists():
        return
    repository.clone_at(folder, commit)
    text = (folder / PROGRAM).read_text("utf-8") if (folder / PROGRAM).is_file() else ""
    wanted = program_of(arm, beside, text)
    if wanted != text:
        write_atomically(folder / PROGRAM, wanted.encode())
        commit_in(folder, repository.settings(), f"The program of arm {arm.name}", "--", PROGRAM)


def program_of(arm: ArmPlan, beside: Path, text: str) -> str:
    """program.md for an arm: its own, or the lab's with its memo or style. Raises ArenaError."""
    if arm.program:
        own = (beside / arm.program).read_text("utf-8")
        text = own if has_front_matter(own) else _with_memo(text, own)
    if arm.style is not None:
        text = _with_style(text, arm.style)
    parse_program(text)
    return text


def _split(text: str) -> tuple[str, str]:
    """(front matter with its fences, memo)."""
    found = re.match(r"\A---\r?\n.*?\n---[ \t]*(?:\r?\n|\Z)", text, re.DOTALL)
    if found is None:
        raise ArenaError("The lab's program.md has no front matter, so an arm cannot take its arena. Write one.")
    return found[0], text[found.end() :]


def _with_memo(text: str, memo: str) -> str:
    return f"{_split(text)[0]}\n{memo.strip()}\n"


def _with_style(text: str, style: str) -> str:
    front, memo = _split(text)
    line = f"style: {style}"
    if re.search(r"(?m)^style:.*$", front):
        return re.sub(r"(?m)^style:.*$", line, front, count=1) + memo
    head, _, tail = front.rpartition("---")
    return f"{head}{line}\n---{tail}{memo}"
