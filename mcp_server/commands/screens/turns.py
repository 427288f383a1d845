"""The turns of a loop on a terminal: a live screen where a person watches, plain lines elsewhere, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from mcp_server.commands import asking
from mcp_server.faces import terminal
from mcp_server.ralph.driver import Audience, Report, Turn, unknown_cost
from mcp_server.ralph.settling import Position

STYLES = {
    "kept": "bold green",
    "reverted": "dim",
    "in the field": "cyan",
    "nothing new": "dim",
    "crashed": "red",
    "hung": "red",
    "rate limited": "yellow",
}
ROWS, NOTES = 12, 5  # of the newest turns and the last words on the screen
FRAMES_A_SECOND = 4


def money(turn: Turn) -> str:
    """What a turn cost, as far as its output told."""
    if turn.cost_usd is not None:
        return f"${turn.cost_usd:.2f}"
    return "cost unknown" if turn.tokens is None else f"{turn.tokens:,} tokens, cost unknown"


def goal(now: Position) -> str:
    """The score on its way to the target."""
    score = terminal.number(now.score)
    return score if now.target is None else f"{score} of {now.target:g}"


class Lines(Audience):
    """A line for each thing that happens, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, words: str) -> None:
        terminal.show(self._console, Text(words))

    def began(self, number: int, position: Position) -> None:
        self.say(f"Turn {number} begins; best score {goal(position)}.")

    def ended(self, turn: Turn) -> None:
        tried = "" if turn.experiment is None else f"experiment {turn.experiment}"
        parts = (f"Turn {turn.number}: {turn.outcome}", tried, f"best score {terminal.number(turn.score)}")
        self.say(terminal.joined(*parts, terminal.seconds(turn.seconds), money(turn)))
        for words in turn.said:
            self.say(f"  {words}")


class Objects(Audience):
    """One JSON object a line."""

    def say(self, words: str) -> None:
        self._print({"said": words})

    def ended(self, turn: Turn) -> None:
        self._print({"turn": dataclasses.asdict(turn)})

    def _print(self, what: dict[str, Any]) -> None:
        print(json.dumps(what), flush=True)  # a program reads along


class Screen:
    """The turns so far, the agent at work with its last line, and the last words of the lab."""

    def __init__(self, console: Console, command: str) -> None:
        self._console, self._command = console, command
        self._turns: deque[Turn] = deque(maxlen=ROWS)
        self._notes: deque[str] = deque(maxlen=NOTES)
        self._began = time.monotonic()
        self._now: tuple[int, float, str] | None = None
        self._since, self._goal, self._cost, self._unknown = 0.0, "", 0.0, False

    def say(self, words: str) -> None:
        self._notes.append(words)

    def began(self, number: int, position: Position) -> None:
        self._goal = goal(position)
        self._now, self._since = (number, 0.0, ""), time.monotonic()

    def heard(self, number: int, seconds: float, line: str) -> None:
        self._now = (number, seconds, line)

    def ended(self, turn: Turn) -> None:
        self._turns.append(turn)
        self._notes.extend(turn.said)
        self._now = None
        self._cost += turn.cost_usd or 0.0
        self._unknown |= turn.cost_usd is None

    def draw(self) -> RenderableType:
        cost = f"${self._cost:.2f}{' and more that nobody told' if self._unknown else ''}"
        head = terminal.joined(terminal.clock(time.monotonic() - self._began), f"best score {self._goal}", cost)
        table = Table.grid(
            Column(no_wrap=True, justify="right"),
            Column(no_wrap=True),
            Column(no_wrap=True, justify="right"),
            Column(no_wrap=True, justify="right"),
            Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            padding=(0, 2),
        )
        table.expand = True
        for turn in self._turns:
            outcome = Text(str(turn.outcome), style=STYLES.get(str(turn.outcome), ""))
            score, seconds = terminal.number(turn.score), terminal.seconds(turn.seconds)
            table.add_row(str(turn.number), outcome, score, seconds, terminal.one_line(turn.words))
        if self._now is not None:
            number, _, line = self._now
            at = terminal.seconds(time.monotonic() - self._since)
            table.add_row(str(number), Text("at work", style="cyan"), "", at, terminal.one_line(line))
        title = Text.assemble(("autoresearch ralph", "bold"), f"  {head}")
        notes = [terminal.one_line(note) for note in self._notes]
        return terminal.stack([title, terminal.one_line(self._command), Text(), table, Text(), *notes])


@contextmanager
def audience(console: Console, plain: bool, as_json: bool, command: str) -> Iterator[Audience]:
    """Who watches: a program, the screen while it lasts, or lines."""
    if as_json:
        yield Objects()
        return
    if plain or not console.is_terminal:
        yield Lines(console)
        return
    screen = Screen(console, command)
    with Live(console=console, get_renderable=screen.draw, refresh_per_second=FRAMES_A_SECOND, transient=True):
        yield screen


def as_data(report: Report) -> dict[str, Any]:
    """The end of a loop for programs."""
    now = report.position
    return {
        "end": None if report.end is None else str(report.end),
        "complete": bool(now and now.complete),
        "turns": len(report.turns),
        "score": now.score if now else None,
        "target": now.target if now else None,
        "cost_usd": round(report.cost_usd, 6) if report.cost_unknown < len(report.turns) else None,
        "turns_without_cost": report.cost_unknown,
        "why": report.why,
    }


def ending(report: Report) -> list[RenderableType | None]:
    """What it came to, and what nobody knows of it."""
    now = report.position
    kept = sum(turn.outcome == "kept" for turn in report.turns)
    known = report.cost_unknown < len(report.turns)
    return [
        terminal.facts(
            [
                ("end", f"{report.end}{': ' + report.why if report.why else ''}"),
                ("turns", f"{len(report.turns)}, {kept} kept"),
                ("best score", goal(now) if now else None),
                ("cost", f"${report.cost_usd:.2f}" if known else None),
            ]
        ),
        asking.problems([words] if (words := unknown_cost(report)) else []),
        asking.hint(
            "" if now and now.complete else "`autoresearch history` shows every attempt; run it again to go on."
        ),
    ]
