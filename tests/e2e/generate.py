"""Gemini's generateContent with server-sent events, as far as its CLI needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.e2e import hands
from tests.e2e.script import Call, Result, Say, Step

Events = list[tuple[str, dict[str, Any]]]


def is_side_call(request: Mapping[str, Any]) -> bool:
    return not _offered(request)


def results_of(request: Mapping[str, Any], first: int = 0) -> list[Result]:
    """What our steps, numbered from `first`, were answered, in order."""
    found: dict[int, Result] = {}
    for content in request["contents"]:
        for part in content.get("parts", []):
            answer = part.get("functionResponse")
            if answer and str(answer.get("id", "")).startswith("step_"):
                said = answer.get("response", {})
                found[int(answer["id"][5:])] = Result(str(said.get("output", said.get("error", said))), "error" in said)
    return [found[number] for number in sorted(found) if number >= first]


def lab_tool(request: Mapping[str, Any], name: str) -> str | None:
    return hands.lab_tool(_offered(request), name)


def events_for(request: Mapping[str, Any], number: int, step: Step, cwd: str) -> Events:
    """The answer that makes the client do one step."""
    if isinstance(step, Say):
        return _answer({"text": step.text})
    if isinstance(step, Call):
        name = lab_tool(request, step.tool)
        if name is None:
            return _answer({"text": f"The tool {step.tool} is not offered."})
        arguments = dict(step.arguments)
    else:
        name, arguments = hands.by_hand(step, cwd, _offered(request))
    return _answer({"functionCall": {"id": f"step_{number}", "name": name, "args": arguments}})


def _offered(request: Mapping[str, Any]) -> dict[str, set[str]]:
    """The arguments of each tool that the request offers."""
    declared = [one for tool in request.get("tools") or [] for one in tool.get("functionDeclarations", [])]
    return {one["name"]: set(one.get("parametersJsonSchema", {}).get("properties", {})) for one in declared}


def _answer(part: dict[str, Any]) -> Events:
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return [("", {"candidates": [candidate], "usageMetadata": usage})]
