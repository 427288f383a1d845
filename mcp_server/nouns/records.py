"""The nouns that cross a process or a disk: what a run is told, what it answers, and the states of both.

Everything here is data. Units live in the names; scores are in the arena's own unit and direction.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.refusals import first

MOST_UNITS = 20_000  # examples whose contributions one run may tell


class Record(BaseModel):
    """A frozen record that refuses unknown fields and writes itself whole or not at all."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def write(self, path: Path) -> None:
        """Write as JSON, for its owner alone: temporary file, fsync, rename.

        Raises OSError (a full disk leaves the old file whole).
        """
        write_atomically(path, self.model_dump_json(indent=1).encode(), mode=0o600)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote. Raises OSError, or ValueError that says what is wrong with it."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ValueError(f"{path.name} cannot be read: {first(error)}") from None


class Kind(StrEnum):
    """What an experiment is for."""

    BASELINE = "baseline"  # the code as it was found
    ATTEMPT = "attempt"
    RETEST = "retest"  # an edit that was tried before on another base
    PRUNE = "prune"  # takes an earlier keep back
    REPLICATION = "replication"  # another lab's edit on the own incumbent


class Purpose(StrEnum):
    """Why a run was ordered."""

    FIRST = "first"
    REPEAT = "repeat"  # the same seed once more, to measure the noise
    SEED = "seed"  # a new seed, to measure the noise
    CONFIRM = "confirm"  # one more look that a verdict asks for
    ANCHOR = "anchor"  # the incumbent again, for the machine has moved
    RETRY = "retry"  # instead of a run that counts for nothing
    EXAM = "exam"
    PROOF = "proof"  # of an arena, before any campaign


class RunState(StrEnum):
    """Where a run is. The last six are terminal: each run reaches exactly one of them, once."""

    QUEUED = "queued"
    RUNNING = "running"
    PENDING = "pending"  # the world needs time to answer; the scorer is asked again later
    SCORED = "scored"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def terminal(self) -> bool:
        return self not in (RunState.QUEUED, RunState.RUNNING, RunState.PENDING)


class Status(StrEnum):
    """Where an experiment is, as agents see it."""

    QUEUED = "queued"
    RUNNING = "running"
    PENDING = "pending"
    SCORED = "scored"  # measured, waits for a decision
    CONFIRMING = "confirming"  # the referee asked for more runs
    KEPT = "kept"
    DISCARDED = "discarded"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    LOST = "lost"
    OVERTAKEN = "overtaken"  # somebody moved the branch; the candidate stays in the vault

    @property
    def open(self) -> bool:
        """Whether runs are still awaited."""
        return self in (Status.QUEUED, Status.RUNNING, Status.PENDING, Status.CONFIRMING)


class Tier(StrEnum):
    """How well a run is shut in. See docs/trust.md."""

    T2 = "T2"  # bubblewrap: namespaces, no network, allow-listed mounts, nothing survives
    T1 = "T1"  # Landlock and a process group
    T0 = "T0"  # neither


class Budget(Record):
    """What one run may use. `seconds` is counted by `clock`; start-up and grace are always wall seconds."""

    seconds: float = Field(gt=0)
    clock: Literal["wall", "cpu"] = "wall"
    startup_seconds: float = Field(default=120, ge=0)
    grace_seconds: float = Field(default=20, ge=0)
    memory_gb: float | None = Field(default=None, gt=0)
    log_mb: float = Field(default=8, gt=0)
    output_gb: float = Field(default=16, gt=0)
    processes: int = Field(default=512, gt=0)


Pairing = Literal["", "side_by_side", "alternating"]  # how the incumbent is trained beside a run; "": it is not


class UserEnvironment(Record):
    """The Python environment in which a campaign's commands run, and what a run must be shown for it."""

    source: str  # whose it is, in words
    prefix: Path | None  # None: the server's own
    python: Path
    shown: tuple[Path, ...] = ()  # what of it a run must be able to read
    sources: tuple[str, ...] = ()  # folders of the repository that packages are imported from, as the snapshot has them
    variables: dict[str, str] = {}
    uv: Path | None = None  # where a command calls it

    def words(self) -> str:
        return f"{self.python} ({self.source})"


class Order(Record):
    """Whose a run is: one lab's, of one snapshot, ordered once. The folder, the spec, the seal and the result carry it.

    The ledger reads back only what carries the order it gave. Numbers of campaigns, experiments and runs come again
    when a ledger is lost, restored from a backup or copied; the random `run_id` never does.
    """

    lab: str  # the ledger's own random name
    snapshot: str  # the commit that is measured
    run_id: str  # random, one for each run


