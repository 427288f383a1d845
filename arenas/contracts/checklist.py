"""The checklist: which clauses of a contract a person should look at before the Customer signs.

`review(text)` answers {flag: the clause, quoted word for word}. It is called for one contract after another.
"""

from __future__ import annotations

import re

SHORTEST_CLAUSE = 20  # letters; what is shorter is no clause
LONGEST_QUOTE = 380  # letters; a longer clause is quoted from its beginning

# A clause raises the flag when it has one of these and none of what is harmless.
RISKY: dict[str, list[str]] = {
    "auto_renewal": [r"\bautomatically\b"],
    "unlimited_liability": [r"\bunlimited\b"],
    "one_sided_termination": [r"\bterminate\b"],
    "exclusivity": [r"\bexclusive"],
    "rights_in_work": [r"\bproperty\b"],
    "price_change": [r"\bprices\b"],
    "data_resale": [r"\bdata\b"],
    "far_court": [r"\bcourts\b"],
}
HARMLESS: dict[str, list[str]] = {
    "auto_renewal": [],
    "unlimited_liability": [],
    "one_sided_termination": [],
    "exclusivity": [],
    "rights_in_work": [],
    "price_change": [],
    "data_resale": [],
    "far_court": [],
}


def clauses(text: str) -> list[str]:
    """The sentences of a contract, without headings."""
    body = re.sub(r"(?m)^\d+\. [A-Z][a-z ]+$", "", text)
    return [part.strip() for part in re.split(r"(?<=[.])\s+", body) if len(part.strip()) >= SHORTEST_CLAUSE]


def review(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for clause in clauses(text):
        for flag, patterns in RISKY.items():
            risky = any(re.search(pattern, clause, re.IGNORECASE) for pattern in patterns)
            harmless = any(re.search(pattern, clause, re.IGNORECASE) for pattern in HARMLESS[flag])
            if risky and not harmless:
                found.setdefault(flag, clause[:LONGEST_QUOTE])
    return found
