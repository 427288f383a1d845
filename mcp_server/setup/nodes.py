"""Asks every node of a lab's cluster: sandbox, devices, disk, corpus, clock, versions. Part of `autoresearch doctor`.

Ray is asked in a process of its own, for it ends whoever is connected when a cluster is lost.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mcp_server
from mcp_server.arena.corpus import prepared_corpus
from mcp_server.arena.program import Arena, load_program
from mcp_server.engines.ray.engine import installed
from mcp_server.engines.ray.records import NodeFacts, NodeSeen
from mcp_server.nouns.errors import ArenaError, CorpusError
from mcp_server.programs.installed import with_extra
from mcp_server.setup.doctor import ROOM_BYTES, TIGHT_BYTES, Finding, State, program_of

SURVEY, SURVEY_SECONDS = "mcp_server.engines.ray.cluster", 300.0
SKEW_SECONDS = 5.0  # stamps of a node are told beside ours; budgets are counted by no wall clock


def examine(folder: Path) -> Iterator[Finding]:
    """All findings about the cluster that program.md names, a node a line."""
    try:
        arena = load_program(program_of(folder)).arena
    except ArenaError as error:
        yield Finding(name="engine", state=State.MISSING, found="no program.md that can be read", fix=str(error))
        return
    if arena.engine.name == "local":
        yield Finding(name="engine", state=State.FINE, found="local: runs are made on this machine")
        return
    if not installed():
        yield Finding(
            name="engine", state=State.MISSING, found="ray, which is not installed", fix=f"Run `{with_extra('ray')}`."
        )
        return
    yield _token()
    told = surveyed(arena.engine.address)
    if isinstance(told, str):
        fix = "Start a cluster, or join one: docs/ray.md."
        yield Finding(name="engine", state=State.MISSING, found=f"ray at {arena.engine.address}: {told}", fix=fix)
        return
    yield _reach(arena, [NodeSeen.model_validate(one["node"]) for one in told])
    for one in told:
        yield node(arena, one)


def surveyed(address: str) -> list[dict[str, Any]] | str:
    """What each living node says, or why nobody does."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", SURVEY, address],
            capture_output=True,
            text=True,
            timeout=SURVEY_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {SURVEY_SECONDS:g} s"
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        return said[-1][:400] if said else f"the survey ended with status {done.returncode}"
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _token() -> Finding:
    """Whoever reaches a port of a cluster without a token runs code on all of its nodes."""
    mode = os.environ.get("RAY_AUTH_MODE", "")
    place = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if mode.lower() != "disabled" and (os.environ.get("RAY_AUTH_TOKEN") or place.exists()):
        return Finding(name="token", state=State.FINE, found="this machine has one for clusters")
    fix = "Make one with `ray get-auth-token --generate`, copy it to every machine, and start the cluster anew."
    found = "none: whoever reaches a port of the cluster can run code on its nodes"
    return Finding(name="token", state=State.OPTIONAL, found=found, fix=fix)


def _reach(arena: Arena, nodes: list[NodeSeen]) -> Finding:
    """Whether any node has what a run asks for."""
    wanted = arena.engine.resources or {"CPU": 1.0}
    able = [one for one in nodes if all(one.resources.get(name, 0) >= share for name, share in wanted.items())]
    asked = ", ".join(f"{name}: {share:g}" for name, share in wanted.items())
    found = f"ray at {arena.engine.address}: {len(nodes)} nodes, {len(able)} can make a run ({asked})"
    if able:
        return Finding(name="engine", state=State.FINE, found=found)
    fix = "Add a node that has that, or ask for less in engine: resources of program.md."
    return Finding(name="engine", state=State.MISSING, found=found, fix=fix)


def node(arena: Arena, told: dict[str, Any]) -> Finding:
    """One node, and what of it stands in the way of this lab's runs."""
    seen = NodeSeen.model_validate(told["node"])
    if told["facts"] is None:
        fix = "Look at its `ray status`, and at its logs in /tmp/ray/session_latest/logs."
        return Finding(name=seen.name, state=State.MISSING, found=f"no answer: {told['trouble']}", fix=fix)
    facts = NodeFacts.model_validate(told["facts"])
    corpus = _corpus(arena, facts)
    found = [
        f"sandbox {facts.tier}",
        ", ".join(facts.devices),
        f"{facts.free_bytes / 2**30:.0f} GB free",
        *([corpus] if corpus else []),
        f"clock {told['skew']:+.1f} s",
        f"autoresearch {facts.version}, Ray {facts.ray}, Python {facts.python}",
        f"{len(facts.runs)} runs",
    ]
    wrong = _wrong(arena, facts, float(told["skew"]))
    state = State.FINE if not wrong else State.MISSING if any(bad for bad, _ in wrong) else State.OPTIONAL
    return Finding(name=seen.name, state=state, found="; ".join(found), fix=" ".join(words for _, words in wrong))


def _wrong(arena: Arena, facts: NodeFacts, skew: float) -> list[tuple[bool, str]]:
    """(whether no run can be made so, what to do) of all that is not as it should be."""
    minor = ".".join(platform.python_version_tuple()[:2])
    asked = [
        (facts.version != mcp_server.__version__, True, f"Install autoresearch {mcp_server.__version__} there."),
        (facts.ray != version("ray"), True, f"Install Ray {version('ray')} there: a cluster has one version."),
        (not facts.python.startswith(f"{minor}."), True, f"Use Python {minor} there: a cluster has one version."),
        (arena.require_sandbox and facts.tier != "T2", True, f"program.md requires T2. {' '.join(facts.findings)}"),
        (facts.tier != "T2", False, f"Runs are less well shut in there. {' '.join(facts.findings)}"),
        (facts.free_bytes < TIGHT_BYTES, True, "Free some space there."),
        (facts.free_bytes < ROOM_BYTES, False, "There is not much space there."),
        (abs(skew) > SKEW_SECONDS, False, "Set its clock (NTP): its stamps are told beside this machine's."),
        (
            arena.engine.gpus > 0 and not any(one.startswith("cuda") for one in facts.devices),
            False,
            "It has no GPU, so it gets no run of this lab.",
        ),
    ]
    return [(bad, words) for is_so, bad, words in asked if is_so]


def _corpus(arena: Arena, facts: NodeFacts) -> str:
    if not arena.scores_language_models:
        return ""
    try:
        return "corpus there" if prepared_corpus().fingerprint in facts.corpora else "corpus comes with the first run"
    except CorpusError:
        return "no corpus here to send"
