"""How ripe a work process is for automated research: five properties, a place on a map, advice, a template. Pure.

The five: an objective score, fast and cheap iterations, a bounded environment, a low cost of a bad attempt, traces
left. They are what a person says of the process, in a YAML file; nothing is measured here. Mistakes are refused with
their line.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mcp_server.arena.yamllines import line_of, read
from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.refusals import given, is_union_branch, nearest, sentence

LARGEST_BYTES = 256_000
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0, "mo": 30 * 86400.0, "y": 365 * 86400.0}
WORDS = {
    "s": r"s|secs?|seconds?", "min": r"m|min|mins|minutes?", "h": r"h|hrs?|hours?", "d": r"d|days?",
    "w": r"w|weeks?", "mo": r"mo|months?", "y": r"y|years?",
}  # fmt: skip
FAST_SECONDS = 6 * 3600.0  # several iterations in a working day
AUTOMATIC = 50.0  # per cent: from here on a program gives most of the verdict
FASTEST, SLOWEST = 60.0, 90 * 86400.0  # where speed counts 10 and 0
CHEAPEST, DEAREST = 0.1, 10_000.0  # of one attempt
WEAK = 3.0  # a property this low decides the advice

Rating = Annotated[float, Field(ge=0, le=10)]


def duration(given: object) -> object:
    """Seconds of "5 minutes"; a number is seconds already. Raises ValueError."""
    if isinstance(given, str):
        for unit, words in WORDS.items():
            found = re.fullmatch(rf"(\d+(?:\.\d+)?)\s*(?:{words})", given.strip().lower())
            if found:
                return float(found[1]) * UNITS[unit]
        raise ValueError("must be a duration, such as 90 s, 5 minutes, 2 days, 3 months")
    return given


class Process(BaseModel):
    """One kind of work, as its owner sees it. See skills/arena/examples/processes.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: str = Field(min_length=1, max_length=40)
    automatic: float = Field(ge=0, le=100)
    iteration: Annotated[float, BeforeValidator(duration), Field(gt=0, le=10 * UNITS["y"])]
    cost: float | None = Field(default=None, ge=0)
    bounded: Rating
    safe: Rating
    traces: Rating
    produces: Literal[
        "language model", "model", "program", "plan", "text", "deployment", "software",
        "portfolio", "bids", "creative", "player", "ranking", "checklist", "prompt",
    ] | None = None  # fmt: skip
    note: str = Field(default="", max_length=200)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", defer_build=True)

    processes: list[Process] = Field(min_length=1, max_length=100)


TEMPLATES = {
    "language model": "lm", "model": "tabular", "program": "speed", "plan": "packing", "text": "rubric",
    "deployment": "delayed", "software": "ralph", "portfolio": "backtest", "bids": "bidding", "creative": "ads",
    "player": "game", "ranking": "ranking", "checklist": "contracts", "prompt": "prompt",
}  # fmt: skip
FIELDED = ("bids", "creative", "portfolio")  # their templates have the field, or stand in for it


@dataclass(frozen=True)
class Quadrant:
    """A corner of the map: its words, and what to do with the processes in it."""

    words: str
    advice: str


LOOP = Quadrant("loop it", "Write the arena, prove it with check-arena, let it run overnight.")
FIELD = Quadrant(
    "field it",
    "Score answers later: several attempts in the field at once, a heartbeat, guard rails before anything is deployed; "
    "look for a simulator or an early sign that ranks attempts the same way.",
)
RUBRIC = Quadrant(
    "make it countable",
    "Turn what the judge looks for into rules that can be counted; let people judge a sample, and count their "
    "disagreement as noise.",
)
ASSIST = Quadrant(
    "assist a person", "No loop. Let people decide, help them, and begin to write down attempts and outcomes."
)


@dataclass(frozen=True)
class Placed:
    """A process with what follows from it. Properties from 0 to 10, each the higher the riper."""

    process: Process
    score: float
    speed: float
    ripe: float
    quadrant: Quadrant
    advice: str
    template: str

    @property
    def properties(self) -> dict[str, float]:
        process = self.process
        return {
            **{"objective score": self.score, "fast and cheap": self.speed, "bounded": process.bounded},
            **{"bad attempts are cheap": process.safe, "traces": process.traces},
        }


