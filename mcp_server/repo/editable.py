"""The editable files of a work tree: which they are, what they hold, and why one cannot be taken.

Reads disk, index and objects, changes nothing. A file is taken as its bytes are; where git would convert them so that
our bytes could never look clean to `git status`, it is refused in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mcp_server.nouns.errors import WorkspaceError
from mcp_server.repo import worktree
from mcp_server.repo.formats.objects import Entry
from mcp_server.repo.git import FILE_MODES, Repository
from mcp_server.repo.patterns import Patterns
from mcp_server.repo.worktree import LITTER, Seen

LIMIT_BYTES = 2_000_000
_SUBMODULE = "160000"


def chosen(patterns: Patterns, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The regular files of a tree that the patterns mean."""
    return {path: e for path, e in entries.items() if e.mode in FILE_MODES and patterns.match(path)}


def meant(repository: Repository, patterns: Patterns, base: Mapping[str, Entry]) -> set[str]:
    """Every path that the patterns mean in `base` or on disk; what git ignores is left out."""
    paths = {path for path, entry in base.items() if entry.mode != _SUBMODULE and patterns.match(path)}
    folders = list(patterns.wide)
    for path in patterns.plain:
        kind = seen(repository, path).kind
        if kind == "folder":
            folders.append(path)
        elif kind != "absent":
            paths.add(path)
    if folders:
        # compiled files appear by themselves wherever nobody thought of ignoring them
        there = (path for path in repository.listed(folders) if not path.endswith((LITTER, ".pyc")))
        paths |= {path for path in there if patterns.match(path)}
    return paths


def seen(repository: Repository, path: str, keep_bytes: int = 0) -> Seen:
    """What lies at `path`. Raises WorkspaceError when the system will not say."""
    try:
        return worktree.look(repository.tree, path, repository.start_hash, keep_bytes)
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}. Make it readable and try again.") from error


def entry_of(found: Seen, like: Entry | None, trusts_mode: bool) -> Entry | None:
    """The tree entry of what lies on disk, if that is a file; its mode is that of `like` where x bits mean nothing."""
    if found.kind != "file":
        return None
    if not trusts_mode:
        return Entry(like.mode if like is not None and like.mode in FILE_MODES else FILE_MODES[0], found.oid)
    return Entry(FILE_MODES[found.executable], found.oid)


def read(
    repository: Repository, patterns: Patterns, base: Mapping[str, Entry], limit_bytes: int = LIMIT_BYTES
) -> dict[str, bytes]:
    """The editable files as they are on disk; one that a sparse checkout leaves out is as in `base`.

    Raises WorkspaceError that names the first file we cannot take, and what to do about it.
    """
    files: dict[str, bytes] = {}
    absent = []
    for path in sorted(meant(repository, patterns, base) | _single(patterns, base)):
        found = seen(repository, path, limit_bytes)
        if found.kind == "absent" or (found.kind == "folder" and path not in patterns.plain):
            absent.append(path)
        else:
            files[path] = _acceptable(path, found, limit_bytes)
    if absent:
        index = repository.index(absent)
        skipped = {path for path in absent if path in base and path in index and index[path][0] == "S"}
        for path in absent:
            if path in patterns.plain and path not in skipped:
                raise WorkspaceError(
                    f"{path} is editable in program.md but does not exist in {repository.tree}. "
                    "Create and commit it, or correct the list of editable files."
                )
        contents = repository.blobs(base[path].oid for path in skipped)
        files.update({path: contents[base[path].oid] for path in skipped})
    if not files:
        raise WorkspaceError(
            f"No file matches the editable patterns ({', '.join(patterns.items)[:200]}). "
            "Correct the list in program.md, or create the files."
        )
    _refuse_converted(repository, files)
    return files


