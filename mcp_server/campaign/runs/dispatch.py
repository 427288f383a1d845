"""Prepares the folder of a run and starts its supervisor; the same call begins a run and begins it again.

Everything a supervisor reads is laid out here: the snapshot, the campaign's first commit, and the spec. The engine
holds the run from the first step on, so it never looks dead while it is being born.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from mcp_server.arena.program import Arena
from mcp_server.campaign.beginning.readable import readable_folders
from mcp_server.campaign.runs import orders, room
from mcp_server.engines import Engine
from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.files import remove, text_of
from mcp_server.nouns.paths import BESIDE, LabPaths, RunPaths
from mcp_server.nouns.records import Budget, HostUse, Kind, OnCluster, Order, Pairing, Purpose, RunSpec, Watch
from mcp_server.nouns.rows import Campaign, Experiment, Run
from mcp_server.nouns.text import clean_line
from mcp_server.programs.readable import in_home, lay, shown, sources
from mcp_server.programs.sealed import sealed
from mcp_server.repo.workspace import Workspace
from mcp_server.runner.machine.devices import available

STARTS = 3  # a supervisor that fails to begin is tried this often
TRACEBACK, LONGEST_WORDS = "Traceback (most recent call last):", 300  # of what a supervisor says when it dies
TOLERANCES = "tolerances.json"  # this lab's calibration of the audit, in the state folder


def resolve_devices(arena: Arena) -> tuple[str, ...]:
    """The devices a run may have, any one of them: every GPU, else the CPU's places, unless the arena names them.

    On a cluster these are kinds: the node that gets the run puts the cards of its lease there.
    Raises ArenaError where it names what CUDA_VISIBLE_DEVICES hides.
    """
    if arena.engine.name == "ray" and not arena.devices.startswith("cpu:"):
        return tuple(f"cuda:{card}" for card in range(int(arena.engine.gpus))) or ("cpu",)
    if arena.devices == "auto":
        found = tuple(available())
        return found if found != ("cpu",) else room.on_processor(arena.budget.clock, arena.threads)
    if arena.devices.startswith("cpu:"):
        return tuple(f"cpu:{number}" for number in arena.devices.removeprefix("cpu:").split(","))
    if arena.devices.startswith("cuda:"):
        named = tuple(f"cuda:{number}" for number in arena.devices.removeprefix("cuda:").split(","))
        visible, hidden = os.environ.get("CUDA_VISIBLE_DEVICES"), set(named) - set(available())
        if visible is not None and hidden:
            raise ArenaError(
                f"`devices` in program.md names {', '.join(sorted(hidden))}, which CUDA_VISIBLE_DEVICES={visible!r} of "
                "this process hides. Name what it leaves, write `devices: auto`, or start without that variable."
            )
        return named
    return (arena.devices,)


def resolve_budget(arena: Arena, devices: tuple[str, ...]) -> Budget:
    """On a CPU processor time is counted, on a GPU the wall: see docs/referee.md for the measurements behind it."""
    rule = arena.budget
    on_cpu = all(device.startswith("cpu") for device in devices)
    clock = rule.clock if rule.clock != "auto" else ("cpu" if on_cpu else "wall")
    return Budget(
        seconds=rule.seconds,
        clock=clock,
        startup_seconds=rule.startup_seconds,
        grace_seconds=rule.grace_seconds,
        memory_gb=rule.memory_gb,
        log_mb=rule.log_mb,
    )


@dataclass(frozen=True)
class Usual:
    """What the unchanged code of a campaign needs beside its budget, as far as it is known."""

    startup_seconds: float | None = None  # on the wall
    spent_seconds: float | None = None  # the same in the budget's clock
    hosts: HostUse | None = None


@dataclass(frozen=True)
class Plan:
    """One run as it is to be made.

    incumbent: whose code is laid beside it, to be trained as well where `pairing` says how, else for the scorer.
    home: the user's work tree, where it is not the lab's own. editable: what is laid over the campaign's first version,
    where that is more than the arena allows by now.
    """

    arena: Arena
    campaign: Campaign
    experiment: Experiment
    run: Run
    order: Order | None = None
    usual: Usual = Usual()
    suspect_below: float | None = None
    incumbent: Experiment | None = None
    pairing: Pairing = ""
    rescore: bool = False
    home: Path | None = None
    editable: tuple[str, ...] = ()


def launch(engine: Engine, workspace: Workspace, paths: LabPaths, plan: Plan) -> None:
    """Lay the run's folder out and start its supervisor, detached; harmless to repeat. The folder must be this order's.

    Raises OSError or WorkspaceError.
    """
    folder = paths.run(plan.run.campaign, plan.run.experiment, plan.run.run)
    engine.launch(folder, lambda: _lay_out(workspace, paths, plan, folder))


def _lay_out(workspace: Workspace, paths: LabPaths, plan: Plan, folder: RunPaths) -> None:
    orders.claim(folder, plan.order)
    tree = paths.tree if plan.home is None else plan.home
    named = sources(plan.arena.readable, tree, paths.common.parent)
    roots = tuple(dict.fromkeys((tree, paths.common.parent)))
    for place, commit in _code(plan, folder):
        half_made = place.with_name(place.name + ".new")
        if place.exists():
            continue
        remove(half_made)
        if place == folder.trusted:
            workspace.materialise(commit, half_made)
        else:
            over = plan.editable or plan.arena.editable
            workspace.materialise_run(plan.campaign.pinned, commit, over, half_made)
        lay(named, roots, half_made)
        os.replace(half_made, place)
    seen = shown(named)
    # asked again for every place that a link leads to: what is closed stays closed
    seen += readable_folders([str(place) for place in (*named, *seen)], paths, plan.campaign.corpus)
    readable = tuple(dict.fromkeys(place for place in seen if place.exists()))
    absent = [path for path, place in zip(plan.arena.readable, named, strict=True) if not place.exists()]
    handover = paths.handover(plan.arena.handover) if plan.arena.handover else None
    if handover is not None:
        handover.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = _told_to_scorer(paths, plan)
    if plan.incumbent is not None and not plan.pairing:
        beside = folder.incumbent(plan.incumbent.number)
        told["AUTORESEARCH_INCUMBENT"] = str(beside)
        readable += (beside,)
    spec = _spec(paths, plan, tree, _editable_files(workspace, plan.arena, plan.experiment.snapshot, folder.work))
    places = {"readable": readable, "in_home": in_home(named, Path.home()), "absent": tuple(absent)}
    spec.model_copy(update={**places, "handover": handover, "scorer_environment": told}).write(folder.spec)


def _code(plan: Plan, folder: RunPaths) -> list[tuple[Path, str]]:
    """Which commit's files lie where."""
    trees = [(folder.work, plan.experiment.snapshot), (folder.trusted, plan.campaign.pinned)]
    if plan.incumbent is not None:
        # its files are in both; what was kept is on the branch, also where git lost the snapshot
        commit = plan.incumbent.commit_sha or plan.incumbent.snapshot
        trees.append((folder.incumbent(plan.incumbent.number), commit))
    return trees


