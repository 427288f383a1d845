"""Campaigns in the shipped arenas: the built-in researcher, and a cheat, each through the real server on stdio."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from mcp_server.nouns.replies import DecisionReply, ExperimentReply, ScoreReply
from mcp_server.researcher.demo import stop_runs
from mcp_server.researcher.loop import Outcome, Pace, Session, campaign
from mcp_server.setup.newlab import template, write_lab

ROOT = Path(__file__).resolve().parent.parent.parent
EXPERIMENTS = 8
PATIENCE_SECONDS = 3600.0  # the number of experiments ends a campaign, not the clock


class Silence:
    """An audience that remembers the words, for the message of a failed test."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def say(self, words: str) -> None:
        self.words.append(words)

    def show(self, row: object) -> None:
        pass

    def progress(self, what: str, left_seconds: float, said: str) -> None:
        pass


def research(
    name: str, folder: Path, *, experiments: int = EXPERIMENTS, seed: int = 0, calibrate: int = 3
) -> tuple[Outcome, list[str]]:
    """A lab from the arena `name`, and a campaign of eight experiments or more in it: (outcome, what was said)."""
    write_lab(template(name), folder, own_repository=True)
    return campaigned(folder, experiments=experiments, seed=seed, calibrate=calibrate)


def campaigned(
    folder: Path, *, experiments: int = EXPERIMENTS, seed: int = 0, calibrate: int = 3
) -> tuple[Outcome, list[str]]:
    """The same in a lab that is there already."""
    audience = Silence()
    pace = Pace(time.monotonic(), experiments, calibrate, seed, PATIENCE_SECONDS)
    try:
        outcome: Outcome = anyio.run(campaign, folder, "first", pace, audience, folder / ".git" / "server.log")
    finally:
        stop_runs(folder)
    return outcome, audience.words


def attempt(folder: Path, edits: dict[str, str]) -> tuple[ScoreReply, DecisionReply]:
    """One experiment of an agent's: whole files replaced, run, scored, decided by the referee."""

    async def iterate() -> tuple[ScoreReply, DecisionReply]:
        environment = {**os.environ, "AUTORESEARCH_PROJECT": str(folder), "PYTHONPATH": str(ROOT)}
        command = StdioServerParameters(
            command=sys.executable, args=["-m", "mcp_server"], cwd=str(folder), env=environment
        )
        with open(folder / ".git" / "server.log", "a") as messages:
            async with Client(stdio_client(command, errlog=messages)) as client:
                session = Session(client, Silence())
                for name, text in edits.items():
                    (folder / name).write_text(text)
                run = await session.ask(ExperimentReply, "run_experiment", description="a cheat", wait_seconds=0)
                while True:
                    found = await session.score(run.experiment)
                    decision = await session.ask(DecisionReply, "commit_or_revert", experiment=run.experiment)
                    if decision.decision != "confirming":
                        return found, decision

    try:
        return anyio.run(iterate)
    finally:
        stop_runs(folder)


def best(outcome: Outcome) -> float:
    """The score of the last kept experiment, in the arena's unit."""
    rows = [row for row in outcome.rows.values() if row.status == "kept" and row.score is not None]
    score = rows[-1].score
    assert score is not None
    return score