def entries_of(
    repository: Repository, files: Mapping[str, bytes], patterns: Patterns, base: Mapping[str, Entry]
) -> dict[str, Entry | None]:
    """How a tree like `base` would hold `files` as its editable files; None for one that is gone."""
    trusts_mode = repository.settings().file_mode
    entries: dict[str, Entry | None] = {path: None for path in chosen(patterns, base) if path not in files}
    for path, content in files.items():
        like, found = base.get(path), seen(repository, path)
        if found.kind != "file":  # left out by a sparse checkout, or gone since it was read
            found = Seen("file", executable=like is not None and like.mode == FILE_MODES[1])
        mode = entry_of(found, like, trusts_mode)
        assert mode is not None
        entries[path] = Entry(mode.mode, repository.blob_oid(content))
    return entries


def _single(patterns: Patterns, base: Mapping[str, Entry]) -> set[str]:
    """Patterns that name one file, so that its absence is noticed; the name of a folder is none."""
    return {path for path in patterns.plain if not any(known.startswith(f"{path}/") for known in base)}


def _acceptable(path: str, found: Seen, limit_bytes: int) -> bytes:
    """The content of an editable file, or WorkspaceError that says why it cannot be one."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise WorkspaceError(f"The name of the editable file {path!a} is not UTF-8. Rename it.") from error
    if found.kind == "symlink":
        raise WorkspaceError(f"{path} is, or lies behind, a symbolic link. Put a regular file there.")
    if found.kind != "file":
        raise WorkspaceError(f"{path} is not a regular file. Put a regular file there.")
    if found.content is None:
        raise WorkspaceError(
            f"{path} has {found.size} bytes, more than the limit of {limit_bytes}. An editable file is source code; "
            "keep data in files that are not editable."
        )
    if b"\0" in found.content:
        raise WorkspaceError(f"{path} is binary (it holds a NUL byte). Editable files are text.")
    return found.content


def _refuse_converted(repository: Repository, files: Mapping[str, bytes]) -> None:
    windows = [path for path, content in files.items() if b"\r\n" in content]
    if not windows:
        return
    autocrlf, attributes = repository.settings().converts, repository.attributes(windows, ("text", "eol"))
    for path in windows:
        asked = attributes.get(path, {})
        if asked.get("text") != "unset" and (asked or autocrlf):
            raise WorkspaceError(
                f"{path} has Windows line endings, and this repository converts them (core.autocrlf or "
                ".gitattributes). Write it with plain newlines, or mark it `-text` in .gitattributes."
            )


def refuse_uncommitted(
    repository: Repository, paths: Iterable[str], old: Mapping[str, Entry], new: Mapping[str, Entry]
) -> None:
    """Raises WorkspaceError unless each path, on disk and in the index, is as in `old` or as in `new`."""
    listed = sorted(paths)
    index, settings = (repository.index(listed) if listed else {}), repository.settings()
    for path in listed:
        allowed = (old.get(path), new.get(path))
        tag, staged = index.get(path, ("H", None))
        found = seen(repository, path)
        if tag == "S" and found.kind == "absent":
            if allowed[0] == allowed[1]:
                continue
            raise WorkspaceError(
                f"{path} would change but is left out by the sparse checkout. Add it (`git sparse-checkout add`), then "
                "start again."
            )
        there = entry_of(found, allowed[0] or allowed[1], settings.file_mode)
        if found.kind in ("absent", "file") and there in allowed and staged in allowed:
            continue
        ways = repository.attributes([path], ("filter", "text", "eol", "ident", "working-tree-encoding")).get(path, {})
        named = [f"{name}={value}" for name, value in ways.items() if value != "unset"]
        if settings.converts and ways.get("text") != "unset":
            named.append("core.autocrlf")
        if named and there is not None and there not in allowed and staged in allowed:
            raise WorkspaceError(
                f"{path} is not on disk as git stores it: it was edited, or git converts it ({', '.join(named)}). "
                f"Commit your edits; if there are none, write `{path} -text !eol !filter` into .gitattributes, "
                "add the file anew and commit."
            )
        if old.get(path) is None and staged is None:
            raise WorkspaceError(f"{path} is not committed yet. `git add` and commit it, then start again.")
        raise WorkspaceError(
            f"{path} has changes that are not committed. Commit them (they become part of the baseline) "
            "or set them aside with `git stash`, then start again."
        )
