"""Catches up with what happened while nobody looked: finished, lost, half-decided.

Every verb opens this door first, so the path after a crash is the path of every day. Each step looks at git, the locks
and the files, never guesses, and may be cut short anywhere: the next call does the rest. Nothing here raises because of
something that happened outside; what could not be done is said in `CaughtUp.problems` and tried again.
"""

from __future__ import annotations

import dataclasses
import errno

from mcp_server.arena.program import Arena
from mcp_server.campaign.beginning import baseline
from mcp_server.campaign.bench import Bench
from mcp_server.campaign.evidence import measured_noise
from mcp_server.campaign.exam import exam_result, missing
from mcp_server.campaign.news import happened
from mcp_server.campaign.reins.gate import paused, tell_queue
from mcp_server.campaign.runs import dispatch, orders, pairing
from mcp_server.campaign.upkeep import disk, settling
from mcp_server.campaign.upkeep.caught import CaughtUp, each
from mcp_server.judging.looks import excused, excuses_left
from mcp_server.ledger import Ledger
from mcp_server.nouns.attempt import failure_of
from mcp_server.nouns.baseline import LONGEST_WAIT_SECONDS, quiet_again
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import HostUse, Purpose, RunResult, RunState
from mcp_server.nouns.rows import Campaign, Run

SUSPICIOUS_NOISE_WIDTHS = 6.0
ASK_AGAIN_SECONDS = 60.0
ASK_AT_ONCE_SECONDS = 0.1
_failed_starts: dict[str, int] = {}  # by run, in this process: a wait must end when nothing can come of it
INTERRUPTIONS = 3  # a scorer that takes its supervisor along every time must not be asked for ever


def catch_up(bench: Bench) -> CaughtUp:
    """Roll every unfinished intent forward or back. Call with the lab's lock held."""
    done = CaughtUp()
    steps = (
        _begin_campaigns,
        settling.fill_vault,
        settling.hold_snapshots,
        _look_at_runs,
        _tend_baselines,
        _repeat_carried,
        settling.settle_decisions,
        _close_exams,
        tell_queue,
        _start_runs,
        happened.tell,
    )
    for step in steps:
        step(bench, done)
    return done


def _begin_campaigns(bench: Bench, done: CaughtUp) -> None:
    for campaign in bench.ledger.campaigns():
        if campaign.ready and bench.ledger.next_number(campaign.tag) > 1:
            continue
        with each(done, f"beginning campaign {campaign.tag}"):
            if not campaign.ready:
                # whoever began it stands on its branch already; the work tree of this verb may be another's
                git = bench.workspace.git
                git.move_ref(f"refs/heads/{campaign.branch}", campaign.pinned, git.zero, f"begin {campaign.tag}")
                bench.ledger.campaign_ready(campaign.tag)
            baseline.open_first(bench, campaign)
            done.changed = True


def _look_at_runs(bench: Bench, done: CaughtUp) -> None:
    for run in bench.ledger.open_runs():
        with each(done, f"looking at run {run.run} of experiment {run.experiment}"):
            if orders.is_ours(bench.folder(run), bench.order_of(run)):
                done.changed |= _look_at(bench, run)
            else:
                done.problems.append(orders.set_aside(bench.engine, bench.paths, run))
                done.changed = True


def _look_at(bench: Bench, run: Run) -> bool:
    folder, order = bench.folder(run), bench.order_of(run)
    # this is asked first: a supervisor that ends between the two questions has left its result
    alive = bench.engine.alive(folder)
    try:
        result = bench.engine.fetch(folder)
        if result is not None and not orders.answers(result, order):
            result = _ended(bench, RunState.LOST, "supervisor_lost", "What lies in its folder is another run's result.")
    except ValueError as error:
        said = f"The run's result cannot be read: {str(error)[:200]}"
        result = _ended(bench, RunState.LOST, "supervisor_lost", said)
    if result is not None and not alive:
        return _close(bench, run, result)
    if alive:
        if run.state is not RunState.RUNNING and folder.begun.exists():
            bench.ledger.run_state(run, RunState.RUNNING)
            return True
        return False
    if folder.cancel.exists():
        return _close(bench, run, _ended(bench, RunState.CANCELLED, "cancelled", "It was cancelled."))
    if not folder.begun.exists():
        said = dispatch.complaint(folder)
        if said:
            return _close(bench, run, _ended(bench, RunState.LOST, "supervisor_lost", said))
        return False  # due later, or never launched: `_start_runs` does both
    why = dispatch.last_words(folder)
    died = f"Its supervisor died: {why}" if why else "Its supervisor died."
    detail = f"{died} Run the same code again; it will not count as another attempt."
    if folder.sealed.exists() and _times(folder) < INTERRUPTIONS:
        # what was sealed needs no second training, and what was handed over to the world is in the field already
        write_atomically(folder.interrupted, str(_times(folder) + 1).encode())
        try:
            sealed: RunResult = RunResult.read(folder.sealed)  # its supervisor compares the order before it scores
        except ValueError as error:
            detail = f"{detail} What it had sealed cannot be scored: {str(error)[:200]}"
        else:
            again = {"state": RunState.PENDING, "retry_after_seconds": ASK_AT_ONCE_SECONDS}
            return _close(bench, run, sealed.model_copy(update=again))
    return _close(bench, run, _ended(bench, RunState.LOST, "supervisor_lost", detail))