class HostUse(Record):
    """What a model costs where it is scored: processor seconds of the host that claims; of either, what it had read."""

    ready_seconds: float  # until it is ready
    answer_seconds: float  # for all its answers
    read_mb: float = 0.0  # from the disk while it answered; the most of any host
    traces: int | None = 0  # calls that leave something another process could find; None: nobody could count them
    audit_seconds: float = 0.0  # on the wall, from the end of the claims to the verdict


class OnCluster(Record):
    """Which cluster makes a run, and what of it the run has for itself, in Ray's words ({"GPU": 1})."""

    address: str
    resources: dict[str, float]


class Watch(Record):
    """What a scorer is told to score an artifact once more, on a third split or draw."""

    draw: str
    secret: str | None = None


class RunSpec(Record):
    """All a supervisor needs to know; it reads nothing else of the lab's."""

    order: Order | None = None  # None: a run that an older version had begun
    campaign: str
    experiment: int
    run: int
    ticket: int  # place in the lab's queue, which serves whoever has the least first, then the lowest number
    owner: str = ""  # who proposed it: the work tree
    urgent: bool = False  # a decision waits for it, so it goes before its owner's new ideas
    queue: Path  # folder of the tickets
    seed: int
    run_command: tuple[str, ...]
    score_command: tuple[str, ...]
    suite: dict[str, tuple[str, ...]] = {}  # further score commands, by name
    view: tuple[str, ...] = ()  # makes a picture of what was scored; (): none is wanted
    # by what each metric counts in the score, which is their sum then; the name of the score command's own is `metric`
    weights: dict[str, float] = {}
    metric: str = ""
    checks: tuple[tuple[str, ...], ...] = ()
    budget: Budget
    devices: tuple[str, ...]  # any one of them: "cpu", "cpu:3", "cuda:0", ...
    engine: OnCluster | None = None  # None: this machine
    editable: tuple[str, ...]
    readable: tuple[Path, ...] = ()  # more folders the run may read
    environment: UserEnvironment | None = None  # None: the server's Python
    tree: Path | None = None  # the user's work tree, to tell where a file lies that a run does not find
    in_home: dict[str, Path] = {}  # what is linked into the run's own home
    absent: tuple[str, ...] = ()  # what the arena lets the run read, but this machine has not
    handover: Path | None = None  # a folder that the scorer alone may write, shared by all runs of the lab
    data: Path | None = None  # prepared corpus; the trainer sees its public half only
    split: Literal["val", "test", "watch"] = "val"
    watch: Watch | None = None  # how to score once more, for people alone
    secret: str | None = None  # draws the test split; given to the exam's scorer alone
    audit_positions: int = Field(default=1024, ge=0)
    score_seconds: float = Field(default=600, gt=0)  # wall limit of scoring
    require_sandbox: bool = False
    abort: object = None  # an older version's rule for hopeless runs; nothing heeds it
    usual_startup_seconds: float | None = None  # the baseline's, to flag a start-up far beyond it
    usual_spent_seconds: float | None = None  # the same in the budget's clock; more is charged to it
    usual_hosts: HostUse | None = None  # of the unchanged code, or of the incumbent where that needs more
    scorer_environment: dict[str, str] = {}  # more variables for the scorer alone
    incumbent: int | None = None  # experiment whose code is laid beside the run: trained or scored in the same slot
    pairing: Pairing = ""
    threads: int | None = Field(default=None, gt=0)  # of one trainer; None: one on the processor clock, else all
    rescore: bool = False  # the artifact is sealed already: only ask the scorer again
    compiled: Path | None = None  # what the unchanged code's start-up compiled, to be copied, once there is any
    compiles: bool = False  # this is the unchanged code, and leaves it there


class Answer(Record):
    """What a supervisor says. A server that was not restarted since an upgrade passes over what it does not know."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class CurvePoint(Answer):
    """One point of the training curve, as the trainer's loader reported it. Never part of the score."""

    step: int
    tokens: int
    seconds: float
    loss: float


class DeviceReading(Answer):
    """The device a run had, and its state around the run."""

    name: str  # "cpu", "cpu:3" or "cuda:0"
    identity: str  # model and uuid, or processor model and core count
    driver: str | None = None
    clock_mhz: float | None = None
    throttled: bool | None = None
    slowed: str = ""  # by what a card slowed itself down
    temperature_c: float | None = None
    load_before: float | None = None  # foreign load: busy cores, or GPU utilisation 0..1
    load_after: float | None = None
    speed: float | None = None  # the fixed speed probe, operations per second; compares a machine with itself

    @property
    def model(self) -> str:
        """Cards of one model in one machine count as one; how much they differ is machine noise."""
        return re.sub(r"\s*\(?(GPU|MIG)-[0-9a-fA-F-]{8,}\)?", "", self.identity)


