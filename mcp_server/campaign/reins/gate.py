"""Whether an experiment may begin now: a person's pause, or a subscription's window. What runs already goes on."""

from __future__ import annotations

from datetime import datetime

from mcp_server.campaign.bench import Bench, Books
from mcp_server.campaign.money import window
from mcp_server.campaign.upkeep.caught import CaughtUp, each
from mcp_server.ledger import Ledger
from mcp_server.ledger.live.orders import Asked, Order
from mcp_server.nouns.errors import ArenaError, NotNow
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.numbers import duration
from mcp_server.nouns.rows import Campaign
from mcp_server.runner.machine.queue import hold


def paused(ledger: Ledger, tag: str, now: datetime) -> Asked | None:
    """The pause that holds now."""
    holds = [one for one in ledger.asked(tag, Order.PAUSE) if not one.until or datetime.fromisoformat(one.until) > now]
    return holds[-1] if holds else None


def tell_queue(bench: Bench, done: CaughtUp) -> None:
    """Have the supervisors that wait for a device know which campaigns are paused: they begin nothing either."""
    pauses = {tag: paused(bench.ledger, tag, bench.now()) for tag in bench.ledger.pausing()}
    folder = hold(bench.paths.queue, "x").parent
    for place in {*folder.glob("*"), *(folder / tag for tag in pauses)}:
        with each(done, f"telling the queue of the pause of {place.name}"):
            pause = pauses.get(place.name)
            if pause is None:
                place.unlink(missing_ok=True)
                continue
            text = str(datetime.fromisoformat(pause.until).timestamp()) if pause.until else ""
            if not place.exists() or place.read_text() != text:
                place.parent.mkdir(mode=0o700, exist_ok=True)
                write_atomically(place, text.encode())


def closed(bench: Books, campaign: Campaign) -> str:
    """Why nothing new begins now; "" while it may."""
    return held(bench, campaign) or used_up(bench)


def used_up(bench: Books) -> str:
    """Which quota of the user's is used up, and until when. One that cannot be read allows nothing: it was a limit."""
    try:
        found = window.used_up(bench)
    except ArenaError as error:
        return f"The user's quota cannot be read: {str(error).rstrip('.')}"
    return f"The user's quota of {found[0]} is used up{until(found[1].isoformat(), bench.now())}" if found else ""


def held(bench: Books, campaign: Campaign) -> str:
    """The pause of a person in words; "" without one."""
    pause = paused(bench.ledger, campaign.tag, bench.now())
    if pause is None:
        return ""
    why = f" ({pause.text})" if pause.text else ""
    return f"A person paused the campaign{why}{until(pause.until, bench.now())}"


def until(moment: str | None, now: datetime) -> str:
    """When something ends by itself, in words, with the moment as `next_eligible`."""
    if moment is None:
        return " until `autoresearch resume`"
    ends = datetime.fromisoformat(moment)
    soon = duration(max(0.0, (ends - now).total_seconds()))
    return f"; next_eligible {ends.isoformat(timespec='seconds')} (in {soon})"


def refuse_while_closed(bench: Books, campaign: Campaign) -> None:
    """Raises NotNow."""
    why = closed(bench, campaign)
    if why:
        raise NotNow(
            f"{why}. Nothing new begins until then: decide what is open, write down what was learned, and end the "
            "turn; lab_status says when it goes on."
        )
