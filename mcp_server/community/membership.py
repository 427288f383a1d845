"""What a person does about the community: join, leave, exchange now, trust, look, carry a bundle.

Nothing leaves the house before `join`, which says what will. Every verb works offline: what the network prevents is
said, and done by a later exchange.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.arena.program import load_program, parse_program
from mcp_server.community.board import summary
from mcp_server.community.contract import noted_contract
from mcp_server.community.exchange import Exchange, Report
from mcp_server.community.leases.known import live
from mcp_server.community.leases.words import running
from mcp_server.community.outgoing import AT_ONCE, NEVER, Batch, gather, leaves, machine_class
from mcp_server.community.pace import due_in, push_seconds
from mcp_server.community.settings import Places, Settings, joined, read_last, read_settings, remote_of, write_settings
from mcp_server.community.trust import Role, Trust, labs_meant, read_trust, write_trust
from mcp_server.community.wire.keys import LabKey, own_key
from mcp_server.community.wire.lab_server import is_lab_server
from mcp_server.community.wire.store import journal_ref, make_bare
from mcp_server.ledger import Ledger
from mcp_server.ledger.foreign import Foreign, LabRow
from mcp_server.nouns.errors import AutoresearchError, CommunityError, NotNow
from mcp_server.nouns.exchanged import SHORT
from mcp_server.nouns.files import is_locked, locked
from mcp_server.nouns.numbers import duration
from mcp_server.nouns.replies import CommunityReply, JoinReply, OtherLabReply, SyncReply
from mcp_server.nouns.text import clean_line
from mcp_server.repo.workspace import Workspace

PATIENCE_SECONDS = 30.0  # for an exchange that is at work already
SHOWN = 20


@dataclass(frozen=True)
class Wishes:
    """What `join` was asked for."""

    place: str
    name: str = ""
    key: Path | None = None
    code: bool = True
    strangers: Role = Role.READ
    dry_run: bool = False


def utc_now() -> datetime:
    return datetime.now(UTC)


def join(workspace: Workspace, wishes: Wishes, at: Path, now: Callable[[], datetime] = utc_now) -> JoinReply:
    """Join a community, or only say what would leave the house. Raises AutoresearchError; nothing left it then."""
    places = Places.of(workspace.paths.state)
    remote, kind = remote_of(wishes.place, at)
    program = load_program(workspace.paths.program)
    before = read_settings(places)
    if before is not None and before.remote != remote and not (kind == "bundle" and before.kind == "bundle"):
        raise NotNow(f"This lab has joined {before.shown}. `autoresearch community leave` first; what was read stays.")
    settings = Settings(
        remote=remote,
        kind=kind,
        name=clean_line(wishes.name, 40) or (before.name if before else ""),
        key=Path(os.path.expanduser(wishes.key)).absolute() if wishes.key else (before.key if before else None),
        code=wishes.code,
        since=(before.since if before else "") or now().isoformat(timespec="seconds"),
    )
    ready, machine = _ready(workspace, settings)
    reply = JoinReply(
        remote=settings.shown,
        leaves=[
            line for line in leaves(program.arena, machine) if settings.code or not line.startswith("the editable")
        ],
        never=NEVER if settings.code else f"{NEVER}, code",
        attempts=len(ready.leaving),
        code_bytes=ready.bytes,
        kept_home=ready.kept_home[:SHOWN],
    )
    if wishes.dry_run:
        reply.next = "Nothing was sent or made. The same without --dry-run joins."
        return reply
    if kind == "host" and is_lab_server(remote):
        settings = settings.model_copy(update={"kind": "server"})
    if kind == "folder":
        _have_folder(Path(remote) if not remote.startswith("file://") else None, workspace)
    key = own_key(places.folder, settings.key)
    reply.lab, reply.key = key.lab[:SHORT], key.public.line
    _set_strangers(places, wishes.strangers)
    write_settings(places, settings)
    reply.sync = _exchange(workspace, now)
    reply.next = (
        "Give the other labs the line above, and take theirs with `autoresearch community trust`. Exchange goes on by "
        "itself while experiments run; `autoresearch community status` shows it."
        if kind != "bundle"
        else "`autoresearch community bundle FILE` writes what to carry back; `sync FILE` reads the next one."
    )
    return reply


def _ready(workspace: Workspace, settings: Settings) -> tuple[Batch, str]:
    """What would travel of the past, and the class of this machine."""
    if not workspace.paths.ledger.exists():
        return Batch(), ""
    with closing(Ledger(workspace.paths.ledger)) as ledger:
        batch = gather(ledger, workspace, {}, {}, code=settings.code, limit=50 * AT_ONCE)
        runs = [run for c in ledger.campaigns() if (b := ledger.baseline(c.tag)) for run in b.runs]
        return batch, machine_class(runs)


def _have_folder(folder: Path | None, workspace: Workspace) -> None:
    """A folder to exchange in: one that is a repository, or made now. Raises CommunityError."""
    if folder is None:
        return
    try:
        _make_folder(folder, workspace)
    except OSError as error:
        raise CommunityError(f"{folder} cannot be exchanged in: {error.strerror}. Name another folder.") from None


def _make_folder(folder: Path, workspace: Workspace) -> None:
    if folder.resolve() in (workspace.paths.common.resolve(), workspace.paths.tree.resolve()):
        raise CommunityError("That is this lab's own repository. Name a folder beside it; it is made if need be.")
    if not folder.exists() or not any(folder.iterdir()):
        if not folder.parent.is_dir():
            raise CommunityError(f"There is no folder {folder.parent} to make {folder.name} in. Make it first.")
        folder.rmdir() if folder.exists() else None
        make_bare(folder, shared=True)
    elif not (folder / "HEAD").exists() and not (folder / ".git").exists():
        raise CommunityError(
            f"{folder} is no git repository and not empty. Name another folder; it is made if need be."
        )


def _set_strangers(places: Places, role: Role) -> None:
    trust = read_trust(places.trust)
    if trust.strangers is not role or not places.trust.exists():
        write_trust(places.trust, trust.model_copy(update={"strangers": role}))


def leave(workspace: Workspace, forget: bool, forget_key: bool) -> CommunityReply:
    """Publish and fetch no more. forget: what was read of others goes as well; forget_key: the lab's own key."""
    places = Places.of(workspace.paths.state)
    if not places.settings.exists() and not (forget or forget_key):
        joined(places)  # says that it has not
    places.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    places.settings.unlink(missing_ok=True)  # the exchange beside us ends when it sees this
    with locked(places.lock):
        places.last.unlink(missing_ok=True)
        places.leases.unlink(missing_ok=True)  # what is told of ours runs out
        if forget or forget_key:
            for ending in ("", "-wal", "-shm"):
                places.records.with_name(places.records.name + ending).unlink(missing_ok=True)
            for folder in (places.store, places.quarantine):
                shutil.rmtree(folder, ignore_errors=True)
        if forget_key:
            for name in ("key", "key.pub"):
                (places.folder / name).unlink(missing_ok=True)
    reply = CommunityReply(joined="")
    reply.next = "What was published stays with those who have it."
    if not forget:
        reply.next += " What others told is remembered; `leave --forget` drops it."
    return reply


