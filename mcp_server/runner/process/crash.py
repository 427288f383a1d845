"""Why a command ended badly, read from its exit status and the end of its log. For people; decides little.

What it decides is the reason code, among codes that are all a crash: a lying log gains nothing.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass, replace
from pathlib import Path

from mcp_server.nouns.records import Crash
from mcp_server.runner.process.logs import excerpt
from mcp_server.runner.process.unseen import Hint

TRACEBACK = "Traceback (most recent call last):"
FRAME = re.compile(r'^\s+File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<where>.+))?$')
RAISED = re.compile(r"^(?P<kind>[A-Za-z_][\w.]*)(?:: (?P<message>.*))?$")
OUT_OF_MEMORY = ("OutOfMemoryError", "MemoryError")
OUT_OF_MEMORY_WORDS = ("CUDA out of memory", "CUDA error: out of memory", "not enough memory", "Cannot allocate memory")
UNPARSED = re.compile(r"^(SyntaxError|IndentationError|TabError): ", re.MULTILINE)
EXCERPT_BYTES = 4096
FRAMES = 8
KIND_CHARACTERS, MESSAGE_CHARACTERS = 100, 500


def ended_by(exit_status: int) -> signal.Signals | None:
    """The signal that ended the command, told directly (-9) or by a sandbox in between (137)."""
    number = -exit_status if exit_status < 0 else exit_status - 128
    try:
        return signal.Signals(number) if number > 0 else None
    except ValueError:
        return None


@dataclass(frozen=True)
class Diagnosis:
    """A reason code and the words for people."""

    reason: str
    crash: Crash
    hint: str = ""  # what mends it, where the log points at that


def told(diagnosis: Diagnosis, found: Hint | None) -> Diagnosis:
    """The diagnosis with what was not found, which says more than an exit status."""
    if found is None:
        return diagnosis
    reason = found.reason if diagnosis.reason == "nonzero_exit" and found.reason else diagnosis.reason
    return replace(diagnosis, reason=reason, hint=found.said)


def diagnose(log: str, exit_status: int, snapshot: Path, editable: tuple[str, ...], starved: bool = False) -> Diagnosis:
    """What ended a command, if its exit status is other than 0; else only the end of the log is of use.

    `starved`: the kernel killed something for want of memory meanwhile, and it takes a run first.
    """
    kind, message, frames = _last_exception(log, snapshot, editable)
    killer = ended_by(exit_status)
    if not kind:
        kind = killer.name if killer else f"exit {exit_status}"
    crash = Crash(
        kind=kind[:KIND_CHARACTERS], message=message[:MESSAGE_CHARACTERS], frames=frames, excerpt=excerpt(log)
    )
    if kind.rpartition(".")[2] in OUT_OF_MEMORY or any(words in message for words in OUT_OF_MEMORY_WORDS):
        return Diagnosis("out_of_memory", crash)
    if killer is signal.SIGKILL and starved:
        return Diagnosis("out_of_memory", crash)
    if killer is signal.SIGXFSZ or "[Errno 27]" in message:
        return Diagnosis("output_too_large", crash)
    if "[Errno 28]" in message:
        return Diagnosis("disk_full", crash)
    return Diagnosis("killed" if killer in (signal.SIGKILL, signal.SIGTERM) else "nonzero_exit", crash)


def _last_exception(log: str, snapshot: Path, editable: tuple[str, ...]) -> tuple[str, str, tuple[str, ...]]:
    """(class, message, frames inside the editable files) of the last traceback in the log, or empty words."""
    _, found, trace = log.rpartition(TRACEBACK)
    if not found:
        # the file that cannot be parsed at all is told without a traceback
        trace = log[-EXCERPT_BYTES:] if UNPARSED.search(log[-EXCERPT_BYTES:]) else ""
    lines = trace.splitlines()
    frames: list[str] = []
    for index, line in enumerate(lines):
        match = FRAME.match(line)
        if match is None:
            raised = RAISED.match(line)
            if raised is not None and (found or UNPARSED.match(line)):
                return raised["kind"], raised["message"] or "", tuple(frames[-FRAMES:])
            continue
        path = Path(match["file"])
        name = str(path.relative_to(snapshot)) if path.is_relative_to(snapshot) else str(path)
        if name in editable:
            source = lines[index + 1].strip() if index + 1 < len(lines) else ""
            where = f" in {match['where']}" if match["where"] else ""
            frames.append(f"{name}:{match['line']}{where}: {source}"[:300])
    return "", "", tuple(frames[-FRAMES:])
