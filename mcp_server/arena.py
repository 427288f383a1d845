"""program.md: its YAML front matter becomes an Arena, checked to the line; the prose below it is the memo.

Unknown keys, wrong types and contradictory values are refused with the line number and what is allowed. Nothing here
looks at the rest of the repository: whether the named files exist is the workspace's question.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shlex
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mcp_server.errors import ArenaError
from mcp_server.yamllines import line_of, refuse_repeated_keys

PROGRAM_LIMIT_BYTES = 256_000
LANGUAGE_MODEL_SCORER = "mcp_server.scoring.lm"
FRONT_MATTER = 2  # the line in which it begins


def _inside(pattern: str) -> str:
    """A path or pattern relative to the repository that cannot leave it."""
    parts = PurePosixPath(pattern).parts
    if not parts or pattern.startswith(("/", "~", "-")) or ".." in parts or "\\" in pattern or "\0" in pattern:
        raise ValueError(f"{pattern!r} must be a path inside the repository, such as train.py, src/ or src/**/*.py")
    if parts[0] == ".git" or pattern in ("*", "**", "."):
        raise ValueError(f"{pattern!r} is too wide or belongs to git; name the files")
    return pattern


def _command(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"not a command line: {error}") from None
    if not words:
        raise ValueError("must be a command line, such as: python train.py")
    return text


def _devices(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda:\d+(,\d+)*", text):
        raise ValueError("must be auto, cpu, mps or cuda:0,1 (the numbers of the cards)")
    return text


Inside = Annotated[str, AfterValidator(_inside)]
Command = Annotated[str, AfterValidator(_command)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Metric(_Section):
    """What is measured. `floor` is a value no honest result can beat; better ones are audited in full before a keep."""

    name: str = Field(pattern=r"^[A-Za-z][\w./%-]{0,39}$")
    direction: Literal["minimize", "maximize"]
    unit: str = Field(default="", max_length=24)
    floor: float | None = None


class BudgetRule(_Section):
    """Limits of one run; `clock: auto` is processor seconds on a CPU and wall seconds on a GPU."""

    seconds: float = Field(default=300, gt=0, le=30 * 86400)
    clock: Literal["auto", "wall", "cpu"] = "auto"
    startup_seconds: float = Field(default=120, ge=0, le=86400)
    grace_seconds: float = Field(default=20, ge=0, le=3600)
    memory_gb: float | None = Field(default=None, gt=0)
    log_mb: float = Field(default=8, gt=0, le=1024)
    score_seconds: float = Field(default=900, gt=0, le=7 * 86400)
    early_abort: Literal["auto", "never"] = "auto"


class KeepRule(_Section):
    """When a gain counts. `auto` follows the measured noise (docs/referee.md)."""

    min_delta: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    confirm: Literal["auto", "always", "never"] = "auto"
    simplicity: bool = True


class StopRule(_Section):
    """When the campaign is over; null is never. `stale` counts experiments since the last keep."""

    experiments: int | None = Field(default=None, gt=0)
    hours: float | None = Field(default=None, gt=0)
    target: float | None = None
    stale: int | None = Field(default=None, gt=0)


class Guard(_Section):
    """Bounds on one secondary metric; outside them a candidate cannot be kept."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _agree(self) -> Guard:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self


class Arena(_Section):
    """The contract of a lab."""

    goal: str = Field(min_length=1, max_length=400)
    metric: Metric
    editable: tuple[Inside, ...] = Field(min_length=1)
    frozen: tuple[Inside, ...] = ()
    run: Command
    score: Command
    budget: BudgetRule = BudgetRule()
    devices: Annotated[str, AfterValidator(_devices)] = "auto"
    keep: KeepRule = KeepRule()
    checks: tuple[Command, ...] = ()
    stop: StopRule = StopRule()
    secondary: dict[str, Guard] = {}
    readable: tuple[str, ...] = ()
    require_sandbox: bool = False
    score_incumbent: bool = False  # the scorer also measures the incumbent, in the candidate's own slot
    # a folder of the lab's state that the score command alone may write: what it hands over to the world and back
    handover: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    style: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")

    @model_validator(mode="after")
    def _agree(self) -> Arena:
        both = set(self.editable) & set(self.frozen)
        if both:
            raise ValueError(f"{', '.join(sorted(both))} cannot be editable and frozen at once")
        for path in self.editable:
            if path == "program.md":
                raise ValueError("program.md is the human's; it cannot be editable")
        return self

    @property
    def scores_language_models(self) -> bool:
        """Whether the built-in language-model scorer is asked; such a lab needs a prepared corpus."""
        return LANGUAGE_MODEL_SCORER in shlex.split(self.score)

    @property
    def needs_corpus(self) -> bool:
        return self.scores_language_models

    def loss(self, score: float) -> float:
        """The score as a number of which smaller is better: what the referee compares."""
        return score if self.metric.direction == "minimize" else -score


