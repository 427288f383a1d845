"""The page of all labs of this user: a card for each, told anew when it changed, and each lab's own page below it.

It belongs to no lab and no server, and goes on when those end. It reads; what writes is on a lab's own page.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime

from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from mcp_server.dashboard.app import TEMPLATES, guarded, page_of
from mcp_server.dashboard.glance import Glance, Now, State, moved, name_of, place_of
from mcp_server.dashboard.lab import Feeds, Site, routes, stream
from mcp_server.dashboard.parts import Cursor, Parts
from mcp_server.lab import utc_now
from mcp_server.nouns.errors import UnknownExperiment
from mcp_server.nouns.replies import Reply
from mcp_server.personal.labs import Known, known_labs

LOOK_SECONDS = 0.9
LIST_SECONDS = 2.0
TURN_SECONDS = 0.25  # of looking, before what was found is told: nobody waits for the last lab to see the first
HANG_SECONDS = 3.0  # of one look, until the other labs are looked at without it
HANGS = "Its disk, or whoever holds its ledger, does not answer. What is here is from before."


class Gone(Reply):
    """A lab that is not where it was."""

    key: str
    name: str
    folder: str
    moved: str = Field(default="", description="where it is now")
    moved_key: str = ""
    at: str = Field(description="when it was opened last")


class Look(threading.Thread):
    """One look at one lab. `found` is what it saw, None where there is no lab.

    On a disk that does not answer it never ends: then it ends with the process, and nobody waits for it.
    """

    def __init__(self, glance: Glance) -> None:
        super().__init__(daemon=True)
        self.glance, self._began = glance, time.monotonic()
        self.found: Now | None = None
        self.start()

    def run(self) -> None:
        self.found = self.glance.look()

    def over(self, seconds: float) -> bool:
        """Whether it has ended, after waiting for so long at most."""
        self.join(max(0.0, seconds))
        return not self.is_alive()

    @property
    def hangs(self) -> bool:
        return time.monotonic() - self._began >= HANG_SECONDS


class AllLabs:
    """Every lab that this user opened on this machine. `clock` is UTC."""

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._parts = Parts()
        self._glances: dict[str, Glance] = {}  # the lab that was opened last first
        self._gone: set[str] = set()  # of those, what was not there when it was looked at
        self._looks: dict[str, Look] = {}  # under way
        self._due: list[str] = []  # labs to look at before anything is looked at again
        self._listed_at = self._looked_at = float("-inf")
        self._feeds: dict[str, Feeds] = {}
        self._opening = threading.Lock()

    def close(self) -> None:
        with self._opening:
            for feeds in self._feeds.values():
                feeds.close()
            self._feeds.clear()

    def news(self, cursor: Cursor | None) -> tuple[Cursor, dict[str, str]]:
        """Look, and tell what is newer than `cursor`: JSON texts by name. None means everything."""
        with self._mutex:
            now = time.monotonic()
            if not self._due and now - self._looked_at >= LOOK_SECONDS:
                if now - self._listed_at >= LIST_SECONDS:
                    self._list()
                    self._listed_at = now
                self._looked_at, self._due = now, list(self._glances)
            self._look(now + TURN_SECONDS)
            told = self._parts.newer(self._parts.known(cursor) or 0)
            return self._parts.cursor, told

    def feeds(self, request: Request) -> Feeds:
        """Of the lab that an address names. Raises UnknownExperiment where it is not there."""
        key = request.path_params["key"]
        known = {one.key: one for one in known_labs()}.get(key)
        if known is None or not known.here:
            where = f"It was in {place_of(known.folder)}." if known else "The page of all labs lists them."
            raise UnknownExperiment(f"There is no lab {key[:60]!r} any more. {where}")
        # looked up before the lock is taken: on a disk that does not answer only this lab's page waits
        tree, feeds = known.paths.tree, self._feeds.get(key)
        stale = feeds is not None and not feeds.tree.is_dir()
        with self._opening:
            if stale and self._feeds.get(key) is feeds:
                self._feeds.pop(key).close()  # of a work tree that was removed, while the lab has others
            if key not in self._feeds:
                self._feeds[key] = Feeds(tree)
            return self._feeds[key]

    def _list(self) -> None:
        before = self._glances
        self._glances = {}
        for one in known_labs():
            glance = before.pop(one.key, None)
            self._glances[one.key] = glance if glance and glance.known == one else Glance(one, self._clock)
        for key in before:
            self._gone.discard(key)
            self._leave(key)
        self._tell_where()

    def _look(self, ends: float) -> None:
        """Look at as many labs as there is time for; the others are due first the next time."""
        while self._due:
            key = self._due[0]
            if key in self._glances:
                look = self._looks.get(key) or self._looks.setdefault(key, Look(self._glances[key]))
                over = look.over(0.0 if look.hangs else ends - time.monotonic())
                if not over and not look.hangs:
                    return
                self._tell(key, look, over)
            self._due.pop(0)
            if time.monotonic() >= ends:
                return

    def _tell(self, key: str, look: Look, over: bool) -> None:
        now = look.found if over else Now(key=key, state=State.HUNG, problems=[HANGS])
        if over:
            del self._looks[key]
        if (now is None) != (key in self._gone):
            self._gone ^= {key}
            self._tell_where()
        if now is None:
            self._leave(key)
            return
        self._parts.say(f"lab/{key}", look.glance.card.model_dump())
        self._parts.say(f"now/{key}", now.model_dump())

    def _tell_where(self) -> None:
        here = {key: one.known for key, one in self._glances.items() if key not in self._gone}
        gone = [_gone(one.known, here).model_dump() for key, one in self._glances.items() if key in self._gone]
        self._parts.say("labs", {"keys": list(here), "gone": gone})

    def _leave(self, key: str) -> None:
        """A lab is gone: nobody who comes from now on hears of what it was, and its own page has nothing to read."""
        self._looks.pop(key, None)
        for part in ("lab", "now"):
            self._parts.drop(f"{part}/{key}")
        with self._opening:
            if key in self._feeds:
                self._feeds.pop(key).close()


def _gone(one: Known, here: Mapping[str, Known]) -> Gone:
    to = moved(one, here)
    return Gone(
        key=one.key,
        name=name_of(one.folder),
        folder=place_of(one.folder),
        moved=place_of(to.folder) if to else "",
        moved_key=to.key if to else "",
        at=one.at.isoformat(timespec="seconds"),
    )


def all_labs_app(labs: AllLabs, token: str, port: int, closing: Callable[[], bool] = lambda: False) -> Starlette:
    """The page of all labs at /, and each lab's own at /lab/NAME. `closing` tells open streams that it ends."""

    async def index(request: Request) -> Response:
        return TEMPLATES.TemplateResponse(request, "labs.html")

    async def events(request: Request) -> Response:
        return stream(request, labs.news, closing)

    site = Site(labs.feeds, TEMPLATES, page_of(token), token, closing, above="/")
    return guarded(
        [
            Route("/", index, methods=["GET"]),
            Route("/events", events, methods=["GET"]),
            Mount("/lab/{key}", routes=routes(site)),
        ],
        token,
        port,
    )
