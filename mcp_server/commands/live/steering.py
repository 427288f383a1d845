"""The live screen of `watch`, with a person's hand on the campaign: what is shown, and what a key does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from mcp_server.campaign.reins.hands import Reins, ReinsReply
from mcp_server.commands.names import commands_in
from mcp_server.commands.screens import pages
from mcp_server.faces import keys, terminal
from mcp_server.lab import Lab
from mcp_server.ledger.live.orders import IdeaState
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.replies import StatusReply
from mcp_server.views.history import HistoryReply
from mcp_server.views.history import history as history_of

FRAME_SECONDS = 0.5  # supervisors write their progress twice a second
SHOWN_NOTES, SHOWN_IDEAS = 2, 3


def watch_screen(lab: Lab, console: Console, until_idle: bool) -> None:
    """Draw the lab again and again; keys act. Ends at q, or once nothing runs where that is asked for."""
    prompt, reins = keys.Prompt(), Reins(lab)
    with keyboard_and_screen(console, until_idle) as (live, heard):
        while True:
            reply = lab.lab_status()
            held = reins.look() if reply.campaign else None
            live.update(frame(reply, held, rows_of(lab, reply, 200), console, prompt if heard else None), refresh=True)
            if until_idle and idle(reply):
                return
            for key in keys.pressed(FRAME_SECONDS) if heard else _rest():
                asked = prompt.press(key)
                if asked is not None and asked[0] == "quit":
                    return
                if asked is not None:
                    prompt.said = act(lab, reins, held, *asked)
                live.update(frame(reply, held, rows_of(lab, reply, 200), console, prompt), refresh=True)


def idle(reply: StatusReply) -> bool:
    """Whether nothing runs or waits for a device. Pure. The world may take days to answer: it is not waited for."""
    return all(one.phase == "pending" for one in reply.running)


def _rest() -> str:
    time.sleep(FRAME_SECONDS)
    return ""


def act(lab: Lab, reins: Reins, held: ReinsReply | None, verb: str, text: str) -> str:
    """Do what a key asked for; what came of it, in a line."""
    try:
        if verb == "pause":
            return (reins.resume() if held is not None and held.paused else reins.pause()).done
        if verb == "veto":
            return reins.veto(None, text).done
        if verb == "note":
            return reins.note(text).done
        if verb == "idea":
            return reins.add_idea(text).done
        number = _number(text)
        if verb == "cancel":
            return commands_in(lab.cancel_experiment(number).next)
        return reins.move_idea(number, IdeaState.PINNED if verb == "pin" else IdeaState.PARKED).done
    except AutoresearchError as error:
        return commands_in(str(error))


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise NotNow("That is no number: nothing was done.")
    return int(text)


def frame(
    reply: StatusReply, held: ReinsReply | None, rows: HistoryReply | None, console: Console, prompt: keys.Prompt | None
) -> Group:
    """One screen: the status above, as many of the newest experiments as there is room for, the keys below."""
    upper = pages.lab(reply.model_copy(update={"last": [], "memo": "", "ideas": []}), console.width)
    reins = [steered(held)] if held is not None else []
    below = [terminal.one_line(line) for line in prompt.lines()] if prompt is not None else []
    if rows is None:
        return terminal.stack([*upper, *below])
    used = len(console.render_lines(terminal.stack([*upper, *reins, *below])))
    room = max(3, console.height - used - 3)
    newest = rows.model_copy(update={"experiments": rows.experiments[-room:], "left_out": 0})
    return terminal.stack([*upper[:-1], *reins, Text(), *pages.table(newest), upper[-1], *below])


def steered(held: ReinsReply) -> Group:
    """What a person has asked for, and the head of the queue."""
    waiting = [one for one in held.ideas if one.state in ("open", "pinned")]
    more = len(waiting) - SHOWN_IDEAS
    rows = [
        *(("veto", one_veto(one.experiment, one.reason)) for one in held.vetoes),
        *(("note", f"{'✓ ' + one.delivered_to if one.delivered_at else '… waits'}  {one.text}") for one in held.notes),
    ]
    rows = [*rows[: len(held.vetoes)], *rows[len(held.vetoes) :][-SHOWN_NOTES:]]
    rows += [
        (f"idea {one.idea}", f"{'▲ ' if one.state == 'pinned' else ''}{one.text}") for one in waiting[:SHOWN_IDEAS]
    ]
    rows += [("", f"and {more} more ideas")] if more > 0 else []
    return terminal.stack([terminal.facts([(name, terminal.one_line(words)) for name, words in rows])])


def one_veto(experiment: int | None, reason: str) -> str:
    """What a veto is on, and why."""
    return ("the next keep" if experiment is None else f"experiment {experiment}") + (f": {reason}" if reason else "")


def rows_of(lab: Lab, reply: StatusReply, limit: int) -> HistoryReply | None:
    return history_of(lab, limit=limit) if reply.campaign else None


@contextlib.contextmanager
def keyboard_and_screen(console: Console, inline: bool) -> Iterator[tuple[Live, bool]]:
    """A screen that redraws itself, and whether keys are heard."""
    with keys.keyboard() as heard, Live(console=console, screen=not inline, auto_refresh=False) as live:
        yield live, heard
