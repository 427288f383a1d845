"""Measured gains as the records of all labs tell them, without their words: what the status of claims is computed from.

Read by column and never by line: a community of ten thousand attempts is asked in milliseconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from mcp_server.ledger.foreign import _SHOWN, Foreign

_ROLE = "coalesce(json_extract(line, '$.role'), 'attempt')"
_COLUMNS = (
    f"records.lab, own, n, contract, edit, machine, gain, deviation, helped, status, repeats, {_ROLE} AS role,"
    " coalesce(json_extract(line, '$.commit'), '') AS 'commit', json_extract(line, '$.at') AS at"
)


@dataclass(frozen=True)
class Measured:
    """One measured gain of one edit, as a lab tells it. Gains are in the score's unit, positive when better."""

    lab: str
    n: int
    contract: str
    edit: str  # fingerprint of the change, whatever the base
    machine: str  # class of the machine
    gain: float
    deviation: float | None  # standard deviation of the gain; None: unknown, or exact
    helped: bool
    kept: bool
    role: str
    repeats: str  # LAB/n of the attempt elsewhere that it repeats; "" for an idea of its own
    code: bool  # whether its files travelled
    at: str
    own: bool = False

    @property
    def name(self) -> str:
        return f"{self.lab}/{self.n}"


def measured(foreign: Foreign, contract: str) -> list[Measured]:
    """Every measurement that bears on a claim of a contract: of an edit that helped somebody, or told as a repeat."""
    return _read(
        foreign,
        # the plus keeps the index of the contract out: it has every record, and few are of a claim
        "measured = 1 AND edit != '' AND +contract = ?1 AND records.id IN"
        " (SELECT id FROM records WHERE repeats != '' UNION SELECT id FROM records WHERE edit IN"
        " (SELECT edit FROM records WHERE contract = ?1 AND helped = 1))",
        contract,
    )


def measured_of(foreign: Foreign, contract: str, edit: str) -> list[Measured]:
    """Of these, what bears on one edit: measurements of it, and what was told as a repeat of one of them."""
    return _read(
        foreign,
        "measured = 1 AND edit != '' AND +contract = ?1 AND records.id IN"
        " (SELECT id FROM records WHERE edit = ?2 UNION SELECT id FROM records WHERE repeats != '' AND repeats IN"
        " (SELECT lab || '/' || n FROM records WHERE edit = ?2 AND +contract = ?1))",
        contract,
        edit,
    )


def discarded(foreign: Foreign, contract: str) -> list[Measured]:
    """Other labs' newest discards whose code is here and whose edit we never tried: what may be tried again."""
    return _read(
        foreign,
        f"own = 0 AND status = 'discarded' AND measured = 1 AND edit != '' AND contract = ?1 AND {_ROLE} != 'baseline'"
        " AND json_extract(line, '$.commit') IS NOT NULL AND edit NOT IN"
        " (SELECT edit FROM records JOIN labs USING (lab) WHERE own = 1 AND contract = ?1)",
        contract,
        order="records.id DESC LIMIT 200",
    )


def tried_here(foreign: Foreign, contract: str) -> set[str]:
    """Edits that our own journal tells of."""
    rows = foreign._rows(
        "SELECT DISTINCT edit FROM records JOIN labs USING (lab) WHERE own = 1 AND contract = ? AND edit != ''",
        contract,
    )
    return {row["edit"] for row in rows}


def active(foreign: Foreign, contract: str, since: str) -> list[str]:
    """Labs that told of an attempt of this contract after a time, our own included."""
    rows = foreign._rows(
        "SELECT records.lab AS lab, line, max(records.id) FROM records JOIN labs USING (lab)"
        f" WHERE {_SHOWN} AND contract = ? GROUP BY records.lab ORDER BY records.lab",
        contract,
    )
    return [row["lab"] for row in rows if json.loads(row["line"]).get("at", "") > since]


def near_misses(foreign: Foreign, contract: str, limit: int) -> list[Measured]:
    """Discards of all labs that came out better, though not surely: the surest first."""
    return _read(
        foreign,
        "status = 'discarded' AND measured = 1 AND helped = 0 AND gain > 0 AND edit != '' AND contract = ?1",
        contract,
        order=f"gain / coalesce(nullif(deviation, 0), gain) DESC, gain DESC, records.lab, n LIMIT {limit}",
    )


def keeps(foreign: Foreign, contract: str) -> list[Measured]:
    """Every keep of every lab, by lab and number; a baseline has no gain, and stands for none."""
    return _read(foreign, "status = 'kept' AND gain IS NOT NULL AND contract = ?1", contract)


def _read(foreign: Foreign, condition: str, *values: object, order: str = "records.lab, n") -> list[Measured]:
    rows = foreign._rows(
        f"SELECT {_COLUMNS} FROM records JOIN labs USING (lab) WHERE {_SHOWN} AND {condition} ORDER BY {order}", *values
    )
    return [
        Measured(
            lab=row["lab"],
            n=row["n"],
            contract=row["contract"],
            edit=row["edit"],
            machine=row["machine"],
            gain=row["gain"],
            deviation=row["deviation"],
            helped=bool(row["helped"]),
            kept=row["status"] == "kept",
            role=row["role"],
            repeats=row["repeats"],
            code=bool(row["commit"]),
            at=row["at"],
            own=bool(row["own"]),
        )
        for row in rows
    ]
