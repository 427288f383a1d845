"""How replies look on a terminal: colours and bars where a person watches, plain whole lines everywhere else.

Nothing here reads or decides. Text written by agents and runs arrives cleaned and is shown as text, never as markup.
Without a terminal nothing is cut, wrapped or coloured; NO_COLOR and TERM=dumb are honoured.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

from mcp_server.nouns.numbers import duration, fixed
from mcp_server.nouns.replies import ExperimentReply, ScoreReply

STYLES = {
    "kept": "bold green",
    "scored": "bold",
    "running": "cyan",
    "confirming": "cyan",
    "pending": "cyan",
    "queued": "cyan",
    "crashed": "red",
    "timeout": "red",
    "rejected": "magenta",
    "lost": "yellow",
    "overtaken": "yellow",
    "discarded": "dim",
    "cancelled": "dim",
}
BLOCKS = "▁▂▃▄▅▆▇█"
WIDE = 100_000  # columns of a "terminal" that is a file or a pipe: one row of a table stays one line


def screen(*, stderr: bool = False) -> Console:
    """Where to print. Agent-written text is never read as markup, emoji or numbers to colour."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDE
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False, soft_wrap=False)


def stack(parts: Iterable[RenderableType | None]) -> Group:
    """One above the other, without those that have nothing to say."""
    return Group(*(part for part in parts if part is not None))


def show(console: Console, *parts: RenderableType | None) -> None:
    """Print what there is, without the blanks that tables leave at the ends of lines in files."""
    said = [part for part in parts if part is not None]
    if not said:
        return
    if console.is_terminal:
        console.print(*said, sep="\n")
        return
    with console.capture() as captured:
        console.print(*said, sep="\n")
    console.file.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


# --- words and numbers ------------------------------------------------------------------------------------------------


def number(value: float | None, *, sign: bool = False) -> str:
    """A score in six digits or so; an em dash where there is none, for a missing score is not zero."""
    if value is None:
        return "—"
    if not math.isfinite(value):
        return str(value)
    whole = int(math.log10(abs(value))) if abs(value) >= 1 else 0
    return fixed(value, max(0, 5 - whole), sign=sign, commas=True)


def seconds(value: float | None) -> str:
    """A duration a person reads at a glance."""
    return "—" if value is None else duration(value)


def clock(value: float) -> str:
    """A running time: 1:07."""
    return f"{int(value) // 60}:{int(value) % 60:02d}"


def status(word: str, label: str = "") -> Text:
    """A status in its colour; a label only where it says more than the status."""
    more = f", {label}" if label and label != word and word == "kept" else ""
    return Text(word + more, style=STYLES.get(word, ""))


def gained(change: float | None) -> Text:
    """A gain: positive is better, whatever the metric's direction."""
    return Text(number(change, sign=True), style="" if change is None else "green" if change > 0 else "dim")


def in_widths(change: float | None, noise_widths: float | None) -> str:
    """How many noise widths a gain is, with the gain's sign."""
    if change is None or noise_widths is None:
        return ""
    return f"{fixed(math.copysign(noise_widths, change), 1, sign=True)} noise widths"


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """The shape of a curve in at most `width` blocks; what is not a number leaves a gap."""
    if not values:
        return ""
    count = min(width, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    parts = [[v for v in values[a:b] if math.isfinite(v)] for a, b in itertools.pairwise(edges)]
    means = [sum(part) / len(part) if part else math.nan for part in parts]
    seen = [mean for mean in means if math.isfinite(mean)]
    if not seen:
        return " " * count
    low, spread = min(seen), (max(seen) - min(seen)) or 1.0
    return "".join(" " if math.isnan(m) else BLOCKS[min(7, int((m - low) / spread * 8))] for m in means)


def facts(rows: Sequence[tuple[str, RenderableType | str | None]]) -> Table:
    """Names on the left, what is known on the right; rows without anything to say are left out."""
    table = Table.grid(Column(style="dim", no_wrap=True), Column(), padding=(0, 2))
    for name, said in rows:
        if said is not None and said != "":
            table.add_row(name, Text(said) if isinstance(said, str) else said)
    return table


def problems(words: Sequence[str]) -> RenderableType | None:
    """Warnings, one a line; None when there are none."""
    return Group(*(Text(f"! {word}", style="yellow") for word in words)) if words else None


def one_line(words: str) -> Text:
    """Text that is cut rather than wrapped where there is too little room."""
    return Text(words, no_wrap=True, overflow="ellipsis")


def hint(words: str) -> Text | None:
    return Text(f"→ {words}", style="dim") if words else None


def joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


# --- a run under way --------------------------------------------------------------------------------------------------


def phase_of(reply: ExperimentReply) -> str:
    """What an experiment is doing, in a few words."""
    if reply.phase == "waiting" and reply.queue_position:
        return f"waits, {reply.queue_position} ahead"
    quiet = "waits for a quiet machine"
    return {
        "waiting": "waits for the device",
        "waiting for quiet": quiet,
        "pending": "waits for its score",
        "": reply.status,
    }.get(reply.phase, reply.phase)


def part_done(waited: float, eta: float | None) -> float:
    """The share of a wait that is over, from how long it lasted and how long it will."""
    return 0.0 if eta is None or waited + eta <= 0 else min(1.0, waited / (waited + eta))


@contextlib.contextmanager
def following(console: Console, quiet: bool = False) -> Iterator[Callable[[ScoreReply], None]]:
    """A bar that follows a run on a terminal; a line for each new phase elsewhere. Quiet says nothing."""
    began = time.monotonic()
    told: list[str] = []

    def line(reply: ScoreReply) -> None:
        said = f"experiment {reply.experiment}: {phase_of(reply)}"
        if not quiet and said not in told[-1:]:
            told.append(said)
            console.print(said)

    if quiet or not console.is_terminal:
        yield line
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None, complete_style="cyan", finished_style="green"),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[left]}", style="dim"),
        console=console,
        transient=True,
        expand=True,
    )
    with bar:
        task = bar.add_task("…", total=1.0, left="")

        def draw(reply: ScoreReply) -> None:
            left = "" if reply.eta_seconds is None else f"{seconds(reply.eta_seconds)} left"
            loss = "" if reply.loss is None else f"loss {fixed(reply.loss, 3)}"
            bar.update(
                task,
                description=f"experiment {reply.experiment}, {phase_of(reply)}",
                completed=part_done(time.monotonic() - began, reply.eta_seconds),
                left=joined(loss, left),
            )

        yield draw
