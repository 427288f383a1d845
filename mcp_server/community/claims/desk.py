"""Where a lab looks at claims: reads the records, the address book and the bounds, and hands them to what decides.

A claim's status here is heard from labs that the address book lets repeat claims, and from ourselves; the table that
everybody shares hears all. Where nothing was told or nothing can be read, there are no claims.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from mcp_server.arena.program import Arena
from mcp_server.community.board.marks import read_marks
from mcp_server.community.claims import choosing, table
from mcp_server.community.claims.bringing import bring, files_of
from mcp_server.community.claims.choosing import Bounds, Choice, Past, Repeat, Situation
from mcp_server.community.claims.hearing import heard, heard_claims, own_lab
from mcp_server.community.claims.reviews import Word, reviews_of
from mcp_server.community.claims.standing import standings
from mcp_server.community.claims.status import Claim, Status
from mcp_server.community.contract import noted_contract
from mcp_server.community.leases.known import live
from mcp_server.community.leases.terms import key_of_repeat
from mcp_server.community.outgoing import machine_class
from mcp_server.community.pace import TAKES_PART
from mcp_server.community.settings import Places
from mcp_server.community.trust import Role, Trust, lab_meant, read_trust
from mcp_server.community.wire.store import Store
from mcp_server.ledger import Ledger
from mcp_server.ledger.foreign import UNUSABLE, Foreign, Known
from mcp_server.ledger.measured import active, discarded, measured, tried_here
from mcp_server.ledger.posts import posts
from mcp_server.nouns.errors import AutoresearchError, CommunityError
from mcp_server.nouns.exchanged import DIGEST, SHORT, Edit, short, stamp
from mcp_server.nouns.files import private_folder
from mcp_server.nouns.refusals import first
from mcp_server.nouns.rows import Campaign
from mcp_server.nouns.text import clean_line
from mcp_server.repo.messages import begun_from
from mcp_server.repo.workspace import Workspace

REFERENCE = re.compile(r"(?P<lab>[^/\s]{1,64})/(?P<n>[1-9]\d{0,7})")
MOST_LOOKED_AT = 5  # choices that are tried on the incumbent before none is said to fit


@dataclass(frozen=True)
class View:
    """The claims of one contract, as this lab sees them."""

    claims: list[Claim]
    trust: Trust
    own: str


class Desk:
    """The claims of a community, as one lab sees them."""

    def __init__(self, state: Path, workspace: Workspace, clock: Callable[[], float] = time.time) -> None:
        """clock: what leases are counted by."""
        self._places, self._workspace, self._clock = Places.of(state), workspace, clock

    @property
    def joined(self) -> bool:
        return self._places.settings.exists() and self._places.records.exists()

    @contextlib.contextmanager
    def open(self) -> Iterator[Foreign]:
        """The records. Raises CommunityError where there are none."""
        if not self._places.records.exists():
            raise CommunityError("No other lab is known here. `autoresearch community join FOLDER` or URL joins some.")
        try:
            with closing(Foreign(self._places.records)) as found:
                yield found
        except UNUSABLE as error:
            raise CommunityError(
                f"The records of other labs cannot be read: {error}. `autoresearch community sync` makes them again."
            ) from None

    def contract(self, foreign: Foreign, campaign: Campaign, arena: Arena) -> str:
        return noted_contract(foreign, self._workspace, campaign, arena)

    def view(self, foreign: Foreign, contract: str) -> View:
        """Claims judged by whom this lab hears. Raises CommunityError."""
        trust = read_trust(self._places.trust)
        return View(heard_claims(foreign, contract, trust), trust, own_lab(foreign))

    def reviews(self, foreign: Foreign) -> dict[str, list[Word]]:
        """By LAB/n, what reviews say of it, of labs whose word on claims counts and whose posts are shown. Raises."""
        trust, own, muted = read_trust(self._places.trust), own_lab(foreign), read_marks(self._places.marks).muted
        return reviews_of(posts(foreign), lambda lab: heard(trust, own, lab) and lab not in muted)

    # --- one attempt elsewhere ----------------------------------------------------------------------------------------

    def edit(self, campaign: Campaign, arena: Arena, given: str) -> Edit:
        """The change of LAB/n, checked. Raises CommunityError."""
        with self.open() as foreign:
            known = self._known(foreign, given)
            found = bring(self._store, foreign, known, self.contract(foreign, campaign, arena), arena)
            view = self.view(foreign, known.attempt.contract)
            claim = next((one for one in view.claims if one.name == found.name), None)
            doubts = [
                one for one in self.reviews(foreign).get(found.name, ()) if one.verdict in ("refuted", "weakened")
            ]
            return replace(
                found, warnings=(*_warnings(view, known.lab, claim), *(f"Elsewhere {one}." for one in doubts))
            )

    def code(self, arena: Arena, given: str) -> tuple[str, dict[str, bytes]]:
        """(LAB/n, its editable files), to begin a direction from; checked. Raises CommunityError."""
        with self.open() as foreign:
            known = self._known(foreign, given)
            name = f"{known.lab}/{known.attempt.n}"
            return name, dict(files_of(self._store, known.attempt, short(name), arena))

    def beginning(self, arena: Arena, from_ref: str, at: str) -> str:
        """The commit a campaign begins from: what git knows by that name, else the code of LAB/n on our own HEAD."""
        if REFERENCE.fullmatch(from_ref) is None or not self._places.records.exists():
            return from_ref
        with contextlib.suppress(AutoresearchError):
            return self._workspace.resolve(from_ref)
        name, files = self.code(arena, from_ref)
        return self._workspace.snapshot(
            arena.editable, self._workspace.resolve("HEAD"), begun_from(name), at, files=files
        ).commit

    @property
    def _store(self) -> Store:
        return Store.at(self._places.store)

    def _known(self, foreign: Foreign, given: str) -> Known:
        found = REFERENCE.fullmatch(given)
        if found is None:
            raise CommunityError(
                f"{clean_line(given, 60)!r} names no attempt elsewhere; write LAB/n, such as a1b2c3d4/12."
            )
        trust = read_trust(self._places.trust)
        rows = {row.lab: row for row in foreign.labs()}
        lab = lab_meant(trust.called(rows.values()), found["lab"])
        row, number = rows[lab], int(found["n"])
        if trust.role(lab) is Role.NONE:
            raise CommunityError(f"Lab {lab[:SHORT]} is distrusted here. Nothing of it is used.")
        if row.forked:
            raise CommunityError(f"Lab {lab[:SHORT]} signed two histories, so none of its records count.")
        if row.own:
            raise CommunityError(
                f"{lab[:SHORT]}/{number} is this lab's own attempt. `autoresearch history` lists them."
            )
        known = foreign.attempt(lab, number)
        if known is None:
            raise CommunityError(
                f"Lab {lab[:SHORT]} has told of no attempt {number}. `autoresearch community sync` asks."
            )
        return known

    # --- what to repeat -----------------------------------------------------------------------------------------------

    def bounds(self) -> Bounds:
        """As set, else as they are by default. Raises CommunityError."""
        try:
            return Bounds.read(self._places.bounds)
        except FileNotFoundError:
            return Bounds()
        except (OSError, ValueError) as error:
            raise CommunityError(
                f"The bounds cannot be read: {error}. `autoresearch community bounds` sets them."
            ) from None

    def set_bounds(self, changes: Mapping[str, float]) -> None:
        """Set some of them. Raises CommunityError for what is beyond what they may be."""
        try:
            bounds = Bounds.model_validate({**self.bounds().model_dump(), **changes})
        except ValidationError as error:
            raise CommunityError(f"These bounds cannot be: {first(error)}. Nothing was changed.") from None
        private_folder(self._places.folder)
        bounds.write(self._places.bounds)

    def refusal(self, ledger: Ledger, campaign: Campaign, name: str) -> str:
        """Why one more replication does not fit, however asked for; "" where it does."""
        past = self.past(ledger, campaign)
        return choosing.refusal(past) or choosing.crowded(past, self.bounds(), name.partition("/")[0])

    def past(self, ledger: Ledger, campaign: Campaign) -> Past:
        """How the campaign's attempts were spent."""
        kept = {one.number for one in ledger.kept(campaign.tag)}
        baseline = ledger.baseline(campaign.tag)
        attempts = ledger.count(campaign.tag)["all"] - (1 if baseline is not None else 0)
        slots, spent = ledger.spent(campaign.tag)
        repeats = ledger.repeated(campaign.tag)
        discards: set[str] = set()
        if repeats and self._places.records.exists():
            with contextlib.suppress(AutoresearchError), self.open() as foreign:
                for one in repeats:
                    lab, _, number = one.repeats.partition("/")
                    known = foreign.attempt(lab, int(number))
                    if known is not None and known.attempt.status == "discarded":
                        discards.add(one.repeats)
        told = [
            Repeat(one.repeats, max(1, one.number - 1), one.repeats in discards, one.number in kept) for one in repeats
        ]
        return Past(slots, tuple(told), spent, attempts)

    def situation(self, foreign: Foreign, ledger: Ledger, campaign: Campaign, arena: Arena, now: datetime) -> Situation:
        """All that a choice is made from. Raises CommunityError."""
        contract = self.contract(foreign, campaign, arena)
        view, baseline = self.view(foreign, contract), ledger.baseline(campaign.tag)
        held = {one.key for one in live(self._places, self._clock())}
        return Situation(
            own=view.own,
            machine=machine_class(baseline.runs) if baseline is not None else "",
            now=now,
            past=self.past(ledger, campaign),
            claims=view.claims,
            standings=standings(view.claims),
            discards=discarded(foreign, contract),
            tried=frozenset(tried_here(foreign, contract))
            | frozenset(edit[:DIGEST] for edit in ledger.edits(campaign.tag)),
            labs=active(foreign, contract, stamp(now - TAKES_PART)),
            worth_a_run=lambda lab: view.trust.role(lab).allows(Role.REPLICATE),
            at_work=lambda edit: key_of_repeat(contract, edit) in held,
            bounds=self.bounds(),
        )

    def due(self, ledger: Ledger, campaign: Campaign, arena: Arena, now: datetime) -> Sequence[Choice]:
        """What to repeat by itself now. Never raises: a choice that cannot be made is none."""
        if not self.joined:
            return []
        try:
            trust = read_trust(self._places.trust)
            if not any(role.allows(Role.REPLICATE) for role in (trust.strangers, *trust.roles.values())):
                return []
            if not choosing.has_room(self.past(ledger, campaign), self.bounds()):
                return []
            with self.open() as foreign:
                return choosing.due(self.situation(foreign, ledger, campaign, arena, now))
        except AutoresearchError:
            return []

    def asked_for(self, ledger: Ledger, campaign: Campaign, arena: Arena, now: datetime) -> Sequence[Choice]:
        """What may be repeated by hand. Raises CommunityError."""
        with self.open() as foreign:
            return choosing.asked_for(self.situation(foreign, ledger, campaign, arena, now))

    def to_repeat(
        self,
        ledger: Ledger,
        campaign: Campaign,
        arena: Arena,
        now: datetime,
        fits: Callable[[Sequence[Edit]], object],
        by_hand: bool,
    ) -> Choice | None:
        """The first choice whose edit is sound and fits, which raises where it does not. Raises CommunityError."""
        look = self.asked_for if by_hand else self.due
        for choice in look(ledger, campaign, arena, now)[:MOST_LOOKED_AT]:
            with contextlib.suppress(AutoresearchError):
                fits([self.edit(campaign, arena, choice.name)])
                return choice
        return None

    def strangers(self) -> int:
        """Other labs that are heard and whose claims are worth no run yet."""
        with self.open() as foreign:
            trust = read_trust(self._places.trust)
            return sum(not row.own and trust.role(row.lab) is Role.READ and row.attempts > 0 for row in foreign.labs())

    def table(self) -> str:
        """The claims of all contracts in the one form that everybody prints who has the same records."""
        with self.open() as foreign:
            contracts = sorted(foreign.all_contracts())
            return f"{table.HEADER}\n" + "".join(table.table(one, measured(foreign, one)) for one in contracts)


def _warnings(view: View, lab: str, claim: Claim | None) -> Iterator[str]:
    """What is worth knowing of an edit before it is run here."""
    if not view.trust.role(lab).allows(Role.REPLICATE):
        yield f"Lab {lab[:SHORT]} is nobody you named: its word is advice, and what counts is this run."
    if claim is not None and claim.status in (Status.REFUTED, Status.MACHINE_BOUND):
        yield f"Elsewhere it is {claim.status}" + (
            f": fails on {', '.join(claim.fails_on)}." if claim.fails_on else "."
        )
