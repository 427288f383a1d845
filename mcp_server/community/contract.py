"""What makes the scores of two labs comparable, as one digest: only records of one contract are set side by side."""

from __future__ import annotations

import hashlib
import json

from mcp_server.arena.program import Arena
from mcp_server.ledger.foreign import Foreign
from mcp_server.nouns.rows import Campaign
from mcp_server.repo.workspace import Workspace

DIGITS = 32  # hexadecimal
SPLIT_RULE = "val, drawn test"  # how the scorer's two splits are made; another rule is another contract


def contract_of(workspace: Workspace, campaign: Campaign, arena: Arena) -> str:
    """Of frozen files, metrics and directions, run, score, budget and clock, corpus, and the split rule."""
    digest = hashlib.sha256(b"autoresearch contract 1")
    files = workspace.committed(arena.frozen, campaign.pinned) if arena.frozen else {}
    for path in sorted(files):
        digest.update(hashlib.sha256(path.encode("utf-8", "surrogateescape") + b"\0" + files[path]).digest())
    budget = arena.budget
    told: dict[str, object] = {
        "metric": [arena.metric.name, arena.metric.direction],
        "run": arena.run,
        "score": arena.score,
        "budget": [budget.seconds, budget.clock],
        "corpus": campaign.fingerprint,
        "split": SPLIT_RULE,
        "editable": sorted(arena.editable),
    }
    if arena.metrics:  # their weights are what the score is
        told["metrics"] = {name: [part.direction, part.weight] for name, part in arena.metrics.items()}
    digest.update(json.dumps(told, sort_keys=True).encode())
    return digest.hexdigest()[:DIGITS]


def noted_contract(foreign: Foreign, workspace: Workspace, campaign: Campaign, arena: Arena) -> str:
    """`contract_of`, worked out once for each first commit and program, and noted in the database."""
    name = f"contract {campaign.pinned} {campaign.program} {campaign.fingerprint or ''}"
    found = foreign.noted(name)
    if found is None:
        found = contract_of(workspace, campaign, arena)
        with foreign.writing():
            foreign.note(name, found)
    return found