class Program:
    """One version of program.md: the arena, the memo, and the digest that names the version."""

    def __init__(self, arena: Arena, memo: str, text: str) -> None:
        self.arena, self.memo, self.text = arena, memo, text
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:12]


def load_program(path: Path) -> Program:
    """Read and check `program.md`. Raises ArenaError with the line number and what is allowed."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ArenaError(
            f"There is no {path.name} in {path.parent}. Write one with `autoresearch new`, or copy the "
            "example of the README."
        ) from None
    except OSError as error:
        raise ArenaError(f"{path} cannot be read: {error.strerror}. Check the file and its permissions.") from None
    if len(raw) > PROGRAM_LIMIT_BYTES:
        raise ArenaError(f"{path.name} has {len(raw)} bytes; the limit is {PROGRAM_LIMIT_BYTES}. Shorten the memo.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArenaError(f"{path.name} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    return parse_program(text, path.name)


@functools.lru_cache(maxsize=64)  # every verb reads it, and a text never changes its meaning
def parse_program(text: str, name: str = "program.md") -> Program:
    """Arena and memo of a program's text. Raises ArenaError."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].strip() != "---":
        raise ArenaError(
            f"{name}, line 1: front matter must start with a line of three dashes. Put the arena between "
            "two `---` lines."
        )
    end = next((i for i, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
    if end is None:
        raise ArenaError(
            f"{name}: the front matter that starts in line 1 never ends. Close it with a line of three dashes."
        )
    front = "\n".join(lines[1:end])
    try:
        node = yaml.compose(front, Loader=yaml.SafeLoader)
        data = yaml.safe_load(front)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 2}" if mark else ""
        raise ArenaError(
            f"{name}{where}: not valid YAML: {getattr(error, 'problem', error)}. Compare with the example "
            "in the README."
        ) from None
    if not isinstance(data, dict) or node is None:
        raise ArenaError(
            f"{name}, line 2: front matter must be `key: value` lines. Allowed keys: {', '.join(Arena.model_fields)}."
        )
    refuse_repeated_keys(node, name, FRONT_MATTER)
    try:
        arena = Arena.model_validate(data)
    except ValidationError as error:
        raise ArenaError(_explain(error, node, name)) from None
    return Program(arena, "\n".join(lines[end + 1 :]).strip(), text)


def _explain(error: ValidationError, node: yaml.Node, name: str) -> str:
    """All problems, one a line: where, what, and what is allowed."""
    lines = []
    for problem in error.errors():
        place = [step for step in problem["loc"] if not _is_union_branch(step)]
        line = line_of(node, place, FRONT_MATTER)
        what = ".".join(str(step) for step in place) or "front matter"
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(_section_keys(place[:-1]))
            said = f"unknown key `{what}`. Allowed here: {allowed}"
        elif problem["type"] == "missing":
            said = f"`{what}` is missing. {_hint(place)}"
        else:
            said = f"`{what}`: {problem['msg'].removeprefix('Value error, ')}"
            if not isinstance(problem.get("input"), dict):
                said += f" (it is {problem.get('input')!r})"
        lines.append(f"{name}, line {line}: {said}.")
    return "\n".join(dict.fromkeys(lines))


def _is_union_branch(step: Any) -> bool:
    return isinstance(step, str) and (
        step.startswith(("literal[", "constrained-", "function-")) or step in ("float", "int", "str")
    )


def _section_keys(place: list[Any]) -> list[str]:
    model: Any = Arena
    for step in place:
        if step == "secondary":
            return (
                ["names of secondary metrics, each with min and/or max"]
                if len(place) == 1
                else list(Guard.model_fields)
            )
        field = getattr(model, "model_fields", {}).get(step)
        model = field.annotation if field else None
    return list(getattr(model, "model_fields", {"(see the README)": None}))


def _hint(place: list[Any]) -> str:
    examples = {
        "goal": "One sentence, for example: lowest validation bits per byte in a fixed training budget",
        "metric": "For example: {name: val_bpb, direction: minimize, unit: bits/byte}",
        "editable": "For example: [train.py]",
        "run": "For example: python train.py",
        "score": f"For example: python -m {LANGUAGE_MODEL_SCORER}",
        "direction": "Allowed: minimize, maximize",
        "name": "For example: val_bpb",
    }
    return examples.get(str(place[-1]) if place else "", "See the README")
