"""One run from its place in the queue to its result: each step a method, in the order in which they happen."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from mcp_server.paths import RunPaths, device_locks_folder
from mcp_server.records import Crash, DeviceReading, RunProgress, RunResult, RunSpec, RunState, Tier
from mcp_server.runner import child as children
from mcp_server.runner import devices, health, limits, nvidia, scorer
from mcp_server.runner.checks import run_checks
from mcp_server.runner.clock import moment
from mcp_server.runner.crash import diagnose
from mcp_server.runner.environment import Surroundings, for_trainer, is_language_model_scorer, own_python
from mcp_server.runner.limits import Crossed, Limits
from mcp_server.runner.load import LoadMeter, queue_per_core, taint
from mcp_server.runner.queue import Ticket
from mcp_server.runner.sandbox import probe
from mcp_server.runner.seal import Refused, Sealed, measure, seal
from mcp_server.runner.stop import Stop
from mcp_server.runner.trainer import Look, Training, attend

POLL_SECONDS = 0.075  # between two looks at the queue
VIEW_SECONDS = 0.5  # between two drawings of progress and log, and two looks at the output folder
SLOW_FACTOR, SLOW_SECONDS = 2.0, 5.0  # a start-up this far beyond the baseline's is flagged

Phase = Literal["waiting", "starting", "training", "sealing", "scoring"]
HINTS = {
    "over_budget": "The budget ended before the run did. "
    "Let the training loop stop at its time limit and leave room to write the artifact.",
    "stalled": "The run hardly used the processor, or took ten times its budget on the wall. It probably waited for "
    "something.",
    "suspended": "The machine slept or the supervisor was stopped during the run, so its time cannot be vouched for. "
    "Retry it.",
}


@dataclass(frozen=True)
class Trained:
    """A run whose trainer is done: what was measured so far, and whether there is something to score."""

    result: RunResult
    scorable: bool


def ended(result: RunResult, state: RunState, reason: str, detail: str, crash: Crash | None = None) -> RunResult:
    """`result` with an ending."""
    return result.model_copy(update={"state": state, "reason": reason, "detail": detail, "crash": crash})


class Run:
    """The run of one folder. `carry_out` returns its result; the lease is held until the process ends."""

    def __init__(self, paths: RunPaths, spec: RunSpec, stop: Stop) -> None:
        self.paths, self.spec, self.stop = paths, spec, stop
        self._device: str | None = None
        self._viewed = 0.0

    def carry_out(self) -> RunResult:
        """Everything, once. Raises OSError when the disk is full or the machine refuses a process."""
        waiting = time.monotonic()
        self._show("waiting")
        ticket = Ticket(self.spec.queue, self.spec.ticket, self.spec.devices)
        lease = devices.lease(device_locks_folder(), ticket, lambda: self.stop.pause(POLL_SECONDS))
        queued = time.monotonic() - waiting
        result = RunResult(state=RunState.LOST, started_at=_now(), queue_seconds=round(queued, 3))
        if lease is None:
            return self._close(
                ended(result, RunState.CANCELLED, "cancelled", "Cancelled while it waited for a device.")
            )
        self._device = lease.device
        self._show("starting")
        meter = LoadMeter(time.monotonic())
        report = probe()
        result = result.model_copy(update={"tier": report.tier})
        if self.spec.require_sandbox and report.tier is not Tier.T2:
            words = (
                f"The arena requires a T2 sandbox and this machine offers {report.tier}. {' '.join(report.findings)}"
            )
            return self._close(ended(result, RunState.CRASHED, "no_sandbox", words))
        around = Surroundings(self.paths, self.spec, lease, report.tier)
        allowed = Limits.of(self.spec.budget, limits.available_memory())
        if self.spec.rescore:
            trained = self._recall(result)
        else:
            reading = health.read(lease, None)
            reading = reading.model_copy(
                update={"load_before": reading.load_before if lease.card is not None else meter.read(time.monotonic())}
            )
            trained = self._train(result, around, allowed, reading)
        result = trained.result
        if trained.scorable:
            self._show("scoring")
            result = self._score(result, around, allowed)
        self._leave(around)
        return self._close(result)

    # -- training ------------------------------------------------------------------------------------------------------

    def _train(self, result: RunResult, around: Surroundings, allowed: Limits, reading: DeviceReading) -> Trained:
        lease, spec, paths = around.lease, self.spec, self.paths
        originals = {name: (paths.work / name).read_bytes() for name in spec.editable}
        strangers = () if lease.card is None else nvidia.compute_processes(lease.card)
        paths.out.mkdir(exist_ok=True)
        around.renew_scratch()
        meter = LoadMeter(time.monotonic())
        training = self._attend(around, allowed)
        foreign = meter.read(time.monotonic(), training.cpu_seconds)
        if lease.card is not None:
            strangers = strangers or nvidia.compute_processes(lease.card)
        with contextlib.suppress(OSError):
            _replace(paths.log, training.log.encode(errors="replace"))
        stretch, flags = training.stretch, list(training.flags)
        usual = spec.usual_startup_seconds
        if usual is not None and (stretch.startup_seconds or 0) > SLOW_FACTOR * usual + SLOW_SECONDS:
            flags.append("startup_slow")
        if _restore(paths.work, originals):
            flags.append("snapshot_restored")
        result = result.model_copy(
            update={
                "startup_seconds": _rounded(stretch.startup_seconds),
                "train_seconds": _rounded(stretch.train_seconds),
                "wall_seconds": _rounded(stretch.wall_seconds),
                "cpu_seconds": _rounded(training.cpu_seconds),
                "peak_memory_mb": round(training.peak_memory_bytes / 1e6, 1),
                "steps": training.steps,
                "tokens": training.tokens,
                "curve": training.curve,
                "device": health.read_again(reading, lease, foreign),
                "tainted": taint(spec.budget.clock, lease.card is not None, foreign, queue_per_core(), strangers),
                "flags": tuple(flags),
            }
        )
        if training.survivors:
            devices.drain(device_locks_folder(), lease.device, "Processes of a run could not be killed.")
        return self._seal(result, training)

    def _attend(self, around: Surroundings, allowed: Limits) -> Training:
        log_pipe, marks_pipe = children.listening_pipe(), children.listening_pipe()
        launched = moment()
        child = children.start(
            own_python(self.spec.run_command),
            for_trainer(around, marks_pipe.theirs, allowed.tasks),
            around.tier,
            stdout=log_pipe.theirs,
            stderr=log_pipe.theirs,
            largest_file_bytes=int(allowed.output_bytes),
        )
        log_pipe.close_theirs()
        marks_pipe.close_theirs()

        def watch(look: Look) -> Crossed | None:
            inside = child.tree.members[1].pid if around.tier is Tier.T2 and look.usage.processes > 1 else None
            found = limits.crossed(allowed, look.usage, child.tree, inside)
            if found is None and look.now.monotonic - self._viewed >= VIEW_SECONDS:
                self._show("training" if look.counting else "starting", look)
                with contextlib.suppress(OSError):
                    _replace(self.paths.log, look.log.text().encode(errors="replace"))
                below_t2 = () if around.tier is Tier.T2 else (around.scratch,)
                found = limits.output((self.paths.out, *below_t2), allowed)
            return found

        training = attend(child, launched, self.spec.budget, log_pipe, marks_pipe, self.stop, watch)
        log_pipe.close_ours()
        marks_pipe.close_ours()
        return training

    def _seal(self, result: RunResult, training: Training) -> Trained:
        """Decide how training ended; seal what it left if it ended well."""
        self._show("sealing")
        reason, crash = diagnose(training.log, training.exit_status, self.paths.work, self.spec.editable)
        if training.cancelled:
            return Trained(ended(result, RunState.CANCELLED, "cancelled", "Cancelled while it trained."), False)
        if training.crossed is not None:
            reason, words = training.crossed.reason, training.crossed.detail
            crash = Crash(kind=reason, message=words, excerpt=crash.excerpt)
            return Trained(ended(result, RunState.CRASHED, reason, words, crash), False)
        if training.stretch.reason:
            words = HINTS[training.stretch.reason]
            crash = Crash(kind=training.stretch.reason, message=words, frames=crash.frames, excerpt=crash.excerpt)
            return Trained(ended(result, RunState.TIMEOUT, training.stretch.reason, words, crash), False)
        if training.exit_status != 0:
            words = f"The run command ended with {crash.kind}{': ' if crash.message else ''}{crash.message}."
            return Trained(ended(result, RunState.CRASHED, reason, words, crash), False)
        sealed = seal(self.paths.out, self.paths.artifact, self.spec.budget.output_gb * limits.GIGABYTE)
        if isinstance(sealed, Refused):
            state = RunState.CRASHED if sealed.reason == "output_too_large" else RunState.REJECTED
            crash = Crash(kind=sealed.reason, message=sealed.detail, excerpt=crash.excerpt)
            return Trained(ended(result, state, sealed.reason, sealed.detail, crash), False)
        if sealed.files == 0 and is_language_model_scorer(self.spec.score_command):
            words = "The run ended well but left no artifact: write model.safetensors into $AUTORESEARCH_OUT."
            crash = Crash(kind="no_artifact", message=words, excerpt=crash.excerpt)
            return Trained(ended(result, RunState.CRASHED, "no_artifact", words, crash), False)
        result = _with_artifact(result, sealed)
        result.write(self._sealed)
        return Trained(result, True)

    # -- scoring -------------------------------------------------------------------------------------------------------

    @property
    def _sealed(self) -> Path:
        """What was measured up to the seal; a later rescore begins from it."""
        return self.paths.folder / "sealed.json"

    def _recall(self, result: RunResult) -> Trained:
        """The run as it was when its artifact was sealed, if the artifact is still the same."""
        before: RunResult = RunResult.read(self._sealed)
        before = before.model_copy(update={"tier": result.tier})
        if measure(self.paths.artifact).sha256 != before.artifact_sha256:
            words = "The sealed artifact changed since it was sealed. Run the experiment again."
            return Trained(ended(before, RunState.REJECTED, "bad_output", words), False)
        return Trained(before, True)

    def _score(self, result: RunResult, around: Surroundings, allowed: Limits) -> RunResult:
        checked = run_checks(around, allowed, self.stop)
        if checked.cancelled:
            return ended(result, RunState.CANCELLED, "cancelled", "Cancelled while its checks ran.")
        begin = time.monotonic()
        answer = scorer.ask(around, allowed, self.stop)
        result = result.model_copy(update={"score_seconds": round(time.monotonic() - begin, 3)})
        if checked.failed:
            result = result.model_copy(update={"flags": (*result.flags, "checks_failed")})
        detail = "\n".join(checked.failed)
        match answer:
            case None:
                return ended(result, RunState.CANCELLED, "cancelled", "Cancelled while it was scored.")
            case scorer.Score():
                update = {"score": answer.score, "interval": answer.interval, "audit": answer.audit}
                result = result.model_copy(update={**update, "secondary": answer.secondary})
                return ended(result, RunState.SCORED, "checks_failed" if checked.failed else "", detail)
            case scorer.Pending():
                result = result.model_copy(update={"retry_after_seconds": answer.retry_after_seconds})
                return ended(result, RunState.PENDING, "", detail)
            case scorer.Rejection():
                result = result.model_copy(update={"audit": answer.audit})
                return ended(result, RunState.REJECTED, answer.rejected, answer.detail)
            case scorer.Failure():
                crash = Crash(kind=answer.reason, message=answer.detail, excerpt=answer.excerpt)
                return ended(result, RunState.CRASHED, answer.reason, answer.detail, crash)

    # -- leaving -------------------------------------------------------------------------------------------------------

    def _leave(self, around: Surroundings) -> None:
        """A device that is still held by the dead is refused to the next run."""
        held = health.unreleased_memory(around.lease)
        if held is not None:
            words = f"{held:.0f} MB were still in use after a run had ended and no process was listed."
            devices.drain(device_locks_folder(), around.lease.device, words)

    def _close(self, result: RunResult) -> RunResult:
        return result.model_copy(update={"ended_at": _now()})

    def _show(self, phase: Phase, look: Look | None = None) -> None:
        """Replace progress.json. It is a view: losing it, to a full disk or a power cut, loses nothing."""
        self._viewed = time.monotonic()
        progress = RunProgress(
            phase=phase, pid=os.getpid(), device=self._device, budget_seconds=self.spec.budget.seconds
        )
        if look is not None:
            latest = look.marks.latest
            progress = progress.model_copy(
                update={
                    "elapsed_seconds": round(look.elapsed_seconds, 3),
                    "steps": None if latest is None else latest.step,
                    "tokens": None if latest is None else latest.tokens,
                    "loss": None if latest is None else latest.loss,
                    "curve": look.marks.curve(),
                }
            )
        with contextlib.suppress(OSError):
            _replace(self.paths.progress, progress.model_dump_json().encode())


def _with_artifact(result: RunResult, sealed: Sealed) -> RunResult:
    return result.model_copy(update={"artifact_sha256": sealed.sha256, "artifact_bytes": sealed.size_bytes})


def _restore(work: Path, originals: dict[str, bytes]) -> bool:
    """Put the snapshot's editable files back if somebody changed them during the run; whether that was needed."""
    changed = False
    for name, content in originals.items():
        path = work / name
        if path.is_symlink() or not path.is_file() or path.read_bytes() != content:
            path.unlink(missing_ok=True)
            path.write_bytes(content)
            changed = True
    return changed


def _replace(path: Path, content: bytes) -> None:
    """Replace a view: whole or not at all, but without waiting for the disk, which would hold up the clock."""
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
