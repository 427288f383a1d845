"""Prepares the folder of a run and starts its supervisor; the same call begins a run and begins it again.

Everything a supervisor reads is laid out here: the snapshot, the campaign's first commit, and the spec. The lock of the
run is taken before the launch and handed over, so a run never looks dead while it is being born.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from mcp_server.arena.program import Arena
from mcp_server.campaign.beginning.readable import readable_folders
from mcp_server.campaign.runs import orders
from mcp_server.engines import local
from mcp_server.nouns.files import private_folder, try_lock
from mcp_server.nouns.paths import BESIDE, LabPaths, RunPaths
from mcp_server.nouns.records import AbortRule, Budget, HostUse, Order, Pairing, RunSpec
from mcp_server.nouns.rows import Campaign, Experiment, Run
from mcp_server.programs.readable import in_home, lay, shown, sources
from mcp_server.programs.sealed import sealed
from mcp_server.repo.workspace import Workspace
from mcp_server.runner.machine.devices import available

STARTS = 3  # a supervisor that fails to begin is tried this often
TOLERANCES = "tolerances.json"  # this lab's calibration of the audit, in the state folder


def resolve_devices(arena: Arena) -> tuple[str, ...]:
    """The devices a run may have, any one of them: every GPU, else the CPU, unless the arena names them."""
    if arena.devices == "auto":
        return tuple(available())
    if arena.devices.startswith("cuda:"):
        return tuple(f"cuda:{number}" for number in arena.devices.removeprefix("cuda:").split(","))
    return (arena.devices,)


def resolve_budget(arena: Arena, devices: tuple[str, ...]) -> Budget:
    """On a CPU processor time is counted, on a GPU the wall: see docs/referee.md for the measurements behind it."""
    rule = arena.budget
    on_cpu = all(device == "cpu" for device in devices)
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


def launch(
    *,
    workspace: Workspace,
    paths: LabPaths,
    arena: Arena,
    campaign: Campaign,
    experiment: Experiment,
    run: Run,
    order: Order | None,
    usual: Usual | None = None,
    abort: AbortRule | None = None,
    suspect_below: float | None = None,
    incumbent: Experiment | None = None,
    pairing: Pairing = "",
    rescore: bool = False,
    home: Path | None = None,
) -> None:
    """Lay the run's folder out and start its supervisor, detached; harmless to repeat. The folder must be this order's.

    incumbent: whose code is laid beside it, to be trained as well where `pairing` says how, else for the scorer.
    `home`: the user's work tree, where it is not the lab's own. Raises OSError or WorkspaceError.
    """
    needs = usual or Usual()
    folder = paths.run(run.campaign, run.experiment, run.run)
    private_folder(folder.folder)
    alive = try_lock(folder.alive)
    if alive is None:
        return  # a supervisor lives
    try:
        orders.claim(folder, order)
        tree = paths.tree if home is None else home
        roots = tuple(dict.fromkeys((tree, paths.common.parent)))
        readable = sources(arena.readable, tree, paths.common.parent)
        trees = [(folder.work, experiment.snapshot), (folder.trusted, campaign.pinned)]
        if incumbent is not None:
            # its files are in both; what was kept is on the branch, also where git lost the snapshot
            trees.append((folder.incumbent(incumbent.number), incumbent.commit_sha or incumbent.snapshot))
        for place, commit in trees:
            half_made = place.with_name(place.name + ".new")
            if place.exists():
                continue
            _remove(half_made)
            if place == folder.trusted:
                workspace.materialise(commit, half_made)
            else:
                workspace.materialise_run(campaign.pinned, commit, arena.editable, half_made)
            lay(readable, roots, half_made)
            os.replace(half_made, place)
        devices = resolve_devices(arena)
        environment = {"AUTORESEARCH_TOLERANCES": str(paths.state / TOLERANCES)}
        if suspect_below is not None:
            environment["AUTORESEARCH_SUSPECT_BELOW"] = repr(suspect_below)
        handover = paths.handover(arena.handover) if arena.handover else None
        if handover is not None:
            handover.mkdir(mode=0o700, parents=True, exist_ok=True)
        exam = run.purpose == "exam"
        environment["AUTORESEARCH_DRAW"] = draw(campaign, run)
        absent = [path for path, place in zip(arena.readable, readable, strict=True) if not place.exists()]
        linked = in_home(readable, Path.home())
        seen = shown(readable)
        # asked again for every place that a link leads to: what is closed stays closed
        seen += readable_folders([str(place) for place in (*readable, *seen)], paths, campaign.corpus)
        readable = tuple(dict.fromkeys(place for place in seen if place.exists()))
        if incumbent is not None and not pairing:
            beside = folder.incumbent(incumbent.number)
            environment["AUTORESEARCH_INCUMBENT"] = str(beside)
            readable += (beside,)
        RunSpec(
            order=order,
            campaign=run.campaign,
            experiment=run.experiment,
            run=run.run,
            ticket=run.ticket,
            queue=paths.queue,
            seed=run.seed,
            run_command=tuple(shlex.split(arena.run)),
            score_command=tuple(shlex.split(arena.score)),
            checks=tuple(tuple(shlex.split(check)) for check in arena.checks),
            budget=resolve_budget(arena, devices),
            devices=devices,
            editable=_editable_files(workspace, arena, experiment.snapshot, folder.work),
            readable=readable,
            environment=sealed(paths, campaign, arena, tree),
            tree=tree,
            in_home=linked,
            absent=tuple(absent),
            handover=handover,
            data=Path(campaign.corpus) if campaign.corpus else None,
            split="test" if exam else "val",
            secret=campaign.secret if exam else None,
            score_seconds=arena.budget.score_seconds,
            require_sandbox=arena.require_sandbox,
            usual_startup_seconds=needs.startup_seconds,
            usual_spent_seconds=needs.spent_seconds,
            usual_hosts=needs.hosts,
            abort=abort,
            rescore=rescore,
            incumbent=None if incumbent is None else incumbent.number,
            pairing=pairing,
            threads=None if arena.threads == "auto" else arena.threads,
            scorer_environment=environment,
        ).write(folder.spec)
        local.launch(folder, alive)
    finally:
        os.close(alive)


def draw(campaign: Campaign, run: Run) -> str:
    """What a scorer draws its hidden choices from (folds, inputs): the same for every experiment on one seed.

    Only scorers are told, and it follows from the campaign's secret, so a run cannot know it; yet runs on one seed
    meet the same choices, so their scores can be paired.
    """
    what = f"{'exam' if run.purpose == 'exam' else 'draw'} {run.seed}"
    return hmac.new(campaign.secret.encode(), what.encode(), hashlib.sha256).hexdigest()


def _editable_files(workspace: Workspace, arena: Arena, snapshot: str, work: Path) -> tuple[str, ...]:
    """The snapshot's editable files; the arena may name them by folders and globs."""
    if all((work / pattern).is_file() for pattern in arena.editable):
        return arena.editable
    return tuple(sorted(workspace.committed(arena.editable, snapshot)))


