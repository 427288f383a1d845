"""The Responses API with server-sent events, as far as Codex needs it: requests to results, steps to events."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.e2e.script import Call, Edit, Read, Resource, Result, Say, Shell, Skill, Step

Events = list[tuple[str, dict[str, Any]]]


def is_side_call(request: Mapping[str, Any]) -> bool:
    return not request.get("tools")


def results_of(request: Mapping[str, Any], first: int = 0) -> list[Result]:
    """What our steps, numbered from `first`, were answered, in order."""
    found: dict[int, Result] = {}
    for item in request["input"]:
        if item["type"].endswith("_output") and str(item.get("call_id", "")).startswith("step_"):
            output = item["output"]
            if isinstance(output, list):
                output = "\n".join(str(part.get("text", "")) for part in output)
            failed = (
                re.search(r"(^|Output:\n)(Error executing tool|tool call error|err:|timed out)", output) is not None
            )
            found[int(item["call_id"][5:])] = Result(output, failed)
    return [found[number] for number in sorted(found) if number >= first]


def lab_tool(request: Mapping[str, Any], tool: str) -> str | None:
    """The namespace under which a tool search has found one of the lab's tools; None before."""
    for item in request["input"]:
        for space in item.get("tools") or [] if item["type"] == "tool_search_output" else []:
            if "autoresearch" in space["name"] and tool in {found["name"] for found in space.get("tools", [])}:
                return str(space["name"])
    return None


def events_for(request: Mapping[str, Any], number: int, step: Step, cwd: str) -> Events:
    """The answer that makes the client do one step. Codex hides every server's tools until they are searched for."""
    if not isinstance(step, Call):
        return _answer(request, _item(step, f"step_{number}"))
    namespace = lab_tool(request, step.tool)
    if namespace is None:
        search = {"type": "tool_search_call", "execution": "client", "call_id": f"find_{len(request['input'])}"}
        return _answer(request, {**search, "arguments": {"query": f"autoresearch {step.tool}", "limit": 20}})
    call = _function(step.tool, dict(step.arguments), f"step_{number}")
    return _answer(request, {**call, "namespace": namespace})


def _item(step: Step, call_id: str) -> dict[str, Any]:
    match step:
        case Resource(uri):
            return _function("read_mcp_resource", {"server": "autoresearch", "uri": uri}, call_id)
        case Read(path):
            return _function("exec_command", {"cmd": f"cat {path}"}, call_id)
        case Edit(path, old, new):
            lines = [f"*** Update File: {path}", "@@", f"-{old}", f"+{new}"]
            patch = "\n".join(["*** Begin Patch", *lines, "*** End Patch", ""])
            return {"type": "custom_tool_call", "name": "apply_patch", "call_id": call_id, "input": patch}
        case Shell(command):
            return _function("exec_command", {"cmd": command}, call_id)
        case Skill(name):
            return _function("exec_command", {"cmd": f"cat .agents/skills/{name}/SKILL.md"}, call_id)
        case Say(text):
            content = [{"type": "output_text", "text": text}]
            return {"type": "message", "role": "assistant", "id": f"msg_{call_id}", "content": content}
        case _:
            raise TypeError(step)


def _function(name: str, arguments: Mapping[str, Any], call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "name": name, "arguments": json.dumps(arguments), "call_id": call_id}


def _answer(request: Mapping[str, Any], item: dict[str, Any]) -> Events:
    identity = f"resp_{len(request['input'])}"
    usage = {
        "input_tokens": 1,
        "input_tokens_details": None,
        "output_tokens": 1,
        "output_tokens_details": None,
        "total_tokens": 2,
    }
    return [
        ("response.created", {"type": "response.created", "response": {"id": identity}}),
        ("response.output_item.done", {"type": "response.output_item.done", "output_index": 0, "item": item}),
        (
            "response.completed",
            {"type": "response.completed", "response": {"id": identity, "output": [item], "usage": usage}},
        ),
    ]
