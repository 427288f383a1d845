"""The user's repository as a laboratory: snapshot, keep, revert and the vault, touching editable files only.

Promises: nothing but editable files is ever written in the work tree (but for the move to another commit that `begin`
was asked for), and those only by rename and only where they are unedited; every ref moves by compare-and-swap; every
verb may be killed anywhere and called again with the same arguments, also while a git it started is still finishing.
Not promised: that a keep follows a branch whose editable files the user moved on (it then says `overtaken`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from mcp_server.nouns.errors import GitError, WorkspaceError
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.paths import LabPaths
from mcp_server.repo import editable, worktree
from mcp_server.repo.command import LockHeld, at_hand
from mcp_server.repo.formats.objects import Batch, Entry
from mcp_server.repo.frozen import FrozenChange, compare
from mcp_server.repo.git import FILE_MODES, Commit, Repository, clean_message
from mcp_server.repo.materialise import Materialised, materialise, overlay
from mcp_server.repo.merging import Merged, merge
from mcp_server.repo.patterns import Patterns
from mcp_server.repo.vault import Vault, attempt_ref, branch_of, date_of, held_ref

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\^?")
_UNDER_WAY = {
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}
_VIEWS = ("/results.tsv", "/learnings.md", "/progress.png", "/progress.svg")
_MOST_SWAPS = 5  # a branch that moves more often than this between look and swap is moved by a program in a loop

Freshness = Literal["fresh", "staged", "locked"]


@dataclass(frozen=True)
class Snapshot:
    """One attempt as a commit. `files` are its editable files, exactly as it holds them."""

    commit: str
    changed_paths: tuple[str, ...]  # against the parent
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class KeepOutcome:
    """`index` tells of the index of each work tree on the branch; after "locked", call again to bring it along."""

    status: Literal["kept", "already", "overtaken"]
    commit: str | None
    detail: str = ""
    index: Freshness = "fresh"


@dataclass(frozen=True)
class RevertOutcome:
    restored: tuple[str, ...]
    left: tuple[str, ...]  # edited since the snapshot, so not ours to touch


class Workspace(Vault):
    """One work tree of one repository. Holds nothing open; cheap to make."""

    def __init__(self, tree: Path, patience: float = 2.0) -> None:
        self.git = Repository.at(tree, patience)
        self.paths = LabPaths(self.git.common, self.git.tree)

    # -- looking -----------------------------------------------------------------------------------------------------

    def guard(self) -> None:
        """Raises WorkspaceError while git is in the middle of something of the user's, or cannot read its index."""
        for name, what in _UNDER_WAY.items():
            if (self.git.git_dir / name).exists():
                if (self.git.git_dir / name / "applying").exists():
                    what = "am"
                way_out = "git bisect reset" if what == "bisect" else f"git {what} --abort"
                raise WorkspaceError(
                    f"A git {what} is in progress in {self.git.tree}. Finish or abort it (`{way_out}`), then try again."
                )
        unmerged = self.git.unmerged()
        if unmerged:
            raise WorkspaceError(
                f"{', '.join(unmerged[:5])} has unresolved conflicts. Resolve and `git add` it, then try again."
            )

    def head(self) -> tuple[str | None, str]:
        """The branch HEAD stands on (None: detached) and its commit. Raises WorkspaceError before a first commit."""
        ref, commit = self.git.head()
        if commit is None:
            raise WorkspaceError("This repository has no commit yet. Make a first one with `git add` and `git commit`.")
        return (ref.removeprefix("refs/heads/") if ref else None), commit

    def branch_at_head(self) -> str | None:
        """The branch HEAD stands on, None when it is detached."""
        ref = self.git.head_ref()
        return ref.removeprefix("refs/heads/") if ref else None

    def tree_on(self, branch: str) -> Path | None:
        """A work tree of this repository that has a branch checked out."""
        tree: Path | None = None
        for line in self.git.do("worktree", "list", "--porcelain").decode("utf-8", "surrogateescape").splitlines():
            if line.startswith("worktree "):
                tree = Path(line.removeprefix("worktree "))
            elif line == f"branch refs/heads/{branch}":
                return tree
        return None

    def resolve(self, ref: str) -> str:
        """The commit that `ref` names. Raises WorkspaceError when it names none."""
        return self.git.resolve(ref)

    def read_editable(
        self, patterns: Iterable[str], commit: str, limit_bytes: int = editable.LIMIT_BYTES
    ) -> dict[str, bytes]:
        """The editable files as they are on disk. Raises WorkspaceError that names the file we cannot take, and why."""
        chosen = Patterns.of(patterns)
        return editable.read(self.git, chosen, self.git.entries(commit, chosen.roots), limit_bytes)

    @at_hand
    def committed(self, patterns: Iterable[str], commit: str) -> dict[str, bytes]:
        """The editable files as `commit` has them."""
        files = self._chosen(Patterns.of(patterns), commit)
        contents = self.git.blobs(entry.oid for entry in files.values())
        return {path: contents[entry.oid] for path, entry in files.items()}

    @at_hand
    def nothing_changed(self, patterns: Iterable[str], commit: str) -> bool:
        """Whether the editable files on disk are those of `commit`."""
        chosen = Patterns.of(patterns)
        base = self.git.entries(commit, chosen.roots)
        files = editable.read(self.git, chosen, base)
        return not _changes(editable.entries_of(self.git, files, chosen, base), base)

    def frozen_changes(self, pinned: str, patterns: Iterable[str]) -> list[FrozenChange]:
        """Frozen files on disk that differ from the campaign's first commit, each with the diff's first lines."""
        return compare(self.git, self._chosen(Patterns.of(patterns), pinned))

    def _chosen(self, patterns: Patterns, commit: str) -> dict[str, Entry]:
        return editable.chosen(patterns, self.git.entries(commit, patterns.roots))

    def refuse_foreign(self, tag: str) -> None:
        """Raises WorkspaceError where a tag has attempts already; call it for a tag that the ledger does not know."""
        found = self.vault(tag)
        if found:
            free = self.free_tag(tag)
            raise WorkspaceError(
                f"refs/autoresearch/{tag}/ holds {len(found)} attempts of a campaign that this ledger does not know; "
                "a new one would mix with them. They stay as they are: begin under another tag with "
                f"`autoresearch start {free}`, or start_campaign('{free}')."
            )

    # -- a campaign's beginning --------------------------------------------------------------------------------------

    def begin(self, tag: str, commit: str, patterns: Iterable[str]) -> None:
        """Make the campaign's branch at `commit` and stand on it. A second call finishes a first that was cut short.

        When HEAD is elsewhere, files that differ are replaced, only where they are exactly as committed. Raises
        WorkspaceError when the branch exists, when editable files have uncommitted changes, or during a rebase.
        """
        target = branch_of(tag)
        self.guard()
        (here, at), tip = self.head(), self.git.ref(target)
        if tip is not None and here == f"autoresearch/{tag}" and self.git.is_ancestor(commit, tip):
            return
        taken = (
            f"The branch autoresearch/{tag} exists already. Choose another tag (`autoresearch start "
            f"{self.free_tag(tag)}`), or rename it with `git branch -m autoresearch/{tag} before-{tag}`."
        )
        if tip not in (None, commit):
            raise WorkspaceError(taken)
        if self.git.ref("refs/heads/autoresearch") is not None:
            raise WorkspaceError("The branch `autoresearch` is in the way of `autoresearch/<tag>`. Rename that branch.")
        self._move_to(commit, at, Patterns.of(patterns))
        if not self.git.move_ref(target, commit, self.git.zero, f"autoresearch: begin {tag}"):
            raise WorkspaceError(taken)
        self.git.point_head(target, f"autoresearch: begin {tag}")

    def _move_to(self, commit: str, at: str, patterns: Patterns) -> None:
        """Bring files and index from commit `at` to `commit`, or raise WorkspaceError and leave both as they were."""
        old, new = self.git.entries(at), self.git.entries(commit)
        for path in patterns.plain:
            if path not in new and not any(known.startswith(f"{path}/") for known in new):
                raise WorkspaceError(
                    f"{path} is editable in program.md but not in commit {commit[:12]}. Commit it, then start again."
                )
        changes = {path: new.get(path) for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
        odd = any(entry and entry.mode not in FILE_MODES for p in changes for entry in (old.get(p), new.get(p)))
        if not odd:
            wanted = editable.meant(self.git, patterns, {**old, **new})
            editable.refuse_uncommitted(self.git, changes.keys() | wanted, old, new)
        # a file that lies here as git stores it may be replaced by another such; of a new one we cannot know
        added = sorted(path for path in changes if path not in old)
        ways = self.git.attributes(added, ("filter", "working-tree-encoding")) if added else {}
        if odd or any(value != "unset" for way in ways.values() for value in way.values()):
            raise WorkspaceError(
                f"Going to {commit[:12]} would change links, submodules or files that git converts. "
                f"Go there yourself (`git switch --detach {commit[:12]}`) and start from HEAD."
            )
        try:
            self._lay(changes)
            if changes:
                self.git.update_index(changes)
        except (OSError, GitError) as error:
            self._lay({path: old.get(path) for path in changes})
            raise WorkspaceError(
                f"The files of {commit[:12]} could not be put in place: {error}. They are as they were; "
                "mend that and try again."
            ) from error

    def _lay(self, changes: Mapping[str, Entry | None]) -> None:
        """Make files on disk what `changes` says; removals first, a file may become a folder. Raises OSError."""
        contents = self.git.blobs(entry.oid for entry in changes.values() if entry is not None)
        for path, entry in changes.items():
            if entry is None and editable.seen(self.git, path).kind == "file":
                worktree.remove(self.git.tree, path)
        for path, entry in changes.items():
            if entry is not None:
                executable = entry.mode == FILE_MODES[1]
                worktree.replace(self.git.tree, path, contents[entry.oid], executable, self.paths.state / "tmp")

    # -- an attempt --------------------------------------------------------------------------------------------------

    @at_hand
    def snapshot(
        self,
        patterns: Iterable[str],
        parent: str,
        message: str,
        date: str,
        *,
        tag: str | None = None,
        number: int | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Snapshot:
        """A commit on `parent` with the editable files on disk (or `files`, read before).

        With a number it is vaulted too; with a tag alone it is kept from git's gc (`hold`). Nothing of the user's is
        touched. The same files, arguments and identity give the same commit.
        """
        chosen = Patterns.of(patterns)
        base = self.git.entries(parent, chosen.roots)
        if files is None:
            files = editable.read(self.git, chosen, base)
        changes = _changes(editable.entries_of(self.git, files, chosen, base), base)
        batch = Batch(self.git.algorithm)
        for path, entry in changes.items():
            if entry is not None and batch.add("blob", files[path]) != entry.oid:
                raise GitError(f"git would store {path} under another name than its bytes have. Try again.")
        tree, commit = self._commit(parent, changes, message, date_of(date), batch)
        if tag is None or number is not None:
            self.git.store(batch)
        else:
            tip = self.git.ref(held_ref(tag))
            held = self._holding(tag, tree, [commit], tip, date, batch)
            self.git.store(batch)
            self._move_held(held_ref(tag), held, tip)
        if tag is not None and number is not None:
            self.move_vault(tag, number, None, commit)
        return Snapshot(commit, tuple(sorted(changes)), files)

    def _commit(
        self, base: str, changes: Mapping[str, Entry | None], message: str, date: datetime, batch: Batch
    ) -> tuple[str, str]:
        """Tree and commit on top of `base` with some paths changed, to be stored; no ref moves."""
        tree = self.git.changed_tree(base, changes, batch) if changes else self.git.tree_of(base)
        return tree, self.git.new_commit(tree, [base], message, date, self.git.settings(), batch)

    @at_hand
    def commit_like(self, like: str, parent: str, message: str, date: str) -> str:
        """A commit with the tree of `like` on top of `parent`; no ref moves. Same arguments, same commit."""
        if not _COMMIT.fullmatch(like) or not _COMMIT.fullmatch(parent):
            raise WorkspaceError(f"{like[:50]!r} or {parent[:50]!r} is not a full commit id. Resolve it first.")
        above = self.git.named(parent).oid
        return self.git.write_commit(self.git.tree_of(like), [above], message, date_of(date), self.git.settings())

    def whole(self, *commits: str) -> bool:
        """Whether commits are here with everything they are made of; git's gc removes what no ref holds."""
        return self.git.whole(commits)

    def same_attempt(self, commit: str, snapshot: str, patterns: Iterable[str]) -> bool:
        """Whether `commit` tells what became of the attempt that `snapshot` opened: its title, its editable files.

        A settlement that was cut short leaves such a commit, and so does a decision that a restored ledger forgot.
        """
        try:
            told = [
                (found.message.partition("\n")[0], self.committed(patterns, one))
                for one in (commit, snapshot)
                for found in self.git.commits(one, limit=1)
            ]
            return len(told) == 2 and told[0] == told[1]
        except GitError:
            return False  # a ref to what is no commit, or to one that is not in this repository

    # -- a decision --------------------------------------------------------------------------------------------------

    @at_hand
    def keep(
        self,
        tag: str,
        candidate: str,
        expected: str,
        message: str,
        date: str,
        patterns: Iterable[str],
        measured: Callable[[Mapping[str, bytes]], bool] = lambda _: False,
        vault: tuple[int, str] | None = None,
    ) -> KeepOutcome:
        """Put the candidate's editable files on the campaign's branch, which is expected at `expected`.

        If the user committed other files meanwhile, it goes on top of that; so it does when they committed the
        candidate's own files, or others that `measured` knows. If the editable files moved on to what nobody measured,
        or the branch is gone, it is `overtaken` and nothing is done. Calling again finds the commit made before.
        vault: the attempt's number and where its ref is, which goes along with the branch if it still is there.
        """
        self.guard()
        branch, chosen, when = branch_of(tag), Patterns.of(patterns), date_of(date)
        moved = None if vault is None else (attempt_ref(tag, vault[0]), vault[1])
        wanted = self._chosen(chosen, candidate)
        for _ in range(_MOST_SWAPS):
            tip = self.git.ref(branch)
            if tip is None:
                return KeepOutcome("overtaken", None, f"The branch autoresearch/{tag} is gone.")
            there = self._chosen(chosen, tip)
            if tip != expected:
                made = self._made_before(tip, expected, message, when)
                if made is not None:
                    before = self._chosen(chosen, made.parents[0])
                    return KeepOutcome("already", made.oid, index=self._refresh(branch, before, there))
                if there not in (wanted, self._chosen(chosen, expected)):
                    contents = self.git.blobs(entry.oid for entry in there.values())
                    if not measured({path: contents[entry.oid] for path, entry in there.items()}):
                        said = f"autoresearch/{tag} moved to {tip[:12]}, whose editable files no experiment measured."
                        return KeepOutcome("overtaken", None, said)
            changes = _changes({path: wanted.get(path) for path in there.keys() | wanted.keys()}, there)
            batch = Batch(self.git.algorithm)
            _, commit = self._commit(tip, changes, message, when, batch)
            self.git.store(batch)
            if self._move_kept(branch, commit, tip, f"autoresearch: {message.partition(chr(10))[0]}", moved):
                return KeepOutcome("kept", commit, index=self._refresh(branch, there, wanted))
        return KeepOutcome("overtaken", None, f"autoresearch/{tag} keeps moving.")

    def _move_kept(self, branch: str, commit: str, tip: str, words: str, vault: tuple[str, str] | None) -> bool:
        """Move the branch, and with it the attempt's own ref where that is where it was; whether the branch moved."""
        if vault is not None and self.git.move_together([(branch, commit, tip), (vault[0], commit, vault[1])], words):
            return True
        return self.git.move_ref(branch, commit, tip, words)

    def _made_before(self, tip: str, expected: str, message: str, when: datetime) -> Commit | None:
        """The commit an earlier, interrupted call made: same words, same time."""
        words, epoch = clean_message(message), int(when.timestamp())
        since = self.git.commits(tip, expected)
        return next((c for c in since if c.message == words and c.author_epoch == epoch and c.parents), None)

    def _refresh(self, branch: str, old: Mapping[str, Entry], new: Mapping[str, Entry]) -> Freshness:
        """Bring editable entries of the index along, where the user has not staged something of their own.

        Otherwise the user's next commit would silently undo the keep. Every work tree on the branch has its own index.
        """
        moved = sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
        outcome: Freshness = "fresh"
        for view in self.git.views() if moved else []:
            if view.head_ref() != branch:
                continue
            index = view.index(moved)
            there = {path: index[path][1] if path in index else None for path in moved}
            behind = {path: new.get(path) for path in moved if there[path] == old.get(path)}
            if any(there[path] not in (old.get(path), new.get(path)) for path in moved):
                outcome = "staged"
            try:
                if behind:
                    view.update_index(behind)
            except LockHeld:
                outcome = "locked"
        return outcome

    @at_hand
    def revert(self, patterns: Iterable[str], candidate: str, incumbent: str) -> RevertOutcome:
        """Put the incumbent's files back where the disk still has the candidate's; leave what was edited since."""
        chosen, trusts_mode = Patterns.of(patterns), self.git.settings().file_mode
        was, back = self._chosen(chosen, candidate), self._chosen(chosen, incumbent)
        restored, left = [], []
        differing = sorted(path for path in was.keys() | back.keys() if was.get(path) != back.get(path))
        # removals first: a folder of the candidate's may stand where the incumbent has a file
        for path in sorted(differing, key=back.__contains__):
            found = editable.seen(self.git, path)
            there = editable.entry_of(found, was.get(path) or back.get(path), trusts_mode)
            if found.kind in ("file", "absent") and there == back.get(path):
                continue
            if found.kind not in ("file", "absent") or there != was.get(path):
                left.append(path)
                continue
            try:
                self._lay({path: back.get(path)})
            except OSError as error:
                raise WorkspaceError(
                    f"{path} could not be written back: {error.strerror}. It is whole; free space or make its folder "
                    "writable, and the next call finishes the revert."
                ) from error
            restored.append(path)
        return RevertOutcome(tuple(restored), tuple(left))

    @at_hand
    def without(self, commit: str, tip: str, patterns: Iterable[str]) -> dict[str, bytes] | None:
        """The editable files of `tip` with the change of `commit` taken back; None where later changes build on it."""
        now, after, before = (self.committed(patterns, one) for one in (tip, commit, f"{commit}^"))
        merged = self.merge(now, after, before)
        return None if merged.conflicts else merged.files

    def merge(
        self, now: Mapping[str, bytes], before: Mapping[str, bytes], after: Mapping[str, bytes], theirs: bool = False
    ) -> Merged:
        """`now` with the change from `before` to `after` made as well; nothing is written in the work tree.

        theirs: where both changed the same lines, the change's are taken, and named.
        """
        return merge(self.git, self.paths.state / "tmp", now, before, after, theirs)

    def refuse_edited(self, patterns: Iterable[str], expected: str) -> None:
        """Raises WorkspaceError unless the editable files on disk are those of `expected`."""
        if not self.nothing_changed(patterns, expected):
            raise WorkspaceError(
                f"The editable files are not those of {expected[:12]}. Put them back with "
                f"`git restore --source {expected[:12]} -- FILE`, then try again."
            )

    def lay(self, files: Mapping[str, bytes], patterns: Iterable[str], expected: str) -> None:
        """Make the editable files on disk `files`, where they are those of `expected`. Raises WorkspaceError."""
        wanted = Patterns.of(patterns)
        self.refuse_edited(wanted.items, expected)
        old = self._chosen(wanted, expected)
        for path in old.keys() - files.keys():  # first, for a file may become a folder
            worktree.remove(self.git.tree, path)
        for path, content in files.items():
            entry = old.get(path)
            if entry is None or self.git.blob_oid(content) != entry.oid:
                executable = entry is not None and entry.mode == FILE_MODES[1]
                worktree.replace(self.git.tree, path, content, executable, self.paths.state / "tmp")

    # -- copies and views --------------------------------------------------------------------------------------------

    @at_hand
    def materialise(self, commit: str, folder: Path) -> Materialised:
        """Write a commit's files into a new folder, raw."""
        return materialise(self.git, self.git.entries(commit), folder)

    @at_hand
    def materialise_run(self, pinned: str, candidate: str, patterns: Iterable[str], folder: Path) -> Materialised:
        """What a run sees: the campaign's first commit with the candidate's editable files laid over."""
        chosen, base = Patterns.of(patterns), self.git.entries(pinned)
        wanted = self._chosen(chosen, candidate)
        over = {path: wanted.get(path) for path in editable.chosen(chosen, base).keys() | wanted.keys()}
        return materialise(self.git, overlay(base, over), folder)

    def diff(self, old: str, new: str, paths: Iterable[str] = (), context: int = 3, limit: int = 65536) -> str:
        """The plain difference between two commits, at most `limit` bytes of it."""
        return self.git.diff(old, new, tuple(paths), context, limit)

    def blob(self, commit: str, path: str) -> bytes | None:
        """A file's content in a commit, or None when it is not there."""
        entry = self.git.entry(commit, path)
        return None if entry is None or entry.mode not in FILE_MODES else self.git.blobs([entry.oid])[entry.oid]

    def log(self, tag: str, limit: int = 200) -> list[Commit]:
        """The campaign's branch, newest first."""
        tip = self.branch(tag)
        return self.git.commits(tip, limit=limit) if tip else []

    def ignore(self, names: Iterable[str] = _VIEWS) -> None:
        """Keep what we draw out of the user's `git status`: by the repository's own exclude file, not by theirs."""
        exclude = self.git.common / "info" / "exclude"
        try:
            before = exclude.read_text("utf-8", "surrogateescape") if exclude.exists() else ""
            missing = [name for name in names if name not in before.splitlines()]
            if missing:
                exclude.parent.mkdir(exist_ok=True)
                start = before if not before or before.endswith("\n") else before + "\n"
                added = "# drawn by autoresearch\n" + "".join(f"{name}\n" for name in missing)
                write_atomically(exclude, (start + added).encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise WorkspaceError(
                f"{exclude} cannot be written: {error.strerror}. Make it writable, try again."
            ) from error


def _changes(wanted: Mapping[str, Entry | None], base: Mapping[str, Entry]) -> dict[str, Entry | None]:
    return {path: entry for path, entry in wanted.items() if base.get(path) != entry}
