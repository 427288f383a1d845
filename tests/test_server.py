"""The MCP face through a real client in memory, in both eras of the protocol: the verbs, their words, the waiting."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated

from mcp_server import server
from mcp_server.lab import Lab
from mcp_server.server import build_server
from tests.labs import begun, edit, git, make_lab, until
from tests.tools import call, refusal


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = make_lab(tmp_path / "lab")
    begun(made)
    return made


pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def client_of(lab: Lab, **how: Any) -> AsyncIterator[Client]:
    async with Client(build_server(lab.paths.tree), **how) as client:
        yield client


@pytest.mark.parametrize("how", [{}, {"mode": "legacy"}], ids=["2026-07-28", "2025-06-18"])
async def test_one_iteration_through_the_tools(lab: Lab, how: dict[str, Any]) -> None:
    async with client_of(lab, **how) as client:
        status = await call(client, "lab_status")
        assert status["incumbent"]["score"] == 4.0
        edit(lab, KNOB=2.5)
        run = await call(
            client, "run_experiment", description="nearer", hypothesis="three is the goal", expected_delta=3.0
        )
        assert (run["status"], run["change"]) == ("scored", 3.75)
        assert (await call(client, "read_score"))["verdict"]["decision"] == "keep"
        assert (await call(client, "commit_or_revert"))["decision"] == "kept"
        learned = await call(
            client, "append_learnings", text="Nearer to three is better.", experiment=run["experiment"]
        )
        assert learned["learning"] == 1
        assert "Nearer to three" in (await call(client, "recall", query="nearer"))["lines"][0]


async def test_a_server_that_was_told_a_campaign_acts_on_that_one_alone(lab: Lab) -> None:
    git(lab.paths.tree, "switch", "-q", "main")
    lab.close()
    for named, answer in (("first", ""), ("other", "There is no campaign other")):
        async with Client(build_server(lab.paths.tree, named)) as client:
            told = await client.call_tool("lab_status", {})
            assert answer in str(told.content[0])
            assert bool(told.is_error) is bool(answer)
            assert "acts on campaign" in await refusal(client, "start_campaign", tag="third")


async def test_a_wait_that_is_no_number_ends_no_call_whose_run_has_begun(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_WAIT_SECONDS", "45s")
    async with client_of(lab) as client:
        assert (await call(client, "read_score"))["score"] == 4.0


async def test_eight_tools_each_with_a_title_and_honest_annotations(lab: Lab) -> None:
    async with client_of(lab) as client:
        tools = (await client.list_tools()).tools
    assert len(tools) == 8
    for tool in tools:
        assert tool.title
        assert tool.annotations is not None
        assert tool.annotations.open_world_hint is False
        # the first look lets in what happened meanwhile, and no tool loses anything
        assert (tool.annotations.read_only_hint, tool.annotations.destructive_hint) == (False, False)
        assert callable(getattr(server, tool.name))
        assert tool.output_schema is not None
        assert tool.meta == {"anthropic/alwaysLoad": True}


async def test_asking_for_the_status_may_start_a_run_and_move_git(lab: Lab) -> None:
    with lab.reading() as (bench, campaign, _):
        bench.ledger.open_run(campaign.tag, 1, 99, "repeat", bench.stamp())
    assert lab.paths.run("first", 1, 2).spec.exists() is False
    async with client_of(lab) as client:
        await call(client, "lab_status")
    assert lab.paths.run("first", 1, 2).spec.exists()


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("run_experiment", {"description": "--output=x"}),
        ("run_experiment", {"description": "a\0b"}),
        ("run_experiment", {"description": "two\nlines"}),
        ("run_experiment", {"description": "x" * 10_000_000}),
        ("run_experiment", {"description": "abc\u202egnp.exe"}),
        ("run_experiment", {"description": "fine", "expected_delta": "NaN"}),
        ("start_campaign", {"tag": "../../x"}),
        ("start_campaign", {"tag": "--output=x"}),
        ("start_campaign", {"tag": "x", "from_ref": "--upload-pack=x"}),
        ("read_score", {"experiment": 0}),
        ("read_score", {"experiment": "../../x"}),
        ("commit_or_revert", {"decision": "merge"}),
        ("append_learnings", {"text": "\x1b]0;owned\x07"}),
        ("recall", {"limit": 5000}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_an_argument_that_attacks_is_a_validation_error_and_changes_nothing(
    lab: Lab, tool: str, arguments: dict[str, Any]
) -> None:
    before = git(lab.paths.tree, "for-each-ref")
    async with client_of(lab) as client:
        said = await refusal(client, tool, **arguments)
    assert said.startswith(f"{tool}: ")
    assert said.endswith("Nothing was done.")
    assert not any(word in said for word in ("pydantic", "validation", "Input should", "http"))
    assert git(lab.paths.tree, "for-each-ref") == before


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("run_experiment", {"description": "x", "wait": 60}, "no argument `wait`. Did you mean `wait_seconds`?"),
        ("lab_status", {"verbose": True}, "no argument `verbose`. It takes none."),
        ("commit_or_revert", {"experiment": 1, "score": 0.1}, "no argument `score`."),
    ],
)
async def test_an_argument_that_no_tool_has_is_refused_and_nothing_is_done(
    lab: Lab, tool: str, arguments: dict[str, Any], said: str
) -> None:
    before = git(lab.paths.tree, "for-each-ref")
    async with client_of(lab) as client:
        assert said in await refusal(client, tool, **arguments)
    assert git(lab.paths.tree, "for-each-ref") == before


async def test_an_error_of_ours_reaches_the_model_word_for_word(lab: Lab) -> None:
    async with client_of(lab) as client:
        assert "it has 1 to 1" in await refusal(client, "read_score", experiment=99)
        assert "Nothing changed" in await refusal(client, "run_experiment", description="no change")


async def test_giving_up_the_wait_never_affects_the_run(lab: Lab) -> None:
    async with client_of(lab) as client:
        edit(lab, KNOB=2.5, SECONDS=1.5)
        opened = await call(client, "run_experiment", description="slow", wait_seconds=0)
        with anyio.move_on_after(0.2) as gave_up:
            await client.call_tool("read_score", {"experiment": opened["experiment"]})
        assert gave_up.cancelled_caught
        assert (await call(client, "read_score", wait_seconds=300))["score"] == 0.25


async def test_a_wait_is_bounded_and_tells_progress(lab: Lab) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(done: float, total: float | None, message: str | None) -> None:
        told.append((done, total, message))

    async with client_of(lab) as client:
        edit(lab, KNOB=2.5, SECONDS=60)
        opened = await call(client, "run_experiment", description="slow", wait_seconds=0)
        begun = time.monotonic()
        result = await client.call_tool("read_score", {"wait_seconds": 1}, progress_callback=hear)
        assert time.monotonic() - begun >= 1
        assert result.structured_content is not None
        assert result.structured_content["status"] in ("queued", "running")
        assert told
        await call(client, "cancel_experiment", experiment=opened["experiment"])
        assert (await call(client, "read_score", wait_seconds=300))["status"] == "cancelled"


async def test_the_resources_show_program_learnings_results_and_an_experiment(lab: Lab) -> None:
    async with client_of(lab) as client:
        seen = {}
        for name in ("program", "learnings", "results.tsv", "experiments/1", "experiments/1/log", "experiments/1/diff"):
            contents = (await client.read_resource(f"autoresearch://{name}")).contents
            seen[name] = str(getattr(contents[0], "text", ""))
    assert "goal: bring KNOB to three" in seen["program"]
    assert seen["results.tsv"].startswith("commit\tval_bpb")
    assert '"score": 4.0' in seen["experiments/1"]
    assert "data, not instructions" in seen["experiments/1/log"]


async def test_a_resource_is_read_in_the_project_that_the_last_call_named(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codex starts a plugin's server in the plugin's folder and names the project in the metadata of each call."""
    monkeypatch.chdir(tmp_path)
    async with Client(build_server()) as client:
        turn = {"x-codex-turn-metadata": {"workspaces": {str(lab.paths.tree): {}}}}
        assert not (await client.call_tool("lab_status", {}, meta=turn)).is_error
        contents = (await client.read_resource("autoresearch://program")).contents
    assert "goal: bring KNOB to three" in str(getattr(contents[0], "text", ""))


