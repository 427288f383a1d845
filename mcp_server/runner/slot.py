"""What one run has of the machine: a device for each side, the cores of its training, and how two sides share them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mcp_server.nouns.records import Pairing, RunSpec
from mcp_server.runner.environment import threads
from mcp_server.runner.machine import cores, devices
from mcp_server.runner.machine.queue import Ticket, is_held
from mcp_server.runner.pace import Alone, InTurns, SideBySide
from mcp_server.runner.trainer import Pace


@dataclass
class Slot:
    """Leased until `release`, at the latest by our death. `pairing` is what the machine lets a pair be; "": no pair."""

    leases: tuple[devices.Lease, ...]
    pairing: Pairing = ""
    bound: tuple[tuple[int, ...], ...] = ((),)  # the cores of each side; () where nothing is bound
    _leased: list[cores.Leased] = field(default_factory=list)

    @property
    def on_cpu(self) -> bool:
        return self.leases[0].card is None

    @property
    def unbound(self) -> bool:
        """Whether training should be bound to cores, and the system offers none."""
        return self.on_cpu and not self.bound[0]

    @property
    def spare(self) -> tuple[int, ...]:
        """The cores that no training of ours is bound to."""
        taken = {core for side in self.bound for core in side}
        return tuple(core for core in cores.allowed() if core not in taken)

    def share(self, spec: RunSpec, folder: Path, busy: cores.Meter) -> None:
        """Lease the least busy cores, as many as there are threads, and see what of the pair can be. Raises OSError."""
        count = threads(spec, self.leases[0])
        if not self.on_cpu:
            self.bound = ((),) * len(self.leases)
            self.pairing = spec.pairing if len(self.leases) > 1 else ""
            return
        order = cores.least_busy(cores.allowed(), busy.read(), cores.siblings_of(cores.allowed()))
        leased = cores.lease(folder, order, 2 * count if spec.pairing == "side_by_side" else count)
        self._leased.append(leased)
        one, two = leased.cores[:count], leased.cores[count:]
        self.pairing, self.bound = spec.pairing, (one, two if spec.pairing == "side_by_side" else one)
        if spec.pairing == "side_by_side" and len(two) < count and cores.allowed():
            # The trainers' own clocks would count the turns of the other one as theirs, but for the processor's.
            self.pairing = "alternating" if spec.budget.clock == "cpu" else ""
            self.bound = (one, one)

    def pace(self, spec: RunSpec) -> Pace:
        """How the sides share it."""
        together = spec.budget.clock == "cpu"
        if self.pairing == "alternating":
            return InTurns(self.bound[0])
        if self.pairing and self.on_cpu:
            return SideBySide(self.bound, together)
        return Alone(self.bound[0])

    def release(self) -> None:
        """Let everything go. Harmless to repeat."""
        for leased in self._leased:
            leased.release()
        for lease in self.leases:
            os.close(lease.fd)
        self.leases = ()


def wait(spec: RunSpec, folder: Path, pause: Callable[[], bool]) -> Slot | None:
    """Wait for our turn and a device, or for a pair on cards two equal ones; None when `pause` says to give up.

    While a person holds the campaign we stand outside of the queue, in nobody's way. What only its scorer is asked for
    again has begun long ago.
    """

    def may_begin() -> bool:
        return spec.rescore or not is_held(spec.queue, spec.campaign)

    while True:
        if may_begin() and (found := _turn(spec, folder, lambda: may_begin() and pause())) is not None:
            return found
        if not pause():
            return None


def _turn(spec: RunSpec, folder: Path, pause: Callable[[], bool]) -> Slot | None:
    ticket = Ticket(spec.queue, spec.ticket, spec.devices, spec.owner, spec.urgent)
    lab = str(spec.queue.parent.parent.parent)  # the queue lies in <git folder>/autoresearch
    told = devices.Holder(lab, f"{spec.campaign}/{spec.experiment}", 0.0, spec.owner)
    if spec.pairing and devices.equal_cards(spec.devices):
        two = devices.lease_two(folder, ticket, pause, lab, told)
        # a pair changes its cards from seed to seed, so that neither side keeps the better one
        return None if two is None else Slot(two[::-1] if spec.seed % 2 else two)
    one = devices.lease(folder, ticket, pause, lab, told)
    return None if one is None else Slot((one,))
