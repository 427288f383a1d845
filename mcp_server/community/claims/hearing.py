"""The claims of a contract as this lab hears them: the one answer that every face shows, whatever it draws it with.

Replications count here of ourselves and of labs that the address book lets repeat claims. The table that everybody
shares (`table`) hears all.
"""

from __future__ import annotations

from functools import partial

from mcp_server.community.claims.status import Claim, claims
from mcp_server.community.trust import Role, Trust
from mcp_server.ledger.foreign import Foreign
from mcp_server.ledger.measured import measured, measured_of


def heard_claims(foreign: Foreign, contract: str, trust: Trust) -> list[Claim]:
    """All claims of a contract, by lab and number."""
    own = own_lab(foreign)
    return claims(measured(foreign, contract), partial(heard, trust, own), own)


def heard_claim(foreign: Foreign, contract: str, trust: Trust, name: str, edit: str) -> Claim | None:
    """The claim of one attempt elsewhere, LAB/n, with this edit; None where it is none."""
    own = own_lab(foreign)
    found = claims(measured_of(foreign, contract, edit), partial(heard, trust, own), own)
    return next((one for one in found if one.name == name), None)


def heard(trust: Trust, own: str, lab: str) -> bool:
    """Whether a lab's replications and refutations count here: our own, and whom the address book lets repeat."""
    return lab == own or trust.role(lab).allows(Role.REPLICATE)


def own_lab(foreign: Foreign) -> str:
    """Our own lab id; "" before we have told anything."""
    return next((row.lab for row in foreign.labs() if row.own), "")
