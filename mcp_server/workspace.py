"""The user's repository as a laboratory: snapshot, keep, revert and the vault, touching editable files only.

Promises: nothing but editable files is ever written in the work tree, and those only by rename and only where they are
unedited since the snapshot; every ref moves by compare-and-swap; every verb may be killed anywhere and called again
with the same arguments, also while a git it started is still finishing. Not promised: that a keep leaves the branch
where the user moved it meanwhile (it then says `overtaken`), or that line-ending and content filters run (never).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from mcp_server import worktree
from mcp_server.errors import GitError, WorkspaceError
from mcp_server.files import write_atomically
from mcp_server.frozen import FrozenChange, compare
from mcp_server.git import FILE_MODES, Commit, Entry, LockHeld, Repository, clean_message
from mcp_server.materialise import Materialised, materialise, overlay
from mcp_server.paths import LabPaths
from mcp_server.patterns import Patterns
from mcp_server.worktree import LITTER, Seen

LIMIT_BYTES = 2_000_000
_TAG = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")
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
_CHANGING = ("filter", "text", "eol", "ident", "working-tree-encoding")  # attributes that change bytes


@dataclass(frozen=True)
class Snapshot:
    """One attempt as a commit. `files` are the editable files exactly as it holds them."""

    commit: str
    tree: str
    changed_paths: tuple[str, ...]  # against the parent
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class KeepOutcome:
    """`index` says what became of the index of the work trees that stand on the branch; after "locked" call again."""

    status: Literal["kept", "already", "overtaken"]
    commit: str | None
    detail: str = ""
    index: Literal["fresh", "staged", "locked"] = "fresh"


@dataclass(frozen=True)
class RevertOutcome:
    restored: tuple[str, ...]
    left: tuple[str, ...]  # edited since the snapshot, so not ours to touch


def check_tag(tag: str) -> str:
    """A campaign's tag, safe as part of a ref and of a folder's name. Raises WorkspaceError."""
    if not _TAG.fullmatch(tag) or ".." in tag or tag.endswith((".lock", ".")):
        raise WorkspaceError(
            f"{tag[:60]!r} cannot name a campaign. Use up to 48 lower-case letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit."
        )
    return tag


class Workspace:
    """One work tree of one repository. Holds nothing open; cheap to make."""

    def __init__(self, tree: Path, patience: float = 2.0) -> None:
        self.git = Repository.at(tree, patience)
        self.paths = LabPaths(self.git.common, self.git.tree)

    # -- looking -----------------------------------------------------------------------------------------------------

    def guard(self) -> None:
        """Raises WorkspaceError while git is in the middle of something of the user's, or cannot read its index."""
        for name, what in _UNDER_WAY.items():
            if (self.git.git_dir / name).exists():
                raise WorkspaceError(
                    f"A {what} is in progress in {self.git.tree}. Finish it or abort it (`git {what} --abort`, "
                    "for a bisect `git bisect reset`), then try again."
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
            raise WorkspaceError(
                "This repository has no commit yet. Make a first one: `git add` your files, `git commit`."
            )
        return (ref.removeprefix("refs/heads/") if ref else None), commit

    def resolve(self, ref: str) -> str:
        """The commit that `ref` names. Raises WorkspaceError when it names none."""
        return self.git.resolve(ref)

    def branch(self, tag: str) -> str | None:
        """The tip of a campaign's branch, or None when there is no such branch."""
        return self.git.ref(_branch(tag))

    def editable_files(self, patterns: Iterable[str], commit: str) -> list[str]:
        """Every path that the patterns mean in `commit` or on disk (what git ignores is left out)."""
        return sorted(self._meant(Patterns.of(patterns), self.git.entries(commit)))

    def _meant(self, patterns: Patterns, base: Mapping[str, Entry]) -> set[str]:
        meant = {path for path, entry in base.items() if entry.mode != "160000" and patterns.match(path)}
        folders = list(patterns.wide)
        for path in patterns.plain:
            seen = self._look(path)
            if seen.kind == "folder":
                folders.append(path)
            elif seen.kind != "absent":
                meant.add(path)
        if folders:
            for path in self.git.listed(folders):
                if patterns.match(path) and not path.endswith((LITTER, ".pyc")):
                    meant.add(path)
        return meant

    def read_editable(self, patterns: Iterable[str], commit: str, limit_bytes: int = LIMIT_BYTES) -> dict[str, bytes]:
        """The editable files as they are on disk. Raises WorkspaceError that names the file we cannot take, and why."""
        files, _ = self._read(Patterns.of(patterns), self.git.entries(commit), limit_bytes)
        return files

    def _read(
        self, patterns: Patterns, base: Mapping[str, Entry], limit_bytes: int
    ) -> tuple[dict[str, bytes], dict[str, Entry | None]]:
        """Editable files on disk, and the entry each would have in a tree; None for one that is gone."""
        settings = self.git.settings()
        files: dict[str, bytes] = {}
        entries: dict[str, Entry | None] = {}
        absent = []
        for path in sorted(self._meant(patterns, base) | _plain_files(patterns, base)):
            seen = self._look(path, limit_bytes)
            if seen.kind == "absent" or (seen.kind == "folder" and path not in patterns.plain):
                absent.append(path)
                continue
            content = _acceptable(path, seen, limit_bytes)
            files[path] = content
            entries[path] = Entry(_mode(seen, base.get(path), settings.file_mode), seen.oid)
        if absent:
            # a sparse checkout leaves files out on purpose: those are unchanged, not deleted
            skipped = {path for path, (tag, _) in self.git.index(absent).items() if tag == "S"} & base.keys()
            missing = [path for path in absent if path in patterns.plain and path not in skipped]
            if missing:
                raise WorkspaceError(
                    f"{missing[0]} is editable in program.md but does not exist in {self.git.tree}. "
                    "Create and commit it, or correct the list of editable files."
                )
            contents = self.git.blobs(base[path].oid for path in skipped)
            for path in absent:
                entries[path] = base[path] if path in skipped else None
                if path in skipped:
                    files[path] = contents[base[path].oid]
        self._refuse_converted(files, settings.converts)
        if not files:
            raise WorkspaceError(
                f"No file matches the editable patterns ({', '.join(patterns.items)[:200]}). "
                "Correct the list in program.md, or create the files."
            )
        return files, entries

    def _refuse_converted(self, files: Mapping[str, bytes], autocrlf: bool) -> None:
        """Windows line endings where git would convert them: what we store would never look clean to `git status`."""
        windows = [path for path, content in files.items() if b"\r\n" in content]
        if not windows:
            return
        attributes = self.git.attributes(windows, ("text", "eol"))
        for path in windows:
            asked = attributes.get(path, {})
            if asked.get("text") != "unset" and (asked or autocrlf):
                raise WorkspaceError(
                    f"{path} has Windows line endings, and this repository converts them (core.autocrlf or "
                    ".gitattributes). Write it with plain newlines, or mark it `-text` in .gitattributes."
                )

    def nothing_changed(self, patterns: Iterable[str], commit: str) -> bool:
        """Whether the editable files on disk are those of `commit`."""
        base = self.git.entries(commit)
        return all(
            base.get(path) == entry for path, entry in self._read(Patterns.of(patterns), base, LIMIT_BYTES)[1].items()
        )

    def committed(self, patterns: Iterable[str], commit: str) -> dict[str, bytes]:
        """The editable files as `commit` has them."""
        meant = _chosen(Patterns.of(patterns), self.git.entries(commit))
        contents = self.git.blobs(entry.oid for entry in meant.values())
        return {path: contents[entry.oid] for path, entry in meant.items()}

    def files_equal(self, one: str, other: str, patterns: Iterable[str] | Patterns) -> bool:
        """Whether two commits have the same editable files."""
        chosen = Patterns.of(patterns)
        return _chosen(chosen, self.git.entries(one)) == _chosen(chosen, self.git.entries(other))

    def frozen_changes(self, pinned: str, patterns: Iterable[str]) -> list[FrozenChange]:
        """Frozen files on disk that differ from the campaign's first commit, each with the diff's first lines."""
        chosen = Patterns.of(patterns)
        entries = {path: entry for path, entry in self.git.entries(pinned).items() if chosen.match(path)}
        return compare(self.git, entries)

    def _look(self, path: str, keep_bytes: int = 0) -> Seen:
        try:
            return worktree.look(self.git.tree, path, self.git.start_hash, keep_bytes)
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be read: {error.strerror}. Make it readable and try again.") from error

    # -- a campaign's beginning --------------------------------------------------------------------------------------

    def check_begin(self, tag: str, commit: str, patterns: Iterable[str]) -> None:
        """Everything that could stop `begin`; changes nothing. Raises WorkspaceError."""
        self._plan_begin(check_tag(tag), commit, Patterns.of(patterns))

    def begin(self, tag: str, commit: str, patterns: Iterable[str]) -> None:
        """Make the campaign's branch at `commit` and stand on it. A second call finishes a first that was cut short.

        When HEAD is elsewhere, files that differ are replaced only where they are exactly as committed.
        """
        target = _branch(check_tag(tag))
        steps = self._plan_begin(tag, commit, Patterns.of(patterns))
        if steps is None:
            return
        before, after = steps
        changes = {path: after.get(path) for path in before.keys() | after.keys()}
        done: list[str] = []
        try:
            for path, entry in changes.items():
                done.append(path)
                self._lay(path, entry)
            if changes:
                self.git.update_index(changes)
        except (OSError, GitError) as error:
            for path in done:
                self._lay(path, before.get(path))
            raise WorkspaceError(
                f"The files of {commit[:12]} could not be put in place: {error}. Nothing was changed."
            ) from error
        if not self.git.move_ref(target, commit, self.git.zero, f"autoresearch: begin {tag}"):
            raise WorkspaceError(f"The branch autoresearch/{tag} exists already. Choose another tag.")
        self.git.point_head(target, f"autoresearch: begin {tag}")

    def _plan_begin(
        self, tag: str, commit: str, patterns: Patterns
    ) -> tuple[dict[str, Entry], dict[str, Entry]] | None:
        """Entries to go from and to when standing on another commit; None when the campaign stands already."""
        self.guard()
        here, at = self.head()
        tip = self.branch(tag)
        if tip is not None and here == f"autoresearch/{tag}" and self.git.is_ancestor(commit, tip):
            return None
        if tip not in (None, commit):
            raise WorkspaceError(
                f"The branch autoresearch/{tag} exists already. Choose another tag, or delete the branch."
            )
        if self.git.ref("refs/heads/autoresearch") is not None:
            raise WorkspaceError(
                "A branch called 'autoresearch' is in the way of 'autoresearch/<tag>'. Rename that branch."
            )
        old, new = self.git.entries(at), self.git.entries(commit)
        missing = [
            path for path in patterns.plain if path not in new and not any(p.startswith(path + "/") for p in new)
        ]
        if missing:
            raise WorkspaceError(
                f"{missing[0]} is editable in program.md but not in commit {commit[:12]}. Commit it first."
            )
        before = {path: entry for path, entry in old.items() if new.get(path) != entry}
        after = {path: entry for path, entry in new.items() if old.get(path) != entry}
        touched = before.keys() | after.keys()
        self._refuse_dirty(sorted(touched | self._meant(patterns, {**old, **new})), old, new)
        odd = {e.mode for e in (*before.values(), *after.values())} - set(FILE_MODES)
        ways = self.git.attributes(sorted(touched), ("filter", "working-tree-encoding")) if touched else {}
        if odd or any(value != "unset" for way in ways.values() for value in way.values()):
            raise WorkspaceError(
                f"Going to {commit[:12]} would change links, submodules or files that git converts. "
                f"Go there yourself (`git switch --detach {commit[:12]}`) and start from HEAD."
            )
        return before, after

    def _refuse_dirty(self, paths: list[str], old: Mapping[str, Entry], new: Mapping[str, Entry]) -> None:
        """Raises unless each path, on disk and in the index, is as committed (or already as it will be)."""
        index, settings = (self.git.index(paths) if paths else {}), self.git.settings()
        for path in paths:
            allowed = (old.get(path), new.get(path))
            tag, staged = index.get(path, ("H", None))
            seen = self._look(path)
            if tag == "S" and seen.kind == "absent":
                if allowed[0] == allowed[1]:
                    continue
                raise WorkspaceError(
                    f"{path} would change but is left out by the sparse checkout. "
                    "Add it (`git sparse-checkout add`), then start again."
                )
            there = self._entry(seen, allowed[0] or allowed[1], settings.file_mode)
            if seen.kind in ("absent", "file") and there in allowed and staged in allowed:
                continue
            ways = self.git.attributes([path], _CHANGING).get(path, {})
            named = [f"{name}={value}" for name, value in ways.items() if value != "unset"]
            if settings.converts and ways.get("text") != "unset":
                named.append("core.autocrlf")
            if named and there is not None and there not in allowed and staged in allowed:
                raise WorkspaceError(
                    f"{path} is not on disk as git stores it: it was edited, or git converts it ({', '.join(named)}). "
                    f"Commit your edits; if there are none, add `{path} -text !filter` to .gitattributes, "
                    "add the file anew and commit."
                )
            raise WorkspaceError(
                f"{path} has changes that are not committed. Commit them (they become part of the baseline) "
                "or set them aside with `git stash`, then start again."
            )

    def _entry(self, seen: Seen, like: Entry | None, trusts_mode: bool) -> Entry | None:
        """The tree entry of what lies on disk, if that is a file."""
        return Entry(_mode(seen, like, trusts_mode), seen.oid) if seen.kind == "file" else None

    def _lay(self, path: str, entry: Entry | None) -> None:
        """Make a regular file on disk what `entry` says."""
        if entry is None:
            if self._look(path).kind == "file":
                worktree.remove(self.git.tree, path)
            return
        content = self.git.blobs([entry.oid])[entry.oid]
        worktree.replace(self.git.tree, path, content, entry.mode == "100755", self.paths.state / "tmp")

    # -- an attempt --------------------------------------------------------------------------------------------------

    def snapshot(
        self,
        patterns: Iterable[str],
        parent: str,
        message: str,
        date: str,
        *,
        tag: str | None = None,
        number: int | None = None,
        limit_bytes: int = LIMIT_BYTES,
    ) -> Snapshot:
        """The editable files on disk, laid over the tree of `parent`, as a commit; under its vault ref if numbered.

        Nothing of the user's is touched. The same files, arguments and identity give the same commit.
        """
        base = self.git.entries(parent)
        files, entries = self._read(Patterns.of(patterns), base, limit_bytes)
        changes = {path: entry for path, entry in entries.items() if base.get(path) != entry}
        for path, entry in changes.items():
            if entry is not None and self.git.write_blob(files[path]) != entry.oid:
                raise GitError(f"git stored {path} under another name than its bytes have. Check the disk.")
        tree = self.git.write_tree(parent, changes, self.paths.indexes) if changes else f"{parent}^{{tree}}"
        commit = self.git.write_commit(tree, parent, message, _date(date), self.git.settings())
        if tag is not None and number is not None:
            self.move_vault(tag, number, None, commit)
        return Snapshot(commit, self.git.tree_of(commit) if not changes else tree, tuple(sorted(changes)), files)

    def commit_like(self, like: str, parent: str, message: str, date: str) -> str:
        """A commit with the tree of `like` on top of `parent`; no ref moves. Same arguments, same commit."""
        if not _COMMIT.fullmatch(like) or not _COMMIT.fullmatch(parent):
            raise WorkspaceError(f"{like[:50]!r} or {parent[:50]!r} is not a full commit id. Resolve it first.")
        return self.git.write_commit(f"{like}^{{tree}}", parent, message, _date(date), self.git.settings())

    def move_vault(self, tag: str, number: int, old: str | None, new: str) -> None:
        """Move an attempt's ref from `old` (None: not there yet) to `new`. Raises WorkspaceError if it is elsewhere."""
        name = f"refs/autoresearch/{check_tag(tag)}/{int(number)}"
        if not self.git.move_ref(name, new, old or self.git.zero):
            raise WorkspaceError(f"{name} does not point where the ledger says. Look at it with `git log {name}`.")

    def vault(self, tag: str) -> dict[int, str]:
        """Every attempt of a campaign, by number."""
        found = self.git.refs(f"refs/autoresearch/{check_tag(tag)}/")
        return {int(name.rpartition("/")[2]): oid for name, oid in found.items() if name.rpartition("/")[2].isdecimal()}

    # -- a decision --------------------------------------------------------------------------------------------------

    def keep(
        self, tag: str, candidate: str, expected: str, message: str, date: str, patterns: Iterable[str]
    ) -> KeepOutcome:
        """Put the candidate's editable files on the campaign's branch, which is expected at `expected`.

        If the user committed other files meanwhile, it goes on top of that; if the editable files moved on, or the
        branch is gone, it is `overtaken` and nothing is done. Calling again finds the commit made before.
        """
        self.guard()
        branch, chosen, when = _branch(check_tag(tag)), Patterns.of(patterns), _date(date)
        for _ in range(5):  # a branch that moves between look and swap is looked at again
            tip = self.git.ref(branch)
            if tip is None:
                return KeepOutcome("overtaken", None, f"The branch autoresearch/{tag} is gone.")
            if tip != expected:
                made = self._made_before(tip, expected, message, when)
                if made is not None:
                    return KeepOutcome("already", made.oid, index=self._refresh(branch, made.parents[0], tip, chosen))
                if not self.files_equal(tip, expected, chosen):
                    return KeepOutcome(
                        "overtaken", None, f"autoresearch/{tag} moved to {tip[:12]}, with other editable files."
                    )
            base, wanted = self.git.entries(tip), _chosen(chosen, self.git.entries(candidate))
            changes: dict[str, Entry | None] = {path: e for path, e in wanted.items() if base.get(path) != e}
            changes.update({path: None for path in _chosen(chosen, base) if path not in wanted})
            tree = self.git.write_tree(tip, changes, self.paths.indexes) if changes else f"{tip}^{{tree}}"
            commit = self.git.write_commit(tree, tip, message, when, self.git.settings())
            if self.git.move_ref(branch, commit, tip, f"autoresearch: {message.partition(chr(10))[0]}"):
                return KeepOutcome("kept", commit, index=self._refresh(branch, tip, commit, chosen))
        return KeepOutcome("overtaken", None, f"autoresearch/{tag} keeps moving.")

    def _made_before(self, tip: str, expected: str, message: str, when: datetime) -> Commit | None:
        """The commit an earlier, interrupted call made: same words, same time."""
        words = clean_message(message)
        for commit in self.git.commits(tip, expected):
            if commit.message == words and commit.author_epoch == int(when.timestamp()) and commit.parents:
                return commit
        return None

    def _refresh(self, branch: str, old: str, new: str, patterns: Patterns) -> Literal["fresh", "staged", "locked"]:
        """Bring editable entries of the index along, where the user has not staged something of their own.

        Otherwise the user's next commit would silently undo the keep.
        """
        was, now = _chosen(patterns, self.git.entries(old)), _chosen(patterns, self.git.entries(new))
        moved = sorted(path for path in was.keys() | now.keys() if was.get(path) != now.get(path))
        outcome: Literal["fresh", "staged", "locked"] = "fresh"
        for git_dir in self.git.git_dirs() if moved else []:
            view = self.git.beside(git_dir)
            if view.head()[0] != branch:
                continue
            index = view.index(moved)
            there = {path: index[path][1] if path in index else None for path in moved}
            behind = {
                path: now.get(path) for path in moved if there[path] != now.get(path) and there[path] == was.get(path)
            }
            if any(there[path] not in (was.get(path), now.get(path)) for path in moved):
                outcome = "staged"
            try:
                if behind:
                    view.update_index(behind)
            except LockHeld:
                outcome = "locked"
        return outcome

    def revert(self, patterns: Iterable[str], candidate: str, incumbent: str) -> RevertOutcome:
        """Put the incumbent's files back where the disk still has the candidate's; leave what was edited since."""
        chosen = Patterns.of(patterns)
        was, back = _chosen(chosen, self.git.entries(candidate)), _chosen(chosen, self.git.entries(incumbent))
        trusts_mode = self.git.settings().file_mode
        restored, left = [], []
        for path in sorted(was.keys() | back.keys()):
            from_, to = was.get(path), back.get(path)
            if from_ == to:
                continue
            seen = self._look(path)
            there = self._entry(seen, from_ or to, trusts_mode)
            if seen.kind not in ("file", "absent"):
                left.append(path)
            elif there == to:
                continue
            elif there != from_:
                left.append(path)
            else:
                try:
                    self._lay(path, to)
                except OSError as error:
                    raise WorkspaceError(
                        f"{path} could not be written back: {error.strerror}. Free space or make its folder writable; "
                        "the file is whole, and the next call finishes the revert."
                    ) from error
                restored.append(path)
        return RevertOutcome(tuple(restored), tuple(left))

    # -- copies and views --------------------------------------------------------------------------------------------

    def materialise(self, commit: str, folder: Path) -> Materialised:
        """Write a commit's files into a new folder, raw."""
        return materialise(self.git, self.git.entries(commit), folder)

    def materialise_run(self, pinned: str, candidate: str, patterns: Iterable[str], folder: Path) -> Materialised:
        """What a run sees: the campaign's first commit with the candidate's editable files laid over."""
        chosen, base = Patterns.of(patterns), self.git.entries(pinned)
        wanted = _chosen(chosen, self.git.entries(candidate))
        over = {path: wanted.get(path) for path in _chosen(chosen, base).keys() | wanted.keys()}
        return materialise(self.git, overlay(base, over), folder)

    def diff(self, old: str, new: str, paths: Iterable[str] = (), context: int = 3, limit: int = 65536) -> str:
        """The plain difference between two commits, at most `limit` bytes of it."""
        return self.git.diff(old, new, tuple(paths), context, limit)

    def blob(self, commit: str, path: str) -> bytes | None:
        """A file's content in a commit, or None when it is not there."""
        entry = self.git.entry(commit, path)
        return None if entry is None or entry.mode == "160000" else self.git.blobs([entry.oid])[entry.oid]

    def log(self, tag: str, limit: int = 200) -> list[Commit]:
        """The campaign's branch, newest first."""
        tip = self.branch(check_tag(tag))
        return self.git.commits(tip, limit=limit) if tip else []

    def fsck(self) -> None:
        """Raises GitError when the repository is damaged."""
        self.git.fsck()

    def ignore_views(self) -> None:
        """Keep our views out of the user's `git status`; a line in the repository's own exclude file, not in theirs."""
        exclude = self.git.common / "info" / "exclude"
        try:
            before = exclude.read_text("utf-8", "surrogateescape") if exclude.exists() else ""
            missing = [view for view in _VIEWS if view not in before.splitlines()]
            if missing:
                exclude.parent.mkdir(exist_ok=True)
                start = before if not before or before.endswith("\n") else before + "\n"
                added = "# views drawn by autoresearch\n" + "".join(f"{view}\n" for view in missing)
                write_atomically(exclude, (start + added).encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise WorkspaceError(
                f"{exclude} could not be written: {error.strerror}. Make it writable and try again."
            ) from error


def _branch(tag: str) -> str:
    return f"refs/heads/autoresearch/{tag}"


def _date(stamp: str) -> datetime:
    """An ISO 8601 stamp of the ledger."""
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError as error:
        raise WorkspaceError(f"{stamp[:40]!r} is not a date. Write it like 2025-01-31T12:00:00+00:00.") from error
    if when.tzinfo is None:
        raise WorkspaceError(f"{stamp[:40]!r} says no time zone. Write it like 2025-01-31T12:00:00+00:00.")
    return when


def _chosen(patterns: Patterns, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The regular files that the patterns mean."""
    return {path: e for path, e in entries.items() if e.mode in FILE_MODES and patterns.match(path)}


def _plain_files(patterns: Patterns, base: Mapping[str, Entry]) -> set[str]:
    """Patterns that name one file, so that its absence is noticed; a folder's name is none."""
    folders = {path[:i] for path in base for i, letter in enumerate(path) if letter == "/"}
    return {path for path in patterns.plain if path not in folders}


def _mode(seen: Seen, like: Entry | None, trusted: bool) -> str:
    """A file's mode in a tree; where the file system's x bit means nothing, the one it had."""
    if not trusted:
        return like.mode if like is not None and like.mode in FILE_MODES else "100644"
    return "100755" if seen.executable else "100644"


def _acceptable(path: str, seen: Seen, limit_bytes: int) -> bytes:
    """The content of an editable file, or WorkspaceError that says why it cannot be one."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise WorkspaceError(f"The name of the editable file {path!a} is not UTF-8. Rename it.") from error
    if seen.kind == "symlink":
        raise WorkspaceError(f"{path} is, or lies behind, a symbolic link. Put a regular file there.")
    if seen.kind != "file":
        raise WorkspaceError(f"{path} is not a regular file. Put a regular file there.")
    if seen.content is None:
        raise WorkspaceError(
            f"{path} has {seen.size} bytes, more than the limit of {limit_bytes}. "
            "An editable file is source code; keep data in files that are not editable."
        )
    if b"\0" in seen.content:
        raise WorkspaceError(f"{path} is binary (it holds a NUL byte). Editable files are text.")
    return seen.content
