"""While the server is being installed a client is kept company; nothing it asks is lost."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters

from tests.e2e import counting_server
from tests.test_packaging import load

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
SERVER = str(Path(counting_server.__file__))
# an installation that ends when a file appears, and with the exit code that the file holds
INSTALLING = """
import pathlib, sys, time
done = pathlib.Path(sys.argv[1])
while not done.exists():
    time.sleep(0.02)
sys.exit(int(done.read_text()))
"""
ROOM = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from waiting_room import stay
installing = subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[3]])
sys.exit(stay(installing, [sys.executable, sys.argv[4]], "1.2.3"))
"""

pytestmark = pytest.mark.anyio
BOTH_ERAS = pytest.mark.parametrize("how", [{}, {"mode": "legacy"}], ids=["2026-07-28", "2025-06-18"])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def room(done: Path) -> StdioServerParameters:
    arguments = ["-c", ROOM, str(SCRIPTS), INSTALLING, str(done), SERVER]
    return StdioServerParameters(command=sys.executable, args=arguments, cwd=Path(__file__).parent.parent)


@BOTH_ERAS
async def test_the_tools_are_listed_at_once_and_a_call_waits(tmp_path: Path, how: dict[str, Any]) -> None:
    done, answers = tmp_path / "done", []
    async with Client(room(done), **how) as client:
        assert len((await client.list_tools()).tools) == 8

        async def add() -> None:
            answers.append(await client.call_tool("add", {"number": 42}))

        async with anyio.create_task_group() as meanwhile:
            meanwhile.start_soon(add)
            assert (await client.list_prompts()).prompts == []
            assert answers == []
            done.write_text("0")
        # from here on it is the server that answers
        assert answers[0].structured_content == {"count": 42, "waited": 0.0}
        assert {tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools} == {"add", "wait"}
        assert (await client.call_tool("add", {"number": 1})).structured_content == {"count": 43, "waited": 0.0}


async def test_a_failed_installation_ends_the_session(tmp_path: Path) -> None:
    done = tmp_path / "done"
    async with Client(room(done), mode="legacy") as client:
        await client.list_tools()
        done.write_text("1")
        with pytest.raises(MCPError):
            await client.call_tool("add", {"number": 1})


def arguments_of(listed: str) -> dict[str, tuple[list[str], list[str]]]:
    """What a caller must get right: names of the tools, their arguments, and which of those are needed."""
    schemas = {tool["name"]: tool["inputSchema"] for tool in json.loads(listed)["tools"]}
    return {name: (sorted(one["properties"]), sorted(one.get("required", []))) for name, one in schemas.items()}


async def test_the_list_kept_for_the_wait_can_be_called_like_the_servers_own() -> None:
    script = load("list_tools")
    kept, own = script.FILE.read_text(), await script.listed()
    assert arguments_of(kept) == arguments_of(own), "a tool changed: run python scripts/list_tools.py"
