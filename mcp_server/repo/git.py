"""The one place that touches git: objects, refs and indexes of one repository, without running what it configures.

`gitcommand` puts the walls around each command; here everything variable stands behind `--end-of-options` or `--` or
comes on stdin. Filters and external diffs never run: blobs are hashed raw and never checked out. Nothing here writes a
file of the work tree, and only `update_index` writes the user's index.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from mcp_server.nouns.errors import GitError, WorkspaceError
from mcp_server.repo.command import GitCommand, Near, last_words
from mcp_server.repo.formats import objects
from mcp_server.repo.formats.objects import Batch, Entry

_REF_TEXT = re.compile(r"[\w@][\w@./{}^~+\-]{0,199}")
FILE_MODES = ("100644", "100755")
_HEEDED = r"^(user\.(name|email)|core\.(filemode|autocrlf)|filter\..*\.(clean|smudge|process|required))$"
_FILTER = re.compile(r"filter\..*\.(clean|smudge|process|required)", re.DOTALL)
_LARGE_INDEX_BYTES = 4_000_000  # beyond, it is asked for the paths in question alone


@dataclass(frozen=True)
class Commit:
    oid: str
    tree: str
    parents: tuple[str, ...]
    author_epoch: int
    message: str


@dataclass(frozen=True)
class Settings:
    """What we heed of the configuration. `converts` is core.autocrlf."""

    name: str = "autoresearch"
    email: str = "autoresearch@localhost"
    file_mode: bool = True
    converts: bool = False


def text(raw: bytes) -> str:
    """A path as git gave it; bytes that are no UTF-8 survive the way there and back."""
    return raw.decode("utf-8", "surrogateescape")


def raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def begin_in(folder: Path) -> None:
    """Make a repository of its own in a folder. Raises WorkspaceError."""
    git = GitCommand(folder, folder / ".git", folder / ".git", patience=2.0)
    answer = git.once(["init", "--quiet", "--initial-branch=main", "--", str(folder)], where=())
    if answer.code:
        raise WorkspaceError(f"git init failed in {folder}: {last_words(answer.error)}. Is there room on the disk?")


def commit_in(folder: Path, who: Settings, message: str, *added: str) -> str:
    """A commit in a repository of our own, by its id. added: for `git add`; it may come to nothing new."""
    git = GitCommand(folder, folder / ".git", folder / ".git", patience=2.0)
    git.do("add", *added)
    named = ("-c", f"user.name={who.name}", "-c", f"user.email={who.email}")
    git.do(*named, "commit", "--quiet", "--allow-empty", "-m", message)
    return git.do("rev-parse", "HEAD").decode().strip()


class Repository(Near):
    """One work tree's view of a repository."""

    def __init__(self, tree: Path, git_dir: Path, common: Path, algorithm: str, patience: float = 2.0) -> None:
        super().__init__(tree, git_dir, common, patience)
        self.algorithm = algorithm
        self.zero = "0" * (hashlib.new(algorithm).digest_size * 2)

    @classmethod
    def at(cls, tree: Path, patience: float = 2.0) -> Repository:
        """The repository whose work tree holds `tree`. Raises WorkspaceError, in words, when there is none."""
        tree = tree.resolve()
        if not tree.is_dir():
            raise WorkspaceError(f"{tree} is not a folder. Start in the work tree of a git repository.")
        finder = cls(tree, tree, tree, "sha1")
        command = ["rev-parse", "--path-format=absolute", "--is-bare-repository", "--show-object-format"]
        places = ["--git-dir", "--git-common-dir", "--show-toplevel"]
        code, out, error = finder.once([*command, *places], where=())
        lines = out.decode("utf-8", "surrogateescape").splitlines()
        if "not a git repository" in error:
            raise WorkspaceError(f"{tree} is not in a git repository. Run `git init` there and make a first commit.")
        if lines[:1] == ["true"] or "must be run in a work tree" in error:
            raise WorkspaceError(
                f"{tree} is a bare repository or the inside of .git; experiments need files. "
                "Start in a work tree: `git clone` it or `git worktree add`."
            )
        if code != 0:
            raise GitError(f"git cannot open {tree}: {last_words(error)}. Put that right and try again.")
        if len(lines) != 5 or lines[1] not in ("sha1", "sha256"):
            raise GitError(
                f"git answered about {tree} in a way we cannot read. Use git 2.31 or newer and plain folder names."
            )
        git_dir, common, top = (Path(line) for line in lines[2:])
        if not tree.is_relative_to(top.resolve()):
            # core.worktree may name any folder: the files there are not the ones we were asked about
            raise WorkspaceError(
                f"The configuration of {tree} says its files are in {top}. Unset core.worktree, or start there."
            )
        return cls(top.resolve(), git_dir, common, lines[1], patience)

    def views(self) -> list[Repository]:
        """The same repository with the HEAD and index of each of its work trees, the main one first."""
        linked = self.common / "worktrees"
        folders = [self.common, *(sorted(linked.iterdir()) if linked.is_dir() else [])]
        # a bare repository and a work tree being made have no index
        there = [folder for folder in folders if (folder / "index").exists()]
        return [
            self
            if folder == self.git_dir
            else Repository(self.tree, folder, self.common, self.algorithm, self.patience)
            for folder in there
        ]

    def settings(self) -> Settings:
        """The user's identity and the few settings that change what a file's bytes or mode mean."""
        found = dict(self.configured())
        name, email = found.get("user.name", "").strip(), found.get("user.email", "").strip()
        known = {"name": name, "email": email} if name and email else {}
        converts = found.get("core.autocrlf", "false").lower() in ("true", "input", "yes", "on", "1", "")
        return Settings(**known, file_mode=found.get("core.filemode", "true").lower() != "false", converts=converts)

    # -- objects -----------------------------------------------------------------------------------------------------

    def start_hash(self, size: int) -> hashlib._Hash:
        """The hash of a blob of `size` bytes, to be fed with them."""
        return hashlib.new(self.algorithm, b"blob %d\0" % size, usedforsecurity=False)

    def blob_oid(self, content: bytes) -> str:
        digest = self.start_hash(len(content))
        digest.update(content)
        return digest.hexdigest()

    def entries(self, commit: str, below: Sequence[str] = ()) -> dict[str, Entry]:
        """Every file of a commit or tree, by path; only those at or below some paths, if any are given."""
        with self.at_hand():
            found = objects.walk(self.tree_of(commit), self._folder, [raw(path) for path in below])
            return {text(path): entry for path, entry in found}

    def entry(self, commit: str, path: str) -> Entry | None:
        """One path of a commit; None when it is not there, or a folder."""
        return self.entries(commit, (path,)).get(path)

    def tree_of(self, commit: str) -> str:
        return self.named(f"{commit}^{{tree}}").oid

    def _folder(self, tree: str) -> objects.Tree:
        """One folder of a commit, by the name of its tree."""
        try:
            return objects.read_tree(self.named(tree).content, len(self.zero) // 2)
        except ValueError as error:
            raise GitError(f"The tree {tree} is damaged: {error}. Run `git fsck`.") from None

    def whole(self, commits: Sequence[str]) -> bool:
        """Whether commits are here with everything they are made of."""
        known = ("--not", "--all", "--not")  # what a ref holds is whole
        return (
            not commits or self.ask("rev-list", "--objects", "--quiet", *known, "--end-of-options", *commits).code == 0
        )

    def is_ancestor(self, old: str, new: str) -> bool:
        return self.ask("merge-base", "--is-ancestor", "--end-of-options", old, new).code == 0

    def stream_blobs(self, oids: Iterable[str]) -> Iterator[tuple[int, IO[bytes]]]:
        """Size and content of each object, in order, by one process. Read just the size before asking for the next."""
        wanted = list(oids)
        if self.is_at_hand:
            yield from self.streamed(wanted)
            return
        asked = (oid.encode() + b"\n" for oid in wanted)
        with self.running(["cat-file", "--batch", "--buffer"], stdin=asked) as (_, out):
            for oid in wanted:
                header = out.readline().split()
                if len(header) != 3:
                    raise GitError(
                        f"The object {oid} is missing or damaged. Run `git fsck`; in a partial clone, "
                        "fetch everything first (`git fetch --refetch --no-filter`)."
                    )
                yield int(header[2]), out
                out.read(1)

    def blobs(self, oids: Iterable[str]) -> dict[str, bytes]:
        wanted = sorted(set(oids))
        if not wanted:
            return {}
        return {oid: out.read(size) for oid, (size, out) in zip(wanted, self.stream_blobs(wanted), strict=True)}

    def store(self, batch: Batch) -> None:
        """Write new objects, all by one git; nothing refers to them yet."""
        if batch.objects:
            self.do("unpack-objects", "-q", stdin=batch.pack())

    def changed_tree(self, base: str, changes: Mapping[str, Entry | None], batch: Batch) -> str:
        """The tree of `base` with some paths replaced or (None) gone."""
        with self.at_hand():
            wanted = {raw(path): entry for path, entry in changes.items()}
            return objects.changed(self.tree_of(base), wanted, self._folder, batch)

    def _index_info(self, changes: Mapping[str, Entry | None]) -> bytes:
        """Removals first: a file may have become a folder of the same name."""
        gone = [b"0 %s\t%s\0" % (self.zero.encode(), raw(path)) for path, entry in changes.items() if entry is None]
        there = [
            b"%s %s\t%s\0" % (e.mode.encode(), e.oid.encode(), raw(p)) for p, e in changes.items() if e is not None
        ]
        return b"".join(gone + there)

    def new_commit(
        self, tree: str, parents: Sequence[str], message: str, date: datetime, who: Settings, batch: Batch
    ) -> str:
        """A commit of a tree, to be stored with its batch; the same arguments give the same name. Moves no ref."""
        name = f"{objects.plain_name(who.name) or 'autoresearch'} <{objects.plain_name(who.email)}>"
        epoch = int(date.astimezone(UTC).timestamp())
        return batch.add("commit", objects.commit(tree, parents, name, epoch, clean_message(message)))

    def write_commit(self, tree: str, parents: Sequence[str], message: str, date: datetime, who: Settings) -> str:
        """The same, stored at once."""
        batch = Batch(self.algorithm)
        oid = self.new_commit(tree, parents, message, date, who, batch)
        self.store(batch)
        return oid

    def commits(self, new: str, without: str | None = None, limit: int = 200) -> list[Commit]:
        """Commits reachable from `new` but not from `without`, newest first."""
        bounds = [new, *([f"^{without}"] if without else [])]
        oids = self.do("rev-list", f"--max-count={limit}", "--end-of-options", *bounds, "--").decode().split()
        return [
            _parse_commit(oid, out.read(size)) for oid, (size, out) in zip(oids, self.stream_blobs(oids), strict=True)
        ]

    def diff(self, old: str, new: str, paths: Sequence[str] = (), context: int = 3, limit: int = 65536) -> str:
        """The plain difference between two commits, cut at `limit` bytes with a word about it."""
        plain = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--text")
        named = ("--src-prefix=a/", "--dst-prefix=b/", f"--unified={context}")
        command = ["diff-tree", "-r", "-p", *plain, *named, "--end-of-options", old, new, "--", *paths]
        with self.running(command) as (process, stdout):
            out = stdout.read(limit + 1)
            if len(out) <= limit and process.wait(timeout=60) != 0:
                error = process.stderr.read().decode("utf-8", "replace") if process.stderr else ""
                raise GitError(f"git diff-tree failed: {last_words(error)}. Check both commits.")
        words = out[:limit].decode("utf-8", "replace")
        return words if len(out) <= limit else f"{words}\n[cut here: the difference is longer than {limit} bytes]\n"

    # -- refs --------------------------------------------------------------------------------------------------------

    def resolve(self, ref: str) -> str:
        """The commit that a person or an agent named. Raises WorkspaceError: unknown, or no name at all."""
        if not _REF_TEXT.fullmatch(ref) or ".." in ref:
            raise WorkspaceError(f"{ref[:80]!r} is not the name of a commit. Give a branch, a tag or a commit id.")
        answer = self.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if answer.code != 0:
            raise WorkspaceError(
                f"There is no commit called {ref[:80]!r} here. Give a branch, a tag or a commit id that `git log` "
                "shows; an empty repository needs a first commit."
            )
        return answer.out.decode().strip()

    def ref(self, name: str) -> str | None:
        """What a full ref name points at. Every verb asks for several: their files are read where there are files."""
        filed = self._filed(name) if name.startswith(("refs/heads/", "refs/autoresearch")) else None
        if filed is not None:
            return filed or None
        answer = self.ask("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        return answer.out.decode().strip() if answer.code == 0 else None

    def _filed(self, name: str) -> str | None:
        """The same from the files that git keeps refs in; "" where there is no such ref, None where git must say."""
        if (self.common / "reftable").exists():
            return None
        try:
            said = (self.common / name).read_bytes().strip().decode("ascii", "replace")
            return said if re.fullmatch(r"[0-9a-f]+", said) and len(said) == len(self.zero) else None
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            pass  # packed, or not there; whoever packs refs writes the list before the file goes
        except OSError:
            return None
        try:
            packed = (self.common / "packed-refs").read_bytes()
        except FileNotFoundError:
            return ""
        except OSError:
            return None
        at = packed.find(b" %s\n" % name.encode())
        return packed[max(0, at - len(self.zero)) : at].decode("ascii", "replace") if at >= 0 else ""

    def refs(self, prefix: str) -> dict[str, str]:
        """All refs below `prefix` (which ends with "/"), by full name."""
        out = self.do("for-each-ref", "--format=%(refname)%00%(objectname)", prefix).decode("utf-8", "surrogateescape")
        return {name: oid for name, _, oid in (line.partition("\0") for line in out.splitlines())}

    def move_ref(self, name: str, new: str, old: str, reason: str = "") -> bool:
        """Compare and swap; `old` all zeros means create. False when it is elsewhere; True also if at `new` already."""
        answer = self.ask("update-ref", "--no-deref", "-m", " ".join(reason.split()) or "autoresearch", name, new, old)
        if answer.code == 0:
            return True
        now = self.ref(name)
        if now == new:
            return True
        if (now or self.zero) != old:
            return False
        raise GitError(f"git could not move {name}: {last_words(answer.error)}. Put that right and try again.")

    def move_together(self, moves: Sequence[tuple[str, str, str]], reason: str) -> bool:
        """Compare and swap several at once, (name, new, old) each, all or none; whether they were moved."""
        lines = "".join(f"update {name} {new} {old}\n" for name, new, old in moves).encode()
        words = " ".join(reason.split()) or "autoresearch"
        return self.ask("update-ref", "--no-deref", "-m", words, "--stdin", stdin=lines).code == 0

    def head(self) -> tuple[str | None, str | None]:
        """The full ref HEAD stands on (None when detached) and its commit (None before the first one)."""
        return self.head_ref(), self.ref("HEAD")

    def head_ref(self) -> str | None:
        """The full ref HEAD stands on, None when it is detached. Every verb asks: it reads the file if there is one."""
        try:
            said = (self.git_dir / "HEAD").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            said = ""
        if said.startswith("ref: refs/heads/") and said != "ref: refs/heads/.invalid\n":  # what a reftable leaves there
            return said.removeprefix("ref:").strip()
        return self.ask("symbolic-ref", "--quiet", "HEAD").out.decode().strip() or None

    def point_head(self, name: str, reason: str) -> None:
        """Stand on another branch; files and index stay as they are."""
        self.do("symbolic-ref", "-m", reason, "HEAD", name)

    # -- the user's index --------------------------------------------------------------------------------------------

    def index(self, paths: Sequence[str]) -> dict[str, tuple[str, Entry]]:
        """Tag ("H" usual, "S" skipped by a sparse checkout, "M" unmerged) and entry of each of `paths` in the index."""
        listed = self._listed_index(paths)
        return {path: listed[path] for path in paths if path in listed}

    def unmerged(self) -> list[str]:
        if self._is_large_index():
            lines = self.do("ls-files", "--unmerged", "-z").split(b"\0")[:-1]
            return sorted({text(line.partition(b"\t")[2]) for line in lines})
        return sorted(path for path, (tag, _) in self._listed_index(()).items() if tag == "M")

    def _listed_index(self, paths: Sequence[str]) -> dict[str, tuple[str, Entry]]:
        """The index, once for each state of its file; of a large one `paths` alone, where they are few."""
        asked = list(paths) if self._is_large_index() and len(paths) <= 500 else []  # a command line has an end
        key = None if asked else self._index_state()
        known: dict[str, tuple[str, Entry]] | None = None if key is None else self.remembered(key)
        if known is not None:
            return known
        found: dict[str, tuple[str, Entry]] = {}
        for line in self.do("ls-files", "-t", "--stage", "-z", "--", *asked).split(b"\0")[:-1]:
            about, _, path = line.partition(b"\t")
            tag, mode, oid, stage = about.decode().split(" ")
            found[text(path)] = (tag if stage == "0" else "M", Entry(mode, oid))
        if key is not None:
            self.remember(key, found)
        return found

    def _is_large_index(self) -> bool:
        state = self._index_state()
        return state is not None and state[3] > _LARGE_INDEX_BYTES

    def _index_state(self) -> tuple[str, int, int, int] | None:
        """What tells that the index is as it was: git replaces the file whenever it changes."""
        try:
            found = (self.git_dir / "index").stat()
        except OSError:
            return None
        return "index", found.st_ino, found.st_mtime_ns, found.st_size

    def listed(self, folders: Sequence[str]) -> set[str]:
        """Files below `folders` that git tracks or would offer to track; "" is the whole tree."""
        below = () if "" in folders else folders
        out = self.do("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *below)
        return {text(path) for path in out.split(b"\0")[:-1] if not path.endswith(b"/")}

    def update_index(self, changes: Mapping[str, Entry | None]) -> None:
        """Set some entries of the user's index. Raises LockHeld when somebody keeps it locked."""
        self.do("update-index", "-z", "--index-info", stdin=self._index_info(changes), environment=self._no_filters())

    def add_tree(self, folder: Path, commit: str) -> None:
        """A linked work tree with `commit` checked out, on no branch. Raises GitError; no filter or hook runs."""
        arguments = ("worktree", "add", "--quiet", "--detach", "--", str(folder), commit)
        self.do(*arguments, environment=self._no_filters())

    def clone_at(self, folder: Path, commit: str) -> None:
        """A repository of its own in `folder`, on branch main at a commit. Raises GitError.

        Hard links within one disk; an interrupted clone leaves no .git behind.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        git = GitCommand(folder.parent, folder / ".git", folder / ".git", patience=self.patience)
        command = ["clone", "--quiet", "--no-checkout", "--no-tags", "--", str(self.common), str(folder)]
        answer = git.once(command, where=(), environment={"GIT_ALLOW_PROTOCOL": "file"})
        if answer.code:
            raise GitError(f"The repository cannot be cloned into {folder}: {last_words(answer.error)}.")
        git = GitCommand(folder, folder / ".git", folder / ".git", patience=self.patience)
        git.do("checkout", "--quiet", "--force", "-B", "main", commit)

    def configured(self) -> list[tuple[str, str]]:
        """The few settings that we heed, in order: (key, value)."""
        known = self.remembered(("configuration",))
        if known is None:
            out = self.ask("config", "-z", "--get-regexp", _HEEDED).out
            known = [(key, value) for key, _, value in (text(item).partition("\n") for item in out.split(b"\0")[:-1])]
            self.remember(("configuration",), known)
        return list(known)

    def _no_filters(self) -> dict[str, str]:
        """Configuration that disarms every configured filter.

        While git writes an index it compares other files again that changed within its clock's last tick, through
        their filters. As variables and not as `-c`, because the name of a filter may hold an equals sign.
        """
        names = [name for name, _ in self.configured() if _FILTER.fullmatch(name)]
        count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)  # the caller's own come first
        disarmed = {}
        for name in dict.fromkeys(names):
            disarmed[f"GIT_CONFIG_KEY_{count}"] = name
            disarmed[f"GIT_CONFIG_VALUE_{count}"] = "false" if name.endswith(".required") else ""
            count += 1
        return {**disarmed, "GIT_CONFIG_COUNT": str(count)} if disarmed else {}

    def attributes(self, paths: Iterable[str], names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The specified gitattributes among `names`, by path ("set", "unset" or a value); reading them runs nothing."""
        asked = b"".join(raw(path) + b"\0" for path in paths)
        fields = self.do("check-attr", "-z", "--stdin", *names, stdin=asked).split(b"\0")[:-1]
        found: dict[str, dict[str, str]] = {}
        for path, name, value in zip(fields[::3], fields[1::3], fields[2::3], strict=True):
            if value != b"unspecified":
                found.setdefault(text(path), {})[text(name)] = text(value)
        return found


def clean_message(message: str) -> str:
    """A commit message as git will give it back: no NUL, one newline at the end."""
    return message.encode("utf-8", "replace").decode().replace("\0", "").strip() + "\n"


def _parse_commit(oid: str, content: bytes) -> Commit:
    head, _, message = content.partition(b"\n\n")
    fields = [line.split(b" ", 1) for line in head.split(b"\n") if b" " in line and not line.startswith(b" ")]
    tree = next(value.decode() for key, value in fields if key == b"tree")
    author = next(value for key, value in fields if key == b"author")
    parents = tuple(value.decode() for key, value in fields if key == b"parent")
    return Commit(oid, tree, parents, int(author.split()[-2]), message.decode("utf-8", "replace"))