def _times(folder: RunPaths) -> int:
    """How often a supervisor of this run died after the seal."""
    try:
        return int(folder.interrupted.read_bytes())
    except (OSError, ValueError):
        return 0


def _ended(bench: Bench, state: RunState, reason: str, detail: str) -> RunResult:
    return RunResult(state=state, reason=reason, detail=detail, ended_at=bench.stamp())


def _close(bench: Bench, run: Run, result: RunResult) -> bool:
    folder = bench.folder(run)
    if result.state is RunState.PENDING:
        wait = result.retry_after_seconds or ASK_AGAIN_SECONDS
        bench.ledger.close_run(run, result, bench.stamp(), ask_again_at=bench.now().timestamp() + wait)
        # the result goes last: while it is there, a call after this one was cut short comes here again
        for place in (folder.begun, folder.result):
            place.unlink(missing_ok=True)
        return True
    closed = bench.ledger.close_run(run, result, bench.stamp())
    dispatch.tidy(bench.paths, run)
    disk.drop_spare(bench, dataclasses.replace(run, state=result.state))
    return closed


def _tend_baselines(bench: Bench, done: CaughtUp) -> None:
    for tag in bench.ledger.active_campaigns():
        with each(done, f"looking after the baseline of {tag}"):
            done.changed |= baseline.tend(bench, tag)


def _repeat_carried(bench: Bench, done: CaughtUp) -> None:
    """Make again what was lost of a change that goes on as an attempt of its own: its code lies in no work tree, so
    nobody can run it again, and the verdict that it was worth another look is spoken already."""
    for tag in bench.ledger.active_campaigns():
        for one in bench.ledger.undecided(tag):
            if len(one.joins) != 1 or not one.joins[0].isdecimal():
                continue
            runs = bench.ledger.runs(tag, one.number)
            lost = all(run.state.terminal and excused(run) for run in runs) and failure_of(runs) is not None
            if lost and excuses_left(runs, runs[-1].seed):
                with each(done, f"running experiment {one.number} again"):
                    bench.ledger.open_run(
                        tag, one.number, runs[-1].seed, Purpose.RETRY, bench.stamp(), quiet_again(runs)
                    )
                    done.changed = True


def _close_exams(bench: Bench, done: CaughtUp) -> None:
    for tag in bench.ledger.active_campaigns():
        exam, campaign = bench.ledger.exam(tag), bench.ledger.campaign(tag)
        if exam is None or exam.result is not None or campaign is None:
            continue
        with each(done, f"looking after the exam of {tag}"):
            ordered = missing(bench.ledger, bench.arena(campaign), exam)
            for number, seed in ordered:
                later = quiet_again(bench.ledger.runs(tag, number))
                bench.ledger.open_run(tag, number, seed, Purpose.EXAM, bench.stamp(), later)
            result = None if ordered else exam_result(bench.ledger, bench.arena(campaign), exam)
            done.changed |= bool(ordered)
            if result is not None:
                bench.ledger.close_exam(exam, result)
                done.changed = True


def _start_runs(bench: Bench, done: CaughtUp) -> None:
    for run in bench.ledger.open_runs():
        folder = bench.folder(run)
        again = run.state is RunState.PENDING
        if not _due(run, bench.now().timestamp()):
            continue
        if not again and paused(bench.ledger, run.campaign, bench.now()):
            continue  # what has begun goes on, and what was handed over to the world is asked for
        if folder.begun.exists() or bench.engine.alive(folder):
            continue
        if not orders.is_ours(folder, bench.order_of(run)):
            continue  # who was at work there ends this moment; the next call moves it aside
        with each(done, f"starting run {run.run} of experiment {run.experiment}"):
            done.changed = True
            try:
                start(bench, run, rescore=again)
            except (AutoresearchError, OSError) as error:
                said = _hopeless(bench, run, error)
                if not said:
                    raise
                _close(bench, run, _ended(bench, RunState.LOST, "cannot_start", said))
                continue
            if again:
                bench.ledger.run_state(run, RunState.RUNNING)


