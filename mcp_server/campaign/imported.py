"""What logs of other tools tell, as the memory words it: measured elsewhere, whatever it says."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.edits.themes import theme
from mcp_server.ledger import Ledger
from mcp_server.ledger.imported import PLACE
from mcp_server.memory.wording import line
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.records import Status
from mcp_server.nouns.rows import Imported

# what an author says of an attempt, in our words; what nobody says is only a score
OUTCOMES = {"kept": Status.KEPT, "discarded": Status.DISCARDED, "crashed": Status.CRASHED}
MOST_KNOWN = 50  # attempts on one constant that are looked at before a run


def imported_of(told: Imported) -> Attempt:
    """An attempt of somebody's log in the one shape of all attempts. Its origin is `imported`."""
    return Attempt.elsewhere(
        PLACE.removeprefix("@"),
        told.id,
        OUTCOMES.get(told.status, Status.SCORED),
        told.description,
        told.knobs,
        Decided(score=told.score, change=told.gain),
        hypothesis=told.reasoning,
        theme=theme(told.description, [name for name, _, _ in told.knobs]),
        opened_at=told.at,
    )


def tried_before(ledger: Ledger, changes: Sequence[tuple[str, str, str]]) -> str:
    """That a log tells of an attempt which gave a constant the same value; "" when none does. It is no reason not to
    run it: nobody here knows how that was measured."""
    if len(changes) != 1:
        return ""
    name, _, after = changes[0]
    known = ledger.imported_with((), (name.partition(".")[0],), MOST_KNOWN)
    same = [
        one
        for one in known
        if len(one.knobs) == 1 and one.knobs[0][0].lower() == name.lower() and _equal(one.knobs[0][2], after)
    ]
    if not same:
        return ""
    return f"Tried elsewhere, says {same[-1].source}, line {same[-1].line}: {line(imported_of(same[-1]))}."


def _equal(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other
