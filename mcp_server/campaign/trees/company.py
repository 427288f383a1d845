"""Who works in which work tree: which sessions live, whose edit lies in the way, and who sees to what is undecided.

A session is one connection of one client to one server process. While it lives its server holds a lock on the session's
file, which dies with the process: a session whose server was killed is gone at once, and what it began belongs to
whoever comes next. Experiments begun at a terminal belong to no session. A loop of fresh agents holds a lock as well,
one for each work tree.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.files import is_locked, share_lock, try_lock
from mcp_server.nouns.records import Kind
from mcp_server.nouns.rows import Experiment

SHARED = "AUTORESEARCH_SHARED_TREE"  # set to 1: two sessions may mix their edits in one work tree, and are only warned
ARRIVING_SECONDS = 2.0


@dataclass(frozen=True)
class Session:
    """One connection of a client. `since` is an ISO time."""

    id: str
    client: str
    tree: str
    since: str

    def words(self) -> str:
        return f"{self.client or 'a client'}, here since {self.since[11:16]} UTC"


def arrive(state: Path, session: Session) -> int | None:
    """Let other servers know of a session: a descriptor to close when it ends; None if its name is taken."""
    file = _folder(state) / session.id
    held = try_lock(file)
    while held is not None and not _lies_at(file, held):
        os.close(held)  # somebody looked between its making and its locking, and took it for a dead session's
        held = try_lock(file)
    if held is not None:
        os.ftruncate(held, 0)
        os.pwrite(held, json.dumps(asdict(session)).encode(), 0)
    return held


def _lies_at(file: Path, held: int) -> bool:
    try:
        return os.path.samestat(os.stat(file), os.fstat(held))
    except FileNotFoundError:
        return False


def leave(state: Path, session: str, held: int) -> None:
    """The session has ended."""
    with contextlib.suppress(OSError):
        (_folder(state) / session).unlink()
    os.close(held)


def present(state: Path) -> dict[str, Session]:
    """The sessions that live, by id. The files of dead ones are removed on the way."""
    found: dict[str, Session] = {}
    for file in sorted(_folder(state).glob("*")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            held = try_lock(file)
            if held is not None:
                leave(state, file.name, held)
                continue
            found[file.name] = Session(**json.loads(file.read_text()))
    return found


@contextlib.contextmanager
def attending(state: Path) -> Iterator[None]:
    """Have it known that an agent's server, or a loop, is at this lab. Where the disk refuses that, it is not known."""
    held = None
    with contextlib.suppress(OSError):
        held = share_lock(_attended(state))
    try:
        yield
    finally:
        if held is not None:
            os.close(held)


def attended(state: Path) -> bool:
    """Whether a server or a loop is there. Nothing is written."""
    return is_locked(_attended(state))


def looked_at(state: Path) -> list[Session]:
    """The sessions that live, as somebody sees them who only looks: files of dead ones stay."""
    found = []
    for file in sorted(_folder(state).glob("*")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            # one that is just being made is not tried: its own server would find it taken
            if time.time() - file.stat().st_mtime > ARRIVING_SECONDS and is_locked(file):
                found.append(Session(**json.loads(file.read_text())))
    return found


def _attended(state: Path) -> Path:
    return state / "attended.lock"


def _folder(state: Path) -> Path:
    return state / "sessions"


def loop_folder(state: Path, tree: str) -> Path:
    """Where the loop of fresh agents in a work tree has its files."""
    return state / "ralph" / hashlib.sha256(tree.encode()).hexdigest()[:12]


def loop_lock(state: Path, tree: str) -> Path:
    """Held by the loop of fresh agents in a work tree while it goes."""
    return loop_folder(state, tree) / "lock"


# --- who sees to what is undecided ------------------------------------------------------------------------------------


def to_see_to(undecided: Sequence[Experiment], tree: str, state: Path) -> list[Experiment]:
    """Undecided attempts of this work tree, and of those where nobody works any more who would decide on them."""
    others = {one.tree for one in undecided} - {tree}
    if not others:
        return list(undecided)
    manned = {one.tree for one in present(state).values()}
    manned |= {other for other in others if is_locked(loop_lock(state, other))}
    return [one for one in undecided if one.tree == tree or one.tree not in manned]


# --- whose edit stands in the way -------------------------------------------------------------------------------------


def in_the_way(undecided: Sequence[Experiment], session: str, tree: str, living: Collection[str]) -> list[Experiment]:
    """Undecided attempts of other living sessions in this work tree: their edits would be part of the next one."""
    return [
        one
        for one in undecided
        if one.kind != Kind.BASELINE and one.tree == tree and one.session != session and one.session in living
    ]


def company_in(
    undecided: Sequence[Experiment], session: str, tree: str, sessions: Callable[[], dict[str, Session]]
) -> list[str]:
    """What to say before another attempt is taken in. Raises NotNow while somebody else's edit lies in the tree."""
    if not any(one.session not in ("", session) and one.tree == tree for one in undecided):
        return []
    found = sessions()
    others = in_the_way(undecided, session, tree, found)
    if not others:
        return []
    first = others[0]
    said = (
        f"Experiment {first.number} of another session ({found[first.session].words()}) is undecided in this work "
        "tree, so its edit would be part of yours."
    )
    if os.environ.get(SHARED) == "1":
        return [f"{said} A gain may be credited to the wrong one."]
    raise NotNow(
        f"{said} Wait until it is decided, or get a work tree of your own: start_campaign('{first.campaign}', "
        f"tree='../another-tree')."
    )