class Crash(Answer):
    """Why a run ended badly, for people: class, the last frames inside editable files, the end of the log."""

    kind: str  # e.g. "OutOfMemoryError", "no_artifact", "exit 3"
    message: str = ""
    frames: tuple[str, ...] = ()
    excerpt: str = ""


class Audit(Answer):
    """What the second, isolated host found. `correction` is mean(B - A) in the score's unit."""

    correction: float
    correction_sd: float
    largest_difference: float  # nats
    positions: int
    tolerance: float  # nats
    full: bool = False


class Half(Answer):
    """The incumbent's half of a pair: trained in the candidate's own slot, by the same clock and on the same seed.

    Its score is the record's `incumbent_score`. `reason` is "" when that exists; else it says why the pair is broken.
    """

    reason: str = ""  # reason code, as a run's own
    detail: str = ""
    steps: int | None = None
    tokens: int | None = None
    curve: tuple[CurvePoint, ...] = ()
    startup_seconds: float | None = None
    startup_spent_seconds: float | None = None
    charged_seconds: float = 0.0
    hosts: HostUse | None = None
    train_seconds: float | None = None
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    secondary: dict[str, float] = {}
    suite: dict[str, float] = {}
    interval: tuple[float, float] | None = None
    device: DeviceReading | None = None  # where the halves have devices of their own
    cores: tuple[int, ...] = ()
    artifact_sha256: str | None = None
    artifact_bytes: int | None = None
    audit: Audit | None = None


class RunResult(Answer):
    """What a supervisor answers, written once, atomically, as its last act."""

    state: RunState
    order: Order | None = None  # the one in its spec
    reason: str = ""  # reason code, see docs/reasons.md
    detail: str = ""  # a sentence or two for the agent: what happened and what usually causes it
    score: float | None = None
    interval: tuple[float, float] | None = None
    secondary: dict[str, float] = {}
    # what each example contributed to the score: it is their sum or their mean; and to the incumbent's, in this slot
    units: dict[str, float] = {}
    incumbent_units: dict[str, float] = {}
    incumbent_score: float | None = None  # of the experiment `incumbent`, measured in this run's own slot
    incumbent: int | None = None
    # how: trained beside it, or measured by the arena's own scorer; "": not at all, or by an older version
    pairing: Literal["", "side_by_side", "alternating", "scorer"] = ""
    suite: dict[str, float] = {}  # scores of the arena's further score commands, by name
    watch: float | None = None  # on the third split or draw: for people alone, and nothing is decided by it
    view: str = ""  # the file of its picture beside the run, "" without one; nothing is decided by it
    view_words: str = ""  # what was left out of the picture, or why there is none
    beside: Half | None = None  # the incumbent's half, where it was trained in this slot
    clock: Literal["", "wall", "cpu"] = ""  # the budget's; "": recorded by an older version
    cores: tuple[int, ...] = ()  # that the training was bound to; (): to none
    retry_after_seconds: float | None = None  # with state pending
    started_at: str = ""
    ended_at: str = ""
    queue_seconds: float = 0.0
    startup_seconds: float | None = None
    startup_spent_seconds: float | None = None  # before the start mark, in the budget's clock
    compiled_before: bool = False  # it began with a copy of what the unchanged code's start-up had compiled
    charged_seconds: float = 0.0  # of them to the budget: what the unchanged code does not need
    hosts: HostUse | None = None  # what the model cost where it was scored
    train_seconds: float | None = None  # start mark to sealed artifact, in the budget's clock
    wall_seconds: float | None = None  # the same stretch on the wall
    cpu_seconds: float | None = None
    score_seconds: float | None = None
    peak_memory_mb: float | None = None
    steps: int | None = None
    tokens: int | None = None
    curve: tuple[CurvePoint, ...] = ()
    device: DeviceReading | None = None
    tainted: str = ""  # why this run decides nothing ("" = clean)
    flags: tuple[str, ...] = ()  # startup_slow, suspended, checks_failed, pair_broken, unbound, ...
    tier: Tier | None = None
    node: str = ""  # of the cluster, where the run was made on one
    python: str = ""  # the interpreter that `python` meant, and whose it is
    artifact_sha256: str | None = None
    artifact_bytes: int | None = None
    crash: Crash | None = None
    audit: Audit | None = None


class RunProgress(Answer):
    """The live state of a run, replaced about twice a second; a view, never the truth."""

    phase: Literal["waiting", "starting", "training", "sealing", "scoring"]
    pid: int
    node: str = ""  # of the cluster, where the run is on one
    device: str | None = None
    elapsed_seconds: float = 0.0  # in the budget's clock once training
    budget_seconds: float = 0.0
    steps: int | None = None
    tokens: int | None = None
    loss: float | None = None
    curve: tuple[CurvePoint, ...] = ()
    scored_fraction: float | None = None
