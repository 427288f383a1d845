"""The demonstration on a terminal: a live screen where a person watches, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from mcp_server.commands import asking
from mcp_server.commands.screens import pages
from mcp_server.faces.terminal import (
    clock,
    facts,
    gained,
    in_widths,
    joined,
    number,
    part_done,
    seconds,
    show,
    stack,
)
from mcp_server.researcher.loop import Audience, Outcome
from mcp_server.views.history import HistoryReply, HistoryRow

NOTES = 4  # of the last words are kept on the screen
FRAMES_A_SECOND = 4


class Lines:
    """A line for each thing that happens, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""

    def say(self, words: str) -> None:
        show(self._console, Text(words))

    def show(self, row: HistoryRow) -> None:
        gain = "" if row.change is None else f"gain {number(row.change, sign=True)}"
        widths = in_widths(row.change, row.noise_widths)
        status = row.status + (f" ({row.label})" if row.label and row.status == "kept" else "")
        score = "" if row.score is None else number(row.score)
        show(self._console, Text(joined(f"#{row.experiment} {status}", score, gain, widths, row.description)))

    def progress(self, what: str, left_seconds: float, said: str) -> None:
        phase = f"{what}, {said.partition(',')[0]}"
        if phase != self._phase:
            self._phase = phase
            show(self._console, Text(f"  {phase}"))


class Screen:
    """The experiments so far, the one under way with a bar, and the last words."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[int, HistoryRow] = {}
        self._notes: deque[str] = deque(maxlen=NOTES)
        self._began = time.monotonic()
        self._what, self._said, self._since, self._left, self._heard = "", "", 0.0, 0.0, 0.0

    def say(self, words: str) -> None:
        self._notes.append(words)

    def show(self, row: HistoryRow) -> None:
        if row.experiment not in self._rows or row.status == "confirming":
            self._what, self._said, self._since, self._left = "", "", time.monotonic(), 0.0
        self._rows[row.experiment] = row

    def progress(self, what: str, left_seconds: float, said: str) -> None:
        self._what, self._said = what, said
        self._left, self._heard = left_seconds, time.monotonic()

    def draw(self) -> RenderableType:
        rows = HistoryReply(campaign="demo", metric="score", experiments=list(self._rows.values()))
        parts: pages.Parts = [
            Text.assemble(("autoresearch demo", "bold"), f"  {clock(time.monotonic() - self._began)}"),
            Text(),
            *(pages.table(rows) if self._rows else []),
        ]
        if self._what:
            parts += [Text(), self._bar()]
        parts += [Text(), *(Text(note, style="dim") for note in self._notes)]
        return stack(parts)

    def _bar(self) -> RenderableType:
        now = time.monotonic()
        left = max(0.0, self._left - (now - self._heard))
        line = Table.grid(Column(no_wrap=True), Column(ratio=1), Column(no_wrap=True, style="dim"), padding=(0, 1))
        bar = ProgressBar(total=1.0, completed=part_done(now - self._since, left), complete_style="cyan")
        line.add_row(Text(f"{self._what}, {self._said}"), bar, f"{seconds(left)} left")
        line.expand = True
        return line


@contextmanager
def audience(console: Console, plain: bool) -> Iterator[Audience]:
    """Who watches: the screen while it lasts, or lines."""
    if plain or not console.is_terminal:
        yield Lines(console)
        return
    screen = Screen(console)
    with Live(console=console, get_renderable=screen.draw, refresh_per_second=FRAMES_A_SECOND, transient=True):
        yield screen


def ending(outcome: Outcome, metric: str, written: Sequence[str] = ()) -> pages.Parts:
    """The table, the honest totals, and how to do the same with an agent. written: the report's files, if it was."""
    name = asking.spelled(outcome.folder)
    rows = HistoryReply(campaign="demo", metric=metric, experiments=list(outcome.rows.values()))
    status = outcome.status
    totals = status.totals if status else None
    tried = len(outcome.rows) - 1
    told: list[tuple[str, RenderableType | str | None]] = [
        ("time", clock(outcome.seconds)),
        ("kept", f"{len(outcome.kept)} of {tried}" + ("" if outcome.kept else nothing_kept(outcome))),
    ]
    if status is not None and status.noise is not None and status.noise.sd is not None:
        told.append(("noise", f"{number(status.noise.sd)} for one run, measured on {status.noise.runs}"))
    if totals is not None and totals.claimed_gain is not None:
        told.append(("claimed", Text.assemble(gained(totals.claimed_gain), f" from {number(totals.baseline)}")))
    if totals is not None and totals.honest_gain is not None:
        told.append(("honest", Text.assemble(gained(totals.honest_gain), "  after allowing for luck in the choice")))
    if totals is not None and totals.expected_false_keeps is not None:
        told.append(("false keeps", f"{totals.expected_false_keeps:.2f} expected among {len(outcome.kept)}"))
    page = next((path for path in written if path.endswith(".html")), None)
    told += [
        ("chart", str(outcome.folder / "progress.png")),  # the closing server draws it a last time
        *([("page", f"{page}   live: autoresearch -C {name} dashboard --open")] if page else []),
        ("lab", str(outcome.folder)),
        ("look", f"git -C {name} log autoresearch/demo   ·   autoresearch -C {name} show 2"),
    ]
    return [*pages.table(rows), Text(), facts(told), Text(), *WITH_AN_AGENT]


def nothing_kept(outcome: Outcome) -> str:
    """Why nothing was kept, and how small a gain this machine can tell from chance."""
    edges = [(row.interval[1] - row.interval[0]) / 2 for row in outcome.rows.values() if row.interval]
    told = f" (one comparison tells gains of about {median(edges):.2g})" if edges else ""
    return (
        f". What was tried brings nothing, or less than the noise of this machine hides{told}: a quieter machine, a "
        "larger --budget with a larger --limit, or another --seed may show more"
    )


WITH_AN_AGENT = (
    Text("The same with an agent, in a clone of autoresearch or, with its plugin, in a lab of your own:"),
    Text("  Claude Code   claude, then: /loop autoresearch", style="cyan"),
    Text('  Codex         codex exec "Use the autoresearch skill: do the next iteration"', style="cyan"),
)
