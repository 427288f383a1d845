"""One run from its place in the queue to its result: each step a method, in the order in which they happen.

A run may be a pair: then the incumbent is trained in the same slot, from the same seed and by the same rules, as a
second side. The candidate's side decides how the run ends; the incumbent's adds one number to it, or the reason why
that number is missing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from mcp_server.nouns.files import replace_quickly
from mcp_server.nouns.paths import RunPaths, device_locks_folder
from mcp_server.nouns.records import RunResult, RunSpec, RunState, Tier
from mcp_server.runner import outcome, scorer, slot
from mcp_server.runner.checks import run_checks
from mcp_server.runner.environment import Surroundings, is_language_model_scorer
from mcp_server.runner.machine import cores, devices, health, nvidia
from mcp_server.runner.machine.devices import Lease
from mcp_server.runner.machine.load import LoadMeter, queue_per_core, taint
from mcp_server.runner.process import limits
from mcp_server.runner.process.limits import Crossed, Limits
from mcp_server.runner.process.stop import Stop
from mcp_server.runner.sandbox import probe, sharedmemory
from mcp_server.runner.side import Side
from mcp_server.runner.slot import Slot
from mcp_server.runner.trainer import Look, Trainer, Training, attend
from mcp_server.runner.view import View

POLL_SECONDS = 0.075  # between two looks at the queue


class Run:
    """The run of one folder. `carry_out` returns its result; the device stays leased until `release`, or our end."""

    def __init__(self, paths: RunPaths, spec: RunSpec, stop: Stop) -> None:
        self.paths, self.spec, self.stop = paths, spec, stop
        self.view = View(paths, spec.budget.seconds)
        self._slot: Slot | None = None
        self._in_use: dict[str, float] = {}  # MB of each leased card that others had before

    @property
    def waits(self) -> bool:
        """Whether it has not had a device."""
        return self._slot is None

    def carry_out(self) -> RunResult:
        """Everything, once. Raises OSError when the disk is full or the machine refuses a process."""
        waiting = time.monotonic()
        self.view.phase("waiting")
        self._slot = slot.wait(self.spec, device_locks_folder(), lambda: self.stop.pause(POLL_SECONDS))
        result = RunResult(
            state=RunState.RUNNING,
            order=self.spec.order,
            started_at=_now(),
            queue_seconds=round(time.monotonic() - waiting, 3),
            clock=self.spec.budget.clock,
        )
        if self._slot is None:
            result = outcome.ended(result, RunState.CANCELLED, "cancelled", "Cancelled while it waited for a device.")
        else:
            self.view.phase("starting", self._slot.leases[0].device)
            spec = self.spec
            ends_at = time.time() + (spec.usual_startup_seconds or 0.0) + spec.budget.seconds
            lab = str(spec.queue.parent.parent.parent)  # the queue lies in <git folder>/autoresearch
            for one in self._slot.leases:
                devices.sign(one, devices.Holder(lab, f"{spec.campaign}/{spec.experiment}", ends_at, spec.owner))
            result = self._use(self._slot, result)
        return result.model_copy(update={"ended_at": _now()})

    def _use(self, has: Slot, result: RunResult) -> RunResult:
        """Train and score on leased devices."""
        meter, busy = LoadMeter(time.monotonic()), cores.Meter()
        self._in_use = {lease.device: health.memory_in_use(lease) for lease in has.leases}
        report = probe()
        python = self.spec.environment.words() if self.spec.environment else ""
        result = result.model_copy(update={"tier": report.tier, "python": python})
        if self.spec.require_sandbox and report.tier is not Tier.T2:
            words = (
                f"The arena requires a T2 sandbox and this machine offers {report.tier}. {' '.join(report.findings)}"
            )
            return outcome.ended(result, RunState.CRASHED, "no_sandbox", words)
        if self.spec.rescore:
            own, other = self._sealed_before(has, report.tier)
        else:
            has.share(self.spec, device_locks_folder(), busy)
            result = result.model_copy(update={"device": health.read(has.leases[0], meter)})
            own, other = self._sides(has, result, report.tier)
        sides = [own] if other is None else [own, other]
        try:
            if not self.spec.rescore:
                self._train(has, sides)
            if own.scorable:
                self.view.phase("scoring")
                self._score(own, other)
            return own.result
        finally:
            for side in sides:
                side.end()
            self._leave(has, sides)

    def _sides(self, has: Slot, result: RunResult, tier: Tier) -> tuple[Side, Side | None]:
        """The candidate's side, and in a pair the incumbent's."""
        spec, incumbent = self.spec, self.spec.incumbent
        asked = spec.pairing or ("scorer" if incumbent is not None else "")
        result = result.model_copy(
            update={"pairing": has.pairing or asked, "incumbent": incumbent, "cores": has.bound[0]}
        )
        if spec.pairing and not has.pairing:
            words = "This machine has no room for two trainers of so many threads."
            result = outcome.beside(result, outcome.ended(result, RunState.CRASHED, "no_cores", words))
        return self._both(has, result, tier, incumbent if has.pairing else None)

    def _both(self, has: Slot, result: RunResult, tier: Tier, incumbent: int | None) -> tuple[Side, Side | None]:
        free = limits.available_memory() / (1 if incumbent is None else 2)
        allowed = Limits.of(self.spec.budget, free)
        own = Side(Surroundings(self.paths, self.spec, has.leases[0], tier), allowed, result)
        if incumbent is None:
            return own, None
        theirs = (
            RunResult(state=RunState.RUNNING, cores=has.bound[-1]) if result.beside is None else outcome.of_half(result)
        )
        beside = self.paths.beside(incumbent)
        return own, Side(Surroundings(beside, self.spec, has.leases[-1], tier, shown=self.paths), allowed, theirs)

    # -- training ------------------------------------------------------------------------------------------------------

    def _train(self, has: Slot, sides: list[Side]) -> None:
        """Train all sides; of what they leave, seal what can be scored."""
        own, *others = sides
        strangers = _strangers(has)
        alarms = [(lease, nvidia.Faults(lease.card)) for lease in has.leases if lease.card is not None]
        for side in sides:
            side.prepare()
        for side in others:
            if len(has.leases) > 1:
                reading = health.read(side.around.lease, LoadMeter(time.monotonic()))
                side.result = side.result.model_copy(update={"device": reading})
        meter, kills, shared = LoadMeter(time.monotonic()), limits.kernel_kills(), sharedmemory.present()
        trainings = self._attend(has, sides)
        if own.around.tier is not Tier.T2:
            sharedmemory.sweep(shared)
        foreign = meter.read(time.monotonic(), 0.0 if own.asked is None else own.asked.cpu_seconds())
        on_gpu = own.around.lease.card is not None
        tainted = _broken(alarms) or taint(
            self.spec.budget.clock, on_gpu, foreign, queue_per_core(), strangers or _strangers(has)
        )
        starved = limits.kernel_kills() > kills
        self.view.phase("sealing")
        for side, training in zip(sides, trainings, strict=True):
            replace_quickly(side.paths.log, training.log)
            if training.survivors:
                words = "Processes of a run could not be killed."
                device = side.around.lease.device
                devices.drain(device_locks_folder(), device, words, before=self._in_use[device])
            if side.result.device is not None:
                reading = health.read_again(side.result.device, side.around.lease, foreign)
                side.result = side.result.model_copy(update={"device": reading})
            side.seal(training, starved, has.unbound)
        # what the world will answer does not depend on how busy this machine was
        own.result = own.result.model_copy(update={"tainted": "" if self.spec.handover is not None else tainted})
        if own.scorable:
            if others:
                own.result = outcome.beside(own.result, others[0].result)
            own.result.write(self.paths.sealed)

    def _attend(self, has: Slot, sides: list[Side]) -> list[Training]:
        """Start the trainers and stay with them."""
        own = sides[0]
        warm = scorer.can_be_warm(own.around, has.spare)

        def watch(look: Look) -> Crossed | None:
            if warm and look.counting:
                own.ask(warm=True, on=has.spare)
            found = own.watch(look)
            if self.view.due:
                self.view.training(look)
            return found

        trainers: list[Trainer] = []
        try:
            for side, on in zip(sides, has.bound, strict=False):
                trainers.append(Trainer(side.around, side.allowed, on, watch if side is own else side.watch))
        except BaseException:
            for trainer in trainers:
                trainer.end()
            raise
        return attend(trainers, self.stop, has.pace(self.spec))

    # -- scoring -------------------------------------------------------------------------------------------------------

    def _sealed_before(self, has: Slot, tier: Tier) -> tuple[Side, Side | None]:
        """The sides as they were when their artifacts were sealed, if the artifacts are still the same."""
        before: RunResult = RunResult.read(self.paths.sealed)
        before = before.model_copy(update={"tier": tier, "state": RunState.RUNNING})
        if before.beside is None:
            by_scorer = self.spec.incumbent is not None and not self.spec.pairing
            before = before.model_copy(
                update={"incumbent": self.spec.incumbent, "pairing": "scorer"} if by_scorer else {"incumbent": None}
            )
        broken = before.beside is None or before.beside.reason
        own, other = self._both(has, before, tier, None if broken else before.incumbent)
        own.recall()
        if other is not None:
            other.recall()
            own.result = outcome.beside(own.result, other.result)
        return own, other

    def _score(self, own: Side, other: Side | None) -> None:
        """Ask about the candidate, and then, in no moment of that, about the incumbent: two models that are shown the
        same text could signal to each other by the load they make.
        """
        both = other is not None and other.scorable
        if other is not None and both and is_language_model_scorer(self.spec.score_command):
            other.ask(warm=True)  # it starts up while the candidate is asked, and is shown nothing yet
        checked = run_checks(own.around, own.allowed, self.stop)
        if checked.cancelled:
            own.result = outcome.ended(own.result, RunState.CANCELLED, "cancelled", "Cancelled while its checks ran.")
            return
        begin = time.monotonic()
        own.score(self.stop, self.view.scored, checked.failed)
        if other is not None and both and own.result.state is RunState.SCORED:
            other.score(self.stop, self.view.scored)
            if other.result.state is RunState.CANCELLED:
                own.result = outcome.ended(own.result, RunState.CANCELLED, "cancelled", other.result.detail)
            else:
                own.result = outcome.beside(own.result, other.result)
        own.result = own.result.model_copy(update={"score_seconds": round(time.monotonic() - begin, 3)})
        own.draw(self.stop)

    # -- leaving -------------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Let the device go, after the result is written: whoever sees the run over may count on it."""
        if self._slot is not None:
            self._slot.release()

    def _leave(self, has: Slot, sides: list[Side]) -> None:
        """Remove what nobody will read; refuse a card whose memory the dead still hold."""
        for side in sides:
            side.clear()
        for lease in has.leases:
            before = self._in_use[lease.device]
            held = health.unreleased_memory(lease, before)
            if held is not None:
                words = f"{held:.0f} MB were still in use after a run had ended and no process was listed."
                devices.drain(device_locks_folder(), lease.device, words, before=before)


def _broken(alarms: Sequence[tuple[Lease, nvidia.Faults]]) -> str:
    """What a card reported of itself meanwhile, so that nothing computed there can be trusted; it is drained then."""
    said = ""
    for lease, heard in alarms:
        words = health.faults(lease, heard)
        if words:
            devices.drain(device_locks_folder(), lease.device, words, until_restart=True)
            said = words
    return said


def _strangers(has: Slot) -> tuple[str, ...]:
    """Programs of others that compute on our cards."""
    return tuple(
        name for lease in has.leases if lease.card is not None for name in nvidia.compute_processes(lease.card)
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
