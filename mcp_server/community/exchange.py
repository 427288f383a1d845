"""One exchange: look what others have, take in what is sound, publish what is new of ours, and write down how it went.

It holds a lock of its own and never the lab's: a slow network delays nobody. Killed anywhere, the next one goes on: a
journal grows by one move of a ref, and what the database says is read from the journals. Every step may fail alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType

from mcp_server import __version__
from mcp_server.arena.program import Arena
from mcp_server.community.board import saying, summary
from mcp_server.community.contract import noted_contract
from mcp_server.community.leases.tending import Tending
from mcp_server.community.outgoing import AT_ONCE, Batch, Leaving, gather
from mcp_server.community.pace import TAKES_PART, may_push
from mcp_server.community.settings import Last, Places, Settings, joined, read_last, read_settings, write_settings
from mcp_server.community.trust import Role, Trust, read_trust
from mcp_server.community.wire import journal
from mcp_server.community.wire.journal import Forked, Older, Reading
from mcp_server.community.wire.keys import LabKey, own_key
from mcp_server.community.wire.remote import Listing, Move, Remote, Spoilt, Unreachable, accept
from mcp_server.community.wire.signed import Refused
from mcp_server.community.wire.store import BRANCHES, FORKS, LABS, OURS, Quarantine, Store, journal_ref
from mcp_server.edits.constants import knobs
from mcp_server.edits.moves import moved
from mcp_server.ledger import Ledger, posts
from mcp_server.ledger.foreign import UNUSABLE, Foreign
from mcp_server.nouns.errors import CommunityError, GitError, NotNow
from mcp_server.nouns.exchanged import SHORT, Attempt, Introduction, Line, stamp
from mcp_server.nouns.files import try_lock
from mcp_server.nouns.rows import Campaign
from mcp_server.nouns.text import clean_line
from mcp_server.repo.workspace import Workspace

MOST_PROBLEMS = 20  # that are told of one exchange
OURS_UNTIL = datetime(9999, 1, 1, tzinfo=UTC)  # what we told ourselves is read whatever our clock says today


@dataclass
class Report:
    """What one exchange did."""

    published: int = 0
    received: int = 0
    heard: int = 0  # posts of other labs
    labs: int = 0
    kept_home: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # what was refused or held back, and of whom
    trouble: str = ""  # why the other place could not be reached
    pushed: bool = False  # our journal
    sent: bool = False  # anything
    seconds: float = 0.0


class Exchange:
    """The exchange of one lab, with everything it works on. Use it as a context; it is the only one at work then."""

    def __init__(
        self,
        workspace: Workspace,
        now: Callable[[], datetime],
        *,
        patience: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """now: the date of what is written. patience: seconds for another exchange. clock: of leases and periods."""
        self.workspace, self.now, self.clock = workspace, now, clock
        self.places = Places.of(workspace.paths.state)
        self._patience = patience
        self._news: set[str] = set()  # contracts whose boards are to be drawn anew
        self._heads: dict[str, str] = {}  # the tip of every accepted journal
        self._sound: dict[str, Reading] = {}  # journals in the quarantine that may be taken

    def __enter__(self) -> Exchange:
        ends = time.monotonic() + self._patience
        while (lock := try_lock(self.places.lock)) is None:
            if time.monotonic() >= ends:
                raise NotNow("Another exchange of this lab is at work. Wait a little; it does the same.")
            time.sleep(0.05)
        with contextlib.ExitStack() as opened:  # what cannot be opened lets go of the lock as well
            opened.callback(os.close, lock)
            self.store = Store.at(self.places.store)
            try:
                self.foreign = Foreign(self.places.records)
            except UNUSABLE as error:
                raise CommunityError(f"{self.places.records} cannot be opened: {error}. Try again.") from None
            opened.callback(self.foreign.close)
            opened.enter_context(self.store.asking())
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    # --- one round ----------------------------------------------------------------------------------------------------

    def run(self, *, bundle: Settings | None = None, pushing: bool = True) -> Report:
        """Exchange once. bundle: read that file instead of going to where the lab joined. Raises CommunityError."""
        settings = joined(self.places)
        began = time.monotonic()
        key = own_key(self.places.folder, settings.key)
        trust, report = read_trust(self.places.trust), Report()
        self.catch_up(key.lab, trust, report)
        remote = Remote(self.store, bundle or settings)
        tending = Tending(self.places, self.workspace, self.store, key, trust, self.clock)
        theirs: str | None = None
        try:
            listing = remote.listing()
            theirs = self._fetch(remote, listing, key.lab, trust, report)
            report.problems += tending.take_in(remote, listing.leases)
        except Unreachable as error:
            report.trouble = str(error)
        self._publish(settings, key, report)
        self._speak(settings, key)
        wanted = pushing and bundle is None and settings.kind != "bundle" and not report.trouble
        if wanted and may_push(read_last(self.places), settings.kind, self.clock()):
            tip = self._heads.get(key.lab)
            self._push(remote, settings, key.lab, tip if tip != theirs else None, tending, report)
        self._draw()
        report.labs = self.foreign.count()[0]
        self._write_down(report, bundle is None)
        if report.published or report.received:
            self.store.pack_if_large()
        report.seconds = time.monotonic() - began
        return report

    def look(self, listing: Listing, ends: float) -> None:
        """Only take in what others have, as a listing says; over by `ends`, of `time.monotonic`. Raises Unreachable."""
        settings = read_settings(self.places)
        if settings is not None:
            key, trust, report = own_key(self.places.folder, settings.key), read_trust(self.places.trust), Report()
            self.catch_up(key.lab, trust, report)
            self._fetch(Remote(self.store, settings, ends), listing, key.lab, trust, report)
            self._draw()

    def local(self, settings: Settings) -> Report:
        """Write our own journal, and go nowhere: for a bundle."""
        key, report = own_key(self.places.folder, settings.key), Report()
        self.catch_up(key.lab, read_trust(self.places.trust), report)
        self._publish(settings, key, report)
        self._speak(settings, key)
        self._draw()
        return report

    def _draw(self) -> None:
        """The boards of contracts of which something new is known."""
        summary.refresh(self.foreign, self._news, read_trust(self.places.trust))
        self._news.clear()

    def catch_up(self, own: str, trust: Trust, report: Report) -> None:
        """Read into the database what the journals have and it has not: after a kill, or when it was lost."""
        tips, refs = self.foreign.tips(), self.store.refs(OURS)
        heads = self._heads = {name.removeprefix(LABS): oid for name, oid in refs.items() if name.startswith(LABS)}
        forks = {name.removeprefix(FORKS).split("/")[0]: oid for name, oid in refs.items() if name.startswith(FORKS)}
        # dates that were of the future, by our clock or by theirs, and are none any more
        ripe = self.foreign.ripe(stamp(self.now() + journal.AHEAD)[:10])
        with self.foreign.writing():
            for lab in ripe & heads.keys():
                self.foreign.forget(lab)
                tips.pop(lab, None)
        for lab, tip in heads.items():
            if tips.get(lab) != tip:
                self._read_in(lab, tip, tips.get(lab), own, report)
        with self.foreign.writing():
            for lab, other in forks.items():
                self.foreign.fork(lab, other)
            self.foreign.hide([row.lab for row in self.foreign.labs() if trust.role(row.lab) is Role.NONE])

    def _read_in(self, lab: str, tip: str, since: str | None, own: str, report: Report) -> None:
        others, now = self._others(lab), self._until(lab, own)
        try:
            found = journal.read(self.store, lab, tip, since, now=now, known=self._known(lab), others=others)
        except (Refused, GitError):
            with self.foreign.writing():
                self.foreign.forget(lab)
            try:
                found = journal.read(self.store, lab, tip, now=now, others=others)
            except (Refused, GitError) as error:
                report.problems.append(f"lab {lab[:SHORT]}: {error}")
                return
        self._take(found, own)

    def _known(self, lab: str) -> Callable[[int, int], bytes | None]:
        return partial(self.foreign.line, lab)

    def _until(self, lab: str, own: str) -> datetime:
        """The latest date that its lines may have."""
        return OURS_UNTIL if lab == own else self.now()

    def _others(self, lab: str) -> list[str]:
        """Tips of the other labs' journals that are here."""
        return [head for other, head in self._heads.items() if other != lab]

    def _take(self, found: Reading, own: str) -> None:
        held = [(one.n, one.why) for one in found.held]
        name = clean_line(found.introduction.name, 40) if found.introduction else None
        at = self.now().isoformat(timespec="seconds")
        attempts = [(one, moved(one.knobs)) for one in found.attempts]
        with self.foreign.writing():
            self.foreign.take(found.lab, found.tip, attempts, held, name=name, own=found.lab == own, at=at)
            posts.take(self.foreign, found.lab, found.posts)
        self._news |= {one.contract for one in found.attempts}

    # --- fetching -----------------------------------------------------------------------------------------------------

    def _fetch(self, remote: Remote, listing: Listing, own: str, trust: Trust, report: Report) -> str | None:
        """Take in what is new and sound; our own journal's tip there. Raises Unreachable."""
        report.problems += [f"a ref that is no lab's: {name}" for name in listing.odd[:5]]
        heads, refused = self._heads, {} if remote.is_carried else self.foreign.refused()
        wanted = {}
        for lab, (ref, oid) in listing.labs.items():
            if heads.get(lab) == oid or (trust.role(lab) is Role.NONE and lab != own):
                continue
            if (lab, oid) in refused:
                report.problems.append(f"lab {lab[:SHORT]}: {refused[lab, oid]}")
                continue
            if lab == own and lab in heads and self.store.is_ancestor(oid, heads[lab]):
                continue  # what we have not pushed yet
            wanted[lab] = ref
        if wanted:
            with Quarantine.beside(self.store, self.places.quarantine) as quarantine:
                brought = self._bring(remote, quarantine, wanted, listing.labs, report)
                with quarantine.asking():
                    there = quarantine.heads()
                    tips = [there[lab] for lab in brought if lab in there]
                    walked = journal.walk(quarantine, tips, list(heads.values())) if len(tips) > 1 else None
                    for lab in brought:
                        self._examine(quarantine, lab, there.get(lab), own, walked, report)
                self._accept(quarantine, own, len(self._sound) == len(wanted), report)
        return listing.labs.get(own, ("", None))[1]

    def _bring(
        self,
        remote: Remote,
        quarantine: Quarantine,
        wanted: Mapping[str, str],
        offered: Mapping[str, tuple[str, str]],
        report: Report,
    ) -> list[str]:
        """Fetch all at once; where that fails, one by one, so that one lab spoils nothing for the others."""
        try:
            remote.fetch(quarantine, wanted)
            return list(wanted)
        except (Spoilt, Unreachable):
            pass
        brought, missed = [], None
        for lab, ref in wanted.items():
            try:
                remote.fetch(quarantine, {lab: ref})
                brought.append(lab)
            except Spoilt as error:
                if remote.is_carried:
                    report.problems.append(f"lab {lab[:SHORT]}: {error}")
                else:
                    self._refuse(lab, offered[lab][1], str(error), report)
            except Unreachable as error:
                missed = error
                report.problems.append(f"lab {lab[:SHORT]}: {error}")
        if missed is not None and not brought:
            raise missed
        return brought

    def _refuse(self, lab: str, tip: str, why: str, report: Report) -> None:
        with self.foreign.writing():
            self.foreign.refuse(lab, tip, clean_line(why, 300))
        report.problems.append(f"lab {lab[:SHORT]}: {clean_line(why, 300)}")

    def _examine(
        self,
        quarantine: Quarantine,
        lab: str,
        tip: str | None,
        own: str,
        walked: Mapping[str, list[str]] | None,
        report: Report,
    ) -> None:
        """Read one journal in the quarantine; what may be taken is left in `_sound`."""
        if tip is None:
            return
        known, since, others = self._known(lab), self._heads.get(lab), self._others(lab)
        now = self._until(lab, own)
        try:
            found = journal.read(quarantine, lab, tip, since, now=now, known=known, others=others, walked=walked)
        except Older as error:
            report.problems.append(f"lab {lab[:SHORT]}: {error}")
        except Forked as error:
            self._fork(quarantine, lab, tip, own, str(error), report)
        except (Refused, GitError) as error:
            self._refuse(lab, tip, str(error), report)
        else:
            self._sound[lab] = found

    def _fork(self, quarantine: Quarantine, lab: str, tip: str, own: str, why: str, report: Report) -> None:
        """Two histories with one signature: both are kept, and neither counts."""
        if lab == own:
            report.trouble = (
                "Another copy of this lab publishes with the same key, and the two have gone apart. Give one of them a "
                "key of its own: `autoresearch community leave --forget-key`, then join again."
            )
            return
        try:
            journal.read(quarantine, lab, tip, now=self.now(), others=self._others(lab))
            accept(self.store, quarantine, {f"{FORKS}{lab}/{tip[:16]}": tip})
        except (Refused, GitError) as error:
            self._refuse(lab, tip, str(error), report)
            return
        with self.foreign.writing():
            self.foreign.fork(lab, tip)
        self._refuse(lab, tip, f"forked: {why}; both are kept, and its records count for nothing", report)
        self._news.update(self.foreign.all_contracts())

    def _accept(self, quarantine: Quarantine, own: str, everything: bool, report: Report) -> None:
        """everything: all that was asked for came and is sound."""
        sound = dict(self._sound)
        self._sound.clear()
        if not sound:
            return
        accept(self.store, quarantine, {journal_ref(lab): journal_ref(lab) for lab in sound}, everything)
        for lab, found in sound.items():
            self._heads[lab] = found.tip
            self._take(found, own)
            report.received += len(found.attempts) if lab != own else 0
            report.heard += len(found.posts) if lab != own else 0
            for one in found.held[:3]:
                which = f"{lab[:SHORT]}/{one.n}" if one.n else f"a line of lab {lab[:SHORT]}"
                report.problems.append(f"{which} is held back: {one.why}")

    # --- publishing ---------------------------------------------------------------------------------------------------

    def _publish(self, settings: Settings, key: LabKey, report: Report) -> None:
        """Write what was decided since into our journal."""
        if not self.workspace.paths.ledger.exists():
            return
        with closing(Ledger(self.workspace.paths.ledger)) as ledger:
            while True:
                batch = self._batch(ledger, settings, key)
                fresh = [one for one in batch.leaving if self._is_news(one, key)]
                self._stays(batch.kept_home, report)
                if fresh:
                    self._note_constants(
                        next((one for one in reversed(fresh) if one.attempt.status == "kept"), fresh[-1])
                    )
                    report.published += self._write(settings, key, fresh)
                with self.foreign.writing():
                    self.foreign.note("turns", json.dumps(batch.turns))
                if len(batch.leaving) < AT_ONCE:
                    return

    def _speak(self, settings: Settings, key: LabKey) -> None:
        """Write what waits in the outbox into our journal."""
        said = saying.ready(self.foreign, key.lab, saying.sent(self.places, self.foreign, key.lab))
        epoch = int(self.now().timestamp())
        for start in range(0, len(said), journal.MOST_ATTEMPTS):
            self._grow(settings, key, said[start : start + journal.MOST_ATTEMPTS], epoch)
        if said:
            saying.sent(self.places, self.foreign, key.lab)

    def _stays(self, kept_home: list[str], report: Report) -> None:
        """Remember what stays at home: it is looked at once, and told as long as somebody asks."""
        report.kept_home += kept_home
        if kept_home:
            before: list[str] = json.loads(self.foreign.noted("home") or "[]")
            told = list(dict.fromkeys([*before, *kept_home]))[-MOST_PROBLEMS:]
            with self.foreign.writing():
                self.foreign.note("home", json.dumps(told))

    def _note_constants(self, last: Leaving) -> None:
        """What our code has to turn, for the board: the constants in capitals of what was kept last."""
        if last.files and last.attempt.status == "kept":
            names = [name for name in knobs(last.files) if name.isupper()]
            summary.constants(self.foreign, last.attempt.contract, names)

    def _batch(self, ledger: Ledger, settings: Settings, key: LabKey) -> Batch:
        labels = self.foreign.labels(key.lab)
        turns = json.loads(self.foreign.noted("turns") or "{}") if self.foreign.last(key.lab) else {}
        return gather(ledger, self.workspace, turns, labels, code=settings.code, contracts=self.contract)

    def contract(self, campaign: Campaign, arena: Arena) -> str:
        """The digest of a campaign's contract, worked out once and noted."""
        return noted_contract(self.foreign, self.workspace, campaign, arena)

    def _is_news(self, one: Leaving, key: LabKey) -> bool:
        before = self.foreign.by_mark(key.lab, [one.mark]).get(one.mark)
        return before is None or before.label != one.attempt.label or before.status != one.attempt.status

    def _write(self, settings: Settings, key: LabKey, fresh: list[Leaving]) -> int:
        """Number the attempts, make their commits, and let the journal grow by them. How many."""
        marks = [mark for one in fresh for mark in (one.mark, one.base_mark, *one.joins) if mark]
        known = self.foreign.by_mark(key.lab, marks)
        at = self.foreign.last(key.lab)
        new = [one for one in fresh if one.mark not in known]
        numbers = {one.mark: at + place for place, one in enumerate(new, 1)}
        places = {one.mark: place for place, one in enumerate(one for one in new if one.files)}
        made = [
            (one.files, _base(one, places, known), one.epoch, f"attempt {numbers[one.mark]}\n")
            for one in new
            if one.files
        ]
        written = self.store.write_attempts(made)
        stands = [written[base] if isinstance(base, int) else base for _, base, _, _ in made]
        commits, bases = iter(written), dict(zip(written, stands, strict=True))
        named = {mark: f"{key.lab}/{n}" for mark, n in [*((m, a.n) for m, a in known.items()), *numbers.items()]}
        lines: list[Attempt] = []
        for one in fresh:
            before = known.get(one.mark)
            base = known[one.base_mark].n if one.base_mark in known else numbers.get(one.base_mark)
            if before is not None:
                update = {"n": before.n, "rev": min(99, before.rev + 1), "commit": before.commit, "base": before.base}
            else:
                n = numbers[one.mark]
                commit = next(commits) if one.files else ""
                update = {"n": n, "rev": 0, "commit": commit, "base": base if base and base < n else None}
            parts = [part if "/" in part else named.get(part, "") for part in one.joins]
            lines.append(one.attempt.model_copy(update={**update, "joins": tuple(filter(None, parts))}))
        epoch = int(self.now().timestamp())
        for start in range(0, len(lines), journal.MOST_ATTEMPTS):
            self._grow(settings, key, lines[start : start + journal.MOST_ATTEMPTS], epoch, bases)
        return len(lines)

    def _grow(
        self,
        settings: Settings,
        key: LabKey,
        lines: Sequence[Line],
        epoch: int,
        bases: Mapping[str, str | None] = MappingProxyType({}),
    ) -> None:
        """One more commit on our journal, and read as anybody would. bases: what the commits it tells of stand on."""
        tip = self._heads.get(key.lab)
        told: list[Line] = list(lines)
        said = f"{settings.name} {__version__}"
        if self.foreign.noted("introduced") != said:
            told.insert(0, Introduction(name=settings.name, software=__version__))
        new, walked = journal.appended(self.store, key, tip, told, epoch, bases)
        if not self.store.move_ref(journal_ref(key.lab), new, tip or self.store.zero, "publish"):
            raise GitError("The lab's journal moved meanwhile. The next exchange goes on from there.")
        self._heads[key.lab] = new
        known = self._known(key.lab)
        found = journal.read(self.store, key.lab, new, tip, now=OURS_UNTIL, known=known, walked=walked)
        self._take(found, key.lab)
        with self.foreign.writing():
            self.foreign.note("introduced", said)

    def _push(
        self, remote: Remote, settings: Settings, lab: str, tip: str | None, tending: Tending, report: Report
    ) -> None:
        """Our journal and what changes of our leases, at once."""
        try:
            changes = tending.changes(settings.branches)
            moves = [one.move for one in changes if one.move.ref]
            ref = BRANCHES + lab if settings.branches else journal_ref(lab)
            own = [Move(ref, tip)] if tip else []
            refused = remote.push([*own, *moves]) if own or moves else {}
            report.sent = bool(own or moves)
            tending.settle(changes, refused)
            why = refused.get(ref, "")
            if why and not settings.branches and "fast-forward" not in why and "fetch first" not in why:
                why = remote.push([Move(BRANCHES + lab, tip or "")]).get(BRANCHES + lab, "")
                if not why:  # a host that refuses refs it does not know
                    write_settings(self.places, settings.model_copy(update={"branches": True}))
            if why:
                report.trouble = f"{remote.shown} would not have our journal: {why}"
            report.pushed = bool(tip) and not why
        except (Unreachable, GitError) as error:
            report.trouble = str(error)

    def _write_down(self, report: Report, went: bool) -> None:
        before, now = read_last(self.places), self.clock()
        well = not report.trouble
        problems = tuple(dict.fromkeys(report.problems))[:MOST_PROBLEMS]
        Last(
            read_at=now if well and went else before.read_at,
            pushed_at=now if report.sent else before.pushed_at,
            tried_at=now if went else before.tried_at,
            failures=0 if well else before.failures + 1,
            trouble=clean_line(report.trouble, 400),
            problems=problems if well else before.problems,
            labs=self.foreign.lately((self.now() - TAKES_PART).isoformat(timespec="seconds")),
        ).write(self.places.last)


def _base(one: Leaving, places: Mapping[str, int], known: Mapping[str, Attempt]) -> str | int | None:
    """What an attempt's commit stands on: one that travelled before, one that is being made, or nothing."""
    if one.base_mark in known:
        return known[one.base_mark].commit or None
    place = places.get(one.base_mark)
    return place if place is not None and place < places[one.mark] else None
