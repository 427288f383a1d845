"""pi-autoresearch: a folder `.auto/` with a prompt, a script that measures and a log; or the older flat files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mcp_server.arena.metrics import better_by_name, better_said
from mcp_server.nouns.files import text_of
from mcp_server.nouns.text import object_in
from mcp_server.setup.adopting.found import Found, Hint
from mcp_server.setup.adopting.reference import COPY

KIND = "pi-autoresearch"
FILES = {
    "prompt": (".auto/prompt.md", "autoresearch.md"),
    "measure": (".auto/measure.sh", "autoresearch.sh"),
    "checks": (".auto/checks.sh", "autoresearch.checks.sh"),
    "ideas": (".auto/ideas.md", "autoresearch.ideas.md"),
    "config": (".auto/config.json", "autoresearch.config.json"),
    "log": (".auto/log.jsonl", "autoresearch.jsonl"),
}
BROUGHT = ("node_modules", "data")  # ignored folders that a measurement usually needs
SECONDS = 600.0
NAME = r"[A-Za-z][\w.µ]{0,39}"


def place(tree: Path, kind: str) -> str:
    """Which of the two names of a session's file is there; "" when neither is."""
    return next((name for name in FILES[kind] if (tree / name).is_file()), "")


def recognise(tree: Path, tracked: Callable[[str], bool], files: Callable[[], list[str]], hint: Hint) -> Found | None:
    """The arena of a pi-autoresearch session; None for another repository. `files`: what git knows."""
    measure, prompt = place(tree, "measure"), place(tree, "prompt")
    if not measure or not (prompt or place(tree, "log")):
        return None
    text = text_of(tree / prompt)
    metric, unit, direction, where = _metric(tree, text, text_of(tree / measure), hint)
    scope = [one for one in _scope(text, files()) if one not in {name for names in FILES.values() for name in names}]
    checks, ideas = place(tree, "checks"), text_of(tree / place(tree, "ideas"))
    shut_out = [name for name in (*BROUGHT, ".auto") if (tree / name).is_dir() and not tracked(name)]
    title = re.search(r"^#\s*(?:Autoresearch:\s*)?(.+)$", text, re.M)
    settings = object_in(text_of(tree / place(tree, "config"))) or {}
    most = settings.get("maxIterations")
    return Found(
        kind=KIND,
        goal=title[1].strip() if title else "",
        metric=metric,
        direction=direction,
        unit=unit,
        editable=tuple(scope),
        frozen=tuple(name for name in (measure, checks) if name and tracked(name)),
        # their script may write beside itself, which a run may not: it works in a copy of the snapshot
        run=f"bash -c '{COPY} && bash {measure}'",
        checks=(f"bash -c '{COPY} && bash {checks}'",) if checks else (),
        memo=text + (f"\n\n## Ideas\n\n{ideas}" if ideas.strip() else ""),
        memo_from=prompt or "the log",
        seconds=SECONDS,
        readable=tuple(shut_out),
        experiments=most if isinstance(most, int) and most > 0 else None,
        notes=(where, f"files in scope are read from {prompt or 'nowhere'}"),
    )


def log_entries(tree: Path) -> Iterator[dict[str, Any]]:
    """The lines of the session's log that are objects."""
    for line in text_of(tree / place(tree, "log")).splitlines():
        entry = object_in(line)
        if entry:
            yield entry


def _metric(tree: Path, prompt: str, measure: str, hint: Hint) -> tuple[str, str, str, str]:
    """(metric, unit, direction, where they were read); "" where nothing tells."""
    found = _told(tree, prompt, measure)
    name, unit, direction, where = (
        found if hint.metric in ("", found[0]) else (hint.metric, "", "", "the metric as asked")
    )
    better = hint.direction or direction or better_by_name(name) or (hint.kept if name == hint.logged else "")
    return name, unit, better, where


def _told(tree: Path, prompt: str, measure: str) -> tuple[str, str, str, str]:
    settings = [entry for entry in log_entries(tree) if entry.get("type") == "config"]
    if settings and re.fullmatch(NAME, str(settings[-1].get("metricName"))):
        last = settings[-1]
        said = better_said(str(last.get("bestDirection") or "")) or ""
        return str(last["metricName"]), str(last.get("metricUnit") or "")[:24], said, "the metric is read from the log"
    primary = re.search(rf"\*\*(?:Primary|Metric)(?:\*\*:|:\*\*)\s*`?({NAME})`?\s*(?:\(([^)]*)\))?", prompt, re.I)
    if primary:
        unit, _, better = (primary[2] or "").partition(",")
        after = prompt[primary.end() : primary.end() + 200]
        words = re.search(r"\b(higher|lower|maximi[sz]e|minimi[sz]e)\b", f"{primary[2] or ''} {after}", re.I)
        way = better_said(words[1]) if words else None
        return primary[1], unit.strip()[:24] if better else "", way or "", "the metric is read from the prompt"
    printed = re.search(rf"METRIC\s+({NAME})=", measure)
    return printed[1] if printed else "", "", "", "the metric is read from the script" if printed else ""


def _scope(prompt: str, files: list[str]) -> list[str]:
    """The files that the prompt lets the agent change, as far as git knows them."""
    section = re.search(r"^##\s*Files in Scope\s*$(.*?)(?=^##\s|\Z)", prompt, re.M | re.S | re.I)
    words = re.findall(r"`([^`\n]+)`|^\s*[-*]\s+([\w./*-]+)", section[1] if section else "", re.M)
    named = [one.strip().removeprefix("./") for pair in words for one in pair if one.strip()]
    known = set(files)
    found = []
    for name in dict.fromkeys(named):
        folder = re.sub(r"/\*{0,2}$", "", name) + "/"
        if name in known and not name.startswith(".auto/"):
            found.append(name)
        elif any(file.startswith(folder) for file in files):
            found.append(folder)
    return found
