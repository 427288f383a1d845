"""The Messages API with server-sent events, as far as Claude Code, opencode and Copilot CLI need it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.e2e import hands
from tests.e2e.script import Call, Result, Say, Step

FEW_TOOLS = 3  # requests with fewer are side calls: titles, summaries
SUMMARY = "an <analysis> block followed by a <summary> block"  # what a compaction asks for
PREFIXES = hands.NAMES[:2]
Events = list[tuple[str, dict[str, Any]]]


def is_side_call(request: Mapping[str, Any]) -> bool:
    return len(request.get("tools") or []) < FEW_TOOLS or SUMMARY in json.dumps(request["messages"][-1])


def results_of(request: Mapping[str, Any], first: int = 0) -> list[Result]:
    """What our steps, numbered from `first`, were answered, in order."""
    found: dict[int, Result] = {}
    for message in request["messages"]:
        if message["role"] != "user" or isinstance(message["content"], str):
            continue
        for block in message["content"]:
            if block["type"] == "tool_result" and block["tool_use_id"].startswith("step_"):
                content = block.get("content") or ""
                texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
                found[int(block["tool_use_id"][5:])] = Result("\n".join(texts), bool(block.get("is_error")))
    return [found[number] for number in sorted(found) if number >= first]


def lab_tool(request: Mapping[str, Any], name: str) -> str | None:
    """The full name under which the request offers one of the lab's tools; None while its server is not up."""
    return hands.lab_tool(_offered(request), name)


def events_for(request: Mapping[str, Any], number: int, step: Step, cwd: str) -> Events:
    """The answer that makes the client do one step. A tool that is not offered yet is searched for, where one can."""
    if isinstance(step, Say):
        return _say(request, step.text)
    offered = _offered(request)
    identity = f"step_{number}"
    if not isinstance(step, Call):
        name, arguments = hands.by_hand(step, cwd, offered)
    elif found := hands.lab_tool(offered, step.tool):
        name, arguments = found, dict(step.arguments)
    elif "ToolSearch" in offered:
        query = ",".join(prefix + step.tool for prefix in PREFIXES)
        name, arguments, identity = "ToolSearch", {"query": f"select:{query}"}, f"find_{len(request['messages'])}"
    else:
        return _say(request, f"The tool {step.tool} is not offered.")
    block = {"type": "tool_use", "id": identity, "name": name, "input": {}}
    return _answer(request, block, {"type": "input_json_delta", "partial_json": arguments}, "tool_use")


def _offered(request: Mapping[str, Any]) -> dict[str, set[str]]:
    """The arguments of each tool that the request offers."""
    return {tool["name"]: set(tool.get("input_schema", {}).get("properties", {})) for tool in request["tools"]}


def _say(request: Mapping[str, Any], text: str) -> Events:
    return _answer(request, {"type": "text", "text": ""}, {"type": "text_delta", "text": text}, "end_turn")


def _answer(request: Mapping[str, Any], block: dict[str, Any], delta: dict[str, Any], stop_reason: str) -> Events:
    if "partial_json" in delta:
        delta = {**delta, "partial_json": json.dumps(delta["partial_json"])}
    message = {
        "id": f"msg_{len(request['messages'])}",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    return [
        ("message_start", {"type": "message_start", "message": message}),
        ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": block}),
        ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        (
            "message_delta",
            {
                "type": "message_delta",
                "delta": {"stop_reason": stop_reason, "stop_sequence": None},
                "usage": {"output_tokens": 1},
            },
        ),
        ("message_stop", {"type": "message_stop"}),
    ]
