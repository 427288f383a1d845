"""The table of claims in one form: every lab that has the same records prints the same bytes. Pure.

It depends on nothing but the records: not on who looks, whom they trust, when, or in which order the records came.
"""

from __future__ import annotations

from collections.abc import Iterable

from mcp_server.community.claims.pooling import Pool
from mcp_server.community.claims.standing import standings
from mcp_server.community.claims.status import Claim, claims
from mcp_server.ledger.measured import Measured

HEADER = "autoresearch claims 1"


def table(contract: str, records: Iterable[Measured]) -> str:
    """Claims and labs of one contract, a line each."""
    found = claims(records)
    lines = [f"contract {contract}"]
    lines += [_claim(one) for one in found]
    for one in standings(found).values():
        lines.append(
            f"lab {one.lab} claimed {one.claimed} replicated {one.replicated} refuted {one.refuted}"
            f" points {one.points} trust {one.trust:.4f}"
        )
    return "\n".join(lines) + "\n"


def _claim(one: Claim) -> str:
    told = f"claim {one.name} edit {one.first.edit} gain {one.first.gain:.9g} {one.status} {len(one.replicated)}"
    told += f" of {len(one.tried)} labs, {_pool(one.others)}"
    if one.works_on:
        told += f", works on {', '.join(one.works_on)}"
    if one.fails_on:
        told += f", fails on {', '.join(one.fails_on)}"
    return told


def _pool(part: Pool | None) -> str:
    if part is None:
        return "not repeated"
    return f"{part.gain:.9g}" + ("" if part.error is None else f" ± {part.error:.9g}")
