"""program.md: its YAML front matter becomes an Arena, checked to the line; the prose below it is the memo.

Unknown keys, wrong types and contradictory values are refused with the line number and what is allowed. Nothing here
looks at the rest of the repository: whether the named files exist is the workspace's question.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import re
import shlex
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mcp_server.arena import shellwords
from mcp_server.arena.frontmatter import split
from mcp_server.arena.wording import explain
from mcp_server.arena.yamllines import Loader, read
from mcp_server.nouns.errors import ArenaError

PROGRAM_LIMIT_BYTES = 256_000
MOST_FOLDERS = 200  # of one folder, in which a program.md is looked for that may have been meant
LANGUAGE_MODEL_SCORER = "mcp_server.scoring.lm"
PRINTED_SCORER = "mcp_server.scoring.printed"  # takes the score from what the run printed: its claim


def _inside(pattern: str) -> str:
    """A path or pattern relative to the repository that cannot leave it."""
    parts = PurePosixPath(pattern).parts
    if not parts or pattern.startswith(("/", "~", "-")) or ".." in parts or "\\" in pattern or "\0" in pattern:
        raise ValueError(f"{pattern!r} must be a path inside the repository, such as train.py, src/ or src/**/*.py")
    if parts[0] == ".git" or pattern in ("*", "**", "."):
        raise ValueError(f"{pattern!r} is too wide or belongs to git; name the files")
    return pattern


def _command(text: str, info: ValidationInfo) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"not a command line: {str(error).lower()}") from None
    if not words:
        raise ValueError("must be a command line, such as: python train.py")
    # a program that is in force already goes on as it was understood when it was taken in
    wrong = None if (info.context or {}).get("in_force") else shellwords.complaint(text)
    if wrong:
        raise ValueError(wrong)
    return text


def _devices(text: str) -> str:
    if not re.fullmatch(r"auto|cpu(:\d+(,\d+)*)?|cuda:\d+(\.\d+)?(,\d+(\.\d+)?)*", text):
        raise ValueError(
            "must be auto, cpu, cpu:0,1,2 (so many runs at once on the processor) or cuda:0,1 (numbers of cards; 0.1 "
            "is an instance of a divided one)"
        )
    return text


Inside = Annotated[str, AfterValidator(_inside)]
Command = Annotated[str, AfterValidator(_command)]


def _is_numeric(kind: Any) -> bool:
    """Whether numbers belong into a field of this type."""
    return kind in (int, float) or any(_is_numeric(part) for part in get_args(kind))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and _is_numeric(cls.model_fields[info.field_name or ""].annotation):
            return _new(value, info, "must be a number, which true and false are not; for none leave the key out")
        return value

    @field_validator("*")
    @classmethod
    def _finite(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, float) and not math.isfinite(value):
            return _new(value, info, "must be a finite number; for none leave the key out")
        return value


def _new(value: object, info: ValidationInfo, wrong: str) -> object:
    """Raises ValueError, but for a value that was taken in before it was refused."""
    if (info.context or {}).get("in_force"):
        return value
    raise ValueError(wrong)


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
    disk_gb: float | None = Field(default=None, gt=0)  # of all folders of the lab's runs; nothing runs beyond
    score_seconds: float = Field(default=900, gt=0, le=7 * 86400)
    # of programs for older versions, which stopped hopeless runs: every run is trained to its end (dev/LOG.md)
    early_abort: Literal["auto", "never"] = "auto"


class KeepRule(_Section):
    """When a gain counts. `auto` follows the measured noise (docs/referee.md)."""

    min_delta: Annotated[float, Field(ge=0)] | Literal["auto"] = "auto"
    confirm: Literal["auto", "always", "never"] = "auto"
    simplicity: bool = True
    # whether the incumbent is trained beside an attempt, at the same time (docs/pairing.md)
    pairing: Literal["auto", "side_by_side", "sequential"] = "auto"


class StopRule(_Section):
    """When the campaign is over; null is never. `experiments`: attempts, the baseline among them and no repeats;
    `stale`: of these since the last keep; `cost`: US dollars."""

    experiments: int | None = Field(default=None, gt=0)
    hours: float | None = Field(default=None, gt=0)
    target: float | None = None
    stale: int | None = Field(default=None, gt=0)
    cost: float | None = Field(default=None, gt=0)
    tokens: int | None = Field(default=None, gt=0)


def _margin(value: object) -> object:
    """A share written as "5 %" stays text; a number is one in the metric's unit."""
    if isinstance(value, str) and not re.fullmatch(r"\s*\d+(\.\d+)?\s*%\s*", value):
        raise ValueError('must be a share such as "5 %", or a number in the unit of the metric')
    return value


