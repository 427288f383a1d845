"""One attempt as every target gets it: constants, curve, score, gain with interval, verdict, commit, proposer. Pure."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from statistics import fmean
from typing import Any

from mcp_server.arena.program import Metric
from mcp_server.community.secretscan import find_secrets, in_constants
from mcp_server.edits.moves import NO_LITERAL
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.records import Purpose
from mcp_server.nouns.text import clean_block, clean_line

Value = str | int | float | bool | None
_CAPITALS = re.compile(r"_?[A-Z][A-Z0-9_]*$")
TEXT_OF_A_VALUE = 250  # characters; what trackers take for a parameter
WRITTEN = ("description", "hypothesis", "reason", "command", "model", "client", "moved")  # by agents, or about them
HELD_BACK = "held back: it looks like a secret"
APART = ("constants", "secondary", "curve")  # fields that are no single value


@dataclass(frozen=True)
class Row:
    """One attempt. Scores are in the metric's own direction, gains positive when better; None was not measured."""

    id: str  # the same at every export: of this lab, campaign and experiment
    lab: str
    campaign: str
    experiment: int
    kind: str  # baseline, attempt, retest, prune, replication
    status: str  # kept, discarded, crashed, ...; while it is open: queued, running, scored, confirming
    label: str  # of a keep: baseline, provisional, confirmed, simplification
    verdict: str  # the referee's view: keep, discard; "" before there is one
    reason: str
    metric: str
    direction: str
    unit: str
    score: float | None
    gain: float | None
    gain_low: float | None  # 95 % interval of the gain
    gain_high: float | None
    believed: float | None  # the gain one should believe
    probability: float | None  # that it is truly better
    seeds: int
    looks: int
    commit: str  # on the campaign's branch where it was kept, else in the vault
    snapshot: str  # what was measured
    base: int | None
    description: str
    hypothesis: str
    client: str  # who proposed it, as it introduced itself
    client_version: str
    model: str
    command: str
    tokens: int | None
    cost_usd: float | None
    style: str
    theme: str
    moved: str  # the constants that it changed, in words
    seconds: float  # of its runs, on the wall
    opened_at: str
    decided_at: str
    constants: Mapping[str, Value]
    secondary: Mapping[str, float]
    curve: tuple[tuple[int, float], ...]  # (step, training loss): the trainer's word, part of no score

    @property
    def digest(self) -> str:
        """Changes when anything about the attempt does."""
        return hashlib.sha256(json.dumps(self.nested(), sort_keys=True).encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """What people call the run: `first-12 twice the rate`."""
        return clean_line(f"{self.campaign}-{self.experiment} {self.description}", 80)

    @property
    def facts(self) -> dict[str, Value]:
        """All single values by name."""
        return {name: getattr(self, name) for name in SINGLE}

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers that were measured, by the names that trackers show."""
        found = {
            self.metric: self.score,
            "gain": self.gain,
            "gain_low": self.gain_low,
            "gain_high": self.gain_high,
            "believed": self.believed,
            "probability": self.probability,
            "seconds": self.seconds,
            **{f"secondary/{name}": value for name, value in self.secondary.items()},
        }
        return {name: value for name, value in found.items() if value is not None}

    def nested(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            **self.facts,
            "constants": dict(self.constants),
            "secondary": dict(self.secondary),
            "curve": [list(point) for point in self.curve],
        }

    def flat(self) -> dict[str, Value]:
        """One value a column: `constant.LR`, `secondary.latency_ms`, the curve as JSON text."""
        return {
            **self.facts,
            **{f"constant.{name}": value for name, value in self.constants.items()},
            **{f"secondary.{name}": value for name, value in self.secondary.items()},
            "curve": json.dumps([list(point) for point in self.curve]) if self.curve else "",
        }


SINGLE = tuple(one.name for one in fields(Row) if one.name not in APART)


def row_of(attempt: Attempt, lab: str, metric: Metric, constants: Mapping[str, Value]) -> Row:
    """One attempt of this lab, with its runs and their results. What only people may see of it (`watch`) stays out."""
    one, found = attempt.experiment, attempt.experiment.verdict
    low, high = found.interval or (None, None)
    mark = f"{lab}/{one.campaign}/{one.number}"
    moved = [f"{name}: {'none' if a is None else a} → {'none' if b is None else b}" for name, a, b in one.knobs]
    row = Row(
        id=hashlib.sha256(mark.encode()).hexdigest()[:16],
        lab=lab,
        campaign=one.campaign,
        experiment=one.number,
        kind=str(one.kind),
        status=str(attempt.status),
        label=attempt.label,
        verdict=found.decision,
        reason=clean_line(found.reason or attempt.reason, 400),
        metric=metric.name,
        direction=metric.direction,
        unit=metric.unit,
        score=attempt.score,
        gain=attempt.gain,
        gain_low=low,
        gain_high=high,
        believed=found.believed,
        probability=found.probability,
        seeds=len({run.seed for run in attempt.runs if run.judged}),
        looks=found.looks,
        commit=one.commit_sha or one.snapshot,
        snapshot=one.snapshot,
        base=one.base,
        description=clean_line(one.description),
        hypothesis=clean_block(one.hypothesis),
        client=one.proposer.client,
        client_version=one.proposer.version,
        model=one.proposer.model,
        command=one.proposer.command,
        tokens=one.proposer.tokens,
        cost_usd=one.proposer.cost_usd,
        style=one.style or "",
        theme=one.theme,
        moved=clean_line("; ".join(moved), 400),
        seconds=round(attempt.seconds, 3),
        opened_at=one.opened_at,
        decided_at=one.decided_at or "",
        constants=constants,
        secondary=_secondary(attempt),
        curve=_curve(attempt),
    )
    return without_secrets(row)


def without_secrets(row: Row) -> Row:
    """The row with nothing in it that looks like a key or a token: a tracker keeps what it was sent."""
    texts = {name: str(getattr(row, name)) for name in WRITTEN}
    constants = {name: value for name, value in row.constants.items() if isinstance(value, str)}
    if not find_secrets("", "\n".join(texts.values())) and not in_constants(constants.items()):
        return row
    told: dict[str, Any] = {name: HELD_BACK for name, text in texts.items() if find_secrets("", text)}
    held = {name: HELD_BACK for name, value in constants.items() if in_constants([(name, value)])}
    told |= {"moved": HELD_BACK} if any(name in row.moved for name in held) else {}
    return replace(row, **told, constants={**row.constants, **held})


def _secondary(attempt: Attempt) -> dict[str, float]:
    """Means over the runs that count."""
    heard: defaultdict[str, list[float]] = defaultdict(list)
    for run in attempt.runs:
        if run.judged and run.result is not None:
            for name, value in run.result.secondary.items():
                heard[name].append(value)
    return {name: fmean(values) for name, values in heard.items()}


def _curve(attempt: Attempt) -> tuple[tuple[int, float], ...]:
    """Of the first run that has one, as the page of the attempt shows it."""
    told = (run.result.curve for run in attempt.runs if run.result is not None and run.purpose != Purpose.EXAM)
    return tuple((point.step, point.loss) for point in next((curve for curve in told if curve), ()))


def constants_of(found: Mapping[str, str], moved: Collection[str]) -> dict[str, Value]:
    """Of all constants of a source those in CAPITALS, and the others that some attempt of the campaign has moved."""
    return {name: _value(text) for name, text in found.items() if _CAPITALS.match(_root(name)) or _bare(name) in moved}


def _root(name: str) -> str:
    return re.split(r"[.\[]", name, maxsplit=1)[0]


def _bare(name: str) -> str:
    return re.sub(r"\[\d+\]$", "", name)


def _value(text: str) -> Value:
    try:
        found = ast.literal_eval(text)
    except NO_LITERAL:
        found = text
    if isinstance(found, bool | int | float) and len(text) < 30:
        return found
    return clean_line(found if isinstance(found, str) else text, TEXT_OF_A_VALUE)