def _hopeless(bench: Bench, run: Run, error: Exception) -> str:
    """Why a run that could not be started never will be; "" while another try may bring something."""
    campaign = bench.ledger.campaign(run.campaign)
    assert campaign is not None
    snapshot = bench.ledger.experiment(run.campaign, run.experiment).snapshot
    for commit in (snapshot, campaign.pinned):
        if not bench.workspace.whole(commit):
            return (
                f"The commit {commit[:12]} that it measures is gone from this repository; git's gc removes what no ref "
                "holds. Fetch it from a copy of the repository, or run the code again as a new experiment."
            )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return ""  # somebody frees the space, sooner or later
    _failed_starts[run.run_id] = _failed_starts.get(run.run_id, 0) + 1
    return f"It could not be started: {error}" if _failed_starts[run.run_id] >= dispatch.STARTS else ""


def _due(run: Run, now: float) -> bool:
    """Whether a run's time has come; at once when the clock was set back since, which would make it wait for days."""
    left = (run.ask_again_at or 0.0) - now
    asked_for = run.result.retry_after_seconds if run.result else None
    longest = LONGEST_WAIT_SECONDS if run.state is RunState.QUEUED else ASK_AGAIN_SECONDS
    return left <= 0 or left > (asked_for or longest)


def start(bench: Bench, run: Run, *, rescore: bool = False) -> None:
    """Launch one run. Raises AutoresearchError or OSError; the run stays queued and is tried again."""
    campaign = bench.ledger.campaign(run.campaign)
    assert campaign is not None
    experiment = bench.ledger.experiment(run.campaign, run.experiment)
    arena = bench.arena(experiment)
    if experiment.decision == "keep":  # it is measured again for the sake of a candidate, so where that one was
        now = bench.arena(campaign)
        arena = arena.model_copy(
            update={name: getattr(now, name) for name in ("devices", "threads", "engine", "suite")}
        )
    beside, way = pairing.beside(bench.ledger, arena, campaign, run, experiment, rescore)
    plan = dispatch.Plan(
        arena,
        campaign,
        experiment,
        run,
        bench.order_of(run),
        usual=usual(bench.ledger, run.campaign),
        suspect_below=_suspect_below(bench.ledger, arena, run.campaign),
        incumbent=beside,
        pairing=way,
        editable=_ever_editable(bench, campaign, arena),
        rescore=rescore,
    )
    dispatch.launch(bench.engine, bench.workspace, bench.paths, plan)


def _ever_editable(bench: Bench, campaign: Campaign, arena: Arena) -> tuple[str, ...]:
    """What was editable in the campaign: what was kept of a file stays measured, whoever may change it by now."""
    programs = dict.fromkeys(one.program for one in bench.ledger.kept(campaign.tag))
    before = (path for digest in programs for path in bench.program(digest).arena.editable)
    return tuple(dict.fromkeys((*arena.editable, *before)))


def usual(ledger: Ledger, tag: str) -> dispatch.Usual:
    """What the unchanged code of a campaign needs beside its budget; of hosts, the incumbent's where that is more."""
    unchanged, incumbent = ledger.baseline(tag), ledger.incumbent(tag)
    results = [run.result for run in unchanged.runs if run.result] if unchanged else []
    # an edit of what is compiled has to be compiled, as the unchanged code had
    cold = [result for result in results if not result.compiled_before] or results
    walls = [result.startup_seconds for result in cold if result.startup_seconds]
    spent = [result.startup_spent_seconds for result in cold if result.startup_spent_seconds is not None]
    kept = [run.result for run in ledger.runs(tag, incumbent.number) if run.result] if incumbent else []
    used = [result.hosts for result in (*results, *kept) if result.hosts is not None]
    return dispatch.Usual(
        startup_seconds=max(walls, default=None),
        spent_seconds=sum(spent) / len(spent) if spent else None,
        hosts=HostUse(
            ready_seconds=max(use.ready_seconds for use in used), answer_seconds=max(use.answer_seconds for use in used)
        )
        if used
        else None,
    )


def _suspect_below(ledger: Ledger, arena: Arena, tag: str) -> float | None:
    """The loss under which a score is too good to be believed without a full audit."""
    bounds = [] if arena.metric.floor is None else [arena.loss(arena.metric.floor)]
    incumbent = ledger.incumbent(tag)
    noise = measured_noise(ledger, arena, tag)
    if incumbent is not None and noise.sd is not None and noise.known:
        scores = [
            arena.loss(run.score) for run in ledger.runs(tag, incumbent.number) if run.counts and run.score is not None
        ]
        if scores:
            bounds.append(min(scores) - SUSPICIOUS_NOISE_WIDTHS * noise.sd)
    return max(bounds) if bounds else None
