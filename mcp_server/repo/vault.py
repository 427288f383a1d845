"""The vault: refs that hold every attempt of a campaign, and its branch by its tag. Refs move by compare-and-swap."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from mcp_server.nouns.errors import WorkspaceError
from mcp_server.repo.formats.objects import Batch
from mcp_server.repo.git import Repository

_TAG = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")
_MOST_PARENTS = 64  # of one commit; a command line has an end


def check_tag(tag: str) -> str:
    """A campaign's tag, safe as part of a ref and of a folder's name. Raises WorkspaceError."""
    if not _TAG.fullmatch(tag) or ".." in tag or tag.endswith((".lock", ".")):
        raise WorkspaceError(
            f"{tag[:60]!r} cannot name a campaign. Use up to 48 lower-case letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit."
        )
    return tag


class Vault:
    """The attempts that one repository holds."""

    git: Repository

    def branch(self, tag: str) -> str | None:
        """The tip of a campaign's branch, or None when there is no such branch."""
        return self.git.ref(branch_of(tag))

    def move_vault(self, tag: str, number: int, old: str | None, new: str) -> None:
        """Move an attempt's ref from `old` (None: not there yet) to `new`. Raises WorkspaceError if it is elsewhere."""
        name = attempt_ref(tag, number)
        if not self.git.move_ref(name, new, old or self.git.zero):
            there = self.git.ref(name)
            aside = name.replace("refs/autoresearch/", "refs/autoresearch-aside/", 1) + f"-{(there or '')[:7]}"
            raise WorkspaceError(
                f"{name} does not point where the ledger says but to {there}, another's attempt. Set that aside with "
                f"`git update-ref {aside} {there} && git update-ref -d {name} {there}`; the next call goes on."
            )

    def hold(self, tag: str, commits: Sequence[str], date: str) -> None:
        """Keep commits from git's gc for ever: one ref for each campaign, whose history names them as parents.

        The ref of an attempt moves on to the commit that tells its outcome, so it cannot hold the snapshot as well.
        """
        name = held_ref(tag)
        for start in range(0, len(commits), _MOST_PARENTS):
            group, tip = commits[start : start + _MOST_PARENTS], self.git.ref(name)
            batch = Batch(self.git.algorithm)
            new = self._holding(tag, self.git.tree_of(group[0]), group, tip, date, batch)
            self.git.store(batch)
            self._move_held(name, new, tip)

    def _holding(self, tag: str, tree: str, commits: Sequence[str], tip: str | None, date: str, batch: Batch) -> str:
        """The commit that names some commits of a campaign, and what was named before."""
        parents = [*([tip] if tip else []), *commits]
        words = f"What the ledger of {tag} names, so that git keeps it"
        return self.git.new_commit(tree, parents, words, date_of(date), self.git.settings(), batch)

    def _move_held(self, name: str, new: str, tip: str | None) -> None:
        if not self.git.move_ref(name, new, tip or self.git.zero):
            raise WorkspaceError(f"{name} was moved by somebody else just now. Call again.")

    def free_number(self, tag: str, number: int) -> int:
        """The first number from this one on that no attempt has.

        The vault knows more attempts than a ledger that was restored from a backup; theirs stay where they are.
        """
        while self.vault_at(tag, number):
            number += 1
        return number

    def vault_at(self, tag: str, number: int) -> str | None:
        """Where an attempt's ref points, if it is there."""
        return self.git.ref(attempt_ref(tag, number))

    def free_tag(self, tag: str) -> str:
        """A tag like this one that no branch and no attempt has."""
        turn = 2
        while self.branch(f"{tag[:44]}-{turn}") or self.vault(f"{tag[:44]}-{turn}"):
            turn += 1
        return f"{tag[:44]}-{turn}"

    def vault(self, tag: str) -> dict[int, str]:
        """Every attempt of a campaign, by number."""
        found = self.git.refs(f"refs/autoresearch/{check_tag(tag)}/")
        return {int(name.rpartition("/")[2]): oid for name, oid in found.items() if name.rpartition("/")[2].isdecimal()}


def attempt_ref(tag: str, number: int) -> str:
    return f"refs/autoresearch/{check_tag(tag)}/{int(number)}"


def held_ref(tag: str) -> str:
    return f"refs/autoresearch-held/{check_tag(tag)}"


def branch_of(tag: str) -> str:
    return f"refs/heads/autoresearch/{check_tag(tag)}"


def date_of(stamp: str) -> datetime:
    """An ISO 8601 stamp of the ledger."""
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError as error:
        raise WorkspaceError(f"{stamp[:40]!r} is not a date. Write it like 2025-01-31T12:00:00+00:00.") from error
    if when.tzinfo is None:
        raise WorkspaceError(f"{stamp[:40]!r} says no time zone. Write it like 2025-01-31T12:00:00+00:00.")
    return when
