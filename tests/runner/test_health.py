"""What is recorded of the device, with make-believe GPUs; and what taints a comparison."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.campaign.runs.dispatch import resolve_devices
from mcp_server.nouns.errors import ArenaError
from mcp_server.runner.machine import devices, health, load, nvidia
from mcp_server.runner.machine.devices import Lease
from tests.rules.records import arena
from tests.runner.cards import Card, Library, forget, installed


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """Two cards that lie idle but for a program on the first."""
    with installed(tmp_path, monkeypatch, Card(programs={123: "python"}), Card(uuid="GPU-3c4d")) as library:
        yield library


def test_a_card_is_read_in_full(machine: Library) -> None:
    assert nvidia.cards() == ("0", "1")
    assert devices.available() == ("cuda:0", "cuda:1")
    assert nvidia.card("0") == nvidia.Card("NVIDIA H100 GPU-1a2b", "550.54", 1980, ("power cap",), 41, 0.37, 40123.0)
    assert nvidia.compute_processes("0") == ("python (123)",)
    assert nvidia.memory_held("0") is None  # somebody computes: it is not the dead who hold it


def test_what_a_card_does_not_tell_is_none(machine: Library) -> None:
    machine.cards[0] = Card(clock=None, reasons=None, heat=None, busy=None, used_mb=None, errors=None, rows=None)
    card = nvidia.card("0")
    assert card is not None
    assert {card.clock_mhz, card.slowed, card.temperature_c, card.utilisation, card.memory_used_mb} == {None}
    assert nvidia.trouble("0") == ""


def test_memory_that_no_program_holds_is_noticed(machine: Library) -> None:
    assert nvidia.memory_held("1") == 40123.0


def test_a_desktop_on_the_card_and_neighbours_that_a_container_does_not_see_are_no_dead_run(
    machine: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card on which a screen was drawn was refused for good after its first run."""
    monkeypatch.setattr(health, "RELEASE_SECONDS", 0.0)
    lease = Lease("cuda:1", -1)
    machine.cards[1] = Card(used_mb=900, drawing=[7])
    assert health.unreleased_memory(lease, 0.0) is None
    machine.cards[1] = Card(used_mb=900)
    before = health.memory_in_use(lease)
    assert (before, health.unreleased_memory(lease, before)) == (900.0, None)
    machine.cards[1].used_mb = 5900
    assert health.unreleased_memory(lease, before) == 5000.0
    devices.drain(tmp_path, "cuda:1", "5000 MB were still in use", before=before)
    assert devices.drained(tmp_path, "cuda:1") == "5000 MB were still in use"
    machine.cards[1].used_mb = 950
    assert devices.drained(tmp_path, "cuda:1") == ""
    assert health.memory_in_use(Lease("cpu", -1)) == 0.0


def test_a_driver_that_does_not_answer_is_no_gpu(machine: Library) -> None:
    machine.answers = False
    assert nvidia.cards() == ()
    assert devices.available() == ("cpu",)
    assert nvidia.card("0") is None
    assert nvidia.Faults("0").read() == []


