"""Cases 8 to 16 of the abuses, the trainer's side: every file of `trainers/` is run by the real supervisor.

Adding a file adds the test. A file says which case it belongs to and how the run must end; wherever it ends, no
forbidden act may have worked, nothing of the run may be alive, the device must be free, and nothing outside may have
changed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import site
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mcp_server.nouns.files import is_locked
from mcp_server.nouns.paths import device_locks_folder
from mcp_server.nouns.records import RunResult, RunState, Tier
from mcp_server.runner.machine.devices import lock_path
from mcp_server.runner.sandbox import probe
from tests.runner.test_sandbox import has
from tests.runner.test_supervisor import alive_with
from tests.runs import RunFolder

pytestmark = pytest.mark.abuse

TRAINERS = Path(__file__).parent / "trainers"
LOG_LIMIT = 400_000


@dataclass(frozen=True)
class Deed:
    """One malicious train.py and what must come of it."""

    path: Path
    tries: str
    case: int
    expect: tuple[str, str]
    tier: Tier
    words: dict[str, Any] = field(default_factory=dict)


def deeds() -> list[Any]:
    """Every file at T2, and at T1 those that say what holds there."""
    found = []
    for path in sorted(TRAINERS.glob("*.py")):
        if path.name == "base.py":
            continue
        tree = ast.parse(path.read_text())
        words: dict[str, Any] = {}
        for node in tree.body:
            if isinstance(node, ast.Assign):
                names = [name.id for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)]
                try:
                    value = ast.literal_eval(node.value)
                except ValueError:
                    continue
                words.update(zip(names, value if len(names) > 1 else [value], strict=True))
        tries = (ast.get_docstring(tree) or "").splitlines()[0]
        for tier, expect in ((Tier.T2, words["EXPECT"]), (Tier.T1, words.get("T1"))):
            if expect is not None:
                deed = Deed(path, tries, words["CASE"], expect, tier, words)
                found.append(pytest.param(deed, id=f"{words['CASE']}-{path.stem}-{tier}"))
    return found


class Target:
    """A lab worth burgling, and what is listened on."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root = root
        self.corpus = root / "cache" / "corpora" / "tiny-0123456789ab"
        state = root / "lab" / ".git" / "autoresearch"
        for path, text in {
            self.corpus / "public" / "meta.json": "{}",
            self.corpus / "public" / "tokenizer.json": "{}",
            self.corpus / "sealed" / "val.bin": "validation",
            self.corpus / "sealed" / "test_pool.bin": "test",
            state / "lab.db": "ledger",
            state / "runs" / "tag" / "1" / "99" / "artifact" / "model.safetensors": "weights",
            root / "lab" / ".git" / "hooks" / "post-commit": "#!/bin/sh\n",
            root / "lab" / ".git" / "config": "[core]\n",
        }.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.udp.bind(("127.0.0.1", 0))
        self.unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        folder = os.open(root, os.O_PATH)  # below a long TMPDIR the whole path has no room in a socket's name
        stack.callback(os.close, folder)
        self.unix.bind(f"/proc/self/fd/{folder}/socket")
        self.unix.listen()
        self.abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        self.abstract.bind(f"\0{root.name}-{os.getpid()}")
        self.abstract.listen()
        self.datagram = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.datagram.bind(f"/proc/self/fd/{folder}/datagram")
        self.abstract_datagram = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.abstract_datagram.bind(f"\0{root.name}-{os.getpid()}-datagram")
        bystander = stack.enter_context(subprocess.Popen(["sleep", "600"]))
        stack.callback(bystander.kill)
        targets = {
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "unix": str(root / "socket"),
            "abstract": f"{root.name}-{os.getpid()}",
            "datagram": str(root / "datagram"),
            "abstract datagram": f"{root.name}-{os.getpid()}-datagram",
            "pids": {"a bystander": bystander.pid, "the test": os.getpid()},
        }
        (self.corpus / "public" / "targets.json").write_text(json.dumps(targets))
        for listener in (self.tcp, self.udp, self.unix, self.abstract, self.datagram, self.abstract_datagram):
            listener.setblocking(False)

    def was_reached(self) -> list[str]:
        """Listeners that somebody got through to."""
        reached = []
        for name in ("tcp", "unix", "abstract"):
            try:
                getattr(self, name).accept()
            except BlockingIOError:
                continue
            reached.append(name)
        for name in ("udp", "datagram", "abstract_datagram"):
            try:
                getattr(self, name).recv(1)
            except BlockingIOError:
                continue
            reached.append(name)
        return reached

    def fingerprint(self) -> dict[str, str]:
        """Everything that no run may change."""
        kept = [self.root / "cache", self.root / "lab" / ".git" / "hooks", self.root / "lab" / ".git" / "config"]
        kept += [self.root / "lab" / ".git" / "autoresearch" / "lab.db"]
        kept += [self.root / "lab" / ".git" / "autoresearch" / "runs" / "tag" / "1" / "99"]
        kept += list(self.root.glob("lab/.git/autoresearch/runs/tag/1/[12]/work"))
        kept += list(self.root.glob("lab/.git/autoresearch/runs/tag/1/[12]/trusted"))
        files = [path for place in kept for path in (place.rglob("*") if place.is_dir() else [place])]
        prints = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}
        return prints | {folder: str(list(Path(folder).glob("*burgled*"))) for folder in site.getsitepackages()}


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with ExitStack() as stack:
        yield Target(tmp_path, stack)