def _told_to_scorer(paths: LabPaths, plan: Plan) -> dict[str, str]:
    told = {
        "AUTORESEARCH_TOLERANCES": str(paths.state / TOLERANCES),
        "AUTORESEARCH_DRAW": draw(plan.campaign, plan.run),
    }
    if plan.suspect_below is not None:
        told["AUTORESEARCH_SUSPECT_BELOW"] = repr(plan.suspect_below)
    return told


def _spec(paths: LabPaths, plan: Plan, tree: Path, editable: tuple[str, ...]) -> RunSpec:
    """What the supervisor is told, but for places outside the run's folder."""
    arena, campaign, run = plan.arena, plan.campaign, plan.run
    devices, exam = resolve_devices(arena), run.purpose == Purpose.EXAM
    return RunSpec(
        order=plan.order,
        campaign=run.campaign,
        experiment=run.experiment,
        run=run.run,
        ticket=run.ticket,
        owner=plan.experiment.tree,
        urgent=run.purpose != Purpose.FIRST or plan.experiment.kind == Kind.BASELINE or bool(plan.experiment.joins),
        queue=paths.queue,
        seed=run.seed,
        run_command=tuple(shlex.split(arena.run)),
        score_command=tuple(shlex.split(arena.score)),
        suite={name: tuple(shlex.split(one.score)) for name, one in arena.suite.items()},
        view=tuple(shlex.split(arena.view)) if arena.view is not None and not exam else (),
        weights=arena.weights,
        metric=arena.metric.name,
        checks=tuple(tuple(shlex.split(check)) for check in arena.checks),
        budget=resolve_budget(arena, devices),
        devices=devices,
        engine=OnCluster(address=arena.engine.address, resources=arena.engine.resources or {"CPU": 1.0})
        if arena.engine.name == "ray"
        else None,
        editable=editable,
        environment=sealed(paths, campaign, arena, tree),
        tree=tree,
        data=Path(campaign.corpus) if campaign.corpus else None,
        split="test" if exam else "val",
        secret=campaign.secret if exam else None,
        watch=_watch(plan) if arena.watch and not exam else None,
        score_seconds=arena.budget.score_seconds,
        require_sandbox=arena.require_sandbox,
        usual_startup_seconds=plan.usual.startup_seconds,
        usual_spent_seconds=plan.usual.spent_seconds,
        usual_hosts=plan.usual.hosts,
        rescore=plan.rescore,
        incumbent=None if plan.incumbent is None else plan.incumbent.number,
        pairing=plan.pairing,
        threads=None if arena.threads == "auto" else arena.threads,
        # on a cluster every node would have to be told which of its folders is whose
        compiled=paths.compiled(run.campaign) if arena.engine.name == "local" else None,
        # of both sides, so not where the other is an edit
        compiles=plan.experiment.kind == Kind.BASELINE and plan.incumbent in (None, plan.experiment),
    )


