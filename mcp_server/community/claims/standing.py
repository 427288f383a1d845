"""What a lab's word is worth by its own record: claims of it that others repeated, against those they refuted. Pure.

A refutation costs more than a replication brings, so that nobody gains by claiming at random. Standing orders what is
worth a run, and closes the door to a lab whose word two others found wrong: one word against another closes none, or a
liar could silence everybody. It never opens a door: whose replications count is the address book's affair, for keys are
cheap and any number of them could praise each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from mcp_server.community.claims.status import Claim, Status

REFUTATION = 3  # replications that one refutation outweighs
LATEST = 30  # judged claims of a lab that are looked at: nobody lives on an old success, or under an old error


@dataclass(frozen=True)
class Standing:
    """One lab's record."""

    lab: str
    claimed: int = 0  # not judged yet
    replicated: int = 0
    refuted: int = 0
    surely: int = 0  # of them refuted by two labs, or by our own

    @property
    def points(self) -> int:
        return self.replicated - REFUTATION * self.refuted

    @property
    def trust(self) -> float:
        """Between 0 and 1; one half for a lab of which nothing was repeated yet."""
        return (1 + self.replicated) / (2 + self.replicated + REFUTATION * self.refuted)

    @property
    def proven(self) -> bool:
        """Whether more of its claims than one at a time are worth a run."""
        return self.replicated > REFUTATION * self.surely

    @property
    def doubted(self) -> bool:
        """Whether no claim of it is worth a run any more."""
        return self.replicated < REFUTATION * self.surely


def standings(claims: Iterable[Claim]) -> dict[str, Standing]:
    """Every lab that claimed something, in order of name."""
    by_lab: dict[str, list[Claim]] = defaultdict(list)
    for one in claims:
        by_lab[one.first.lab].append(one)
    return {lab: _standing(lab, some) for lab, some in sorted(by_lab.items())}


def _standing(lab: str, claims: list[Claim]) -> Standing:
    ordered = sorted(claims, key=lambda one: one.first.n)
    judged = [one for one in ordered if one.status is not Status.CLAIMED]
    latest = judged[-LATEST:]
    refuted = [one for one in latest if one.status is Status.REFUTED]
    surely = sum(one.sure for one in refuted)
    return Standing(lab, len(claims) - len(judged), len(latest) - len(refuted), len(refuted), surely)