def lay_out(deed: Deed, target: Target, number: int) -> RunFolder:
    run = RunFolder(
        root=target.root,
        train=deed.path.read_text(),
        number=number,
        spec={"data": target.corpus},
        budget=deed.words.get("BUDGET", {}),
    )
    paths = run.lay_out()
    shutil.copy(TRAINERS / "base.py", paths.work)
    (paths.work / "prepare.py").write_text("# frozen\n")
    return run


@pytest.mark.parametrize("deed", deeds())
def test_no_abuse_by_a_trainer_ends_in_a_false_score(
    deed: Deed, target: Target, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    if not has(deed.tier):
        pytest.skip(f"this machine offers no {deed.tier}: {' '.join(probe().findings)}")
    monkeypatch.setenv("AUTORESEARCH_TIER", deed.tier)
    runs = [lay_out(deed, target, number + 1) for number in range(deed.words.get("RUNS", 1))]
    before = target.fingerprint()
    for run in runs:
        result = run.carry_out()
    happened = f"{result.state} {result.reason}".strip()
    record_property("abuse", [deed.case, deed.tries, happened, str(deed.tier), naive(deed, result)])
    log = run.paths.log.read_text()
    assert (result.state, result.reason) == deed.expect, f"{result.detail}\n{log[-2000:]}"
    assert result.tier is deed.tier
    if result.state is RunState.SCORED:
        assert result.score == 0.5
        assert json.loads((run.paths.artifact / "loot.json").read_text()) == [], log
    else:
        assert result.score is None
        assert result.detail
    assert target.was_reached() == []
    assert target.fingerprint() == before
    for run in runs:
        assert alive_with(str(run.paths.out)) == []
    assert not is_locked(lock_path(device_locks_folder(), "cpu"))
    assert len(log) < LOG_LIMIT
    assert "\x1b" not in log
    judge_time(deed, result)


def naive(deed: Deed, result: RunResult) -> str:
    """What one would have scored who takes whatever the trainer has left, whenever and wherever."""
    if "finish(0.1)" in deed.path.read_text():
        return "0.1"
    return "none" if result.score is None else f"{result.score:g}"


def judge_time(deed: Deed, result: RunResult) -> None:
    """The files that are about time say which wall time, or flag, must be on record."""
    if "WALL" in deed.words:
        # none ends by itself within a minute; a busy machine may notice late
        assert deed.words["WALL"] - 0.1 <= result.wall_seconds < deed.words["WALL"] + 45
    if "FLAG" in deed.words:
        assert deed.words["FLAG"] in result.flags
