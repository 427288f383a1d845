"""What other labs know that bears on this one: for a status, a question, and an attempt about to be run.

Read from the database of records alone, in milliseconds; where there is none, or it cannot be read, nothing is known.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mcp_server.arena.program import Arena
from mcp_server.community.board import summary
from mcp_server.community.claims.hearing import heard_claim
from mcp_server.community.claims.status import words_of
from mcp_server.community.contract import noted_contract
from mcp_server.community.leases.claim import NOT_RUN, Claim
from mcp_server.community.leases.known import changing, live, read_known
from mcp_server.community.leases.words import board_line, running_attempt
from mcp_server.community.settings import Places
from mcp_server.community.statements import ENOUGH, claim_words, dead, fit, words
from mcp_server.community.trust import Trust, read_trust
from mcp_server.edits.families import families
from mcp_server.edits.moves import direction
from mcp_server.ledger.foreign import UNUSABLE, Foreign, Known
from mcp_server.ledger.shown import Wanted, newest, stamp
from mcp_server.memory.recall import outcomes
from mcp_server.memory.wording import line
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.exchanged import DIGEST, short
from mcp_server.nouns.records import Kind, Status
from mcp_server.nouns.rows import Campaign
from mcp_server.repo.workspace import Workspace

RUNNING = 8  # runs elsewhere that an answer names
_DECISIONS = {"kept": "keep", "overtaken": "overtaken"}
MOVES = 400  # attempts of others that an optimiser learns from
LESSONS_TOLD = 20  # of others, on a page for people
FOUND = 60  # attempts of others that a question is ranked among
Changes = Sequence[tuple[str, str, str]]


@contextlib.contextmanager
def opened(places: Places) -> Iterator[Foreign | None]:
    """The records of all labs; None where nobody ever told anything, or the file cannot be used."""
    try:
        found = Foreign(places.records) if places.records.exists() else None
    except (*UNUSABLE, AutoresearchError):  # made again by the next exchange
        found = None
    if found is None:
        yield None
        return
    with closing(found):
        yield found


class Elsewhere:
    """Other labs' attempts as a lab asks for them."""

    def __init__(self, state: Path, workspace: Workspace, clock: Callable[[], float] = time.time) -> None:
        """clock: what leases are counted by."""
        self._places, self._workspace, self._clock = Places.of(state), workspace, clock

    @contextlib.contextmanager
    def _open(self) -> Iterator[Foreign | None]:
        """For our own verbs, which go on without what others told where it cannot be read."""
        with contextlib.suppress(*UNUSABLE, AutoresearchError), opened(self._places) as foreign:
            yield foreign

    def board(self, campaign: Campaign, arena: Arena) -> list[str]:
        """What `lab_status` says of the community, with what runs there now."""
        lines: list[str] = []
        with self._open() as foreign:
            if foreign is not None:
                contract, now = noted_contract(foreign, self._workspace, campaign, arena), self._clock()
                lines = summary.board(foreign, contract)
                running = board_line([one for one in live(self._places, now) if one.contract == contract], now)
                lines = fit([*lines[:1], *([running] if running else []), *lines[1:]])
        return lines

    def stamp(self) -> str:
        """Another text whenever others told something new."""
        with self._open() as foreign:
            if foreign is not None:
                return hashlib.sha256(stamp(foreign).encode()).hexdigest()[:16]
        return ""

    def told(self, campaign: Campaign, arena: Arena) -> list[str]:
        """What others' attempts say together, and their newest lessons: lines for a page that people read."""
        lines: list[str] = []
        with self._open() as foreign:
            if foreign is not None:
                contract = noted_contract(foreign, self._workspace, campaign, arena)
                found = newest(foreign, Wanted(contract, lessons=True, others=True), LESSONS_TOLD)
                trust = read_trust(self._places.trust)
                lines = [*summary.board(foreign, contract), *(line(judged(foreign, trust, one)) for one in found)]
        return lines

    def tried(self, query: str, names: Sequence[str]) -> tuple[list[Attempt], list[tuple[str, str, int, float]]]:
        """Others' attempts worth ranking for a question, and how near each is by words, as the ledger tells it."""
        found: list[tuple[Attempt, float | None]] = []
        with self._open() as foreign:
            if foreign is not None:
                asked = set(families(query))
                meant = [name for name in foreign.constants() if asked & set(families(name))] if asked else []
                trust = read_trust(self._places.trust)
                known = foreign.found(query, [*names, *meant], FOUND, sorted(outcomes(query)))
                found = [(judged(foreign, trust, one), near) for one, near in known]
        hits = [("experiment", one.campaign, one.number, near) for one, near in found if near is not None]
        return [*self._running(query, names), *(one for one, _ in found)], hits

    def _running(self, query: str, names: Sequence[str]) -> list[Attempt]:
        """What runs elsewhere of the constants asked for; all of it where nothing is asked for."""
        asked, named = set(families(query)), {name.lower() for name in names} | set(re.findall(r"\w+", query.lower()))
        now, found = self._clock(), []
        for one in live(self._places, now):
            moved = [name for name, _, _ in one.knobs]
            if not named or any(name.lower() in named or asked & set(families(name)) for name in moved):
                found.append(running_attempt(one, now))
        return found[:RUNNING]

    def claim(self) -> Claim:
        """For one call of `run_experiment`: pass it to `about`, and send it where that asks for it."""
        return Claim(self._places, self._workspace, self._clock)

    def single_moves(self, campaign: Campaign, arena: Arena) -> list[tuple[str, str, str, float, float | None]]:
        """(constant, before, after, gain, its sd) of each attempt elsewhere that moved one constant alone."""
        found = []
        with self._open() as foreign:
            if foreign is not None:
                contract = noted_contract(foreign, self._workspace, campaign, arena)
                for one in foreign.newest(contract, MOVES):
                    told = one.attempt
                    if len(told.knobs) == 1 and told.compared and told.gain is not None:
                        found.append((*told.knobs[0], told.gain, told.deviation))
        return found

    def about(
        self, claim: Claim, campaign: Campaign, arena: Arena, code: str, changes: Changes, repeats: str = ""
    ) -> tuple[str, str]:
        """(what is answered instead of a run unless the caller insists, what is only worth knowing) of an attempt.

        repeats: LAB/n, where it repeats one of another lab. Raises ToClaim.
        """
        answer = warning = ""
        with self._open() as foreign:
            if foreign is not None:
                contract = noted_contract(foreign, self._workspace, campaign, arena)
                if repeats:
                    return self._repeating(foreign, claim, contract, repeats, changes, arena)
                trust = read_trust(self._places.trust)
                answer = _same(foreign, trust, foreign.same_code(contract, code[:DIGEST]))
                if not answer and len(changes) == 1:
                    answer, warning = _odds(foreign, contract, trust, *changes[0])
                if not answer:
                    answer, same = claim.about(contract, code[:DIGEST], changes, arena)
                    warning = " ".join(said for said in (warning, same) if said)
        return answer, warning

    def _repeating(
        self, foreign: Foreign, claim: Claim, contract: str, name: str, changes: Changes, arena: Arena
    ) -> tuple[str, str]:
        """As `about`, of an attempt that repeats LAB/n: who is at it now. What others have repeated is no secret any
        more, and anybody may build on it in the same moment. Raises ToClaim."""
        known = foreign.attempt(lab := name.partition("/")[0], int(name.removeprefix(f"{lab}/")))
        if known is None:
            return "", ""
        edit = known.attempt.edit or name
        answer, _ = claim.about(contract, edit, changes, arena, name)
        found = heard_claim(foreign, contract, read_trust(self._places.trust), name, known.attempt.edit)
        settled = found is not None and not found.open
        return ("", answer.removesuffix(NOT_RUN)) if settled else (answer, "")

    def withdrawn(self, experiment: str, why: str) -> None:
        """Write down that an experiment, `campaign/n`, was stopped because another lab was first."""
        with contextlib.suppress(OSError), changing(self._places) as change:
            change.known = change.known.losing(experiment, why)

    def first(self, experiment: str) -> list[str]:
        """Who was first with an experiment, `campaign/n`, that was stopped for it."""
        return [said] if (said := read_known(self._places).lost.get(experiment)) else []


