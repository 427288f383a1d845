"""The bare repository that holds all accepted journals, and the quarantine that newcomers wait in.

It is apart from the user's repository: nothing of another lab is ever in the reach of their branches, hooks, filters or
attributes, and a damaged one can be thrown away. Objects are read as data; nothing is checked out.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import shutil
import subprocess
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mcp_server.community.wire.keys import LabKey
from mcp_server.nouns.errors import GitError
from mcp_server.nouns.exchanged import LAB_CHARACTERS
from mcp_server.nouns.files import private_folder, settle, write_atomically
from mcp_server.repo.command import last_words
from mcp_server.repo.git import Repository, raw

OURS = "refs/autoresearch/"
LABS = "refs/autoresearch/labs/"
FORKS = "refs/autoresearch/forks/"
BRANCHES = "refs/heads/autoresearch-lab-"  # where a host takes branches only
LEASES = "refs/autoresearch/leases/"
LEASE_BRANCHES = "refs/heads/autoresearch-lease-"
_LEASE_REF = re.compile(rf"(?:{LEASES}|{LEASE_BRANCHES})([0-9a-f]{{32}})")
_LAB_REF = re.compile(rf"(?:{LABS}|{BRANCHES})([0-9a-f]{{{LAB_CHARACTERS}}})")
FETCH_BYTES = 512 * 2**20
LEASE_BYTES = 256 * 1024  # of all leases that are fetched together
MEMORY_BYTES = 6 * 2**30  # of a git that unpacks what a stranger packed
FEW_ATTEMPTS = 4  # that are written without a git: it takes longer to start than to write them
FEW = 400  # objects that are asked for one by one
LOOSE, PACKS = 4000, 50  # objects and packs after which the store is packed
# what git warns of by default and we refuse
_STRICT = (
    *("hasDotgit", "hasDot", "hasDotdot", "fullPathname", "nullSha1", "zeroPaddedFilemode", "gitmodulesSymlink"),
    *("gitattributesSymlink", "gitignoreSymlink", "mailmapSymlink", "missingSpaceBeforeEmail", "badFilemode"),
)


def lab_of_ref(name: str) -> str | None:
    """The lab whose journal a ref is; None for any other ref."""
    found = _LAB_REF.fullmatch(name)
    return found[1] if found else None


def key_of_ref(name: str) -> str | None:
    """What a lease is of, by its ref; None for any other ref."""
    found = _LEASE_REF.fullmatch(name)
    return found[1] if found else None


def lease_ref(key: str, branches: bool) -> str:
    return (LEASE_BRANCHES if branches else LEASES) + key


def journal_ref(lab: str) -> str:
    return LABS + lab


class Store(Repository):
    """A bare repository of ours. Every command is told its folder, so it has no work tree and no surprises."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, folder, folder, "sha1", patience=5.0)
        self._asking: contextlib.ExitStack | None = None
        self._staying: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def where(self) -> tuple[str, ...]:
        return (f"--git-dir={self.git_dir}",)

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

    def heads(self) -> dict[str, str]:
        """The tip of every accepted journal, by lab."""
        return {name.removeprefix(LABS): oid for name, oid in self.refs(LABS).items()}

    def pack_if_large(self) -> None:
        """Put many loose objects or packs into one pack; what nothing reaches goes."""
        if self.is_large():
            self.do("gc", "--quiet", "--prune=1.hour.ago")

    def is_large(self) -> bool:
        """Whether there are so many loose objects or packs that looking for one takes long."""
        objects = self.git_dir / "objects"
        packs = sum(file.suffix == ".pack" for file in (objects / "pack").iterdir())
        # git's own estimate: objects are spread evenly over 256 folders
        loose = 256 * len(list((objects / "17").iterdir())) if (objects / "17").exists() else 0
        return packs > PACKS or loose > LOOSE

    # -- writing -------------------------------------------------------------------------------------------------------

    def put(self, kind: str, content: bytes) -> str:
        """An object, written as git writes a loose one, without a process for it: whole or not at all. Its name."""
        raw = b"%s %d\0" % (kind.encode(), len(content)) + content
        oid = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
        place = self.git_dir / "objects" / oid[:2] / oid[2:]
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            write_atomically(place, zlib.compress(raw), mode=0o444)
        return oid

    def sign_commit(self, tree: str, parents: Sequence[str], message: str, epoch: int, key: LabKey) -> str:
        """A signed commit object. Raises GitError where the key cannot sign."""
        name, mail = f"lab {key.lab[:8]}", f"{key.lab}@autoresearch"
        above = "".join(f"parent {parent}\n" for parent in parents)
        people = "".join(f"{role} {name} <{mail}> {epoch} +0000\n" for role in ("author", "committer"))
        head, words = f"tree {tree}\n{above}{people}".encode(), f"\n{message}\n".encode()
        signature = key.sign(head + words)
        if signature is not None:
            return self.put("commit", head + b"gpgsig " + b"\n ".join(signature.strip().split(b"\n")) + b"\n" + words)
        stamp = {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", name), ("EMAIL", mail), ("DATE", f"@{epoch} +0000"))
        }
        parts = [part for parent in parents for part in ("-p", parent)]
        command = (*key.configuration(), "commit-tree", "-S", *parts, "-F", "-", tree)
        return self.do(*command, stdin=(message + "\n").encode(), environment=stamp).decode().strip()

    def write_attempts(self, attempts: Sequence[tuple[Mapping[str, bytes], str | int | None, int, str]]) -> list[str]:
        """Commits of nothing but their editable files: (files, base, epoch, message) each; of many by one git.

        base: the commit it was made on, the place of an earlier one in this list, or None. Authors are the lab alone.
        """
        if len(attempts) <= FEW_ATTEMPTS:
            made: list[str] = []
            for files, base, epoch, message in attempts:
                above = made[base] if isinstance(base, int) else base
                made.append(self._put_attempt(files, above, epoch, message))
            return made
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

    def _put_attempt(self, files: Mapping[str, bytes], base: str | None, epoch: int, message: str) -> str:
        """One such commit, without a process: the same object that git makes of it."""
        tree = self._put_tree({path: self.put("blob", content) for path, content in files.items()})
        people = "".join(f"{role} autoresearch <lab@autoresearch> {epoch} +0000\n" for role in ("author", "committer"))
        above = f"parent {base}\n" if base is not None else ""
        return self.put("commit", f"tree {tree}\n{above}{people}\n{message}".encode())

    def _put_tree(self, blobs: Mapping[str, str]) -> str:
        """The tree of these files, by path, with the trees of their folders."""
        folders: dict[str, dict[str, str]] = {}
        entries: list[tuple[bytes, bytes]] = []
        for path, oid in blobs.items():
            name, slash, rest = path.partition("/")
            if slash:
                folders.setdefault(name, {})[rest] = oid
            else:
                entries.append((raw(name), b"100644 %s\0" % raw(name) + bytes.fromhex(oid)))
        for name, below in folders.items():  # a folder is ordered as if its name ended with a slash
            told = b"40000 %s\0" % raw(name) + bytes.fromhex(self._put_tree(below))
            entries.append((raw(name) + b"/", told))
        return self.put("tree", b"".join(told for _, told in sorted(entries)))

    def write_page(self, content: bytes, name: str) -> str:
        """A tree with one file."""
        blob = self.put("blob", content)
        return self.put("tree", b"100644 %s\0" % name.encode() + bytes.fromhex(blob))

    # -- reading -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Within it few objects are asked for of two gits that stay, instead of one git for each question."""
        if self._asking is not None:
            yield
            return
        with contextlib.ExitStack() as self._asking:
            try:
                yield
            finally:
                self._asking = None
                self._staying.clear()

    def _stays(self, how: str) -> subprocess.Popen[bytes] | None:
        """A git that answers about objects, started by the first question; None outside of `asking`."""
        if self._asking is not None and how not in self._staying:
            self._staying[how] = self._asking.enter_context(self.running(["cat-file", how], stdin="pipe"))[0]
        return self._staying.get(how)

    def blobs(self, oids: Iterable[str]) -> dict[str, bytes]:
        """The content of objects, by name; ask for their sizes first."""
        wanted = sorted(set(oids))
        asked = self._stays("--batch") if 0 < len(wanted) <= FEW else None
        if asked is None:
            return super().blobs(wanted)
        found = {}
        for oid in wanted:
            head = _answered(asked, oid)
            if len(head) != 3:
                raise GitError(f"The object {oid} is missing or damaged. It is fetched again by the next exchange.")
            assert asked.stdout is not None
            found[oid] = asked.stdout.read(int(head[2]))
            asked.stdout.read(1)
        return found

    def sizes(self, oids: Sequence[str]) -> list[tuple[str, int] | None]:
        """Kind and bytes of each object; None for one that is not here."""
        if not oids:
            return []
        asked = self._stays("--batch-check") if len(oids) <= FEW else None
        if asked is not None:
            heads = [_answered(asked, oid) for oid in oids]
            return [(head[1].decode(), int(head[2])) if len(head) == 3 else None for head in heads]
        out = self.do("cat-file", "--batch-check", "--buffer", stdin="".join(f"{oid}\n" for oid in oids).encode())
        found: list[tuple[str, int] | None] = []
        for line in out.decode().splitlines():
            parts = line.split(" ")
            found.append((parts[1], int(parts[2])) if len(parts) == 3 else None)
        return found

    def move_refs(self, refs: Mapping[str, tuple[str, str]]) -> None:
        """Refs from an old commit ("" for none) to a new one, all or none. Raises GitError."""
        lines = [f"update {name} {new} {old or self.zero}\n" for name, (old, new) in refs.items()]
        self.do("update-ref", "--no-deref", "--stdin", "-m", "accept", stdin="".join(lines).encode())

    def take_objects(self, other: Store) -> None:
        """Everything that another repository on this disk has, moved here; it has nothing then. Raises OSError."""
        theirs, ours = other.git_dir / "objects", self.git_dir / "objects"
        # an index names its pack, so it comes after it; git looks for packs by their indexes
        packs = sorted((theirs / "pack").iterdir(), key=lambda file: file.suffix == ".idx")
        loose = [file for folder in theirs.iterdir() if len(folder.name) == 2 for file in folder.iterdir()]
        for file in (*loose, *packs):
            to = ours / file.relative_to(theirs)
            to.parent.mkdir(exist_ok=True)
            if not to.exists():
                settle(file)
                os.replace(file, to)


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

    largest = FETCH_BYTES  # of any file that a git may write in it

    def confine(self, pid: int) -> None:
        """It and what it starts may write no larger file and not take all memory."""
        for kind, most in ((resource.RLIMIT_FSIZE, self.largest), (resource.RLIMIT_AS, MEMORY_BYTES)):
            with contextlib.suppress(ProcessLookupError):
                soft, hard = resource.prlimit(pid, kind)
                allowed = [one for one in (soft, hard, most) if one != resource.RLIM_INFINITY]
                resource.prlimit(pid, kind, (min(allowed), hard))

    @classmethod
    @contextlib.contextmanager
    def beside(cls, store: Store, folder: Path, largest: int = FETCH_BYTES) -> Iterator[Quarantine]:
        shutil.rmtree(folder, ignore_errors=True)
        private_folder(folder)
        # the few files that make a repository, written out: `git init` takes as long as a fetch
        for name in ("objects/info", "objects/pack", "refs/heads"):
            (folder / name).mkdir(parents=True)
        (folder / "HEAD").write_text("ref: refs/heads/none\n")
        (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
        (folder / "objects" / "info" / "alternates").write_text(f"{store.git_dir / 'objects'}\n")
        found = cls(folder)
        found.largest = largest
        try:
            yield found
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
            "fetch.unpackLimit=1",  # one pack, whatever comes: it is moved on as it is
            "core.fsync=none",  # what is accepted is written through then
            "http.lowSpeedLimit=500",
            "http.lowSpeedTime=30",
            "http.followRedirects=initial",
            "protocol.version=2",
        ]
        return tuple(part for setting in told for part in ("-c", setting))


def _quoted(path: str) -> bytes:
    return raw(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
