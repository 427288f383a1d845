"""The labs a server has open, for which session, in which work tree, and what each session was told already.

On stdio a process serves one session; over HTTP several share one. Codex names the project folder in each call's
`_meta`, Claude Code in the environment; a session that made a work tree of its own goes on there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import Context

from mcp_server.campaign.trees import company
from mcp_server.campaign.trees.overwritten import Caller
from mcp_server.faces.watch import watch
from mcp_server.lab import Lab, utc_now
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.replies import StatusReply
from mcp_server.nouns.rows import Proposer, Spent
from mcp_server.personal.labs import introduce
from mcp_server.personal.telling import cost_of, tokens_of

COST, TOKENS = "autoresearch/cost_usd", "autoresearch/tokens"  # of a call's `_meta`
FORGOTTEN_AFTER_SECONDS = 3600.0  # an HTTP client does not tell when it leaves
Ctx = Context[Any, Any]


@dataclass
class Guest:
    """One session, as this server knows it."""

    id: str
    client: str
    began: str
    seen_at: float
    moved: Path | None = None  # the work tree it made for itself
    told: dict[str, str] = field(default_factory=dict)  # digests of what it has read already
    held: dict[Path, int] = field(default_factory=dict)  # its mark in each lab's state folder

    def news(self, name: str, text: str) -> bool:
        """Whether a text is new to this session; it is not any more."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        known, self.told[name] = self.told.get(name), digest
        return known != digest

    def leave(self) -> None:
        for state, held in self.held.items():
            company.leave(state, self.id, held)
        self.held.clear()


class OpenLabs:
    """The labs this server has open, by work tree. campaign: all of them act on that one, whatever is checked out."""

    def __init__(self, tree: Path | None, campaign: str | None = None) -> None:
        self._tree, self._campaign = tree, campaign
        self._named: Path | None = None  # the project that the last call named; resources name none
        self._open: dict[Path, Lab] = {}
        self._watches: list[Callable[[], None]] = []
        self._guests: dict[str, Guest] = {}
        self._attended: set[Path] = set()  # state folders of labs that know of this server
        self._attending = contextlib.ExitStack()
        self._process = secrets.token_hex(6)
        self._mutex = threading.RLock()  # verbs run in worker threads
        self.tell: Callable[[str], None] = lambda name: None  # hears the name of a file that was edited

    def at(self, ctx: Ctx | None = None) -> Lab:
        """The lab a call is about. Raises AutoresearchError where there is none."""
        # who started the server outranks a client: over HTTP that is anybody who has the token
        fixed = self._tree or _told_project()
        named = project_of(ctx) if ctx and fixed is None else None
        self._named = named or self._named
        guest = self.guest(ctx) if ctx else None
        moved = guest.moved if guest and guest.moved and guest.moved.is_dir() else None  # its person may remove it
        tree = moved or fixed or self._named or _project_folder()
        with self._mutex:
            if tree not in self._open:
                self._open[tree] = lab = Lab(tree, campaign=self._campaign)
                self._watches.append(watch(lab.paths.tree, lambda name: self.tell(name)))
            self._attend(self._open[tree])
            return self._open[tree]

    def _attend(self, lab: Lab) -> None:
        """Have it known, once something has begun in the lab, that it is there and that this server is at it."""
        state = lab.paths.state
        if state not in self._attended and lab.paths.ledger.exists():
            introduce(lab.paths, utc_now())
            self._attending.enter_context(company.attending(state))
            self._attended.add(state)

    def last(self) -> Lab:
        """The lab that a resource is about, which names none: the last call's. Raises AutoresearchError."""
        if self._named is None and self._tree is None and _in_plugin(_project_folder()):
            raise NotNow("A resource names no project: call lab_status, then read it again.")
        return self.at()

    def guest(self, ctx: Ctx) -> Guest:
        """Who calls. Sessions that were silent for long are forgotten, and their edits stand in nobody's way."""
        now = time.monotonic()
        for other in [one for one in self._guests.values() if now - one.seen_at > FORGOTTEN_AFTER_SECONDS]:
            if len(self._guests) > 1:
                self._guests.pop(other.id).leave()
        client = client_of(ctx)
        # over stateless HTTP a client is known by its name alone
        caller = "" if ctx.headers is None else ctx.headers.get("mcp-session-id") or client
        key = f"{self._process}-{hashlib.sha256(caller.encode()).hexdigest()[:6]}"
        guest = self._guests.setdefault(key, Guest(key, client, utc_now().isoformat(), now))
        guest.seen_at = now
        return guest

    def present(self, ctx: Ctx, lab: Lab) -> str:
        """Make it known in the lab that this session is here, before it begins an experiment. Its name."""
        guest, state = self.guest(ctx), lab.paths.state
        if state not in guest.held and lab.paths.ledger.exists():
            who = company.Session(guest.id, guest.client, str(lab.paths.tree), guest.began)
            with contextlib.suppress(OSError):
                held = company.arrive(state, who)
                if held is not None:
                    guest.held[state] = held
        return guest.id

    def close(self) -> None:
        for guest in self._guests.values():
            guest.leave()
        self._attending.close()
        for stop in self._watches:
            stop()
        for lab in self._open.values():
            lab.close()