def test_a_driver_that_hangs_is_not_waited_for(machine: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    hung = threading.Event()
    monkeypatch.setattr(machine, "nvmlDeviceGetCount", hung.wait, raising=False)
    for name in ("SECONDS", "FIRST_SECONDS"):
        monkeypatch.setattr(nvidia, name, 0.05)
    assert nvidia.cards() == ()
    hung.set()


def test_a_driver_that_wakes_its_cards_is_waited_for_and_its_silence_is_not_remembered(
    machine: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds made a machine with eight cards one without any, for the life of a server."""
    awake = threading.Event()
    monkeypatch.setattr(machine, "nvmlInit", awake.wait)
    monkeypatch.setattr(nvidia, "SECONDS", 0.05)
    monkeypatch.setattr(nvidia, "FIRST_SECONDS", 0.2)
    assert nvidia.cards() == ()
    threading.Timer(0.1, awake.set).start()
    assert nvidia.cards() == ("0", "1")


def test_nobody_imports_the_library_where_there_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "DRIVERS", ("/dev/no-such-driver",))
    forget()
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    assert devices.available() == ("cpu",)
    assert "pynvml" not in sys.modules
    forget()


DIVIDED = [
    Card(instances=[Card("H100 MIG 1g.10gb", "MIG-aa"), Card("H100 MIG 1g.10gb", "MIG-ab")]),
    Card(uuid="GPU-3c4d"),
    Card(lost=True),
]


def test_a_divided_card_is_its_instances(machine: Library) -> None:
    machine.cards = DIVIDED
    assert devices.available() == ("cuda:0.0", "cuda:0.1", "cuda:1")
    assert devices.equal_cards(devices.available()) == [("cuda:0.0", "cuda:0.1")]
    assert devices.gpus_of("cuda:0.1") == (0,)  # the file in /dev is the card's
    assert nvidia.shown_as("0.1") == "MIG-ab"
    state = nvidia.card("0.1")
    assert state is not None
    assert (state.identity, state.temperature_c) == ("H100 MIG 1g.10gb MIG-ab", 41)


def test_a_command_is_given_the_file_and_the_uuid_of_its_card_whatever_its_place_on_the_bus(machine: Library) -> None:
    # as on machines whose driver found the cards in another order, and in containers that were given some of them
    machine.cards = [Card(file=3), Card(uuid="GPU-3c4d", file=1, instances=[Card("MIG 1g", "MIG-aa")])]
    assert (devices.gpus_of("cuda:0"), devices.gpus_of("cuda:1.0"), devices.gpus_of("cpu")) == ((3,), (1,), ())
    # in a sandbox with that file alone the second card is the first one
    assert [nvidia.shown_as(card) for card in ("0", "1", "1.0")] == ["GPU-1a2b", "GPU-3c4d", "MIG-aa"]
    machine.answers = False
    forget()
    assert (devices.gpus_of("cuda:1"), nvidia.shown_as("1")) == ((1,), "1")


@pytest.mark.parametrize(
    ("wanted", "ours"),
    [
        (None, ("0.0", "0.1", "1")),
        ("1", ("1",)),
        ("1, 0", ("1", "0.0", "0.1")),
        ("GPU-3c", ("1",)),
        ("MIG-ab,GPU-3c4d", ("0.1", "1")),
        ("1,9,0", ("1",)),  # as CUDA reads it: what stands behind a wrong entry does not count
        ("-1", ()),
        ("", ()),
    ],
)
def test_what_cuda_may_not_see_is_not_ours(
    machine: Library, monkeypatch: pytest.MonkeyPatch, wanted: str | None, ours: tuple[str, ...]
) -> None:
    machine.cards = DIVIDED
    if wanted is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", wanted)
    assert nvidia.cards() == ours


def test_a_program_that_names_a_card_which_cuda_may_not_see_is_refused(
    machine: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve_devices(arena("devices: cuda:1,0\n")) == ("cuda:1", "cuda:0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    forget()
    assert resolve_devices(arena("devices: cuda:1\n")) == ("cuda:1",)
    with pytest.raises(ArenaError, match="names cuda:0, which CUDA_VISIBLE_DEVICES='1' of this process hides"):
        resolve_devices(arena("devices: cuda:1,0\n"))


def test_the_reading_of_a_card_has_its_state_before_and_after(machine: Library) -> None:
    lease = Lease("cuda:0", -1)
    before = health.read(lease, load.LoadMeter(time.monotonic()))
    assert (before.identity, before.load_before, before.throttled) == ("NVIDIA H100 GPU-1a2b", 0.37, True)
    assert before.slowed == "power cap"
    machine.cards[0] = Card(heat=77, busy=99, reasons=0x1)
    after = health.read_again(before, lease, 1.5)
    assert (after.temperature_c, after.load_before, after.load_after, after.throttled) == (77.0, 0.37, 0.99, False)


@pytest.mark.parametrize(
    ("xids", "errors", "rows", "said"),
    [
        ([], 0, (0, 0, 0, 0), ""),
        ([31, 13, 45], 0, (0, 0, 0, 0), ""),  # a program's own doing
        ([31, 79], 0, (0, 0, 0, 0), "The card reported Xid 79."),
        ([], 2, (0, 0, 0, 0), "Its memory had 2 errors"),
        ([], 0, (1, 0, 1, 0), "Bad rows of its memory"),
    ],
)
def test_errors_of_the_card_itself_are_told_from_those_of_programs(
    machine: Library, xids: list[int], errors: int, rows: tuple[int, int, int, int], said: str
) -> None:
    machine.cards[0].xids = [62]  # long ago
    heard = nvidia.Faults("0")
    machine.cards[0].xids, machine.cards[0].errors, machine.cards[0].rows = list(xids), errors, rows
    found = health.faults(Lease("cuda:0", -1), heard)
    assert found.startswith(said)
    assert bool(found) is bool(said)


def test_the_reading_of_a_processor_names_it() -> None:
    reading = health.read(Lease("cpu", -1), load.LoadMeter(time.monotonic()))
    assert " x " in reading.identity
    assert reading.speed is not None
    assert reading.speed > 1e5


def test_a_busy_neighbour_is_foreign_load_and_we_are_not() -> None:
    meter = load.LoadMeter(time.monotonic())
    begin = time.process_time()
    while time.process_time() - begin < 0.2:
        pass
    foreign = meter.read(time.monotonic())
    assert foreign is not None
    assert foreign >= 0


@pytest.mark.parametrize(
    ("clock", "gpu", "cores", "crowd", "programs", "tainted"),
    [
        ("wall", False, 0.1, 1.0, (), False),
        ("wall", False, 5.0, 1.0, (), True),
        ("wall", False, None, 1.0, (), False),
        ("cpu", False, 5.0, 3.0, (), False),
        ("cpu", False, 5.0, 20.0, (), True),
        ("wall", True, 0.1, 1.0, ("other (7)",), True),
    ],
)
def test_what_taints_a_run(
    clock: str, gpu: bool, cores: float | None, crowd: float, programs: tuple[str, ...], tainted: bool
) -> None:
    assert bool(load.taint(clock, gpu, cores, crowd, programs)) is tainted
