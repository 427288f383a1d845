"""Posts as threads: what replies to what, the thread that was spoken in last first. Pure.

Strangers number their posts and name what they reply to, so nothing is taken for granted: a reply to what nobody said
begins a thread, and posts that reply to each other in a circle are cut apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from mcp_server.ledger.posts import Posted

DEEPEST = 12  # replies that are set in; deeper ones stand beside each other


@dataclass(frozen=True)
class Thread:
    """A post and all that came of it: (depth, post), a reply below what it replies to."""

    posts: tuple[tuple[int, Posted], ...]

    @property
    def name(self) -> str:
        return self.posts[0][1].name

    @property
    def latest(self) -> str:
        return max(one.post.at for _, one in self.posts)

    def newest(self, most: int, unread: Collection[str] = ()) -> tuple[tuple[int, Posted], ...]:
        """Its beginning and the newest of what came of it, unread before read, in its order.

        Whoever talks without end fills no page.
        """
        if len(self.posts) <= most:
            return self.posts
        rest = sorted((one for _, one in self.posts[1:]), key=lambda one: (one.name in unread, one.post.at, one.name))
        kept = {self.name, *(one.name for one in rest[len(rest) - max(0, most - 1) :])}
        return tuple(row for row in self.posts if row[1].name in kept)


def threads(posts: Iterable[Posted]) -> list[Thread]:
    """All threads; within one the older reply first."""
    known = {one.name: one for one in posts}
    parent = _parents(known)
    below: dict[str, list[Posted]] = {}
    for name, one in known.items():
        below.setdefault(parent.get(name, ""), []).append(one)
    for some in below.values():
        some.sort(key=lambda one: (one.post.at, one.name))
    found = []
    for root in below.get("", []):
        told: list[tuple[int, Posted]] = []
        todo = [(0, root)]
        while todo:
            depth, one = todo.pop()
            told.append((depth, one))
            todo += [(min(DEEPEST, depth + 1), reply) for reply in reversed(below.get(one.name, []))]
        found.append(Thread(tuple(told)))
    return sorted(found, key=lambda one: (one.latest, one.name), reverse=True)


def _parents(known: Mapping[str, Posted]) -> dict[str, str]:
    """What each replies to, where that is here and does not lead back."""
    parent: dict[str, str] = {}
    above: dict[str, str] = {}  # as `parent`, with ways cut short

    def root(name: str) -> str:
        while name in above:
            above[name] = above.get(above[name], above[name])
            name = above[name]
        return name

    for name, one in sorted(known.items(), key=lambda pair: (pair[1].post.at, pair[0])):
        if one.post.reply_to in known and root(one.post.reply_to) != name:
            parent[name] = above[name] = one.post.reply_to
    return parent
