"""Clients that give up in mid-run, two servers on one repository, and both eras of the protocol, over real stdio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.e2e.repositories import attempts, git, kept, lay_lab
from tests.e2e.servers import stdio
from tests.tools import call as ask

pytestmark = pytest.mark.anyio
RUN_SECONDS = 3.0


def set_constants(lab: Path, **constants: float) -> None:
    lines = (lab / "train.py").read_text().splitlines()
    for name, value in constants.items():
        lines = [f"{name} = {value}" if line.startswith(f"{name} =") else line for line in lines]
    (lab / "train.py").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("share", [0.05, 0.5, 1.0])
async def test_a_client_that_gives_up_reads_the_score_later(tmp_path: Path, share: float) -> None:
    lab = lay_lab(tmp_path / "lab")
    async with Client(stdio(lab)) as client:
        await ask(client, "start_campaign", tag="patience", calibrate=0)
        await ask(client, "read_score", experiment=1)
        set_constants(lab, KNOB=2.0, SECONDS=RUN_SECONDS)
        with anyio.move_on_after(share * RUN_SECONDS):
            await ask(client, "run_experiment", description="a run that outlasts its client")
    # the first server is gone with its client
    async with Client(stdio(lab)) as client:
        scored = await ask(client, "read_score", experiment=2, wait_seconds=60)
        assert (scored["status"], scored["score"]) == ("scored", 1.0)
        assert (await ask(client, "commit_or_revert", experiment=2))["decision"] == "kept"
    assert attempts(lab, "patience") == ["1", "2"]
    assert len(list((lab / ".git/autoresearch/runs/patience/2").iterdir())) == 1


async def test_two_servers_on_one_repository_share_everything(tmp_path: Path) -> None:
    lab = lay_lab(tmp_path / "lab")
    async with Client(stdio(lab)) as one, Client(stdio(lab), mode="legacy") as other:
        await ask(one, "start_campaign", tag="shared", calibrate=0)
        assert (await ask(other, "read_score", experiment=1, wait_seconds=60))["score"] == 4.0
        set_constants(lab, KNOB=2.0)
        ran = await ask(one, "run_experiment", description="by the first", wait_seconds=0)
        assert (await ask(other, "read_score", experiment=ran["experiment"], wait_seconds=60))["score"] == 1.0
        decisions: list[dict[str, Any]] = []

        async def decide(client: Client) -> None:
            decisions.append(await ask(client, "commit_or_revert", experiment=ran["experiment"]))

        async with anyio.create_task_group() as both:
            both.start_soon(decide, one)
            both.start_soon(decide, other)
        assert [decision["decision"] for decision in decisions] == ["kept", "kept"]
        assert decisions[0]["commit"] == decisions[1]["commit"]
        await ask(other, "append_learnings", text="Told by the second.")
        assert "Told by the second." in str(await ask(one, "recall", query="told"))
    assert len(kept(lab, "shared")) == 2
    assert git(lab, "fsck", "--strict", "--no-dangling") == ""


@pytest.mark.parametrize("how", [{}, {"mode": "legacy"}], ids=["2026-07-28", "2025-06-18"])
async def test_both_eras_of_the_protocol_see_the_same_server(tmp_path: Path, how: dict[str, Any]) -> None:
    lab = lay_lab(tmp_path / "lab")
    async with Client(stdio(lab), **how) as client:
        tools = (await client.list_tools()).tools
        assert len(tools) == 8
        assert (await ask(client, "lab_status"))["editable"] == ["train.py"]
        prompts = (await client.list_prompts()).prompts
        assert [prompt.name for prompt in prompts] == ["research"]
