"""Rows for tests of single targets: an attempt that is open, and the same one decided."""

from __future__ import annotations

from dataclasses import replace

from mcp_server.exporting.rows import Row, row_of
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.rows import Proposer
from tests.rules.records import arena, experiment

CURVE = ((10, 3.0), (20, 2.5), (30, 2.25))
KEPT = Decided(decision="keep", reason="better", score=1.5, change=0.5, low=0.25, high=0.75)


def rows() -> tuple[Row, Row, Row]:
    """Another attempt, which crashed; one that is open; and that one once it was kept."""
    metric = arena().metric
    proposer = Proposer.of("claude-code", "2.1", "opus")
    crashed = experiment(2, decision="revert", verdict=Decided(outcome="crashed", reason="out of memory"))
    still = experiment(3, description="twice the rate", proposer=proposer)
    kept = replace(still, decision="keep", label="confirmed", verdict=KEPT, commit_sha="c" * 40, decided_at=LATER)
    constants = {"LR": 0.1, "NAME": "adam", "DEPTH[2]": 3, "FAST": True}
    shown = [row_of(Attempt.of(one), "lab", metric, constants) for one in (crashed, still, kept)]
    return shown[0], replace(shown[1], curve=CURVE), replace(shown[2], curve=CURVE, score=1.5)


LATER = "2026-01-01T01:00:00+00:00"
