"""The board of a contract: its statements, drawn when something new came in, so that a verb only reads a few lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from mcp_server.community.claims.hearing import heard_claims
from mcp_server.community.claims.status import Status, words_of
from mcp_server.community.statements import lines
from mcp_server.community.trust import Trust
from mcp_server.ledger.foreign import Foreign
from mcp_server.nouns.exchanged import Attempt

CLAIMS_SHOWN = 4


def refresh(foreign: Foreign, contracts: Iterable[str], trust: Trust) -> None:
    """Draw the boards of these contracts anew, as the address book lets us hear the labs."""
    labs_of = foreign.labs_by_contract()
    for contract in contracts:
        labs, attempts = labs_of.get(contract, (0, 0))
        pooled = foreign.pooled(contract)
        moved = {one.name for one in pooled}
        constants = json.loads(foreign.noted(f"constants {contract}") or "[]")
        untouched = [name for name in constants if name not in moved]
        told = lines(labs, attempts, pooled, _claims(foreign, contract, trust), untouched)
        with foreign.writing():
            foreign.note(f"board {contract}", json.dumps(told if labs else []))


def _claims(foreign: Foreign, contract: str, trust: Trust) -> list[tuple[str, Attempt, str]]:
    """Other labs' gains with what others made of them: the most repeated first, what was refuted not at all."""
    found = []
    for one in heard_claims(foreign, contract, trust):
        if not one.first.own and one.status is not Status.REFUTED:
            found.append((len(one.replicated), one.first.gain / (one.first.deviation or one.first.gain), one))
    told = []
    for _, _, one in sorted(found, key=lambda row: (-row[0], -row[1], row[2].name))[:CLAIMS_SHOWN]:
        known = foreign.attempt(one.first.lab, one.first.n)
        if known is not None:
            told.append((one.first.lab, known.attempt, words_of(one)))
    return told


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
