"""What an agent must leave alone in a lab: program.md, the frozen files and the branch, put back after each turn.

What is measured never depends on it: runs take frozen files from the campaign's first commit. But the lab refuses to
run beside a changed one, a changed program.md would move the goal, and a commit of the agent's own would stand in the
way of the lab's. Nothing is thrown away: what was written stays in the lab's state, what was committed under
`refs/autoresearch-refused/`, and edits stay in the work tree as edits.
What a person does to program.md stays: an edit between two turns, and what `autoresearch amend` put in force in one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from mcp_server.campaign.bench import incumbent_commit
from mcp_server.lab import Lab
from mcp_server.nouns.errors import WorkspaceError
from mcp_server.nouns.files import write_atomically
from mcp_server.repo import worktree

PROGRAM = "program.md"
REFUSED = "refs/autoresearch-refused"
OWN_COMMITS = "the branch (the lab makes the commits)"
MOST_KEPT = 20  # of what agents wrote where they must not
LARGEST_KEPT_BYTES = 1_000_000


class Guard:
    """The files as they should be. Raises WorkspaceError at once where a frozen one differs already."""

    def __init__(self, lab: Lab, refused: Path) -> None:
        self._lab, self._refused = lab, refused
        self._program = lab.paths.program.read_bytes()
        self._persons = True  # program.md is as a person has it: no agent was at it since
        self._tip: str | None = None
        self._amended = 0
        changed = self._changed()
        if changed:
            raise WorkspaceError(
                f"Frozen: {', '.join(changed)} differs from the campaign's first version. Put it back "
                "with `git restore`, or begin a new campaign; then start the loop again."
            )

    def put_back(self) -> list[str]:
        """Undo what was done to program.md and the frozen files; which they were. Raises OSError, WorkspaceError."""
        program = self._lab.paths.program
        back = [OWN_COMMITS] if self._uncommit() else []
        with self._lab.reading() as (bench, campaign, _):
            for amendment in bench.ledger.amendments(campaign.tag)[self._amended :]:
                self._program = (bench.ledger.program_text(amendment.after) or "").encode() or self._program
        if program.is_symlink() or not program.is_file() or program.read_bytes() != self._program:
            self._keep(program, PROGRAM)
            _clear(program)
            write_atomically(program, self._program)
            back.append(PROGRAM)
        self._persons = True
        for path in self._changed():
            self._restore(path)
            back.append(path)
        return back

    def before(self) -> None:
        """Remember program.md and where the branch stands; an agent's turn begins."""
        if self._persons:
            with contextlib.suppress(OSError):
                self._program = self._lab.paths.program.read_bytes()
        self._persons = False
        with self._lab.reading() as (bench, campaign, _):
            self._tip = bench.workspace.branch(campaign.tag)
            self._amended = len(bench.ledger.amendments(campaign.tag))

    def _uncommit(self) -> bool:
        """Take the agent's own commits off the branch, and leave their files in the work tree. Whether there were any.

        The lab's keeps during the turn, asked for by the agent, stay.
        """
        with self._lab.reading() as (bench, campaign, _):
            git, tip = bench.workspace.git, bench.workspace.branch(campaign.tag)
            kept = incumbent_commit(bench.ledger, campaign)
            if tip is None or self._tip is None or tip in (self._tip, kept):
                return False
            base = kept if git.is_ancestor(self._tip, kept) else self._tip
            if not git.is_ancestor(base, tip) or bench.workspace.branch_at_head() != campaign.branch:
                return False
            git.move_ref(f"{REFUSED}/{campaign.tag}/{tip[:12]}", tip, git.zero, "autoresearch: committed by an agent")
            if not git.move_ref(f"refs/heads/{campaign.branch}", base, tip, "autoresearch: the lab makes the commits"):
                return False
            old, new = git.entries(tip), git.entries(base)
            changes = {path: new.get(path) for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
            if changes:
                git.update_index(changes)
            return True

    def _changed(self) -> list[str]:
        with self._lab.reading() as (bench, campaign, arena):
            return [one.path for one in bench.workspace.frozen_changes(campaign.pinned, arena.frozen)]

    def _restore(self, path: str) -> None:
        with self._lab.reading() as (bench, campaign, _):
            content = bench.workspace.blob(campaign.pinned, path)
            place = bench.paths.tree / path
            self._keep(place, path)
            _clear(place)
            worktree.replace(bench.paths.tree, path, content or b"", False, bench.paths.state / "tmp")

    def _keep(self, place: Path, path: str) -> None:
        """A copy of what lies there, if it is a file of reasonable size; the oldest copies go."""
        if place.is_symlink() or not place.is_file() or place.stat().st_size > LARGEST_KEPT_BYTES:
            return
        self._refused.mkdir(parents=True, exist_ok=True)
        there = sorted(self._refused.iterdir(), key=lambda kept: int(kept.name.partition("-")[0]))
        number = int(there[-1].name.partition("-")[0]) + 1 if there else 1
        (self._refused / f"{number}-{path.replace('/', '_')}").write_bytes(place.read_bytes())
        for old in there[: max(0, len(there) + 1 - MOST_KEPT)]:
            old.unlink()


def _clear(place: Path) -> None:
    """Whatever stands in the way of a file."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    elif place.is_symlink():
        os.unlink(place)
