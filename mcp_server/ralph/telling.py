"""What an agent's output tells: what it cost, whether a limit of its service stopped it, its last words. Pure.

Claude Code prints one JSON object with `total_cost_usd` under `--output-format json` and `stream-json`; Codex prints
tokens, its messages and its errors under `--json`, and no money; any other command may print nothing. What is not told
is unknown, never zero. When an agent failed, its words are the reason it gave, not the hint that follows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mcp_server.nouns.text import clean_line, object_in

LIMITED = re.compile(
    r"rate.?limit|too many requests|\b429\b|\b529\b|overloaded|usage.?limit|limit reached|throttling|"
    # Claude Code: "You've hit your session limit · resets 3:45pm"; Gemini CLI: "You have exhausted your daily quota"
    r"(?:hit|reached|exceeded|exhausted) your (?:[\w.-]+ ){0,3}(?:limit|quota|capacity)|quota (?:exceeded|will reset)",
    re.IGNORECASE,
)
# the longest names first: 286ms are no 286 minutes
UNITS = {"milliseconds?|ms": 0.001, "minutes?|mins?|m": 60.0, "seconds?|secs?|s": 1.0, "hours?|hrs?|h": 3600.0}
UNITS |= {"days?|d": 86400.0}
PART = rf"\d+(?:\.\d+)?\s*(?:{'|'.join(UNITS)})(?![a-z])"
AFTER = re.compile(rf"(?:retry|try again|wait|reset)\D{{0,20}}?((?:{PART}(?:,| and)?\s*)+)", re.IGNORECASE)
# how Codex and the services behind it say when they serve again
RESETS = re.compile(r"resets_in_seconds\W{1,6}(\d+(?:\.\d+)?)")
# how command lines are refused by clap, commander, argparse, click, yargs and shells
MISUSE = re.compile(
    r"^\W*usage:|unexpected argument|unknown (?:option|argument|command|flag)|command not found|: not found$"
    r"|unrecognized (?:option|argument|subcommand)|invalid (?:option|value|choice)|no such (?:option|command)"
    r"|(?:missing|required) (?:option|argument)|arguments? (?:was|were) not provided",
    re.IGNORECASE | re.MULTILINE,
)
NOT_STARTED = (126, 127)  # a shell's word for a command that cannot be run
DONE = r"\ball (?:the )?(?:\w+ )?stories (?:are |now )*(?:done|pass)"
CLAIM = re.compile(rf"<promise>\s*COMPLETE\s*</promise>|{DONE}", re.IGNORECASE)
TAIL_CHARACTERS = 4000  # where a service says that it refuses
WORDS = 200


@dataclass(frozen=True)
class Told:
    """What was read from one agent's output."""

    cost_usd: float | None
    tokens: int | None
    limited: bool
    retry_seconds: float | None
    claims_completion: bool
    words: str
    misused: bool  # it refused its own command line
    model: str = ""  # where it is told


def told(text: str, exit_status: int) -> Told:
    """Read the output of an agent that ended with `exit_status`."""
    objects = list(_objects(text))
    said = next((words for one in reversed(objects) if (words := _said(one))), "")
    plain = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("{")]
    wrong = next((words for one in reversed(objects) if (words := _complaint(one))), "")
    failed = exit_status != 0 or bool(wrong)
    if failed and not wrong:
        wrong = next((line for line in plain if re.match(r"\W*(?:fatal )?error\b", line, re.IGNORECASE)), "")
    tail = text[-TAIL_CHARACTERS:]
    limited = failed and LIMITED.search(tail) is not None
    after = AFTER.findall(tail) if limited else []
    resets = [float(seconds) for seconds in RESETS.findall(tail)] if limited else []
    last = said.strip().splitlines()[-1] if said.strip() else plain[-1] if plain else ""
    return Told(
        cost_usd=_cost(objects),
        tokens=_tokens(objects),
        limited=limited,
        retry_seconds=max(resets) if resets else seconds_of(after[-1]) if after else None,
        claims_completion=CLAIM.search(text) is not None,
        words=clean_line(wrong if failed and wrong else last, WORDS),
        # an agent that has told anything in JSON was started; what it prints then is about its work
        misused=exit_status in NOT_STARTED
        or (exit_status > 0 and not objects and MISUSE.search("\n".join(plain)) is not None),
        model=_model(objects),
    )


def seconds_of(words: str) -> float:
    """Of a stretch of time as services write it: `20 s`, `286ms`, `8h44m7s`, `2 hours 30 minutes`."""
    return sum(
        float(number) * seconds
        for unit, seconds in UNITS.items()
        for number in re.findall(rf"(\d+(?:\.\d+)?)\s*(?:{unit})(?![a-z])", words, re.IGNORECASE)
    )


def _said(one: dict[str, Any]) -> str:
    """What an agent says in one object of its output: Claude Code's result, a message of Codex."""
    item = one.get("item")
    if isinstance(item, dict) and item.get("type") == "agent_message":
        return str(item.get("text") or "")
    return str(one["result"]) if isinstance(one.get("result"), str) else ""


def _complaint(one: dict[str, Any]) -> str:
    """Why it failed, as one object of its output has it."""
    if one.get("is_error") is True:
        return str(one.get("result") or "error")
    error = one.get("error") if one.get("type") == "turn.failed" else None
    return str(error.get("message") or "error") if isinstance(error, dict) else ""


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Every line that is one JSON object; and the whole, where it is one written over several lines."""
    for line in [*text.splitlines(), text.strip()]:
        found = object_in(line)
        if found is not None:
            yield found


def _cost(objects: list[dict[str, Any]]) -> float | None:
    """Dollars, as the last object that names them has it: it is the session's sum."""
    for one in reversed(objects):
        cost = one.get("total_cost_usd")
        if isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < 1e6:
            return float(cost)
    return None


def _model(objects: list[dict[str, Any]]) -> str:
    """The model, as Claude Code names it: at the beginning of a stream, or as the one that was used most."""
    for one in objects:
        if isinstance(one.get("model"), str):
            return clean_line(str(one["model"]), WORDS)
        used = one.get("modelUsage")
        if isinstance(used, dict) and used:
            return clean_line(str(max(used, key=lambda name: _output(used[name]))), WORDS)
    return ""


def _output(usage: object) -> int:
    told = usage.get("outputTokens") if isinstance(usage, dict) else 0
    return told if isinstance(told, int) else 0


def _tokens(objects: list[dict[str, Any]]) -> int | None:
    """Tokens in and out, of the last usage there is."""
    for one in reversed(objects):
        usage = one.get("usage")
        if isinstance(usage, dict):
            counts = [usage.get(name) for name in ("input_tokens", "output_tokens")]
            found = [count for count in counts if isinstance(count, int)]
            if found:
                return sum(found)
    return None
