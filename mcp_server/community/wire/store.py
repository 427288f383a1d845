"""The bare repository that holds all accepted journals, and the quarantine that newcomers wait in.

It is apart from the user's repository: nothing of another lab is ever in the reach of their branches, hooks, filters or
attributes, and a damaged one can be thrown away. Objects are read as data; nothing is checked out.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Literal

from mcp_server.community.wire.keys import LabKey
from mcp_server.nouns.errors import GitError
from mcp_server.nouns.exchanged import LAB_CHARACTERS
from mcp_server.nouns.files import private_folder
from mcp_server.repo.command import last_words
from mcp_server.repo.git import Repository, raw

LABS = "refs/autoresearch/labs/"
FORKS = "refs/autoresearch/forks/"
BRANCHES = "refs/heads/autoresearch-lab-"  # where a host takes branches only
_LAB_REF = re.compile(rf"(?:{LABS}|{BRANCHES})([0-9a-f]{{{LAB_CHARACTERS}}})")
MEMORY_BYTES = 6 * 2**30  # of a git that unpacks what a stranger packed
FEW = 400  # objects that are asked for one by one
LOOSE = 4000  # objects after which the store is packed
# what git warns of by default and we refuse
_STRICT = (
    *("hasDotgit", "hasDot", "hasDotdot", "fullPathname", "nullSha1", "zeroPaddedFilemode", "gitmodulesSymlink"),
    *("gitattributesSymlink", "gitignoreSymlink", "mailmapSymlink", "missingSpaceBeforeEmail", "badFilemode"),
)


def lab_of_ref(name: str) -> str | None:
    """The lab whose journal a ref is; None for any other ref."""
    found = _LAB_REF.fullmatch(name)
    return found[1] if found else None


def journal_ref(lab: str) -> str:
    return LABS + lab


class Store(Repository):
    """A bare repository of ours. Every command is told its folder, so it has no work tree and no surprises."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, folder, folder, "sha1", patience=5.0)
        self._checks: subprocess.Popen[bytes] | None = None
        self._contents: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def running(
        self,
        arguments: Sequence[str],
        *,
        where: Sequence[str] | None = None,
        stdin: Iterable[bytes] | Literal["pipe"] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
        with super().running(
            arguments, where=where or (f"--git-dir={self.git_dir}",), stdin=stdin, environment=environment
        ) as found:
            yield found

    @classmethod
    def at(cls, tree: Path, patience: float = 5.0) -> Store:
        """The store in a folder, made if there is none. Raises GitError or OSError."""
        if not (tree / "HEAD").exists():
            private_folder(tree.parent)
            half = tree.with_name(tree.name + ".new")
            shutil.rmtree(half, ignore_errors=True)
            make_bare(half)
            os.replace(half, tree)
        return cls(tree)

    def head_of(self, lab: str) -> str | None:
        return self.ref(journal_ref(lab))

    def heads(self) -> dict[str, str]:
        """The tip of every accepted journal, by lab."""
        return {name.removeprefix(LABS): oid for name, oid in self.refs(LABS).items()}

    def pack_if_large(self) -> None:
        """Put many loose objects into one pack; what nothing reaches goes."""
        said = self.do("count-objects").split(b" ", 1)[0]
        if int(said or b"0") > LOOSE:
            self.do("gc", "--quiet", "--prune=1.hour.ago")

    # -- writing -------------------------------------------------------------------------------------------------------

    def sign_commit(self, tree: str, parents: Sequence[str], message: str, epoch: int, key: LabKey) -> str:
        """A signed commit object. Raises GitError where the key cannot sign."""
        who = f"lab {key.lab[:8]}", f"{key.lab}@autoresearch"
        stamp = {
            **{"GIT_AUTHOR_NAME": who[0], "GIT_AUTHOR_EMAIL": who[1], "GIT_AUTHOR_DATE": f"@{epoch} +0000"},
            **{"GIT_COMMITTER_NAME": who[0], "GIT_COMMITTER_EMAIL": who[1], "GIT_COMMITTER_DATE": f"@{epoch} +0000"},
        }
        above = [part for parent in parents for part in ("-p", parent)]
        return (
            self.do(
                *(*key.configuration(), "commit-tree", "-S", *above, "-F", "-", tree),
                stdin=(message + "\n").encode(),
                environment=stamp,
            )
            .decode()
            .strip()
        )

    def write_attempts(self, attempts: Sequence[tuple[Mapping[str, bytes], str | int | None, int, str]]) -> list[str]:
        """Commits of nothing but their editable files, by one git: (files, base, epoch, message) each.

        base: the commit it was made on, the place of an earlier one in this list, or None. Authors are the lab alone.
        """
        if not attempts:
            return []
        stream: list[bytes] = []
        for place, (files, base, epoch, message) in enumerate(attempts, 1):
            words = message.encode()
            stream.append(b"reset refs/scratch/attempt\n\ncommit refs/scratch/attempt\nmark :%d\n" % place)
            stream.append(b"committer autoresearch <lab@autoresearch> %d +0000\n" % epoch)
            stream.append(b"data %d\n%s\n" % (len(words), words))
            if base is not None:
                above = f":{base + 1}" if isinstance(base, int) else base
                stream.append(b"from %s\ndeleteall\n" % above.encode())
            for path, content in sorted(files.items()):
                stream.append(b'M 100644 inline "%s"\n' % _quoted(path))
                stream.append(b"data %d\n" % len(content))
                stream += [content, b"\n"]
            stream.append(b"\nget-mark :%d\n" % place)
        stream.append(b"done\n")
        return self.do("fast-import", "--quiet", "--force", "--done", stdin=b"".join(stream)).decode().split()

    def write_page(self, content: bytes, name: str) -> str:
        """A tree with one file."""
        blob = self.write_blob(content)
        return self.do("mktree", stdin=f"100644 blob {blob}\t{name}\n".encode()).decode().strip()

    # -- reading -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Within it few objects are asked for of two gits that stay, instead of one git for each question."""
        kinds = (["cat-file", "--batch-check"], ["cat-file", "--batch"])
        with contextlib.ExitStack() as stack:
            self._checks, self._contents = (stack.enter_context(self.running(one, stdin="pipe"))[0] for one in kinds)
            try:
                yield
            finally:
                self._checks = self._contents = None

    def blobs(self, oids: Iterable[str]) -> dict[str, bytes]:
        """The content of objects, by name; ask for their sizes first."""
        wanted = sorted(set(oids))
        if self._contents is None or len(wanted) > FEW:
            return super().blobs(wanted)
        found = {}
        for oid in wanted:
            head = _answered(self._contents, oid)
            if len(head) != 3:
                raise GitError(f"The object {oid} is missing or damaged. It is fetched again by the next exchange.")
            assert self._contents.stdout is not None
            found[oid] = self._contents.stdout.read(int(head[2]))
            self._contents.stdout.read(1)
        return found

    def sizes(self, oids: Sequence[str]) -> list[tuple[str, int] | None]:
        """Kind and bytes of each object; None for one that is not here."""
        if self._checks is not None and len(oids) <= FEW:
            heads = [_answered(self._checks, oid) for oid in oids]
            return [(head[1].decode(), int(head[2])) if len(head) == 3 else None for head in heads]
        out = self.do("cat-file", "--batch-check", "--buffer", stdin="".join(f"{oid}\n" for oid in oids).encode())
        found: list[tuple[str, int] | None] = []
        for line in out.decode().splitlines():
            parts = line.split(" ")
            found.append((parts[1], int(parts[2])) if len(parts) == 3 else None)
        return found


def _answered(process: subprocess.Popen[bytes], oid: str) -> list[bytes]:
    """What a staying git says first about one object."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{oid}\n".encode())
    process.stdin.flush()
    return process.stdout.readline().split()


def make_bare(folder: Path, *, shared: bool = False) -> None:
    """A bare repository without hooks. shared: for other users of this group too. Raises GitError."""
    private_folder(folder.parent) if not folder.parent.exists() else None
    maker = Repository(folder.parent, folder, folder, "sha1")
    words = ["init", "--quiet", "--bare", "--template=", "--object-format=sha1", *(["--shared"] if shared else [])]
    answer = maker.once([*words, "--", str(folder)], where=())
    if answer.code != 0:
        raise GitError(f"git could not make {folder}: {last_words(answer.error)}. Choose another folder.")


class Quarantine(Store):
    """A throw-away repository that sees the store's objects and keeps what comes in to itself."""

    @classmethod
    @contextlib.contextmanager
    def beside(cls, store: Store, folder: Path) -> Iterator[Quarantine]:
        shutil.rmtree(folder, ignore_errors=True)
        private_folder(folder)
        # the few files that make a repository, written out: `git init` takes as long as a fetch
        for name in ("objects/info", "objects/pack", "refs/heads"):
            (folder / name).mkdir(parents=True)
        (folder / "HEAD").write_text("ref: refs/heads/none\n")
        (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
        (folder / "objects" / "info" / "alternates").write_text(f"{store.git_dir / 'objects'}\n")
        try:
            yield cls(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def strict(self) -> tuple[str, ...]:
        """Settings under which a fetch checks every object, follows nothing and asks nobody."""
        told = [
            "fetch.fsckObjects=true",
            "transfer.fsckObjects=true",
            *(f"fetch.fsck.{name}=error" for name in _STRICT),
            "core.bigFileThreshold=1m",
            f"core.packedGitLimit={256 * 2**20}",
            "fetch.recurseSubmodules=false",
            "submodule.recurse=false",
            "fetch.writeCommitGraph=false",
            "http.lowSpeedLimit=500",
            "http.lowSpeedTime=30",
            "http.followRedirects=initial",
            "protocol.version=2",
        ]
        return tuple(part for setting in told for part in ("-c", setting))


@contextlib.contextmanager
def bounded(file_bytes: int) -> Iterator[None]:
    """No program started meanwhile may write a larger file or take all memory. For processes of their own only."""
    kinds = [(resource.RLIMIT_FSIZE, file_bytes)]
    if sys.platform == "linux":
        kinds.append((resource.RLIMIT_AS, MEMORY_BYTES))
    before = [(kind, resource.getrlimit(kind)) for kind, _ in kinds]
    try:
        for kind, most in kinds:
            soft, hard = resource.getrlimit(kind)
            allowed = [one for one in (soft, hard, most) if one != resource.RLIM_INFINITY]
            resource.setrlimit(kind, (min(allowed), hard))
        yield
    finally:
        for kind, limit in before:
            resource.setrlimit(kind, limit)


def _quoted(path: str) -> bytes:
    return raw(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