def client_of(ctx: Ctx) -> str:
    """The client's name, as it introduced itself; "" when it did not."""
    params = ctx.request_context.session.client_params
    return params.client_info.name if params is not None else ""


def proposer_of(ctx: Ctx) -> Proposer:
    """Who proposes the experiment of a call: the client as it introduced itself, and the model where it is told.

    Codex may name its model in each call; for others whoever starts the client may say it in AUTORESEARCH_MODEL.
    """
    params = ctx.request_context.session.client_params
    told = _turn(ctx).get("model")
    model = told if isinstance(told, str) else os.environ.get("AUTORESEARCH_MODEL", "")
    named = Proposer.of("", "", model)
    if params is not None:
        named = Proposer.of(params.client_info.name, params.client_info.version, model)
    return named.after(spent_by(ctx))


def spent_by(ctx: Ctx) -> Spent:
    """What a client tells in a call's `_meta` that its experiment took so far; what is no amount is not told."""
    meta: Any = getattr(ctx.request_context, "meta", None)
    found = dict(meta) if isinstance(meta, Mapping) else {}
    cost: float | None = None
    tokens: int | None = None
    with contextlib.suppress(ValueError):
        cost = cost_of(found.get(COST))
    with contextlib.suppress(ValueError):
        tokens = tokens_of(found.get(TOKENS))
    return Spent(cost, tokens)


def caller_of(ctx: Ctx) -> Caller:
    """Which client calls, in which conversation, and whether as a plugin of its own; Codex alone tells the last two."""
    meta = getattr(ctx.request_context, "meta", None) or {}
    session = _turn(ctx).get("session_id")
    return Caller(client_of(ctx), session if isinstance(session, str) else "", "plugin_id" in meta)


def _turn(ctx: Ctx) -> dict[str, Any]:
    """What Codex tells of itself in each call's `_meta`."""
    meta: Any = getattr(ctx.request_context, "meta", None)
    turn = meta.get("x-codex-turn-metadata") if isinstance(meta, dict) else None
    if isinstance(turn, str):
        with contextlib.suppress(ValueError):
            turn = json.loads(turn)
    return turn if isinstance(turn, dict) else {}


def project_of(ctx: Ctx) -> Path | None:
    """Codex starts a plugin's server in the plugin's folder and names the project in each call's `_meta`."""
    places = _turn(ctx).get("workspaces")
    first = next(iter(places), None) if isinstance(places, list | dict) else None
    path = first.get("path") if isinstance(first, dict) else first
    return Path(path) if isinstance(path, str) and Path(path).is_dir() else None


def _project_folder() -> Path:
    """The folder the client has open, as its environment tells; else the one the server was started in."""
    return _told_project() or Path(os.environ.get("CLAUDE_PROJECT_DIR") or os.getcwd())


def _told_project() -> Path | None:
    """The folder that whoever started the server says it is for."""
    said = os.environ.get("AUTORESEARCH_PROJECT")
    return Path(said) if said else None


def _in_plugin(folder: Path) -> bool:
    """Whether a folder is our own, installed as a plugin of Codex, which starts the server there."""
    return {"plugins", "cache"} <= set(folder.parts) and (folder / ".codex-plugin").is_dir()


def fresh(guest: Guest, status: StatusReply) -> StatusReply:
    """A status without what this session was told before: memo and style; everything but the run, if nothing is due."""
    due = status.waiting_for_decision or not status.running or status.stop
    same = {name: value for name, value in status.model_dump().items() if name not in ("running", "next", "devices")}
    known = not guest.news("status", json.dumps(same, sort_keys=True, default=str))
    memo_known = not guest.news("memo", status.memo)
    style_known = not guest.news("style", status.style_text)
    if known and not due:
        brief = [one.model_copy(update={"description": "", "campaign": "", "next": ""}) for one in status.running]
        as_before = "All else is as lab_status said before; nothing is due."
        return StatusReply(campaign=status.campaign, running=brief, as_before=as_before, next=status.next)
    left_out = [name for name, known in (("memo", memo_known and status.memo), ("style_text", style_known)) if known]
    if "style_text" in left_out and not status.style_text:
        left_out.remove("style_text")
    if left_out:
        status = status.model_copy(update=dict.fromkeys(left_out, ""))
        status.as_before = f"{' and '.join(left_out)}: as told before; the memo stands in program.md."
    return status
