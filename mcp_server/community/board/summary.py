"""The board of a contract: its statements, drawn when something new came in, so that a verb only reads a few lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from mcp_server.community.statements import lines
from mcp_server.ledger.foreign import Foreign
from mcp_server.nouns.exchanged import Attempt

CLAIMS_LOOKED_AT = 50


def refresh(foreign: Foreign, contracts: Iterable[str]) -> None:
    """Draw the boards of these contracts anew."""
    labs_of = foreign.labs_by_contract()
    for contract in contracts:
        labs, attempts = labs_of.get(contract, (0, 0))
        pooled = foreign.pooled(contract)
        moved = {one.name for one in pooled}
        constants = json.loads(foreign.noted(f"constants {contract}") or "[]")
        untouched = [name for name in constants if name not in moved]
        told = lines(labs, attempts, pooled, _claims(foreign, contract), untouched)
        with foreign.writing():
            foreign.note(f"board {contract}", json.dumps(told if labs else []))


def _claims(foreign: Foreign, contract: str) -> list[tuple[str, Attempt]]:
    """Other labs' newest keeps, the surest first."""
    kept = foreign.newest(contract, CLAIMS_LOOKED_AT, "kept")
    found = [(one.lab, one.attempt) for one in kept if one.attempt.role != "baseline" and one.attempt.helped]
    return sorted(found, key=lambda pair: -(pair[1].widths or 0.0))


def board(foreign: Foreign, contract: str) -> list[str]:
    """The lines of a contract's board; empty where nobody told anything of it."""
    text = foreign.noted(f"board {contract}")
    return list(json.loads(text)) if text else []


def constants(foreign: Foreign, contract: str, names: Sequence[str]) -> None:
    """What our own code has to turn: the board says which of it nobody has moved."""
    text = json.dumps(list(names))
    if foreign.noted(f"constants {contract}") != text:
        with foreign.writing():
            foreign.note(f"constants {contract}", text)
