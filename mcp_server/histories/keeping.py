"""Takes a history into the memory, as attempts of origin `imported`: found, and told as tried elsewhere."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence

from mcp_server.histories.rows import History, Row
from mcp_server.histories.words import moves
from mcp_server.nouns.rows import Imported


def imported(history: History, at: str) -> list[Imported]:
    """The rows of a history as the ledger keeps them. at: when they are taken in."""
    gains = history.gain_over_best()
    seen: Counter[str] = Counter()
    found = []
    for row in history.rows:
        told = json.dumps([row.commit, row.score, row.status, row.description, row.number], ensure_ascii=False)
        seen[told] += 1  # a log may well tell the same twice
        digest = hashlib.sha256(f"{history.schema.metric} {seen[told]} {told}".encode()).hexdigest()[:32]
        found.append(_imported(history, row, digest, gains.get(row.line), at))
    return found


def _imported(history: History, row: Row, digest: str, gain: float | None, at: str) -> Imported:
    if row.before is not None and row.score is not None:
        gain = history.gain(row.score, row.before)
    return Imported(
        digest=digest,
        source=history.name,
        line=row.line,
        metric=history.schema.metric,
        direction=history.schema.direction,
        status=row.status,
        score=row.score,
        gain=gain,
        commit_sha=row.commit,
        parent=row.parent,
        description=row.description,
        reasoning=" ".join(part for part in (row.reasoning, row.verdict) if part),
        knobs=moves(f"{row.description} {row.reasoning}"),
        at=row.at,
        imported_at=at,
    )


def unknown(rows: Sequence[Imported], known: set[str]) -> list[Imported]:
    """Those that the memory does not hold yet."""
    return [row for row in rows if row.digest not in known]
