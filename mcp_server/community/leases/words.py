"""How a lease of another lab is told: who runs what, and for how long still. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from mcp_server.community.leases.terms import Held
from mcp_server.memory.wording import short_change
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.exchanged import SHORT, short
from mcp_server.nouns.records import Status
from mcp_server.nouns.text import clean_line

SHOWN = 4  # runs elsewhere that a status names
CHARACTERS = 300


def running(held: Held, now: float, repeats: str = "") -> str:
    """Who runs it and until when. repeats: LAB/n, if it is that attempt which is repeated."""
    until = datetime.fromtimestamp(held.ends, UTC).strftime("%H:%M")
    moved = moves(held)
    if repeats:
        what = f"repeats {short(repeats)}" + (f" ({moved})" if moved else "")
    else:
        what = f"runs {moved or 'this very code'}"
    return f"Lab {held.lab[:SHORT]} {what} now, {left(held, now)}; its lease ends at {until} UTC."


def moves(held: Held) -> str:
    """`DEPTH 9→10`; "" where no constant moved."""
    return clean_line(", ".join(short_change(*change) for change in held.knobs[:2]), 80)


def left(held: Held, now: float) -> str:
    minutes = (held.since + held.takes - now) / 60
    return f"{minutes:.0f} min left" if minutes >= 1 else "nearly done" if minutes > -1 else "longer than it thought"


def board_line(live: Sequence[Held], now: float) -> str:
    """`running now: DEPTH 9→10 (lab a1b2c3d4, 4 min left)`; "" where nothing runs."""
    told = [f"{moves(one) or 'code'} (lab {one.lab[:SHORT]}, {left(one, now)})" for one in live[:SHOWN]]
    more = f" and {len(live) - SHOWN} more" if len(live) > SHOWN else ""
    return clean_line(f"running now: {'; '.join(told)}{more}", CHARACTERS) if told else ""


def running_attempt(held: Held, now: float) -> Attempt:
    """A run elsewhere as the memory ranks and words it."""
    return Attempt.elsewhere(held.lab, 0, Status.RUNNING, left(held, now), held.knobs)
