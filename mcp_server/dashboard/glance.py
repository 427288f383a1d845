"""One lab at a glance, for the page of all labs: read, and nothing else.

Nothing is caught up with, started or written, and no lock is waited for, so that looking at many labs changes none of
them. What stands in the ledger is read again when its file became another; what runs is read from the runs' own
folders each time. A run that ended while no server, loop or command was there has its result lying in its folder: that
is said.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import takewhile
from pathlib import Path

from pydantic import ConfigDict, Field, FiniteFloat, ValidationError

from mcp_server.arena.program import Arena, parse_program
from mcp_server.campaign.attempt import Attempt, read_all
from mcp_server.campaign.exam import totals_of
from mcp_server.campaign.money.spending import of as money_of
from mcp_server.campaign.progress import progress_of, rounded
from mcp_server.campaign.reins.gate import closed
from mcp_server.campaign.status import near_home
from mcp_server.campaign.stop import over_by_rule
from mcp_server.campaign.trees import company
from mcp_server.dashboard.front import places_in
from mcp_server.ledger import Ledger
from mcp_server.ledger.live.events import Event, EventKind
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import is_locked, try_lock
from mcp_server.nouns.paths import LabPaths, RunPaths
from mcp_server.nouns.records import Kind, RunState, Status
from mcp_server.nouns.refusals import first
from mcp_server.nouns.replies import Reply
from mcp_server.nouns.rows import Campaign, Run
from mcp_server.nouns.text import clean_line
from mcp_server.personal.labs import Known
from mcp_server.views.publishing import line_of

CLOCK_SECONDS = 30.0  # what depends on the time alone, such as a stop rule in hours or a pause that ends
KEPT_SHOWN, EVENTS_SHOWN, IDEAS_SHOWN, RUNS_SHOWN, CAMPAIGNS_SHOWN = 32, 3, 2, 4, 6
EVENTS_READ = 5 * EVENTS_SHOWN
LOOKED_BACK = 8  # attempts, for a row of failures at the end
FAILED = (Status.CRASHED, Status.TIMEOUT, Status.REJECTED, Status.LOST)
SHORT, LONG, PROBLEM = 110, 180, 400  # characters
PART_STEP = 0.02  # of a progress bar: a finer one would be told again with every look


class State(StrEnum):
    """What a lab does, in the words of its badge."""

    RUNNING = "running"
    QUEUED = "waits for a device"
    FIELD = "in the field"
    ENDED = "result waits"
    DIED = "run died"
    DECIDE = "to be decided"
    PAUSED = "paused"
    OVER = "over"
    IDLE = "idle"
    BARE = "no campaign"
    SHUT = "cannot be read"
    HUNG = "does not answer"


class EventLine(Reply):
    """One event of the lab's stream."""

    at: str
    kind: str
    words: str
    experiment: int | None = None


class Card(Reply):
    """What the ledger says of a lab, short: of the campaign in which something happened last."""

    model_config = ConfigDict(validate_assignment=True)  # a number that JSON cannot say is its ledger's fault

    key: str
    name: str
    folder: str
    campaign: str = ""
    campaigns: list[str] = Field(default_factory=list, description="the others, newest first")
    goal: str = ""
    metric: str = ""
    unit: str = ""
    direction: str = ""
    baseline: FiniteFloat | None = None
    best: FiniteFloat | None = None
    claimed_gain: FiniteFloat | None = None
    honest_gain: FiniteFloat | None = None
    exam_gain: FiniteFloat | None = None
    experiments: int = 0
    kept: int = 0
    curve: list[list[FiniteFloat]] = Field(default_factory=list, description="[experiment, level] of what was kept")
    last: int = Field(default=0, description="number of the newest experiment")
    front: str = ""
    to_decide: list[int] = Field(default_factory=list)
    ideas: list[str] = Field(default_factory=list, description="the first of the queue")
    ideas_waiting: int = 0
    events: list[EventLine] = Field(default_factory=list, description="newest first")
    money: str = ""
    paused: str = ""
    over: str = ""
    problems: list[str] = Field(default_factory=list)
    at: str = Field(default="", description="when something was last begun or noticed")


class RunLine(Reply):
    """One run that is not over."""

    experiment: int
    campaign: str
    description: str = ""
    phase: str = ""
    device: str = ""
    since: str = ""
    part: float | None = Field(default=None, description="of its time, or of its scoring, that has passed")


