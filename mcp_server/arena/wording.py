"""What is wrong with an arena, problem by problem: where it stands, what is allowed, what may have been meant. Pure."""

from __future__ import annotations

import typing
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from mcp_server.arena.yamllines import line_of
from mcp_server.nouns.refusals import given, is_union_branch, nearest, sentence

SECTIONS = ("metric", "budget", "keep", "stop")
EXAMPLES = {
    "goal": "lowest validation bits per byte in a fixed training budget",
    "metric": "{name: val_bpb, direction: minimize, unit: bits/byte}",
    "editable": "[train.py]",
    "frozen": "[prepare.py]",
    "run": "python train.py",
    "score": "python score.py",
    "checks": "[python -m pytest -q]",
    "budget": "{seconds: 300}",
    "keep": "{min_delta: auto}",
    "stop": "{experiments: 100}",
    "secondary": "{latency_ms: {max: 5}}",
    "readable": "[data]",
    "devices": "auto",
    "engine": "{name: ray, resources: {GPU: 1}}",
    "direction": "minimize",
    "name": "val_bpb",
    "handover": "letters",
    "style": "bold",
}
# what the same things are called by neighbours, so that a guess is answered
WORDS_OF_OTHERS = {
    "files": "editable", "file": "editable", "target_file": "editable", "mutable": "editable", "scope": "editable",
    "readonly": "frozen", "read_only": "frozen", "fixed": "frozen", "immutable": "frozen",
    "command": "run", "cmd": "run", "train": "run", "measure": "score", "eval": "score", "evaluate": "score",
    "evaluator": "score", "objective": "metric", "time_budget": "budget", "timeout": "budget",
    "max_iterations": "stop", "max_experiments": "stop", "tests": "checks", "data": "readable", "gpu": "devices",
    "cluster": "engine", "backend": "engine",
    "device": "devices", "constraints": "secondary", "name": "goal", "description": "goal",
}  # fmt: skip

# what an agent, who writes in the repository, may not choose: these are keys of the user's own file
THE_USERS = {
    "notify": "to whom news is sent",
    "track": "which trackers are written to",
    "spend": "which command tells what was spent",
    "quota": "what a subscription allows",
}


def explain(error: ValidationError, node: yaml.Node, name: str, first: int, model: type[BaseModel]) -> str:
    """All problems, one a line: where, what, and what is allowed."""
    found: dict[tuple[int, str], list[str]] = {}
    for problem in error.errors(include_url=False):
        steps = [step for step in problem["loc"] if not is_union_branch(step)]
        what = ".".join(str(step) for step in steps) or "front matter"
        if problem["type"] == "extra_forbidden" and what in THE_USERS:
            said = f"`{what}` is no key of program.md: {THE_USERS[what]} is for the user alone to say, outside of every"
            said += " repository, in ~/.config/autoresearch/config.yaml (docs/news.md)"
        elif problem["type"] == "extra_forbidden":
            said = f"unknown key `{what}`.{_meant(str(steps[-1]), steps[:-1], model)}"
            said += f" Allowed here: {', '.join(_keys(model, steps[:-1]))}"
        elif problem["type"] == "missing":
            said = f"`{what}` is missing. {_hint(steps)}"
        else:
            said = f"`{what}`: {sentence(problem)}"
            if problem["type"] != "value_error":
                said += given(problem)
            said += _hint_of_shape(problem["type"], steps)
        found.setdefault((line_of(node, steps, first), what), []).append(said)
    return "\n".join(f"{name}, line {line}: {_joined(said)}." for (line, _), said in found.items())


def _joined(said: list[str]) -> str:
    """What one value may be, where it may be one thing or another."""
    head, *more = dict.fromkeys(said)
    start, must, _ = head.partition("must be ")
    if not more or not must or not all(one.startswith(start + must) for one in more):
        return "; ".join((head, *more))
    body, bracket, rest = head.partition(" (it is")
    others = "".join(f", or {one.removeprefix(start + must).partition(' (it is')[0]}" for one in more)
    return body + others + bracket + rest


def _meant(key: str, place: list[Any], model: type[BaseModel]) -> str:
    """Which key may have been meant: one spelled nearly so, or the same one in another section."""
    home = next((section for section in SECTIONS if not place and key in _keys(model, [section])), "")
    if home:
        return f" Did you mean `{home}: {{{key}: …}}`?"
    near = nearest(key, _keys(model, place))
    if near:
        return near
    if place and key in model.model_fields:
        return f" `{key}` stands at the top, not in `{place[-1]}`."
    other = WORDS_OF_OTHERS.get(key.lower().replace("-", "_"))
    return f" Did you mean `{other}`?" if other and not place else ""


def _keys(model: type[BaseModel], place: list[Any]) -> list[str]:
    """The keys that are allowed at a place of the arena."""
    found: Any = model
    for step in place:
        if isinstance(found, type) and issubclass(found, BaseModel):
            field = found.model_fields.get(step)
            found = field.annotation if field else None
        elif typing.get_origin(found) is dict:
            found = typing.get_args(found)[1]
    if typing.get_origin(found) is dict:
        return ["names of metrics, or of commands, of your own"]
    return list(getattr(found, "model_fields", {"(see the README)": None}))


def _hint_of_shape(kind: str, place: list[Any]) -> str:
    """An example for a value of the wrong shape."""
    if kind in ("model_type", "dict_type", "tuple_type", "string_type", "string_pattern_mismatch") and place:
        example = EXAMPLES.get(str(place[0] if len(place) == 1 else place[-1]))
        return f". For example: {example}" if example else ""
    return ""


def _hint(place: list[Any]) -> str:
    example = EXAMPLES.get(str(place[-1]) if place else "")
    return f"For example: {example}" if example else "See the README"