def _watch(plan: Plan) -> Watch:
    return Watch(draw=_drawn(plan.campaign, f"watch {plan.run.seed}"), secret=plan.campaign.secret)


def draw(campaign: Campaign, run: Run) -> str:
    """What a scorer draws its hidden choices from (folds, inputs): the same for every experiment on one seed.

    Only scorers are told, and it follows from the campaign's secret, so a run cannot know it; yet runs on one seed
    meet the same choices, so their scores can be paired.
    """
    return _drawn(campaign, f"{'exam' if run.purpose == 'exam' else 'draw'} {run.seed}")


def _drawn(campaign: Campaign, what: str) -> str:
    return hmac.new(campaign.secret.encode(), what.encode(), hashlib.sha256).hexdigest()


def _editable_files(workspace: Workspace, arena: Arena, snapshot: str, work: Path) -> tuple[str, ...]:
    """The snapshot's editable files; the arena may name them by folders and globs."""
    if all((work / pattern).is_file() for pattern in arena.editable):
        return arena.editable
    return tuple(sorted(workspace.committed(arena.editable, snapshot)))


def complaint(folder: RunPaths) -> str:
    """Why no supervisor can begin this run, once several have tried and said so; "" while it is worth another try."""
    said = text_of(folder.supervisor_log)[-100_000:]
    if said.count(TRACEBACK) < STARTS:
        return ""
    last = said.strip().splitlines()[-1][:LONGEST_WORDS]
    return f"Its supervisor cannot begin: {last}. Mend that and run the same code again; it is no other attempt."


def last_words(folder: RunPaths) -> str:
    """What ended the supervisor of a run, where it died of something that it could still say; "" else."""
    lines = text_of(folder.supervisor_log)[-100_000:].strip().splitlines()
    # what it says of a run begins with the date
    raised = TRACEBACK in lines and re.match(r"[A-Za-z_][\w.]*(: |$)", lines[-1])
    return clean_line(lines[-1], LONGEST_WORDS) if raised else ""


def tidy(paths: LabPaths, run: Run) -> None:
    """A closed run keeps its spec, result, log and artifact; the copies of the code are in git."""
    for place in left_behind(paths.run(run.campaign, run.experiment, run.run)):
        remove(place)


def left_behind(folder: RunPaths) -> list[Path]:
    """What a closed run does not need, as far as it is there."""
    made = ("out", "compiled", "compiled-first")
    beside = [folder.folder / BESIDE / name for name in (*made, "artifact", "scratch", "scorer")]
    own = [folder.folder / name for name in made]
    places = (folder.work, folder.trusted, *own, *folder.folder.glob("incumbent-*"), *beside)
    return [place for place in places if place.exists()]


def drop_artifact(folder: RunPaths) -> None:
    """The weights of a discarded attempt are not kept; its code, log and score are, and the seed makes them again."""
    remove(folder.artifact)


def unlock_artifacts(paths: LabPaths, campaign: str) -> None:
    """Let the owner remove what an older version sealed: a folder without the right to write cannot be emptied."""
    for artifact in paths.run(campaign, 0, 0).folder.parent.parent.glob("*/*/artifact"):
        for folder, _, _ in os.walk(artifact):
            os.chmod(folder, 0o755)