def sync(workspace: Workspace, bundle: str | None, at: Path, now: Callable[[], datetime] = utc_now) -> SyncReply:
    """Exchange once, now; or read a bundle that somebody carried here."""
    if bundle is None:
        return _exchange(workspace, now)
    remote, kind = remote_of(bundle, at)
    if kind != "bundle":
        raise CommunityError(f"{clean_line(bundle, 80)} is no bundle file. `sync` alone goes to where the lab joined.")
    return _exchange(workspace, now, Settings(remote=remote, kind="bundle"))


def _exchange(workspace: Workspace, now: Callable[[], datetime], bundle: Settings | None = None) -> SyncReply:
    with Exchange(workspace, now, patience=PATIENCE_SECONDS) as exchange:
        return _told(exchange.run(bundle=bundle))


def _told(report: Report) -> SyncReply:
    reply = SyncReply(
        published=report.published,
        received=report.received,
        heard=report.heard,
        labs=report.labs,
        sent=report.pushed,
        kept_home=report.kept_home[:SHOWN],
        problems=report.problems[:SHOWN],
        trouble=report.trouble,
        seconds=round(report.seconds, 3),
    )
    if report.trouble:
        reply.next = "The lab goes on without; the exchange is tried again by itself while experiments run."
    return reply


def carry(workspace: Workspace, to: Path, now: Callable[[], datetime] = utc_now) -> SyncReply:
    """Write all journals into one file, to be carried where no network is."""
    places = Places.of(workspace.paths.state)
    settings = read_settings(places)
    if settings is None:
        raise NotNow(
            "This lab has joined no community, so nothing may leave the house. `autoresearch community join` a bundle "
            "that somebody brought, or a folder."
        )
    with Exchange(workspace, now, patience=PATIENCE_SECONDS) as exchange:
        report = exchange.local(settings)
        report.labs = _write_bundle(exchange, to)
    reply = _told(report)
    reply.next = f"{to} is what to carry. `autoresearch community sync {to.name}` reads it elsewhere."
    return reply


def _write_bundle(exchange: Exchange, path: Path) -> int:
    """All journals that are shown, as one file. How many labs. Raises GitError or CommunityError."""
    trust = read_trust(exchange.places.trust)
    labs = [lab for lab in exchange.store.heads() if trust.role(lab) is not Role.NONE]
    if not labs:
        raise CommunityError("There is no journal to carry yet. Decide on an experiment first, or sync.")
    half = path.with_name(f".{path.name}.new")
    try:
        exchange.store.do("bundle", "create", "--quiet", str(half.absolute()), *(journal_ref(lab) for lab in labs))
        os.replace(half, path)
    except OSError as error:
        raise CommunityError(f"{path} cannot be written: {error}. Choose another place.") from None
    finally:
        half.unlink(missing_ok=True)
    return len(labs)


