"""While the server is being installed a client is kept company; nothing it asks is lost."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from tests.e2e import counting_server
from tests.test_packaging import load

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
SERVER = str(Path(counting_server.__file__))
# An installation that ends when a file appears, and with the exit code that the file holds. Like a real one it goes on
# when the client leaves, but not for ever.
INSTALLING = """
import pathlib, sys, time
done, ends = pathlib.Path(sys.argv[1]), time.monotonic() + 120
while not done.exists():
    if time.monotonic() > ends:
        sys.exit(1)
    time.sleep(0.02)
print("collecting", file=sys.stderr)
code = done.read_text()
if code == "1":
    print("Could not reach it: Network is unreachable", file=sys.stderr)
    done.unlink()
sys.exit(int(code))
"""
ROOM = """
import pathlib, subprocess, sys
sys.path.insert(0, sys.argv[1])
import waiting_room
from installation import Installation
waiting_room.PATIENCE_SECONDS = 1.0
log = pathlib.Path(sys.argv[3]).with_suffix(".log")
def begin():
    with log.open("w") as words:
        return Installation(subprocess.Popen([sys.executable, "-c", sys.argv[2], sys.argv[3]], stderr=words), log)
sys.exit(waiting_room.stay(begin, [sys.executable, sys.argv[4]], "1.2.3"))
"""

pytestmark = pytest.mark.anyio
BOTH_ERAS = pytest.mark.parametrize("how", [{}, {"mode": "legacy"}], ids=["2026-07-28", "2025-06-18"])


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


async def test_a_failed_installation_is_told_to_every_call_and_tried_again_by_the_next_status(tmp_path: Path) -> None:
    done = tmp_path / "done"
    async with Client(room(done), mode="legacy") as client:
        await client.list_tools()
        done.write_text("1")
        for _ in range(2):
            answer = await client.call_tool("add", {"number": 1})
            assert answer.is_error
            words = str(getattr(answer.content[0], "text", ""))
            assert "no index of packages could be reached. Connect this machine" in words
            assert str(tmp_path / "done.log") in words
        done.write_text("0")
        await client.call_tool("lab_status", {})  # this server has none; what counts is that one answers now
        assert (await client.call_tool("add", {"number": 42})).structured_content == {"count": 42, "waited": 0.0}


async def test_while_it_is_installed_a_call_hears_progress_and_a_status_how_far_it_is(tmp_path: Path) -> None:
    done, heard = tmp_path / "done", []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    async with Client(room(done), mode="legacy") as client:
        status = await client.call_tool("lab_status", {}, progress_callback=hear)
        assert "being installed" in str(status.structured_content)
        with anyio.fail_after(60):
            while not heard:  # a notification is delivered beside the answer
                await anyio.sleep(0.02)
        assert "being installed" in str(heard[0])
        done.write_text("0")


async def test_the_handshake_says_what_the_server_is_from_the_first_second(tmp_path: Path) -> None:
    done = tmp_path / "done"
    async with Client(room(done), mode="legacy") as client:
        assert "One iteration is: edit, run_experiment" in str(client.instructions)
        assert "being installed now" in str(client.instructions)
        done.write_text("0")


async def test_without_any_python_the_reason_is_an_answer_too(tmp_path: Path) -> None:
    tools = "sh", "dirname", "sed", "head", "tr", "cat"
    for name in tools:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    start = StdioServerParameters(
        command=str(tmp_path / "sh"),
        args=[str(SCRIPTS / "start.sh"), "mcp_server"],
        env={"PATH": str(tmp_path), "AUTORESEARCH_PYTHON": ""},
    )
    async with Client(start, mode="legacy") as client:
        assert "Python 3.11" in str(client.instructions)
        assert len((await client.list_tools()).tools) == 8
        answer = await client.call_tool("lab_status", {})
        assert answer.is_error
        assert "none is on the PATH" in str(answer.content)


def arguments_of(listed: str) -> dict[str, tuple[list[str], list[str]]]:
    """What a caller must get right: names of the tools, their arguments, and which of those are needed."""
    schemas = {tool["name"]: tool["inputSchema"] for tool in json.loads(listed)["tools"]}
    return {name: (sorted(one["properties"]), sorted(one.get("required", []))) for name, one in schemas.items()}


async def test_the_list_kept_for_the_wait_can_be_called_like_the_servers_own() -> None:
    script = load("list_tools")
    kept, own = script.FILE.read_text(), await script.listed()
    assert arguments_of(kept) == arguments_of(own), "a tool changed: run python scripts/list_tools.py"
    assert json.loads(kept)["instructions"] == json.loads(own)["instructions"]