class Now(Reply):
    """What happens in a lab at this moment."""

    key: str
    state: State
    attended: bool = Field(default=False, description="whether an agent's server, or a loop, is there")
    agents: list[list[str]] = Field(default_factory=list, description="[client, since when]")
    runs: list[RunLine] = Field(default_factory=list)
    queued: int = 0
    problems: list[str] = Field(default_factory=list)


@dataclass(frozen=True)
class Books:
    """A lab as somebody has it who only looks (`campaign.bench.Books`)."""

    paths: LabPaths
    ledger: Ledger
    now: Callable[[], datetime]


class Glance:
    """One lab, looked at again and again. `now` is UTC."""

    def __init__(self, known: Known, now: Callable[[], datetime]) -> None:
        self.known, self._now = known, now
        self._seen: tuple[object, ...] = ()
        self._read_at: datetime | None = None
        self._open: list[tuple[Run, str]] = []  # runs that are not over, with what their experiment changed
        self._alive: dict[int, bool] = {}  # by ticket
        self._front: tuple[str, str] = ("", "")  # as of when, and its words
        self.card = self._plain()

    def look(self) -> Now | None:
        """How it stands now, and `card` is as new; None where it is not there. Raises nothing for what it finds, but
        may never return, from a disk that does not answer."""
        self._paths = self.known.paths
        now = self._now()
        old = self._read_at is None or not 0 <= (now - self._read_at).total_seconds() < CLOCK_SECONDS
        try:
            if not stat.S_ISREG(self._paths.ledger.stat().st_mode):
                return None
            seen = tuple(_stamp(self._paths.ledger, ending) for ending in ("", "-wal"))
            if seen != self._seen or old:
                self._seen, self._read_at = seen, now
                self._read()
            return self._live()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:  # whatever lies in a lab's folder, the other labs are shown
            self._seen = ()
            self.card = self._plain(_said(error))
            return Now(key=self.known.key, state=State.SHUT)

    def _plain(self, *problems: str) -> Card:
        """What is known without having read anything."""
        said = [clean_line(words, PROBLEM) for words in problems]
        folder = self.known.folder
        return Card(key=self.known.key, name=name_of(folder), folder=place_of(folder), problems=said)

    # --- the ledger ---------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        card = self._plain()
        with contextlib.closing(Ledger(self._paths.ledger, looking=True)) as ledger:
            campaign, runs = liveliest(ledger), ledger.open_runs()
            found = ledger.named([(run.campaign, run.experiment) for run in runs])
            self._open = [(run, found[run.campaign, run.experiment].description) for run in runs]
            if campaign is not None:
                self._fill(card, Books(self._paths, ledger, self._now), campaign)
        self.card = card

    def _fill(self, card: Card, books: Books, campaign: Campaign) -> None:
        ledger, tag = books.ledger, campaign.tag
        arena = _arena(campaign.program, ledger.program_text(campaign.program) or "")
        totals, counts = totals_of(ledger, arena, campaign), ledger.count(tag)
        card.campaign, card.goal = tag, clean_line(arena.goal, SHORT)
        card.campaigns = [other for other in reversed(ledger.active_campaigns()) if other != tag][:CAMPAIGNS_SHOWN]
        card.metric, card.unit = clean_line(arena.metric.name, 40), clean_line(arena.metric.unit, 40)
        card.direction = arena.metric.direction
        card.baseline, card.best = totals.baseline, totals.best
        card.claimed_gain, card.honest_gain = totals.claimed_gain, totals.honest_gain
        card.exam_gain = totals.exam_gain
        card.experiments, card.kept = counts.get("all", 0), counts.get("keep", 0)
        card.last = ledger.next_number(tag) - 1
        kept, line = read_all(ledger, ledger.kept(tag, last=KEPT_SHOWN)), line_of(ledger, campaign, arena)
        card.curve = [[one.number, at] for one in kept if (at := rounded(line.of(one))) is not None]
        undecided = read_all(ledger, [one for one in ledger.undecided(tag) if one.kind != Kind.BASELINE])
        card.to_decide = [one.number for one in undecided if not one.open][:5]
        waiting = ledger.queue(tag)
        card.ideas = [clean_line(one.text, SHORT) for one in waiting[:IDEAS_SHOWN]]
        card.ideas_waiting = len(waiting)
        card.events = last_events(ledger.events(campaign=tag, limit=EVENTS_READ, newest=True))[:EVENTS_SHOWN]
        money = money_of(books, campaign, arena)
        card.money = clean_line(money.words, LONG)
        card.paused, card.over = clean_line(closed(books, campaign), LONG), over_by_rule(books, campaign, arena)
        last = read_all(ledger, ledger.experiments(tag, last=LOOKED_BACK))
        card.problems = [clean_line(words, LONG) for words in [*failing(last), *money.problems]][:4]
        card.at = max([one.at for one in card.events] + [one.experiment.opened_at for one in last], default="")
        card.front = self._front_words(ledger, tag, arena)

    def _front_words(self, ledger: Ledger, tag: str, arena: Arena) -> str:
        """All attempts are in it, so it is counted again only when one was decided."""
        if not arena.front:
            return ""
        seen = f"{ledger.views_stamp(tag)[0]} {ledger.next_number(tag)} {tag}"
        if seen != self._front[0]:
            on = sum(one.front for one in places_in(ledger, tag, arena))
            names = clean_line(" and ".join([arena.metric.name, *arena.front]), SHORT)
            self._front = seen, f"{on} on the front of {names}" if on else ""
        return self._front[1]

    # --- what runs ----------------------------------------------------------------------------------------------------

    def _live(self) -> Now:
        self._alive = self._living()
        lines = [self._line(run, words) for run, words in self._open]
        phases = [line.phase for line in lines]
        now = Now(key=self.known.key, state=state_of(self.card, phases))
        with contextlib.suppress(OSError):
            now.attended = company.attended(self._paths.state)
            if now.attended:
                now.agents = [_who(one) for one in company.looked_at(self._paths.state)][:4]
        now.runs = [line for line in lines if line.phase not in ("queued", "ended", "died")][:RUNS_SHOWN]
        now.queued = phases.count("queued") + phases.count("waiting")
        now.problems = [said for said in map(_trouble, lines) if said][:3]
        return now

    def _living(self) -> dict[int, bool]:
        """Which runs have a supervisor. Their locks are tried with the lab's in hand, for only under that one is a
        supervisor started, and a lock that is tried would stand in its way; while a verb has it, as it was last."""
        lock = self._paths.lock
        if not self._open or not lock.exists():
            return {}
        with contextlib.suppress(OSError):
            held = try_lock(lock)
            if held is not None:
                try:
                    return {run.ticket: self._lives(self._paths_of(run)) for run, _ in self._open}
                finally:
                    os.close(held)
        return self._alive

    @staticmethod
    def _lives(folder: RunPaths) -> bool:
        # a run on a cluster has its supervisor there; asking for it would start who asks
        return folder.remote.exists() or is_locked(folder.alive)

    def _paths_of(self, run: Run) -> RunPaths:
        return self._paths.run(run.campaign, run.experiment, run.run)

    def _line(self, run: Run, words: str) -> RunLine:
        folder = self._paths_of(run)
        line = RunLine(experiment=run.experiment, campaign=run.campaign, description=clean_line(words, SHORT))
        alive = self._alive.get(run.ticket, run.state is RunState.RUNNING)
        told = progress_of(self._paths, run) if alive else None
        phase = told.phase if told is not None else None
        line.phase = phase_of(run.state, alive, folder.begun.exists(), folder.result.exists(), phase)
        line.since = run.opened_at
        with contextlib.suppress(OSError):
            line.since = datetime.fromtimestamp(folder.begun.stat().st_mtime, UTC).isoformat(timespec="seconds")
        if told is not None:
            line.device = clean_line(" ".join(filter(None, (told.node, told.device))), 60)
            if told.phase == "training" and told.budget_seconds:
                line.part = _step(told.elapsed_seconds / told.budget_seconds)
            elif told.phase == "scoring" and told.scored_fraction is not None:
                line.part = _step(told.scored_fraction)
        return line


