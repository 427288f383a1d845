"""A stranger with git and a key: builds journals by hand, sound or not, straight in the remote's repository."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcp_server.community.wire.journal import PAGE
from mcp_server.community.wire.keys import LabKey, own_key
from mcp_server.community.wire.store import LABS

QUIET = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": os.environ["PATH"]}
EPOCH = 1767225600  # 2026-01-01
Files = Mapping[str, bytes | tuple[str, bytes]]


class Stranger:
    """Everything one can do to a remote that one may write to. `folder`: for keys and other files of its own."""

    def __init__(self, remote: Path, folder: Path) -> None:
        self.remote, self.folder = remote, folder
        self.key = own_key(folder / "key")

    @functools.cached_property
    def other(self) -> LabKey:
        return own_key(self.folder / "other")

    @property
    def lab(self) -> str:
        return self.key.lab

    @property
    def labs(self) -> set[str]:
        """By whatever key it showed itself."""
        return {self.lab} | ({self.other.lab} if "other" in vars(self) else set())

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(self.remote), *arguments], capture_output=True, check=True, env=QUIET)
        return done.stdout.decode().strip()

    def object(self, kind: str, content: bytes) -> str:
        """Any bytes as an object, however wrong: as git lays one down, which takes a process for each."""
        raw = b"%s %d\0%s" % (kind.encode(), len(content), content)
        name = hashlib.sha1(raw).hexdigest()
        place = self.remote / "objects" / name[:2] / name[2:]
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(zlib.compress(raw))
        return name

    def blob(self, content: bytes) -> str:
        return self.object("blob", content)

    def tree(self, *entries: tuple[str, str | bytes, str]) -> str:
        """(mode, name, object) each, in this order and unchecked."""
        raw = [
            mode.encode() + b" " + (name if isinstance(name, bytes) else name.encode()) + b"\0" + bytes.fromhex(oid)
            for mode, name, oid in entries
        ]
        return self.object("tree", b"".join(raw))

    def code(self, files: Files | None = None) -> str:
        """An attempt's commit with plain files at its root."""
        files = {"train.py": b"KNOB = 5\n"} if files is None else files
        entries = []
        for name, content in sorted(files.items()):
            mode, raw = content if isinstance(content, tuple) else ("100644", content)
            entries.append((mode, name, self.blob(raw)))
        return self.commit(self.tree(*entries), [], key=None)

    def commit(self, tree: str, parents: Sequence[str], *, key: LabKey | None, namespace: str = "git") -> str:
        """A commit, signed as git signs one; key None: not signed."""
        body = self.body(tree, parents)
        return self.object("commit", body if key is None else self.signed(body, self.signature(body, key, namespace)))

    def body(self, tree: str, parents: Sequence[str], message: str = "journal") -> bytes:
        lines = [f"tree {tree}", *(f"parent {one}" for one in parents)]
        who = f"lab <lab@autoresearch> {EPOCH} +0000"
        return "\n".join([*lines, f"author {who}", f"committer {who}", "", message, ""]).encode()

    def signature(self, body: bytes, key: LabKey, namespace: str = "git") -> bytes:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key.path)]
        return subprocess.run(command, input=body, capture_output=True, check=True).stdout

    def signed(self, body: bytes, signature: bytes) -> bytes:
        head, _, message = body.partition(b"\n\n")
        return head + b"\ngpgsig " + b"\n ".join(signature.strip().split(b"\n")) + b"\n\n" + message

    # -- journals ------------------------------------------------------------------------------------------------------

    def record(self, n: int = 1, **changes: Any) -> dict[str, Any]:
        """A sound record, but for the changes."""
        told = {
            "v": 1,
            "kind": "attempt",
            "n": n,
            "mark": f"{n:016x}",
            "contract": "ab" * 16,
            "code": hashlib.sha256(str(n).encode()).hexdigest()[:32],
            "status": "discarded",
            "knobs": [["KNOB", "1.0", "5.0"]],
            "score": 4.5,
            "against": 4.0,
            "gain": -0.5,
            "low": -0.6,
            "high": -0.4,
            "at": "2026-01-01T00:00:00Z",
            "text": "move it",
        }
        return {name: value for name, value in {**told, **changes}.items() if value is not None}

    def page(self, *lines: dict[str, Any] | bytes) -> str:
        raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        return self.tree(("100644", PAGE, self.blob(b"".join(one + b"\n" for one in raw))))

    def root(self) -> str:
        return self.commit(self.tree(("100644", PAGE, self.blob(b""))), [], key=self.key)

    def journal(self, *lines: dict[str, Any] | bytes, brings: Sequence[str] = (), on: str | None = None) -> str:
        """A sound journal that tells these lines; its tip."""
        return self.commit(self.page(*lines), [on or self.root(), *brings], key=self.key)

    def offer(self, tip: str, lab: str | None = None) -> str:
        """Put a tip where labs look. The tip."""
        self.git("update-ref", LABS + (lab or self.lab), tip)
        return tip

    def attempt_with(self, *entries: tuple[str, str | bytes, str]) -> None:
        """A journal whose one attempt has such a root folder; everything else about it is sound."""
        commit = self.commit(self.tree(*entries), [], key=None)
        self.offer(self.journal(self.record(commit=commit), brings=[commit]))