def judged(foreign: Foreign, trust: Trust, known: Known) -> Attempt:
    """An attempt elsewhere; of a gain with what the labs that are heard here make of it."""
    one, standing = known.attempt, ""
    if one.helped:
        claim = heard_claim(foreign, one.contract, trust, f"{known.lab}/{one.n}", one.edit)
        standing = words_of(claim) if claim is not None else f"repeats {short(one.of)}" if one.of else ""
    return as_attempt(known, standing)


def as_attempt(known: Known, standing: str = "") -> Attempt:
    """An attempt elsewhere in the shape of our own. standing: what other labs made of it."""
    one = known.attempt
    verdict = Decided(
        outcome=one.status,
        reason=one.reason,
        score=one.score,
        change=one.gain,
        low=one.low,
        high=one.high,
        noise_widths=one.widths,
        comparison=one.comparison,
        seeds=one.seeds,
        machine=one.machine,
    )
    return Attempt.elsewhere(
        known.lab,
        one.n,
        Status(one.status),
        one.text,
        one.knobs,
        verdict,
        (one.lesson,) if one.lesson else (),
        standing,
        kind=Kind(one.role) if one.role in set(Kind) else Kind.ATTEMPT,
        snapshot=one.commit,
        base=one.base,
        fingerprint=one.code,
        edit=one.edit,
        theme=one.theme,
        opened_at=one.at,
        decision=_DECISIONS.get(one.status, "revert"),
        label=one.label or None,
        decided_at=one.at,
        settled=True,
    )


def _same(foreign: Foreign, trust: Trust, known: Sequence[Known]) -> str:
    """What others got from exactly this code; "" when nobody measured it."""
    measured = [one for one in known if one.attempt.status in ("kept", "discarded", "crashed", "timeout", "rejected")]
    if not measured:
        return ""
    many = f" ({len(measured)} labs or runs)" if len(measured) > 1 else ""
    told = line(judged(foreign, trust, measured[0]))
    return f"This very code was tried elsewhere{many}: {told}. It was not run here."


def _odds(foreign: Foreign, contract: str, trust: Trust, name: str, before: str, after: str) -> tuple[str, str]:
    way = str(direction(before, after))
    told = foreign.pooled(contract, name, way, others=True)
    if not told:
        return "", ""
    if dead(told[0]) and told[0].tried >= ENOUGH:
        return f"Elsewhere {words(told[0])}. That is advice: it may differ on your base. It was not run here.", ""
    best = next((one for one in reversed(foreign.moved_so(contract, name, way)) if one.attempt.helped), None)
    more = f"; {_status(foreign, contract, trust, best)}: {claim_words(best.lab, best.attempt)}" if best else ""
    return "", f"Elsewhere {words(told[0])}{more}."


def _status(foreign: Foreign, contract: str, trust: Trust, known: Known) -> str:
    """What the labs that are heard here make of a gain; what repeats another's claim is none of its own."""
    found = heard_claim(foreign, contract, trust, f"{known.lab}/{known.attempt.n}", known.attempt.edit)
    return "a repeat elsewhere" if found is None else words_of(found)
