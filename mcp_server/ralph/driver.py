"""The loop: an agent's turn, then the lab's word on it, until the arena's target is reached or a limit is.

One loop for each work tree, by a lock that dies with it. What a dead loop left running there is ended first. Ctrl-C
leaves no agent and no run behind; deployments in the field stay.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Protocol

from mcp_server.campaign.trees.company import attending, loop_folder, loop_lock
from mcp_server.lab import Lab, utc_now
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.files import try_lock, write_atomically
from mcp_server.nouns.text import clean_line
from mcp_server.personal.labs import introduce
from mcp_server.ralph import agent, settling
from mcp_server.ralph.guarding import Guard
from mcp_server.ralph.pacing import End, Lap, Limits, Outcome, over, rest, spent
from mcp_server.ralph.prompt import prompt_for
from mcp_server.ralph.settling import Position
from mcp_server.ralph.telling import Told, told

MEMORY = "progress.txt"
LOGS_KEPT = 100
MEMORY_BYTES = 256_000  # a memory that nobody can read any more gets no more lines
DESCRIPTION_CHARACTERS = 200
PAUSE_SECONDS = 2.0  # between two looks whether a pause is over
USAGE_SECONDS = 10.0  # a command line is refused before any work; later than that it was something else


@dataclass(frozen=True)
class Plan:
    """What to loop, where, and within which limits."""

    tree: Path
    command: tuple[str, ...]
    tag: str = "ralph"
    campaign: str | None = None
    limits: Limits = field(default_factory=Limits)
    iteration_seconds: float = 1800.0
    prompt: Path | None = None  # else PROMPT.md of the lab, else our own words


@dataclass(frozen=True)
class Turn:
    """One iteration, as it is shown and counted."""

    number: int
    outcome: Outcome
    seconds: float
    experiment: int | None
    score: float | None  # of the incumbent after it
    cost_usd: float | None
    tokens: int | None
    said: tuple[str, ...]  # what the lab and the driver say of it
    words: str  # the agent's last ones
    log: str


@dataclass
class Report:
    """What a loop came to."""

    end: End | None = None
    turns: list[Turn] = field(default_factory=list)
    position: Position | None = None
    why: str = ""
    cost_usd: float = 0.0
    cost_unknown: int = 0  # iterations that told no cost


class Audience(Protocol):
    """Who watches: what is of no interest to it is passed over."""

    def say(self, words: str) -> None: ...

    def began(self, number: int, position: Position) -> None:
        """A turn begins."""
        return

    def heard(self, number: int, seconds: float, line: str) -> None:
        """What its agent says, as it comes."""
        return

    def ended(self, turn: Turn) -> None: ...


def loop(plan: Plan, audience: Audience, sleep: Callable[[float], None] = time.sleep) -> Report:
    """Run the loop to its end. Raises AutoresearchError; KeyboardInterrupt passes once nothing runs any more."""
    with contextlib.closing(Lab(plan.tree, campaign=plan.campaign)) as lab:
        state = loop_folder(lab.paths.state, str(lab.paths.tree))
        lock = try_lock(loop_lock(lab.paths.state, str(lab.paths.tree)))
        if lock is None:
            raise NotNow(
                f"Another loop works in {lab.paths.tree}. Wait for it, or give this one a work tree on the same "
                "campaign: `autoresearch start TAG --tree ../second`, then `autoresearch -C ../second ralph ...`."
            )
        try:
            left = agent.end(str(state), None, SIGKILL)
            if left:
                audience.say(f"{left} processes of a loop that died were still at work here; they were ended.")
            report = Report()
            try:
                settling.begin(lab, plan.campaign or plan.tag, audience.say)
                introduce(lab.paths, utc_now())
                with attending(lab.paths.state):
                    _Loop(plan, lab, state, audience, sleep, report).go()
            except KeyboardInterrupt:
                agent.end(str(state), None, SIGKILL)  # one that was just being started
                settling.cancel_what_runs(lab)
                raise
            return report
        finally:
            os.close(lock)


class _Loop:
    """One loop while it goes."""

    def __init__(
        self,
        plan: Plan,
        lab: Lab,
        state: Path,
        audience: Audience,
        sleep: Callable[[float], None],
        report: Report,
    ) -> None:
        self.plan, self.lab, self.state, self.audience, self.sleep = plan, lab, state, audience, sleep
        self.report = report
        self.guard = Guard(lab, state / "refused")
        self.laps: list[Lap] = []
        self.began = time.monotonic()
        self._told_pause = ""

    def go(self) -> None:
        settling.settle(self.lab, "left by an earlier loop", settling.position(self.lab))
        while True:
            now = settling.position(self.lab)
            self.report.position = now
            end = self._over(now)
            if end is not None:
                self.report.end = end
                self.report.why = now.over if end is End.RULE else ""
                if end in (End.MISUSED, End.CRASHES, End.UNSERVED):
                    self.report.why = self.report.turns[-1].words
                return
            if now.paused:
                self._wait_out(now.paused)
                continue
            seconds = rest(self.laps, self.plan.limits)
            if seconds > 0:
                self._rest(seconds)
                self.report.end = over(self.laps, self.plan.limits, self._hours())
                if self.report.end is not None:
                    return
            if self._repeat_others():
                continue
            self._turn(len(self.report.turns) + 1, now)

    def _wait_out(self, why: str) -> None:
        """No agent is started that could begin nothing; who waits is told once."""
        if why.partition("(in ")[0] != self._told_pause:
            self._told_pause = why.partition("(in ")[0]
            self.audience.say(f"{why}. No agent is started meanwhile.")
        self.sleep(PAUSE_SECONDS)

    def _repeat_others(self) -> bool:
        """A run for what other labs claim, where one is due: the lab's own affair, and no iteration of an agent."""
        settled = settling.repeat_others(self.lab, self.audience.say)
        for words in settled.said if settled is not None else ():
            self.audience.say(words)
        return settled is not None and settled.experiment is not None

    def _over(self, now: Position) -> End | None:
        # the lab's count, from the ledger; no agent's word comes near it
        if now.complete:
            return End.COMPLETE
        return over(self.laps, self.plan.limits, self._hours()) or (End.RULE if now.over else None)

    def _hours(self) -> float:
        return (time.monotonic() - self.began) / 3600

    def _rest(self, seconds: float) -> None:
        if self.plan.limits.hours is not None:
            seconds = min(seconds, max(0.0, self.plan.limits.hours * 3600 - (time.monotonic() - self.began)))
        last = self.laps[-1]
        why = f" after: {last.outcome}" if last.outcome in (Outcome.LIMITED, Outcome.CRASHED) else ""
        self.audience.say(f"Resting {seconds:.0f} s{why}.")
        self.sleep(seconds)

    def _run(self, number: int, before: Position, limit: float) -> agent.Ended:
        """The agent's part of a turn, held to `limit` seconds."""
        began = time.monotonic()
        last = self.report.turns[-1].said if number > 1 else ()
        try:
            return agent.run(
                self.plan.command,
                prompt_for(self.lab, self.plan.prompt, number, before, last),
                self.lab.paths.tree,
                str(self.state),
                limit,
                {"AUTORESEARCH_ITERATION": str(number)},
                lambda line: self.audience.heard(number, time.monotonic() - began, clean_line(line, 200)),
            )
        except KeyboardInterrupt:  # the agent is gone, but not what it did: the same command has to go on from here
            for words in self._put_back():
                self.audience.say(words)
            raise

    def _turn(self, number: int, before: Position) -> None:
        self.audience.began(number, before)
        self.guard.before()
        memory, last = self._memory(), settling.last_number(self.lab)
        limit = self.plan.iteration_seconds
        if self.plan.limits.hours is not None:
            limit = min(limit, max(1.0, self.plan.limits.hours * 3600 - (time.monotonic() - self.began)))
        ended = self._run(number, before, limit)
        log = self._write_log(number, ended.text)
        heard = told(ended.text, ended.exit_status)
        said = self._put_back()
        settled = settling.Settled()
        if not heard.limited:  # refused half-way: the next agent goes on with what lies there
            settled = settling.settle(self.lab, self._description(number, memory, heard), before)
        numbers = settling.begun_since(self.lab, last)
        settling.note_turn(self.lab, numbers, shlex.join(self.plan.command), heard)
        outcome = settled.outcome
        if outcome is Outcome.NOTHING and heard.limited:
            outcome = Outcome.LIMITED
        elif outcome is Outcome.NOTHING and heard.misused and ended.seconds < USAGE_SECONDS:
            outcome = Outcome.MISUSED
        elif outcome is Outcome.NOTHING and ended.hung:
            outcome = Outcome.HUNG
        elif outcome is Outcome.NOTHING and ended.exit_status != 0:
            outcome = Outcome.CRASHED
        elif outcome is Outcome.NOTHING and numbers and not settled.said:
            outcome = Outcome.REVERTED  # it ran and decided by itself, and kept nothing
        if ended.hung:
            said.append(f"It was ended after {limit:.0f} s, with everything it had started.")
        elif ended.exit_status != 0:
            said.append(f"The agent ended with status {ended.exit_status}: {heard.words or 'it gave no reason'}")
        said += settled.said
        after = settling.position(self.lab)
        if heard.claims_completion and not after.complete:
            said.append("The agent says that all is done; the lab's checks do not.")
        turn = Turn(
            number=number,
            outcome=outcome,
            seconds=ended.seconds,
            experiment=settled.experiment,
            score=after.score,
            cost_usd=heard.cost_usd,
            tokens=heard.tokens,
            said=tuple(clean_line(words, 400) for words in said),
            words=heard.words,
            log=str(log),
        )
        self.laps.append(Lap(outcome, heard.cost_usd, heard.retry_seconds))
        self.report.turns.append(turn)
        self.report.cost_usd = spent(self.laps)
        self.report.cost_unknown = sum(lap.cost_usd is None for lap in self.laps)
        self._remember(turn)
        self.audience.ended(turn)

    # -- what a turn leaves behind -------------------------------------------------------------------------------------

    def _put_back(self) -> list[str]:
        try:
            back = self.guard.put_back()
        except (AutoresearchError, OSError) as error:
            return [f"Frozen files could not be put back: {error}"]
        return [f"{', '.join(back)} may not be changed; put back as they were."] if back else []

    def _write_log(self, number: int, text: str) -> Path:
        """A disk that is full takes no log, but the turn goes on to its end."""
        folder = self.state / "logs"
        path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{number}.log"
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", errors="replace")
            for old in sorted(folder.glob("*.log"))[:-LOGS_KEPT]:
                old.unlink()
        return path

    def _memory(self) -> str:
        path = self.lab.paths.tree / MEMORY
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MEMORY_BYTES:
            return ""
        return path.read_text(errors="replace")

    def _description(self, number: int, memory: str, heard: Told) -> str:
        """What the experiment is called: the agent's last new line in its memory, else its last words."""
        now = self._memory()
        written = [line for line in now.splitlines()[len(memory.splitlines()) :] if line.strip()]
        words = written[-1] if written else heard.words
        return clean_line(words.lstrip("-# "), DESCRIPTION_CHARACTERS) or f"iteration {number}"

    def _remember(self, turn: Turn) -> None:
        """One line of the lab's word in the agents' memory, in labs that have one."""
        path = self.lab.paths.tree / MEMORY
        now = self._memory()
        if now:
            score = "no score yet" if turn.score is None else f"best score {turn.score:g}"
            line = f"[lab, iteration {turn.number}] {turn.outcome}; {score}. {' '.join(turn.said)}"
            with contextlib.suppress(OSError):
                write_atomically(path, f"{now.rstrip()}\n{clean_line(line, 600)}\n".encode())


def unknown_cost(report: Report) -> str:
    """A sentence on money that nobody told; "" when all is known."""
    if not report.cost_unknown:
        return ""
    if report.cost_unknown == len(report.turns):
        return "The cost is unknown: the agent's output does not tell it (Claude Code does with --output-format json)."
    return f"{report.cost_unknown} of {len(report.turns)} iterations told no cost; each is counted as the dearest one."
