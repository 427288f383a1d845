"""What is recorded of the device, with a make-believe nvidia-smi; and what taints a comparison."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_server.runner.machine import devices, health, load, nvidia
from mcp_server.runner.machine.devices import Lease

SMI = """#!/bin/sh
case "$*" in
  *query-gpu=index*) printf '0\\n1\\n';;
  *query-gpu=name*) echo "{card}";;
  *query-compute-apps*) printf '{programs}';;
esac
"""
CARD = "NVIDIA H100, GPU-1a2b, 550.54, 1980, 0x0000000000000004, 41, 37, 40123"


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The path to write a make-believe nvidia-smi to; it is the one that is found."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    forget()
    yield tmp_path / "nvidia-smi"
    forget()


def forget() -> None:
    nvidia._program.cache_clear()
    nvidia.cards.cache_clear()


def install(path: Path, card: str = CARD, programs: str = "") -> None:
    path.write_text(SMI.format(card=card, programs=programs))
    path.chmod(0o755)


def test_a_card_is_read_in_full(smi: Path) -> None:
    install(smi, programs="123, python, train\\n")
    assert nvidia.cards() == (0, 1)
    assert devices.available() == ("cuda:0", "cuda:1")
    assert nvidia.card(0) == nvidia.Card("NVIDIA H100 GPU-1a2b", "550.54", 1980.0, True, 41.0, 0.37, 40123.0)
    assert nvidia.compute_processes(0) == ("python,train (123)",)
    assert nvidia.memory_held(0) is None  # somebody computes: it is not the dead who hold it


def test_what_a_card_does_not_tell_is_none(smi: Path) -> None:
    install(smi, card="GB10, GPU-9, 580.1, [N/A], [N/A], [N/A], [Not Supported], [N/A]")
    card = nvidia.card(0)
    assert card is not None
    assert {card.clock_mhz, card.throttled, card.temperature_c, card.utilisation, card.memory_used_mb} == {None}


def test_memory_that_no_program_holds_is_noticed(smi: Path) -> None:
    install(smi)
    assert nvidia.memory_held(0) == 40123.0


def test_a_driver_that_does_not_answer_is_no_gpu(smi: Path) -> None:
    smi.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    smi.chmod(0o755)
    assert nvidia.cards() == ()
    assert devices.available() == ("cpu",)
    assert nvidia.card(0) is None


def test_the_reading_of_a_card_has_its_state_before_and_after(smi: Path) -> None:
    install(smi)
    lease = Lease("cuda:0", -1)
    before = health.read(lease, load.LoadMeter(time.monotonic()))
    assert (before.identity, before.load_before, before.throttled) == ("NVIDIA H100 GPU-1a2b", 0.37, True)
    install(smi, card=CARD.replace(" 41, 37", " 77, 99").replace("04,", "00,"))
    after = health.read_again(before, lease, 1.5)
    assert (after.temperature_c, after.load_before, after.load_after, after.throttled) == (77.0, 0.37, 0.99, False)


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
