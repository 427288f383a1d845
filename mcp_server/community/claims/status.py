"""The status of every claim, computed from records and never stored: the same records, the same answer. Pure.

A claim is a gain that a lab tells of an idea of its own. What the other labs measured of the same edit decides on it,
never the lab's own numbers: the best of many noisy scores is too good. A replication is named by the record that
repeats, or known by the edit's fingerprint. The lab's own repeats, on whatever machine, are no other lab's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mcp_server.community.claims.pooling import Pool, pool
from mcp_server.ledger.measured import Measured
from mcp_server.memory.wording import signed

PART_OF_CLAIM = 0.5  # what surely gains less than this part of what was claimed is refuted
Counts = Callable[[str], bool]


class Status(StrEnum):
    """What the other labs' measurements say of a claim."""

    CLAIMED = "claimed"
    REPLICATED = "replicated"
    REFUTED = "refuted"
    MACHINE_BOUND = "machine-bound"  # repeated on one class of machine, refuted on another


@dataclass(frozen=True)
class Claim:
    """One claim and what others make of it. The lists are in order of their names."""

    first: Measured  # the lab's first record of it
    status: Status
    others: Pool | None  # what other labs gained, pooled by lab; None: nobody measured it
    replicated: tuple[str, ...]  # labs that found a gain
    tried: tuple[str, ...]  # other labs that measured it
    heard: str = ""  # when the last of it was told
    sure: bool = False  # more than one lab's word, or our own
    works_on: tuple[str, ...] = ()  # classes of machine
    fails_on: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.first.name

    @property
    def open(self) -> bool:
        """Whether one more replication could tell something: one lab's refutation is a word against a word."""
        return self.status is Status.CLAIMED or (self.status is Status.REFUTED and not self.sure)

    def brings(self, machine: str) -> float | None:
        """What one may count on of a gain that others repeated, on a class of machine; None where nobody gained there.

        Half of what was pooled, or its low end where even that is more.
        """
        if self.others is None:
            return None
        if self.status is Status.REPLICATED:
            return max(self.others.gain / 2, self.others.low or 0.0)
        bound = self.status is Status.MACHINE_BOUND and machine in self.works_on
        return max(self.others.gain, 0.0) / 2 if bound else None


def everybody(lab: str) -> bool:
    """The records alone: what a table says that is the same whoever looks."""
    return True


def claims(records: Iterable[Measured], counts: Counts = everybody, own: str = "") -> list[Claim]:
    """All claims of one contract, by lab and number. counts: whose replications and refutations are heard.

    own: the lab that looks, for which one measurement of its own is enough.
    """
    ordered = sorted(records, key=lambda one: (one.lab, one.n))
    edit_of = {one.name: one.edit for one in ordered}
    by_edit: dict[str, list[Measured]] = defaultdict(list)
    for one in ordered:
        meant = edit_of.get(one.repeats, one.edit) if one.repeats else one.edit
        by_edit[meant].append(one)
    found = []
    for group in by_edit.values():
        seen: set[str] = set()
        for one in group:
            if is_claim(one) and one.lab not in seen:
                seen.add(one.lab)
                others = [other for other in group if other.lab != one.lab and counts(other.lab)]
                found.append(_judged(one, others, own))
    return sorted(found, key=lambda one: (one.first.lab, one.first.n))


def is_claim(one: Measured) -> bool:
    """A gain with an idea of its own: who repeats another's, takes a keep back, or keeps what is only simpler, claims
    nothing."""
    return one.helped and one.gain > 0 and not one.repeats and one.role not in ("baseline", "prune", "replication")


def _judged(first: Measured, others: Sequence[Measured], own: str) -> Claim:
    by_lab = _pools(others, lambda one: one.lab)
    everyone = pool([(part.gain, part.error) for part in by_lab.values()])
    kept = {one.lab for one in others if one.kept}
    agree = tuple(lab for lab, part in by_lab.items() if part.gain > 0 and (lab in kept or (part.low or 0.0) > 0))
    tried = tuple(by_lab)
    works, fails = _by_class(first, others)
    heard, sure = max(one.at for one in (first, *others)), len(tried) > 1 or own in tried
    if works and fails:
        return Claim(first, Status.MACHINE_BOUND, everyone, agree, tried, heard, sure, works, fails)
    if everyone is None:
        return Claim(first, Status.CLAIMED, None, (), (), heard)
    if _gains(everyone, 2 * len(agree) > len(tried)):
        status = Status.REPLICATED
        agree = agree or tuple(lab for lab, part in by_lab.items() if part.gain > 0)
    elif _fails(everyone, first.gain):
        status = Status.REFUTED
    else:
        status = Status.CLAIMED
    return Claim(first, status, everyone, agree, tried, heard, sure, works, fails)


def _by_class(first: Measured, others: Sequence[Measured]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes of machine on which others surely gained, and on which they surely gained less than half of that.

    Only other labs' word counts: a fabricated gain is not saved by the name of a machine that nobody else has.
    """
    classes = {
        name: pool([(part.gain, part.error) for part in _pools(some, lambda one: one.lab).values()])
        for name, some in _apart(others, lambda one: one.machine).items()
        if name
    }
    works = {name: part for name, part in classes.items() if part is not None and part.error and _gains(part, False)}
    most = max((part.gain for part in works.values()), default=first.gain)
    fails = [n for n, part in classes.items() if part is not None and part.error and n not in works]
    return tuple(works), tuple(name for name in fails if _fails(classes[name], most))


def _gains(part: Pool, most_agree: bool) -> bool:
    """Surely by the numbers; or by the verdicts of most labs, whose referees saw more than the numbers told here."""
    return (part.low is not None and part.low > 0) or (most_agree and part.gain > 0)


def _fails(part: Pool | None, claimed: float) -> bool:
    if part is None:
        return False
    return part.high < PART_OF_CLAIM * claimed if part.high is not None else part.gain <= 0


def _apart(records: Sequence[Measured], key: Callable[[Measured], str]) -> dict[str, list[Measured]]:
    found: dict[str, list[Measured]] = defaultdict(list)
    for one in records:
        found[key(one)].append(one)
    return dict(sorted(found.items()))


def _pools(records: Sequence[Measured], key: Callable[[Measured], str]) -> dict[str, Pool]:
    """One pooled gain for each value of the key, in its order."""
    pools = {name: pool([(one.gain, one.deviation) for one in some]) for name, some in _apart(records, key).items()}
    return {name: part for name, part in pools.items() if part is not None}


def words_of(one: Claim) -> str:
    """The status in a few words, for a board: `replicated 2 of 3 labs, +0.0021 ± 0.0006`."""
    if one.others is None:
        return str(one.status)
    error = "" if one.others.error is None else f" ± {signed(one.others.error).lstrip('+')}"
    told = f"{one.status} {len(one.replicated)} of {len(one.tried)} labs, {signed(one.others.gain)}{error}"
    return told + (f", fails on {', '.join(one.fails_on)}" if one.works_on and one.fails_on else "")
