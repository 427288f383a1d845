"""What a recogniser found out about a repository, and the program.md that says it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import yaml

GOAL_CHARACTERS = 200


@dataclass(frozen=True)
class Hint:
    """What a recogniser is told: what somebody asked for, and what a log of the past measured, which way."""

    metric: str = ""
    direction: str = ""
    logged: str = ""
    kept: str = ""


@dataclass(frozen=True)
class Found:
    """An arena in somebody else's words. `memo` is their text, kept below the front matter."""

    kind: str  # what it was made for, in words
    goal: str
    metric: str  # "" where nothing names it
    direction: str  # "" where nothing says it
    unit: str
    editable: tuple[str, ...]
    run: str
    memo: str
    memo_from: str
    frozen: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    seconds: float = 600.0
    readable: tuple[str, ...] = ()
    experiments: int | None = None
    notes: tuple[str, ...] = field(default=())  # what was guessed, and where from
    numbers: tuple[str, ...] = ()  # that a run prints, for who is asked for the metric

    measured: str = ""  # a score command that measures what the run leaves; without one its printed number counts

    @property
    def score(self) -> str:
        """The score command, with what it is worth."""
        if self.measured:
            return f"{_scalar(self.measured)}  # their measure, on the checkpoint that the run leaves"
        claim = "CLAIMED BY THE RUN: what it prints, measured by nobody else"
        return f"{_scalar(f'python -m mcp_server.scoring.printed {self.metric}')}  # {claim}"


def program(found: Found) -> str:
    """program.md: the arena above their memo."""
    metric = {"name": found.metric, "direction": found.direction}
    metric |= {"unit": found.unit} if found.unit else {}
    lines = [
        "---",
        f"goal: {_scalar(found.goal[:GOAL_CHARACTERS])}",
        f"metric: {_flow(metric)}",
        f"editable: {_flow(list(found.editable))}",
        *([f"frozen: {_flow(list(found.frozen))}"] if found.frozen else []),
        f"run: {_scalar(found.run)}",
        f"score: {found.score}",
        f"budget: {{seconds: {found.seconds:g}}}  # all of a run: start-up, their own time budget, evaluation",
        *([f"readable: {_flow(list(found.readable))}"] if found.readable else []),
        *([f"checks: {_flow(list(found.checks))}"] if found.checks else []),
        *([f"stop: {{experiments: {found.experiments}}}"] if found.experiments else []),
        "---",
        "",
    ]
    return "\n".join(lines) + "\n" + found.memo.lstrip("\ufeff\n")


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True).strip()


def _scalar(text: str) -> str:
    """A text as YAML on one line; between quotes where it could be read as something else."""
    plain = yaml.safe_dump(text, width=10_000, allow_unicode=True).removesuffix("...\n").strip()
    return plain if "\n" not in plain else json.dumps(text, ensure_ascii=False)