def placed(process: Process) -> Placed:
    """Where a process stands, and what to do about it."""
    score = process.automatic / 10
    speed = _between(process.iteration, FASTEST, SLOWEST)
    if process.cost is not None:
        speed = min(speed, _between(process.cost, CHEAPEST, DEAREST))
    five = (score, speed, process.bounded, process.safe, process.traces)
    # half the weakest: four tens do not make up for a harm that cannot be undone
    ripe = 0.5 * min(five) + 0.5 * sum(five) / len(five)
    quadrant = quadrant_of(process)
    return Placed(
        process, score, speed, round(ripe, 1), quadrant, _advice(process, quadrant), _template(process, quadrant)
    )


def quadrant_of(process: Process) -> Quadrant:
    fast, automatic = process.iteration <= FAST_SECONDS, process.automatic >= AUTOMATIC
    return (LOOP if fast else FIELD) if automatic else (RUBRIC if fast else ASSIST)


def _between(value: float, best: float, worst: float) -> float:
    """10 at `best` and 0 at `worst`, even on a log scale."""
    if value <= best:
        return 10.0
    return max(0.0, round(10.0 * (1.0 - math.log(value / best) / math.log(worst / best)), 1))


def _advice(process: Process, quadrant: Quadrant) -> str:
    """The quadrant's advice, and what a weak property adds to it."""
    said = [quadrant.advice]
    if quadrant is not ASSIST:
        if process.safe <= WEAK:
            said.append("Only in a simulator: a person releases what goes out.")
        if process.bounded <= WEAK:
            said.append("Draw the box smaller first: what acts back outside of it will be optimised against you.")
        if process.traces <= WEAK:
            said.append("Record attempts and outcomes first.")
    return " ".join(said)


def _template(process: Process, quadrant: Quadrant) -> str:
    if quadrant is ASSIST:
        return ""
    if quadrant is FIELD and process.produces not in FIELDED:
        return "delayed"
    return TEMPLATES[process.produces] if process.produces else "rubric" if quadrant is RUBRIC else ""


def shipped_example() -> Path:
    """Where the shipped processes lie: in the package of a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "examples" / "processes.yaml"
    beside = package.parent / "skills" / "arena" / "examples" / "processes.yaml"
    return packaged if packaged.is_file() else beside


# --- the file ---------------------------------------------------------------------------------------------------------


def read_processes(path: Path) -> list[Process]:
    """The processes of a file. Raises ArenaError with the line of each mistake."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ArenaError(f"{path} cannot be read: {error.strerror}. Give a YAML file with `processes:`.") from None
    if len(raw) > LARGEST_BYTES:
        raise ArenaError(f"{path.name} has {len(raw)} bytes; the limit is {LARGEST_BYTES}. Split it.")
    try:
        return parse_processes(raw.decode("utf-8"), path.name)
    except UnicodeDecodeError as error:
        raise ArenaError(f"{path.name} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None


def parse_processes(text: str, name: str = "processes.yaml") -> list[Process]:
    """The processes of a text. Raises ArenaError."""
    node, data = read(text, name, hint=f"See {EXAMPLE}.")
    if not isinstance(data, dict) or node is None:
        raise ArenaError(f"{name}, line 1: the file must begin with `processes:`. See {EXAMPLE}.")
    try:
        return _File.model_validate(data).processes
    except ValidationError as error:
        raise ArenaError("\n".join(dict.fromkeys(_explained(error, node, name)))) from None


EXAMPLE = "the example that `autoresearch readiness --example` prints"


def _explained(error: ValidationError, node: yaml.Node, name: str) -> list[str]:
    said = []
    for problem in error.errors(include_url=False):
        place = [step for step in problem["loc"] if not is_union_branch(step)]
        what = ".".join(str(step) for step in place if isinstance(step, str)) or "processes"
        words = sentence(problem) + given(problem)
        if problem["type"] == "extra_forbidden":
            allowed = Process.model_fields if len(place) > 1 else _File.model_fields
            words = f"unknown key.{nearest(str(place[-1]), allowed)} Allowed here: {', '.join(allowed)}"
        elif problem["type"] == "missing":
            words = f"is missing. See {EXAMPLE}"
        said.append(f"{name}, line {line_of(node, place)}: `{what}` {words}.")
    return said
