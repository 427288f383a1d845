"""One run from its place in the queue to its result: each step a method, in the order in which they happen."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.paths import RunPaths, device_locks_folder
from mcp_server.records import DeviceReading, RunResult, RunSpec, RunState, Tier
from mcp_server.runner import child as children
from mcp_server.runner import devices, health, limits, nvidia, outcome, scorer
from mcp_server.runner.checks import run_checks
from mcp_server.runner.clock import moment
from mcp_server.runner.crash import diagnose
from mcp_server.runner.environment import Surroundings, for_trainer, is_language_model_scorer, own_python, threads
from mcp_server.runner.limits import Crossed, Limits
from mcp_server.runner.load import LoadMeter, queue_per_core, taint
from mcp_server.runner.queue import Ticket
from mcp_server.runner.sandbox import probe, sharedmemory
from mcp_server.runner.seal import Refused, measure, seal
from mcp_server.runner.stop import Stop
from mcp_server.runner.trainer import Look, Training, attend
from mcp_server.runner.view import View

POLL_SECONDS = 0.075  # between two looks at the queue


@dataclass(frozen=True)
class Trained:
    """A run whose trainer is done: what was measured so far, and whether there is something to score."""

    result: RunResult
    scorable: bool


class Run:
    """The run of one folder. `carry_out` returns its result; the device stays leased until `release`, or our end."""

    def __init__(self, paths: RunPaths, spec: RunSpec, stop: Stop) -> None:
        self.paths, self.spec, self.stop = paths, spec, stop
        self.view = View(paths, spec.budget.seconds)
        self._lease: devices.Lease | None = None
        self._asked: scorer.Asked | None = None

    def carry_out(self) -> RunResult:
        """Everything, once. Raises OSError when the disk is full or the machine refuses a process."""
        waiting = time.monotonic()
        self.view.phase("waiting")
        ticket = Ticket(self.spec.queue, self.spec.ticket, self.spec.devices)
        lease = devices.lease(device_locks_folder(), ticket, lambda: self.stop.pause(POLL_SECONDS))
        queued = round(time.monotonic() - waiting, 3)
        result = RunResult(state=RunState.LOST, started_at=_now(), queue_seconds=queued, clock=self.spec.budget.clock)
        if lease is None:
            result = outcome.ended(result, RunState.CANCELLED, "cancelled", "Cancelled while it waited for a device.")
        else:
            self._lease = lease
            self.view.phase("starting", lease.device)
            result = self._use(lease, result)
            self._leave(lease)
        return result.model_copy(update={"ended_at": _now()})

    def _use(self, lease: devices.Lease, result: RunResult) -> RunResult:
        """Train and score on a leased device."""
        meter = LoadMeter(time.monotonic())
        report = probe()
        result = result.model_copy(update={"tier": report.tier})
        if self.spec.require_sandbox and report.tier is not Tier.T2:
            words = (
                f"The arena requires a T2 sandbox and this machine offers {report.tier}. {' '.join(report.findings)}"
            )
            return outcome.ended(result, RunState.CRASHED, "no_sandbox", words)
        around = Surroundings(self.paths, self.spec, lease, report.tier)
        allowed = Limits.of(self.spec.budget, limits.available_memory())
        try:
            if self.spec.rescore:
                trained = self._recall(result)
            else:
                trained = self._train(result, around, allowed, health.read(lease, meter))
            if not trained.scorable:
                return trained.result
            self.view.phase("scoring")
            return self._score(trained.result, around, allowed)
        finally:
            if self._asked is not None:
                self._asked.end()

    # -- training ------------------------------------------------------------------------------------------------------

    def _train(self, result: RunResult, around: Surroundings, allowed: Limits, reading: DeviceReading) -> Trained:
        lease, spec, paths = around.lease, self.spec, self.paths
        originals = {name: (paths.work / name).read_bytes() for name in spec.editable}
        strangers = () if lease.card is None else nvidia.compute_processes(lease.card)
        _remove(paths.out)  # of an earlier attempt at this run that was lost
        _remove(paths.artifact)
        paths.out.mkdir()
        around.renew_scratch()
        meter, kills, shared = LoadMeter(time.monotonic()), limits.kernel_kills(), sharedmemory.present()
        training = self._attend(around, allowed)
        if around.tier is not Tier.T2:
            sharedmemory.sweep(shared)
        foreign = meter.read(time.monotonic(), 0.0 if self._asked is None else self._asked.cpu_seconds())
        if lease.card is not None:
            strangers = strangers or nvidia.compute_processes(lease.card)
        if training.survivors:
            devices.drain(device_locks_folder(), lease.device, "Processes of a run could not be killed.")
        self.view.log(training.log)
        tainted = taint(spec.budget.clock, lease.card is not None, foreign, queue_per_core(), strangers)
        result = outcome.measured(result, training, spec.usual_startup_seconds).model_copy(
            update={
                "device": health.read_again(reading, lease, foreign),
                # what the world will answer does not depend on how busy this machine was
                "tainted": "" if spec.handover is not None else tainted,
            }
        )
        if _restore(paths.work, originals):
            result = result.model_copy(update={"flags": (*result.flags, "snapshot_restored")})
        return self._seal(result, training, starved=limits.kernel_kills() > kills)

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
        # below T2 the trainer's home is a folder on the disk
        written = (self.paths.out,) if around.tier is Tier.T2 else (self.paths.out, around.scratch)
        warm = scorer.can_be_warm(around, threads(self.spec, around.lease))

        rule = self.spec.abort

        def watch(look: Look) -> Crossed | None:
            nonlocal rule
            if warm and look.counting and self._asked is None:
                self._asked = scorer.Asked(around, allowed, warm=True)
            found = limits.crossed(allowed, look.usage, child.tree, child.inside)
            if found is None and rule is not None and look.marks.latest and look.marks.latest.tokens >= rule.end:
                found, rule = limits.hopeless(rule, look.marks.curve()), None  # looked at once
            if found is None and self.view.due:
                self.view.training(look)
                found = limits.output(written, allowed)
            return found

        training = attend(child, launched, self.spec.budget, log_pipe, marks_pipe, self.stop, watch)
        log_pipe.close_ours()
        marks_pipe.close_ours()
        return training

    def _seal(self, result: RunResult, training: Training, starved: bool) -> Trained:
        """Decide how training ended; seal what it left if it ended well."""
        self.view.phase("sealing")
        diagnosis = diagnose(training.log, training.exit_status, self.paths.work, self.spec.editable, starved)
        bad = outcome.of_training(result, training, diagnosis, self.spec.budget.seconds)
        if bad is not None:
            return Trained(bad, False)
        sealed = seal(self.paths.out, self.paths.artifact, self.spec.budget.output_gb * limits.GIGABYTE)
        if not isinstance(sealed, Refused) and sealed.files == 0 and is_language_model_scorer(self.spec.score_command):
            words = "The run ended well but left no artifact: write model.safetensors into $AUTORESEARCH_OUT."
            sealed = Refused("no_artifact", words)
        if isinstance(sealed, Refused):
            return Trained(outcome.refused(result, sealed, diagnosis.crash.excerpt), False)
        result = result.model_copy(update={"artifact_sha256": sealed.sha256, "artifact_bytes": sealed.size_bytes})
        result.write(self.paths.sealed)
        return Trained(result, True)

    # -- scoring -------------------------------------------------------------------------------------------------------

    def _recall(self, result: RunResult) -> Trained:
        """The run as it was when its artifact was sealed, if the artifact is still the same."""
        before: RunResult = RunResult.read(self.paths.sealed)
        before = before.model_copy(update={"tier": result.tier})
        if measure(self.paths.artifact).sha256 != before.artifact_sha256:
            words = "The sealed artifact changed since it was sealed. Run the experiment again."
            return Trained(outcome.ended(before, RunState.REJECTED, "bad_output", words), False)
        return Trained(before, True)

    def _score(self, result: RunResult, around: Surroundings, allowed: Limits) -> RunResult:
        checked = run_checks(around, allowed, self.stop)
        if checked.cancelled:
            return outcome.ended(result, RunState.CANCELLED, "cancelled", "Cancelled while its checks ran.")
        begin = time.monotonic()
        self._asked = self._asked or scorer.Asked(around, allowed)
        answer = self._asked.answer(self.stop, self.view.scored)
        result = result.model_copy(
            update={
                "score_seconds": round(time.monotonic() - begin, 3),
                "incumbent": self.spec.incumbent,
                "pairing": "" if self.spec.incumbent is None else "scorer",
            }
        )
        return outcome.of_answer(result, answer, checked.failed)

    # -- leaving -------------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Let the device go, after the result is written: whoever sees the run over may count on it."""
        if self._lease is not None:
            os.close(self._lease.fd)
            self._lease = None

    def _leave(self, lease: devices.Lease) -> None:
        """Remove what nobody will read; refuse a card whose memory the dead still hold."""
        _remove(self.paths.out)
        around = Surroundings(self.paths, self.spec, lease, Tier.T0)
        _remove(around.scratch)
        _remove(around.scorer_home)
        held = health.unreleased_memory(lease)
        if held is not None:
            words = f"{held:.0f} MB were still in use after a run had ended and no process was listed."
            devices.drain(device_locks_folder(), lease.device, words)


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


def _remove(folder: Path) -> None:
    """Remove a folder even if somebody took our right to look into it."""
    for place, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            os.chmod(place, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