def key_of(workspace: Workspace) -> LabKey:
    """The lab's key, made if there is none."""
    places = Places.of(workspace.paths.state)
    settings = read_settings(places)
    return own_key(places.folder, settings.key if settings else None)


def trust(workspace: Workspace, given: str, role: Role, name: str) -> CommunityReply:
    """Enter a key, a file of keys or a known lab in the address book. Raises CommunityError."""
    places = Places.of(workspace.paths.state)
    book = read_trust(places.trust)
    labs = labs_meant(_names(places, book), given)
    for lab, key in labs:
        book = book.named(lab, role, key, clean_line(name, 40) if len(labs) == 1 else "")
    write_trust(places.trust, book)
    _hide(places, book)
    return status(workspace)


def distrust(workspace: Workspace, given: str) -> CommunityReply:
    """Neither fetch nor show a lab any more, or the labs of a file of keys. Raises CommunityError."""
    places = Places.of(workspace.paths.state)
    book = read_trust(places.trust)
    known = {**dict.fromkeys(book.roles, ""), **book.names, **_names(places, book)}
    for lab, key in labs_meant(known, given):
        book = book.named(lab, Role.NONE, key)
    write_trust(places.trust, book)
    _hide(places, book)
    return status(workspace)


def _hide(places: Places, book: Trust) -> None:
    if not places.records.exists():
        return
    with closing(Foreign(places.records)) as foreign:
        with foreign.writing():
            foreign.hide([row.lab for row in foreign.labs() if book.role(row.lab) is Role.NONE])
        summary.refresh(foreign, foreign.all_contracts(), book)


def _names(places: Places, book: Trust) -> dict[str, str]:
    if not places.records.exists():
        return {}
    with closing(Foreign(places.records)) as foreign:
        return book.called(foreign.labs())


def status(workspace: Workspace) -> CommunityReply:
    """Who is here, how fresh, how trusted, and how the exchange goes. Reads files alone."""
    places = Places.of(workspace.paths.state)
    settings, last, book = read_settings(places), read_last(places), read_trust(places.trust)
    reply = CommunityReply(joined=settings.shown if settings else "", strangers=str(book.strangers))
    if not places.folder.exists():
        reply.next = "`autoresearch community join FOLDER` or URL joins; --dry-run says what would leave the house."
        return reply
    if settings is not None:
        key = own_key(places.folder, settings.key)
        reply.lab, reply.key, reply.name = key.lab[:SHORT], key.public.line, settings.name
        reply.fingerprint = key.public.fingerprint
        reply.code = settings.code
        wait = due_in(last, settings.kind, time.time())
        reply.every_seconds = round(push_seconds(last.labs, settings.kind))
        reply.exchange = "at work" if is_locked(places.lock) else _since(last.read_at, wait)
        reply.trouble, reply.problems = last.trouble, list(last.problems)
    now = time.time()
    reply.running = [running(one, now) for one in live(places, now)[:SHOWN]]
    if places.records.exists():
        with closing(Foreign(places.records)) as foreign:
            reply.labs = lab_rows(foreign, book)
            reply.attempts = foreign.count()[1]
            reply.problems += json.loads(foreign.noted("home") or "[]")
            reply.board = summary.board(foreign, contract_here(workspace, foreign))
    return reply


def lab_rows(foreign: Foreign, book: Trust) -> list[OtherLabReply]:
    """All labs, as the address book calls them."""
    labs = foreign.labs()
    names = book.called(labs)
    return [_row(foreign, row, names[row.lab], book) for row in labs]


def _row(foreign: Foreign, row: LabRow, name: str, book: Trust) -> OtherLabReply:
    held = [f"{row.lab[:SHORT]}/{n or '?'}: {why}" for n, why in foreign.held(row.lab)[:3]]
    return OtherLabReply(
        lab=row.lab[:SHORT],
        name=name,
        role="own" if row.own else str(book.role(row.lab)),
        attempts=row.attempts,
        fresh=row.fresh_at,
        forked=bool(row.forked),
        held_back=held,
    )


def contract_here(workspace: Workspace, foreign: Foreign, tag: str | None = None) -> str:
    """Of the campaign named, or of the one that this work tree is on; else the contract with the most attempts."""
    counts = foreign.labs_by_contract()
    wanted = max(counts, key=lambda one: counts[one][1], default="")
    if workspace.paths.ledger.exists():
        with contextlib.suppress(AutoresearchError), closing(Ledger(workspace.paths.ledger)) as ledger:
            tag = tag or ledger.campaign_of(str(workspace.paths.tree))
            campaign = ledger.campaign(tag) if tag else None
            text = ledger.program_text(campaign.program) if campaign else None
            if campaign is not None and text is not None:
                wanted = noted_contract(foreign, workspace, campaign, parse_program(text, in_force=True).arena)
    return wanted


def _since(at: float, wait: float) -> str:
    if not at:
        return "not yet"
    said = f"{duration(max(0.0, time.time() - at))} ago"
    return f"{said}, the next in {wait:.0f} s or later, with a run" if wait >= 0.5 else f"{said}, the next with a run"
