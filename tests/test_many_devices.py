"""Several devices: one agent keeps all of them busy by proposing ahead, and no device waits for an answer."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from mcp.client import Client

from mcp_server.campaign.runs.dispatch import resolve_budget, resolve_devices
from mcp_server.campaign.runs.room import places, places_on_processor, wanted
from mcp_server.lab import Lab
from mcp_server.server import build_server
from tests.labs import begun, edit, finish, git, make_lab, until
from tests.rules.records import arena
from tests.runner.cards import Card, installed
from tests.tools import call

GB = 1e9
FOUR = "devices: cpu:0,1,2,3\nkeep: {confirm: never, pairing: sequential}\n"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab with four places, whatever the machine has: the runs sleep."""
    made = make_lab(tmp_path / "lab")
    program = made.paths.program
    program.write_text(program.read_text().replace("devices: cpu\n", FOUR).replace("keep: {confirm: never}\n", ""))
    git(made.paths.tree, "commit", "-qam", "four places")
    return begun(made)


def test_one_agent_proposes_ahead_and_its_runs_are_at_work_at_once(lab: Lab) -> None:
    numbers = []
    for turn in range(4):
        edit(lab, KNOB=1.5 + turn / 4, SECONDS=1.5)
        reply = lab.run_experiment(f"idea {turn}")
        numbers.append(reply.experiment)
        assert reply.room == 5 - turn  # four at once, and two that wait
        assert "propose" in reply.next
        subprocess.run(shlex.split(reply.next.split("`")[1]), cwd=lab.paths.tree, check=True)  # as the reply says
    assert (lab.paths.tree / "train.py").read_text().count("KNOB = 1.0") == 1

    def all_busy() -> list[str]:
        busy = [one.device for one in lab.lab_status().devices if one.state == "busy"]
        return busy if len(busy) == 4 else []

    held = until(all_busy)
    assert sorted(held) == ["cpu:0", "cpu:1", "cpu:2", "cpu:3"]
    assert sorted(finish(lab, number).score for number in numbers) == [0.5625, 1.0, 1.5625, 2.25]


def test_a_status_says_what_the_devices_lack(lab: Lab) -> None:
    assert lab.lab_status().room == 6
    edit(lab, KNOB=2.0, SECONDS=1.0)
    number = lab.run_experiment("one").experiment
    status = lab.lab_status()
    assert status.room == 5
    assert "1 of 4 places have work: propose 5 more" in status.next
    finish(lab, number)
    assert "commit_or_revert" in lab.lab_status().next


def test_with_one_device_nothing_is_proposed_ahead(tmp_path: Path) -> None:
    alone = begun(make_lab(tmp_path / "lab"))
    edit(alone, KNOB=2.0)
    reply = alone.run_experiment("one")
    assert reply.room is None
    assert reply.next == f"read_score({reply.experiment}) waits for the score; think about the next idea meanwhile."


@pytest.mark.parametrize(
    ("cores", "threads", "memory", "expected"),
    [(1, 1, 64 * GB, 1), (2, 1, 64 * GB, 1), (4, 1, 64 * GB, 1), (8, 1, 64 * GB, 3), (64, 1, 512 * GB, 28),
     (64, 4, 512 * GB, 7), (64, 1, 16 * GB, 2), (8, 8, 64 * GB, 1)],
)  # fmt: skip
def test_a_processor_has_as_many_places_as_pairs_have_cores_and_memory(
    cores: int, threads: int, memory: float, expected: int
) -> None:
    assert places_on_processor(cores, threads, memory) == expected


@pytest.mark.parametrize(
    ("devices", "paired", "expected"),
    [(8, True, 4), (8, False, 8), (7, True, 3), (1, True, 1), (1, False, 1)],
)
def test_a_pair_takes_two_equal_cards(
    devices: int, paired: bool, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with installed(tmp_path, monkeypatch, *(Card(uuid=f"GPU-{number}") for number in range(devices))):
        usable = resolve_devices(arena())
        assert len(usable) == devices
        assert places(usable, paired) == expected


def test_so_much_is_wanted_ahead_that_half_of_the_places_have_a_successor() -> None:
    assert [wanted(8, open_runs) for open_runs in (0, 8, 11, 12, 20)] == [12, 4, 1, 0, 0]
    assert wanted(1, 0) == 0


def test_named_places_of_the_processor_are_on_its_clock() -> None:
    named = arena("devices: cpu:0,1,2\n")
    assert resolve_devices(named) == ("cpu:0", "cpu:1", "cpu:2")
    assert resolve_budget(named, resolve_devices(named)).clock == "cpu"


@pytest.mark.anyio
async def test_a_tool_call_does_not_wait_for_its_run_where_places_are_free(lab: Lab) -> None:
    async with Client(build_server(lab.paths.tree)) as client:
        edit(lab, KNOB=2.0, SECONDS=2.0)
        first = await call(client, "run_experiment", description="one")
        assert first["status"] in ("queued", "running")
        assert first["room"] == 5
        assert "run_experiment again" in first["next"]
        waited = await call(client, "read_score", experiment=first["experiment"])
    assert (waited["status"], waited["score"]) == ("scored", 1.0)
