"""What a run sees of the machine: its variables and its walls. Nothing of the user's environment leaks in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.files import remove
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunSpec, Tier
from mcp_server.programs import commands as programs
from mcp_server.programs import uv
from mcp_server.programs.commands import PYTHON_NAMES
from mcp_server.runner.machine import cores, nvidia
from mcp_server.runner.machine.devices import Lease, gpus_of
from mcp_server.runner.machine.leaving import with_own_package
from mcp_server.runner.process import compiled
from mcp_server.runner.process.clock import free_startup
from mcp_server.runner.sandbox import Confinement
from mcp_server.runner.sandbox.confinement import library_folders
from mcp_server.secrecy.hidden import hidden_copies

LANGUAGE_MODEL_SCORER = "mcp_server.scoring.lm"
SAMPLE = "mcp_server.views.sample"  # a view command of ours
PRINTED_SCORER = "mcp_server.scoring.printed"
AUDITED_AGAIN = 8  # the audit of an incumbent's half looks at this part of the positions
MOST_THREADS = 16  # beside a GPU; more only wait
DATA_HALF = "public"  # of a prepared corpus: what a trainer may see


@dataclass(frozen=True)
class Surroundings:
    """What is the same for every command of one run."""

    paths: RunPaths
    spec: RunSpec
    lease: Lease
    tier: Tier
    shown: RunPaths | None = None  # the run whose folder names a T2 sandbox shows instead: a half looks like the other

    @property
    def names(self) -> RunPaths:
        """The folders as a sandboxed command sees them: what is untrusted must not know which half of a pair it is."""
        return self.shown if self.shown is not None and self.tier is Tier.T2 else self.paths

    @property
    def places(self) -> dict[Path, Path]:
        """Where those of the names lie that are no real ones."""
        here, names = self.paths, self.names
        own = (here.work, here.out, here.artifact, here.compiled)
        shown = (names.work, names.out, names.artifact, names.compiled)
        return {name: place for name, place in zip(shown, own, strict=True) if name != place}

    @property
    def scratch(self) -> Path:
        """HOME and TMPDIR below T2; made anew for every command."""
        return self.paths.folder / "scratch"

    def renew_scratch(self) -> None:
        """Nothing that one command leaves in its home is found by the next. Raises OSError."""
        remove(self.scratch)
        self.scratch.mkdir(mode=0o700)
        for name, target in self.spec.in_home.items():
            (self.scratch / name).parent.mkdir(parents=True, exist_ok=True)
            os.symlink(target, self.scratch / name)

    def command_line(self, command: tuple[str, ...], cwd: Path) -> list[str]:
        """A command of the arena as it is started, in the environment that the campaign runs in."""
        alone = self.tier is not Tier.T1
        return programs.command_line(command, self.spec.environment, cwd, self.spec.tree, self.spec.readable, alone)

    @property
    def scorer_home(self) -> Path:
        """HOME and TMPDIR of our own scorer: it may live beside a trainer, which can write in `scratch` below T2."""
        return self.paths.folder / "scorer"

    @property
    def hidden(self) -> tuple[Path, ...]:
        """The lab's state (ledger, other runs, vault), and copies of the corpus's sealed text that lie elsewhere."""
        state = self.spec.queue.parent
        lab = (state, state.parent) if state.parent.name == ".git" else (state,)
        return (*lab, *hidden_copies(self.spec.data))


def threads(spec: RunSpec, lease: Lease) -> int:
    """How many threads a run should use. On the processor clock one: it is the most repeatable by far."""
    share = 2 if spec.pairing == "side_by_side" else 1
    processors = max(1, cores.usable() // share // _places(spec))
    return thread_count(spec.threads, spec.budget.clock, lease.card is not None, processors)


def thread_count(asked: int | None, clock: str, on_gpu: bool, processors: int) -> int:
    """The same from numbers: AUTORESEARCH_THREADS first, then what program.md asks for, then what suits the clock."""
    wanted = os.environ.get("AUTORESEARCH_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    if asked is not None:
        return asked
    if on_gpu:
        return min(MOST_THREADS, processors)
    return 1 if clock == "cpu" else processors


def scorer_threads(spec: RunSpec) -> int:
    """How many threads our own scorer uses: no clock counts them, and others may train meanwhile."""
    return max(1, min(MOST_THREADS, cores.usable() // _places(spec)))


def _places(spec: RunSpec) -> int:
    """How many runs share the processor."""
    return sum(device.startswith("cpu") for device in spec.devices) or 1


def variables(around: Surroundings, cwd: Path) -> dict[str, str]:
    """Variables of every command: trainer, checks, scorer."""
    found = around.spec.environment
    count = str(threads(around.spec, around.lease))
    lease = around.lease
    env = {
        "PATH": os.pathsep.join(programs.search_path(found)),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        # spinning threads use the processor time of the budget, and of every neighbour, for nothing
        "OMP_WAIT_POLICY": "passive",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "" if lease.card is None else nvidia.shown_as(lease.card),
        "AUTORESEARCH_DEVICE": lease.device.partition(":")[0],
        "AUTORESEARCH_THREADS": count,
        "AUTORESEARCH_SEED": str(around.spec.seed),
    }
    if library_folders():
        env["LD_LIBRARY_PATH"] = ":".join(library_folders())
    if around.spec.data is not None:
        env["AUTORESEARCH_DATA"] = str(around.spec.data)
    if found is not None:
        env |= found.variables
        if found.sources:
            env["PYTHONPATH"] = os.pathsep.join(str(cwd / source) for source in found.sources)
        if found.uv is not None:
            env["UV_CACHE_DIR"] = str(Path("/tmp" if around.tier is Tier.T2 else around.scratch) / "uv-cache")
            env |= {} if around.tier is not Tier.T1 else uv.told_alone(found)
    if around.tier is not Tier.T2:
        env["HOME"] = env["TMPDIR"] = str(around.scratch)
    return env


def for_trainer(around: Surroundings, marks_fd: int, tasks: int) -> Confinement:
    """The snapshot and the public half of the corpus to read, one folder to write; another one for a compiler."""
    budget, data, names = around.spec.budget, around.spec.data, around.names
    env = variables(around, names.work) | {
        "AUTORESEARCH_OUT": str(names.out),
        "AUTORESEARCH_BUDGET_SECONDS": repr(budget.seconds),
        "AUTORESEARCH_CLOCK": budget.clock,
        "AUTORESEARCH_STARTUP_FREE": repr(free_startup(budget, around.spec.usual_spent_seconds)),
        "AUTORESEARCH_MARKS": str(marks_fd),
    }
    write: tuple[Path, ...] = (names.out,)
    if around.paths.compiled.exists():
        env.setdefault(compiled.VARIABLE, str(names.compiled))  # whoever names another one has that
        write += (names.compiled,)
    public = () if data is None else (data / DATA_HALF,)
    sealed = () if data is None else (data,)
    return Confinement(
        read=(names.work, *public, *_further(around)),
        write=write,
        cwd=names.work,
        env=env,
        fds=(marks_fd,),
        gpus=gpus_of(around.lease.device),
        hide=(*around.hidden, *sealed),
        scratch=around.scratch,
        home=around.spec.in_home,
        places=around.places,
        shared_memory=True,
        tasks=tasks,
    )


def for_check(around: Surroundings, tasks: int) -> Confinement:
    """A check sees the snapshot and the public data, and can keep nothing."""
    data = around.spec.data
    return Confinement(
        read=(around.paths.work, *(() if data is None else (data / DATA_HALF,)), *_further(around)),
        write=(),
        cwd=around.paths.work,
        env=variables(around, around.paths.work),
        gpus=gpus_of(around.lease.device),
        hide=around.hidden,
        scratch=around.scratch,
        home=around.spec.in_home,
        shared_memory=True,
        tasks=tasks,
    )


def for_scorer(around: Surroundings, marks_fd: int, tasks: int) -> Confinement:
    """A score command sees the artifact, the snapshot, the trusted tree and all data, and answers on its stdout.

    It writes nothing, but for the arena's hand-over folder and that of its units, which no other command ever sees.
    """
    spec, paths = around.spec, around.paths
    trusted = is_language_model_scorer(spec.score_command)
    seen = paths if trusted else around.names  # ours has no walls; it shows its hosts the other name itself
    env = variables(around, paths.trusted) | spec.scorer_environment
    env |= {
        "AUTORESEARCH_ARTIFACT": str(seen.artifact),
        "AUTORESEARCH_SNAPSHOT": str(seen.work),
        "AUTORESEARCH_SPLIT": spec.split,
        "AUTORESEARCH_AUDIT_POSITIONS": str(spec.audit_positions),
        "AUTORESEARCH_TIER": str(around.tier),
        "AUTORESEARCH_SCORE_LOG": str(paths.score_log),
        "AUTORESEARCH_MARKS": str(marks_fd),
        "AUTORESEARCH_UNITS": str(paths.units),
    }
    if around.shown is not None:
        # the incumbent was audited in full when it was kept; claims that are too good would only harm its successor
        env["AUTORESEARCH_AUDIT_POSITIONS"] = str(spec.audit_positions // AUDITED_AGAIN)
        env["AUTORESEARCH_SNAPSHOT_AS"] = str(around.names.work)
        env.pop("AUTORESEARCH_SUSPECT_BELOW", None)
    if trusted:
        env["AUTORESEARCH_CARDS"] = ",".join(map(str, gpus_of(around.lease.device)))
    if trusted and spec.usual_hosts is not None:
        env["AUTORESEARCH_HOSTS_USUAL"] = spec.usual_hosts.model_dump_json()
    if spec.secret is not None:
        env["AUTORESEARCH_SECRET"] = spec.secret
    if spec.handover is not None:
        # the name by which the world knows this run, however often its scorer is asked
        env["AUTORESEARCH_RUN"] = f"{spec.campaign}-{spec.experiment}-{spec.run}"
        env["AUTORESEARCH_HANDOVER"] = str(spec.handover)
    return Confinement(
        read=(seen.artifact, seen.work, paths.trusted, *(() if spec.data is None else (spec.data,)), *_further(around)),
        write=(paths.units,) if spec.handover is None else (paths.units, spec.handover),
        cwd=paths.trusted,
        env=env,
        fds=(marks_fd,),
        gpus=gpus_of(around.lease.device),
        hide=around.hidden,
        scratch=around.scratch,
        home=around.spec.in_home,
        shared_memory=True,
        places=around.places,
        tasks=tasks,
    )


def for_view(around: Surroundings, tasks: int) -> Confinement:
    """A view command sees what a check sees and the artifact; no sealed data, no draw, no secret and no card."""
    names, paths, data = around.names, around.paths, around.spec.data
    env = variables(around, paths.trusted) | {
        "CUDA_VISIBLE_DEVICES": "",
        "AUTORESEARCH_ARTIFACT": str(names.artifact),
        "AUTORESEARCH_SNAPSHOT": str(names.work),
        "AUTORESEARCH_VIEW": str(paths.drawing),
    }
    if around.spec.view[1:3] == ("-m", SAMPLE):
        env = with_own_package(env)
    public = () if data is None else (data / DATA_HALF,)
    return Confinement(
        read=(names.artifact, names.work, paths.trusted, *public, *_further(around)),
        write=(paths.drawing,),
        cwd=paths.trusted,
        env=env,
        hide=(*around.hidden, *(() if data is None else (data,))),
        scratch=around.scratch,
        home=around.spec.in_home,
        shared_memory=True,
        places=around.places,
        tasks=tasks,
    )


def is_language_model_scorer(command: tuple[str, ...]) -> bool:
    """`python -m mcp_server.scoring.lm`: our own scorer, the only one that is trusted to run without walls."""
    return len(command) >= 3 and command[0] in PYTHON_NAMES and command[1:3] == ("-m", LANGUAGE_MODEL_SCORER)


def is_printed_scorer(command: tuple[str, ...]) -> bool:
    """`python -m mcp_server.scoring.printed NAME`: it takes the number that the run printed."""
    return len(command) >= 3 and command[0] in PYTHON_NAMES and command[1:3] == ("-m", PRINTED_SCORER)


def _further(around: Surroundings) -> tuple[Path, ...]:
    """What the arena lets runs read, and the environment they run in."""
    found = around.spec.environment
    return (*around.spec.readable, *(() if found is None else found.shown))
