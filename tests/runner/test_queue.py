"""The queue for devices: fair, and blind to the dead."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from mcp_server.nouns.paths import device_locks_folder
from mcp_server.runner.machine import devices
from mcp_server.runner.machine.queue import Ticket, Wish, in_turn
from tests.runner.cards import Card, installed

ROOT = Path(__file__).parents[2]
# Waits its turn, says which device it got, holds it until its stdin closes.
WAITER = """
import sys, time
from pathlib import Path
from mcp_server.nouns.paths import device_locks_folder
from mcp_server.runner.machine import devices
from mcp_server.runner.machine.queue import Ticket
ticket = Ticket(Path(sys.argv[1]), int(sys.argv[2]), tuple(sys.argv[3].split(",")))
print("waiting", flush=True)
lease = devices.lease(device_locks_folder(), ticket, lambda: time.sleep(0.01) or True)
print(lease.device, flush=True)
sys.stdin.read()
"""


@contextmanager
def waiter(queue: Path, number: int, wanted: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", WAITER, queue, str(number), wanted],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert says(process) == "waiting"
        yield process
        process.kill()


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ticket(queue: Path, number: int, *wanted: str) -> closing[Ticket]:
    return closing(Ticket(queue, number, wanted))


def test_the_lowest_ticket_is_first(tmp_path: Path) -> None:
    with ticket(tmp_path, 5, "cpu") as first, ticket(tmp_path, 7, "cpu") as second:
        assert first.free_to_take() == ("cpu",)
        assert second.free_to_take() == ()
        first.close()
        assert second.free_to_take() == ("cpu",)


def test_numbers_are_compared_as_numbers(tmp_path: Path) -> None:
    with ticket(tmp_path, 9, "cpu") as first, ticket(tmp_path, 10, "cpu") as second:
        assert (first.free_to_take(), second.free_to_take()) == (("cpu",), ())


def test_a_ticket_for_another_device_does_not_stand_in_the_way(tmp_path: Path) -> None:
    with ticket(tmp_path, 1, "cuda:0"), ticket(tmp_path, 2, "cuda:0", "cuda:1") as second:
        assert second.free_to_take() == ("cuda:1",)


def test_the_ticket_of_a_dead_process_is_thrown_away(tmp_path: Path) -> None:
    with devices_taken("cpu"), waiter(tmp_path, 1, "cpu") as dead, ticket(tmp_path, 2, "cpu") as living:
        assert living.free_to_take() == ()
        dead.kill()
        dead.wait()
        assert living.free_to_take() == ("cpu",)
        assert not (tmp_path / "1").exists()


@contextmanager
def devices_taken(*names: str) -> Iterator[None]:
    with ExitStack() as stack:
        for name in names:
            lease = devices.try_lease(device_locks_folder(), (name,))
            assert lease is not None
            stack.callback(os.close, lease.fd)
        yield


def test_waiters_are_served_in_the_order_of_their_tickets(tmp_path: Path) -> None:
    served = []
    with ExitStack() as stack:
        with devices_taken("cpu"):
            # launched in the wrong order, all of them waiting before the device comes free
            waiters = {number: stack.enter_context(waiter(tmp_path, number, "cpu")) for number in (4, 2, 3, 1)}
        for number in (1, 2, 3, 4):
            served.append(says(waiters[number]))
            waiters[number].kill()
            waiters[number].wait()
    assert served == ["cpu"] * 4


def test_two_devices_serve_two_at_once(tmp_path: Path) -> None:
    with waiter(tmp_path, 1, "cuda:0,cuda:1") as one, waiter(tmp_path, 2, "cuda:0,cuda:1") as two:
        assert {says(one), says(two)} == {"cuda:0", "cuda:1"}


def test_a_device_is_free_the_moment_its_holder_is_killed(tmp_path: Path) -> None:
    with waiter(tmp_path, 1, "cpu") as holder:
        assert says(holder) == "cpu"
        assert devices.try_lease(device_locks_folder(), ("cpu",)) is None
        holder.kill()
        holder.wait()
        with devices_taken("cpu"):
            pass


def test_a_drained_device_is_refused_until_its_cause_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card, folder = Card(used_mb=40_000.0), device_locks_folder()
    folder.mkdir(parents=True)
    with installed(tmp_path, monkeypatch, card):
        devices.drain(folder, "cuda:0", "40000 MB were still in use")
        assert devices.drained(folder, "cuda:0") == "40000 MB were still in use"
        assert devices.try_lease(folder, ("cuda:0",)) is None
        card.used_mb = 3.0
        with devices_taken("cuda:0"):
            assert devices.drained(folder, "cuda:0") == ""


def test_a_card_that_reported_an_error_of_its_own_is_refused_until_the_machine_is_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card, folder = Card(used_mb=3.0, errors=1), device_locks_folder()
    folder.mkdir(parents=True)
    with installed(tmp_path, monkeypatch, card):
        assert devices.try_lease(folder, ("cuda:0",)) is None  # it says so itself, whoever ran on it
        card.errors = 0
        devices.drain(folder, "cuda:0", "The card reported Xid 79.", until_restart=True)
        assert devices.drained(folder, "cuda:0") == "The card reported Xid 79."
        monkeypatch.setattr(devices.proc, "boot", lambda: "another start")
        with devices_taken("cuda:0"):
            assert devices.drained(folder, "cuda:0") == ""


@pytest.mark.parametrize("name", ["", "../x", "cuda:", "cuda:0/../../x", "CPU", "cpu\n"])
def test_what_is_no_device_has_no_lock(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no device"):
        devices.lock_path(tmp_path, name)


def served(*wishes: Wish, **at_work: int) -> list[int]:
    return [wish.number for wish in in_turn(list(wishes), at_work)]


def of(owner: str, *numbers: int, urgent: bool = False) -> list[Wish]:
    return [Wish(number, ("cpu",), owner, urgent) for number in numbers]


def test_who_proposes_much_does_not_go_before_who_proposes_little() -> None:
    assert served(*of("a", 1, 2, 3, 4), *of("b", 5), *of("c", 6, 7)) == [1, 5, 6, 2, 7, 3, 4]


def test_who_has_devices_already_waits_for_who_has_none() -> None:
    assert served(*of("a", 1, 2), *of("b", 3, 4), a=2) == [3, 4, 1, 2]


def test_what_a_decision_waits_for_goes_before_its_owners_new_ideas_and_nobody_elses() -> None:
    assert served(*of("a", 1, 2), *of("a", 9, urgent=True), *of("b", 5)) == [5, 9, 1, 2]


def test_without_owners_the_queue_is_in_order_of_arrival() -> None:
    assert served(*of("", 3, 1, 2)) == [1, 2, 3]


def test_a_ticket_of_an_older_version_is_read() -> None:
    assert Wish.read(4, '["cuda:0"]') == Wish(4, ("cuda:0",))
    with pytest.raises(ValueError, match="no ticket"):
        Wish.read(4, '{"devices": ["cpu"]}')


def test_every_agent_of_a_queue_gets_its_share_of_the_devices(tmp_path: Path) -> None:
    """One has three at work, the other's first goes ahead of its fourth, whatever their numbers."""
    greedy = [Ticket(tmp_path, number, ("cpu",), "greedy") for number in (1, 2)]
    with closing(Ticket(tmp_path, 9, ("cpu",), "modest")) as modest:
        assert modest.free_to_take({"greedy": 3}) == ("cpu",)
        assert [one.free_to_take({"greedy": 3}) for one in greedy] == [(), ()]
        assert modest.free_to_take() == ()
    for one in greedy:
        one.close()