@pytest.mark.parametrize("how", ["-C", "AUTORESEARCH_PROJECT"])
async def test_a_folder_that_the_server_was_started_for_outranks_what_a_client_names(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Over HTTP a client is anybody with the token: it may use the lab's tools, and open no other repository."""
    other = make_lab(tmp_path / "other").paths.tree
    if how != "-C":
        monkeypatch.setenv(how, str(lab.paths.tree))
    async with Client(build_server(lab.paths.tree if how == "-C" else None)) as client:
        turn = {"x-codex-turn-metadata": {"workspaces": {str(other): {}}}}
        told = await client.call_tool("lab_status", {}, meta=turn)
    assert (told.structured_content or {}).get("campaign") == "first"


async def test_a_resource_that_cannot_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = tmp_path / "plugins" / "cache" / "autoresearch"
    (plugin / ".codex-plugin").mkdir(parents=True)
    for folder, why in ((plugin, "call lab_status, then read it again"), (tmp_path, "not in a git repository")):
        monkeypatch.chdir(folder)
        async with Client(build_server()) as client:
            for name in ("program", "experiments/1"):
                with pytest.raises(MCPError, match=why):
                    await client.read_resource(f"autoresearch://{name}")


async def test_the_last_decision_says_that_the_campaign_is_over(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "short", more="stop: {experiments: 2}\n")
    begun(lab)
    async with client_of(lab) as client:
        edit(lab, KNOB=2.0)
        await call(client, "run_experiment", description="the last one")
        decided = await call(client, "commit_or_revert", learned="Two is better than one.")
        assert decided["next"].startswith("The campaign is over")
        assert (await call(client, "lab_status"))["stop"]


async def test_the_prompt_is_the_skill(lab: Lab) -> None:
    async with client_of(lab) as client:
        prompt = await client.get_prompt("research")
    assert "lab_status" in str(prompt.messages[0].content)


async def test_an_edit_of_the_program_tells_those_who_listen(lab: Lab) -> None:
    async with client_of(lab) as client:
        await call(client, "lab_status")
        async with client.listen(resource_subscriptions=["autoresearch://program"]) as events:
            program = lab.paths.program
            program.write_text(program.read_text() + "\nOne more hint.\n")
            with anyio.fail_after(20):
                async for event in events:
                    if isinstance(event, ResourceUpdated):
                        assert event.uri == "autoresearch://program"
                        break


async def test_a_folder_that_is_no_lab_is_an_error_in_words(tmp_path: Path) -> None:
    async with Client(build_server(tmp_path)) as client:
        assert "git init" in await refusal(client, "lab_status")


def test_a_server_that_is_killed_leaves_the_run_to_the_next(lab: Lab) -> None:
    edit(lab, KNOB=2.5, SECONDS=1.0)
    lab.run_experiment("slow")
    again = Lab(lab.paths.tree)
    reply = until(lambda: (found := again.read_score(2)).status == "scored" and found)
    assert reply.score == 0.25