def complaint(folder: RunPaths) -> str:
    """Why no supervisor can begin this run, once several have tried and said so; "" while it is worth another try."""
    try:
        said = folder.supervisor_log.read_text(errors="replace")[-100_000:]
    except OSError:
        return ""
    if said.count("Traceback (most recent call last)") < STARTS:
        return ""
    last = said.strip().splitlines()[-1][:300]
    return f"Its supervisor cannot begin: {last}. Mend that and run the same code again; it is no other attempt."


def tidy(paths: LabPaths, run: Run) -> None:
    """A closed run keeps its spec, result, log and artifact; the copies of the code are in git."""
    folder = paths.run(run.campaign, run.experiment, run.run)
    beside = [folder.folder / BESIDE / name for name in ("out", "artifact", "scratch", "scorer")]
    for place in (folder.work, folder.trusted, folder.out, *folder.folder.glob("incumbent-*"), *beside):
        _remove(place)


def drop_artifact(folder: RunPaths) -> None:
    """The weights of a discarded attempt are not kept; its code, log and score are, and the seed makes them again."""
    _remove(folder.artifact)


def unlock_artifacts(paths: LabPaths, campaign: str) -> None:
    """Let the owner remove what an older version sealed: a folder without the right to write cannot be emptied."""
    for artifact in paths.run(campaign, 0, 0).folder.parent.parent.glob("*/*/artifact"):
        for folder, _, _ in os.walk(artifact):
            os.chmod(folder, 0o755)


def _remove(place: Path) -> None:
    if not place.exists():
        return
    # sealed files and folders are read-only, which only stops those who do not own them
    for folder, _, _ in os.walk(place):
        os.chmod(folder, 0o700)
    shutil.rmtree(place)