def liveliest(ledger: Ledger) -> Campaign | None:
    """The campaign in which something runs, or something was begun last; None where none has begun."""
    busy = {run.campaign for run in ledger.open_runs() if run.state is not RunState.PENDING}
    begun = []
    for tag in ledger.active_campaigns():
        last = ledger.experiments(tag, last=1)
        begun.append((tag in busy, last[0].opened_at if last else "", tag))
    return ledger.campaign(max(begun)[2]) if begun else None


def state_of(card: Card, phases: Sequence[str]) -> State:
    """The one word for a lab: what runs goes before what waits, and that before why nothing does. Pure.

    phases: of the runs that are not over.
    """
    if not card.campaign:
        return State.BARE
    if any(phase not in ("queued", "waiting", "field", "ended", "died") for phase in phases):
        return State.RUNNING
    for phase, state in (("ended", State.ENDED), ("died", State.DIED), ("waiting", State.QUEUED)):
        if phase in phases:
            return state
    if card.paused:
        return State.PAUSED
    if "queued" in phases:
        return State.QUEUED
    if card.to_decide:
        return State.DECIDE
    if "field" in phases:
        return State.FIELD
    return State.OVER if card.over else State.IDLE


def phase_of(state: RunState, alive: bool, begun: bool, result: bool, told: str | None) -> str:
    """Where a run is, from its files: a phase of its supervisor's, or queued, field, ended, died. Pure."""
    if alive:
        return told or "starting"
    if state is RunState.PENDING:
        return "field"
    if result:
        return "ended"
    return "died" if begun else "queued"


