"""Plays a tournament: campaign after campaign through the loop of fresh agents, then exams, then the comparison.

Everything that happened is in the labs and in one state file, so it goes on where it was interrupted. Campaigns of one
block follow each other and share seeds, so that the arms meet the same machine and the same luck.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mcp_server.lab import Lab
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.files import try_lock, write_atomically
from mcp_server.nouns.records import Kind
from mcp_server.nouns.rows import Draws
from mcp_server.ralph import driver
from mcp_server.ralph.pacing import End, Lap, Limits, Outcome, spent
from mcp_server.repo.git import Repository
from mcp_server.tournament import ground
from mcp_server.tournament.plan import BUILT_IN, ArmPlan, TournamentPlan
from mcp_server.views.comparison.compare import Arm, CompareReply, compare
from mcp_server.views.comparison.courses import Course, all_courses

STATE = "tournament.json"
POLL_SECONDS = 0.3  # a run's supervisor tells of its end by a lock, which sends no event


class Played(BaseModel):
    """How far one campaign is."""

    model_config = ConfigDict(frozen=True)

    done: bool = False
    end: str = ""
    seconds: float = 0.0  # of its loops so far
    turns: int | None = None  # that its agents had; None: before the first, or noted by a version that did not count
    cost_usd: float = 0.0
    exam_gain: float | None = None
    examined: bool = False


class State(BaseModel):
    """What a tournament must remember beside its labs."""

    plan: str  # digest
    commit: str
    secret: str  # draws the split of all exams
    campaigns: dict[str, Played] = {}


class Tournament:
    """One tournament in its folder, in which nothing else is."""

    def __init__(
        self, plan: TournamentPlan, beside: Path, repository: Repository, folder: Path, say: Callable[[str], None]
    ) -> None:
        self.plan, self.beside, self.repository, self.folder, self.say = plan, beside, repository, folder, say
        self.state = self._begin()

    def _begin(self) -> State:
        """The state as it was left, or a new one. Raises NotNow where another tournament lies there."""
        path, digest = self.folder / STATE, self.plan.digest(self.beside)
        if path.is_file():
            state = State.model_validate_json(path.read_bytes())
            if state.plan != digest:
                raise NotNow(
                    f"{self.folder} holds a tournament of another plan. Give this one a folder of its own (--out DIR), "
                    "or put the plan back to go on; only `campaigns` may grow."
                )
            return state
        if self.folder.exists() and any(self.folder.iterdir()):
            raise NotNow(f"{self.folder} is not empty and holds no tournament. Name another folder with --out.")
        commit = self.repository.resolve(self.plan.commit)
        return State(plan=digest, commit=commit, secret=secrets.token_hex(32))

    def play(self) -> CompareReply:
        """Run what is missing and compare. Raises AutoresearchError; KeyboardInterrupt passes, nothing runs then."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = try_lock(self.folder / "lock")
        if lock is None:
            raise NotNow(f"This tournament is being played already, in {self.folder}. Wait for it.")
        with os.fdopen(lock):  # let go at the end
            self._save()
            for place, (block, arm) in enumerate(self.plan.schedule(), 1):
                self.say(f"Campaign {place} of {len(self.plan.schedule())}: {arm.name}, block {block + 1}.")
                self._campaign(block, arm)
            for block, arm in self.plan.schedule():
                self._exam(block, arm)
            return self.compared()

    def compared(self) -> CompareReply:
        """The comparison of what was played."""
        arms: dict[str, list[Course]] = {arm.name: [] for arm in self.plan.arms}
        for block, arm in self.plan.schedule():
            played = self._of(block, arm)
            with contextlib.closing(Lab(self._place(block, arm))) as lab:
                for course in all_courses(lab, "", f"block {block}"):
                    if course.tag == self._tag(block, arm):
                        arms[arm.name].append(replace(course, exam_gain=played.exam_gain))
        measured = all(one.exam_gain is not None for courses in arms.values() for one in courses)
        chosen = [Arm(name, tuple(courses)) for name, courses in arms.items()]
        reply = compare(chosen, measure="exam" if measured else "gain")
        reply.notes += [f"{name}: ended by {one.end}" for name, one in self.state.campaigns.items() if _odd(one.end)]
        return reply

    # --- one campaign -------------------------------------------------------------------------------------------------

    def _campaign(self, block: int, arm: ArmPlan) -> None:
        if self._of(block, arm).done:
            return
        place = self._place(block, arm)
        ground.lay(self.repository, self.state.commit, arm, self.beside, place)
        tag = self._tag(block, arm)
        with contextlib.closing(Lab(place, campaign=tag)) as lab:
            _start(lab, tag, self.plan.calibrate, self._draws(block))
            before = self._of(block, arm)
            had = _attempts(lab, tag) if before.turns is None else before.turns
        began, laps = time.monotonic(), list[Lap]()

        def note() -> None:
            """Turn by turn: whoever was killed goes on with what is left of the arm's means, and with no more."""
            used = {
                "seconds": before.seconds + time.monotonic() - began,
                "turns": had + sum(lap.outcome not in (Outcome.LIMITED, Outcome.MISUSED) for lap in laps),
                "cost_usd": before.cost_usd + spent(laps),
            }
            self._note(block, arm, before.model_copy(update=used))

        end = End.ITERATIONS
        try:
            if had < self.plan.experiments:
                report = driver.loop(self._loop(arm, place, tag, had, before), _Heard(self.say, laps, note))
                end = report.end or end
                if end is End.MISUSED:
                    raise NotNow(f"The agent of arm {arm.name} cannot be started so: {report.why}. Mend the plan.")
        finally:
            note()
        self._note(block, arm, self._of(block, arm).model_copy(update={"done": True, "end": str(end)}))

    def _loop(self, arm: ArmPlan, place: Path, tag: str, had: int, before: Played) -> driver.Plan:
        """The loop over what is left: `had` turns and what was noted `before` are used up."""
        command = arm.agent
        if command[0] == BUILT_IN:
            command = (sys.executable, "-m", "mcp_server.researcher", *command[1:])
        hours = None if self.plan.hours is None else max(1e-3, self.plan.hours - before.seconds / 3600)
        cost = None if self.plan.cost_usd is None else max(0.0, self.plan.cost_usd - before.cost_usd)
        limits = Limits(iterations=self.plan.experiments - had, hours=hours, cost_usd=cost, stall=None)
        return driver.Plan(place, command, tag, tag, limits, self.plan.minutes * 60)

    def _exam(self, block: int, arm: ArmPlan) -> None:
        """The closing exam, on the split and the seeds that its whole block shares; 0 where nothing was kept."""
        played = self._of(block, arm)
        if played.examined:
            return
        tag = self._tag(block, arm)
        with contextlib.closing(Lab(self._place(block, arm), campaign=tag)) as lab:
            try:
                reply = lab.exam(self.plan.exam_seeds)
                self.say(f"Exam of {tag}.")
                while reply.status == "running":
                    time.sleep(POLL_SECONDS)
                    reply = lab.exam(self.plan.exam_seeds)
                gain = reply.gain
            except NotNow:
                gain = 0.0
        self._note(block, arm, played.model_copy(update={"exam_gain": gain, "examined": True}))

    # --- places and state ---------------------------------------------------------------------------------------------

    def _tag(self, block: int, arm: ArmPlan) -> str:
        return f"{arm.tagged}-{block + 1}"

    def _place(self, block: int, arm: ArmPlan) -> Path:
        return self.folder / self._tag(block, arm)

    def _draws(self, block: int) -> Draws:
        told = hashlib.sha256(f"{self.state.secret}\0{block}".encode()).digest()
        return Draws(int.from_bytes(told[:3]), self.state.secret)

    def _of(self, block: int, arm: ArmPlan) -> Played:
        return self.state.campaigns.get(self._tag(block, arm), Played())

    def _note(self, block: int, arm: ArmPlan, played: Played) -> None:
        campaigns = {**self.state.campaigns, self._tag(block, arm): played}
        self.state = self.state.model_copy(update={"campaigns": campaigns})
        self._save()

    def _save(self) -> None:
        # the secret of the exams is in it
        write_atomically(self.folder / STATE, self.state.model_dump_json(indent=1).encode(), mode=0o600)


class _Heard(driver.Audience):
    """A loop's audience, as lines."""

    def __init__(self, say: Callable[[str], None], laps: list[Lap], note: Callable[[], None]) -> None:
        """laps: where each turn is written; note: called after each."""
        self.tell, self.laps, self.note = say, laps, note

    def say(self, words: str) -> None:
        self.tell(words)

    def ended(self, turn: driver.Turn) -> None:
        self.laps.append(Lap(turn.outcome, turn.cost_usd))
        self.note()
        score = "no score" if turn.score is None else f"best {turn.score:g}"
        self.tell(f"  turn {turn.number}: {turn.outcome}, {score}")


def _start(lab: Lab, tag: str, calibrate: int, draws: Draws) -> None:
    with contextlib.suppress(AutoresearchError):
        if lab.lab_status().campaign == tag:
            return
    lab.start_campaign(tag, calibrate=calibrate, draws=draws)


def _attempts(lab: Lab, tag: str) -> int:
    with lab.reading_all() as bench:
        return sum(one.kind != Kind.BASELINE for one in bench.ledger.experiments(tag))


def _odd(end: str) -> bool:
    return end not in ("", str(End.ITERATIONS), str(End.COMPLETE), str(End.RULE))