class Guard(_Section):
    """Bounds on one secondary metric; outside them a candidate cannot be kept. `margin`: so much worse than the
    incumbent's it may be, a share ("5 %") or in its unit, judged on the bound of the interval; it needs `direction`."""

    min: float | None = None
    max: float | None = None
    direction: Literal["minimize", "maximize"] | None = None
    margin: Annotated[Annotated[float, Field(ge=0)] | str | None, BeforeValidator(_margin)] = None

    @property
    def margin_is_share(self) -> bool:
        return isinstance(self.margin, str)

    @property
    def margin_value(self) -> float:
        """In the unit of the metric, or as a share of the incumbent's value."""
        if isinstance(self.margin, str):
            return float(self.margin.strip().removesuffix("%")) / 100.0
        return self.margin or 0.0

    @model_validator(mode="after")
    def _agree(self) -> Guard:
        if self.min is None and self.max is None and self.margin is None:
            raise ValueError("give min, max or both, or direction and margin")
        if (self.margin is None) != (self.direction is None):
            raise ValueError("direction and margin go together: {direction: minimize, margin: 5 %}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        return self


class Suite(_Section):
    """A further score command, whose score may not fall beyond its own noise."""

    score: Command
    direction: Literal["minimize", "maximize"] = "maximize"


def _suite(value: object) -> object:
    """A mere command line is a score command of which more is better."""
    if isinstance(value, dict):
        return {name: {"score": one} if isinstance(one, str) else one for name, one in value.items()}
    return value


class Part(_Section):
    """One of several primary metrics. With weights in all of them their weighted sum is the score, without a keep is a
    step on the Pareto front."""

    direction: Literal["minimize", "maximize"]
    weight: float | None = Field(default=None, gt=0)


class EngineRule(_Section):
    """Where runs are made: on this machine, or on the nodes of a Ray cluster (docs/ray.md), each with `resources`."""

    name: Literal["local", "ray"] = "local"
    address: str = Field(default="auto", pattern=r"^(auto|[A-Za-z0-9_.-]+:\d{1,5})$")
    resources: dict[Annotated[str, Field(pattern=r"^[A-Za-z][\w.:/-]{0,59}$")], Annotated[float, Field(gt=0)]] = {}

    @model_validator(mode="after")
    def _agree(self) -> EngineRule:
        if self.name == "local" and (self.resources or self.address != "auto"):
            raise ValueError("address and resources are a Ray cluster's; write name: ray")
        if self.gpus != int(self.gpus):
            raise ValueError("a run has whole GPUs; write GPU: 1, or GPU: 2 for pairs on two cards")
        return self

    @property
    def gpus(self) -> float:
        """Cards that one run has."""
        return self.resources.get("GPU", 0.0)


class Claim(_Section):
    """A gain that is claimed before anything was measured; the closing exam decides on it."""

    gain: float = Field(gt=0)
    by: Literal["exam"] = "exam"


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
    threads: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = "auto"  # of one trainer
    engine: EngineRule = EngineRule()
    keep: KeepRule = KeepRule()
    checks: tuple[Command, ...] = ()
    stop: StopRule = StopRule()
    secondary: dict[str, Guard] = {}
    claim: Claim | None = None  # fixed with the campaign's start
    watch: bool = False  # every run is also scored on a third draw, which only people see
    suite: Annotated[dict[str, Suite], BeforeValidator(_suite)] = {}
    view: Command | None = None  # makes a picture of each scored attempt, for people
    # of the score command's answer: `secondary`, or the metric's own name for `score`
    metrics: dict[str, Part] = {}
    readable: tuple[str, ...] = ()
    require_sandbox: bool = False
    # what replies, page and report say of single examples, where the scorer answers `units`
    units: Literal["hidden", "counts", "shown"] = "counts"
    # whether they stand for others, on which a gain has to hold too, or are all that count (rules of a rubric)
    units_are: Literal["sample", "all"] = "sample"
    score_incumbent: bool = False  # the scorer also measures the incumbent, in the candidate's own slot
    # a folder of the lab's state that the score command alone may write: what it hands over to the world and back
    handover: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    style: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")

    @model_validator(mode="after")
    def _agree(self) -> Arena:
        both = set(self.editable) & set(self.frozen)
        if both:
            raise ValueError(f"{', '.join(sorted(both))} cannot be editable and frozen at once")
        if self.keep.pairing == "side_by_side" and (self.score_incumbent or self.handover):
            raise ValueError(
                "keep.pairing: side_by_side trains the incumbent beside each attempt, which says nothing where the "
                "score command measures it (score_incumbent) or the world answers (handover)"
            )
        self._agree_on_metrics()
        if self.engine.name == "ray" and self.handover:
            raise ValueError("handover is a folder of this machine, which no node of a Ray cluster sees: engine: local")
        if self.engine.name == "ray" and self.devices.startswith("cuda:"):
            raise ValueError("the cluster chooses the cards of a run: devices: auto, engine: resources: {GPU: 1}")
        for path in self.editable:
            if path == "program.md":
                raise ValueError("program.md is the human's; it cannot be editable")
        return self

    def _agree_on_metrics(self) -> None:
        parts = list(self.metrics.values())
        if not parts:
            return
        weighted = [part.weight is not None for part in parts]
        if len(parts) < 2:
            raise ValueError("metrics: name two at least, or leave it out")
        if any(weighted) and not all(weighted):
            raise ValueError("metrics: give each a weight, or none of them for a Pareto front")
        own = self.metrics.get(self.metric.name)
        if not any(weighted) and own is None:
            raise ValueError(f"metrics: a Pareto front has the metric {self.metric.name} as one of its metrics")
        if not any(weighted) and own is not None and own.direction != self.metric.direction:
            raise ValueError(f"metrics: {self.metric.name} has another direction than `metric`")

    @property
    def weights(self) -> dict[str, float]:
        """By what each metric counts in the score; positive where more of it makes the score larger. {} without."""
        towards = self.metric.direction
        return {
            name: part.weight if part.direction == towards else -part.weight
            for name, part in self.metrics.items()
            if part.weight is not None
        }

    @property
    def front(self) -> dict[str, Part]:
        """The primary metrics beside the score, where a keep is a step on their Pareto front; {} elsewhere."""
        return {name: part for name, part in self.metrics.items() if part.weight is None and name != self.metric.name}

    @property
    def scores_language_models(self) -> bool:
        """Whether the built-in language-model scorer is asked; such a lab needs a prepared corpus."""
        return LANGUAGE_MODEL_SCORER in shlex.split(self.score)

    @property
    def claimed(self) -> bool:
        """Whether the score is only what the run printed: nobody but the run has measured it."""
        return PRINTED_SCORER in shlex.split(self.score)

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
        raise ArenaError(_missing(path)) from None
    except OSError as error:
        raise ArenaError(f"{path} cannot be read: {error.strerror}. Check the file and its permissions.") from None
    if len(raw) > PROGRAM_LIMIT_BYTES:
        raise ArenaError(f"{path.name} has {len(raw)} bytes; the limit is {PROGRAM_LIMIT_BYTES}. Shorten the memo.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArenaError(f"{path.name} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    return parse_program(text, path.name)


def _missing(path: Path) -> str:
    """There is no program.md where it belongs: where one may be meant, and what to do."""
    found = _elsewhere(path)
    if not found:
        return (
            f"There is no {path.name} in {path.parent}. `autoresearch init` proposes one for what is there, "
            "`autoresearch new` begins from a template."
        )
    first = found[0]
    if first.parent == path.parent:
        return f"There is no {path.name} in {path.parent}, but {first.name}. Rename it: git mv {first.name} {path.name}"
    inside = first.relative_to(path.parent).as_posix()
    return (
        f"There is no {path.name} at the top of the repository {path.parent}, but {inside}. Move it up with "
        f"`git mv {shlex.quote(inside)} {path.name}` (paths in it count from the top), or make {first.parent.name} a "
        f"repository of its own with `git init {shlex.quote(str(first.parent))}`."
    )


def _elsewhere(path: Path) -> list[Path]:
    """Files that may have been meant: another spelling beside it, or one in a folder below, two levels at most."""
    wanted, found = path.name.lower(), []
    for folder in (
        path.parent,
        *_folders(path.parent),
        *(two for one in _folders(path.parent) for two in _folders(one)),
    ):
        with contextlib.suppress(OSError):
            found += [one for one in sorted(folder.iterdir()) if one.name.lower() == wanted and one.is_file()]
    return found


def _folders(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [one for one in sorted(folder.iterdir())[:MOST_FOLDERS] if one.is_dir() and one.name[0] not in "._"]
    return []


@functools.lru_cache(maxsize=64)  # every verb reads it, and a text never changes its meaning
def parse_program(text: str, name: str = "program.md", in_force: bool = False) -> Program:
    """Arena and memo of a program's text; one that is `in_force` is read as it was taken in. Raises ArenaError."""
    parts = split(text, name)
    # one that is in force was taken in by YAML's own rules of what is a number
    loader = yaml.SafeLoader if in_force else Loader
    node, data = read(parts.yaml, name, parts.first, "Compare with the example in the README.", loader)
    if not isinstance(data, dict) or node is None:
        raise ArenaError(
            f"{name}, line {parts.first}: front matter must be `key: value` lines. "
            f"Allowed keys: {', '.join(Arena.model_fields)}."
        )
    try:
        arena = Arena.model_validate(data, context={"in_force": in_force})
    except ValidationError as error:
        raise ArenaError(explain(error, node, name, parts.first, Arena)) from None
    return Program(arena, parts.memo, text)