def failing(last: Sequence[Attempt]) -> list[str]:
    """The row of failures at the end, in words; none where the last attempt that is over had a score. Pure."""
    over = [one for one in reversed(last) if not one.open]
    bad = list(takewhile(lambda one: one.status in FAILED, over))
    if not bad:
        return []
    if len(bad) == 1:
        why = f": {bad[0].reason}" if bad[0].reason else ""
        return [f"Experiment {bad[0].number} has no score ({bad[0].status}){why}"]
    kinds = ", ".join(dict.fromkeys(str(one.status) for one in bad))
    return [f"The last {len(bad)} experiments have no score ({kinds})."]


def last_events(events: Sequence[Event]) -> list[EventLine]:
    """The newest first, and of each experiment one: a keep is a verdict and a decision too. Pure.

    That a lab became idle is left out: its badge says whether it still is.
    """
    lines: dict[object, EventLine] = {}
    for one in reversed([one for one in events if one.kind is not EventKind.IDLE]):
        name = one.experiment or f"event {one.event}"
        if name not in lines:
            words = clean_line(one.words, LONG)
            lines[name] = EventLine(at=one.at, kind=one.kind, words=words, experiment=one.experiment)
        elif one.kind is EventKind.KEEP:
            lines[name].kind = one.kind
    return list(lines.values())


def _said(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return f"Its ledger holds what cannot be: {first(error)}"
    plain = isinstance(error, (AutoresearchError, OSError, ValueError))
    return str(error) if plain else f"Its folder is damaged: {error!r}"


def _trouble(line: RunLine) -> str:
    if line.phase == "ended":
        return f"A run of experiment {line.experiment} has ended; its result is taken in by whoever opens the lab next."
    if line.phase == "died":
        return f"The supervisor of experiment {line.experiment} died; whoever opens the lab next has the run settled."
    return ""


def _who(session: company.Session) -> list[str]:
    return [clean_line(session.client, 60) or "a client", clean_line(session.since, 40)]


def _step(part: float) -> float | None:
    return rounded(min(1.0, max(0.0, round(part / PART_STEP) * PART_STEP)), 2)


def _stamp(path: Path, ending: str) -> tuple[int, int, int]:
    """Another one whenever a file was written."""
    try:
        found = path.with_name(path.name + ending).stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size


def name_of(folder: Path) -> str:
    return clean_line(folder.name, SHORT)


def place_of(folder: Path) -> str:
    """As its user would write it."""
    return clean_line(near_home(str(folder)), PROBLEM)


@functools.lru_cache(maxsize=256)
def _arena(digest: str, text: str) -> Arena:
    return parse_program(text, in_force=True).arena


def moved(gone: Known, others: Mapping[str, Known]) -> Known | None:
    """Where the ledger of a lab that is gone lies now, if it was opened there. others: labs that are there."""
    return next((one for one in others.values() if gone.lab and one.lab == gone.lab and one.key != gone.key), None)
