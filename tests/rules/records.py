"""Records for tables: everything has a harmless value, and a row says what it is about."""

from __future__ import annotations

from typing import Any

from mcp_server.arena.program import Arena, parse_program
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.records import RunResult, RunState, Status
from mcp_server.nouns.rows import Campaign, Experiment, Run

AT = "2026-01-01T00:00:00+00:00"
PROGRAM = """\
---
goal: lower
metric: {{name: loss, direction: {direction}}}
editable: [train.py]
run: python train.py
score: python score.py
budget: {{seconds: 20}}
{more}---
"""


def arena(more: str = "", direction: str = "minimize") -> Arena:
    return parse_program(PROGRAM.format(more=more, direction=direction)).arena


def campaign(**given: Any) -> Campaign:
    fields: dict[str, Any] = {
        "tag": "first", "pinned": "0" * 40, "began_at": AT, "seed": 7, "calibrate": 0, "corpus": None,
        "fingerprint": None, "secret": "", "program": "", "ready": True,
    }  # fmt: skip
    return Campaign(**{**fields, **given})


def experiment(number: int = 2, **given: Any) -> Experiment:
    fields: dict[str, Any] = {
        "campaign": "first", "number": number, "kind": "attempt", "description": "an idea", "hypothesis": "",
        "expected_delta": None, "snapshot": "1" * 40, "base": 1, "fingerprint": "f", "edit": "e", "nodes": 10,
        "knobs": (), "protocol": (), "theme": "other", "program": "", "style": None, "opened_at": AT, "tree": "/lab",
    }  # fmt: skip
    return Experiment(**{**fields, **given})


def run(state: str = "scored", score: float | None = None, **given: Any) -> Run:
    """A run; what is not a column of the ledger is a field of its result."""
    fields: dict[str, Any] = {
        "ticket": 1, "campaign": "first", "experiment": 2, "run": 1, "seed": 7, "purpose": "first",
        "opened_at": AT, "closed_at": AT, "tainted": "", "machine": "here", "ask_again_at": None, "run_id": "",
    }  # fmt: skip
    columns = {name: given.pop(name) for name in tuple(given) if name in fields}
    found = RunState(state)
    result = RunResult(state=found, score=score, **given) if found.terminal else None
    return Run(**{**fields, **columns}, state=found, score=score, result=result)


def attempt(
    number: int, description: str = "an idea", status: str = "discarded", *, lessons: tuple[str, ...] = (), **given: Any
) -> Attempt:
    """An attempt whose verdict tells all but its runs; what is no column of the ledger is a field of the verdict."""
    runs, origin = given.pop("runs", ()), given.pop("origin", "")
    fields = {name: given.pop(name) for name in tuple(given) if name in Experiment.__dataclass_fields__}
    decision = {"kept": "keep", "overtaken": "overtaken", "running": None, "scored": None}.get(status, "revert")
    row = experiment(number, **{"description": description, "decision": decision, **fields}, verdict=Decided(**given))
    return Attempt(row, Status(status), row.verdict.score, runs, lessons, origin)
