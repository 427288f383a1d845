"""Case 33, the host's side: a model that goes on learning where it is built or asked, instead of in the budget.

The first honest run says what hosts need here; every cheat is measured against that. What learns is a copy of the
training text that travels in the weights, for a host has none of its own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mcp_server.nouns.records import HostUse, RunResult, RunState, Tier
from mcp_server.runner.machine import shares
from mcp_server.runner.sandbox import probe
from tests.abuse.model_runs import MODELS, lay_out, read
from tests.runner.test_sandbox import has
from tests.runs import RunFolder
from tests.scoring.tiny import write_corpus

pytestmark = pytest.mark.abuse

HONEST = """\
import torch
from base import VOCAB, WIDTH, Base, finish


class Model(Base):
    "What was counted, and nothing else."


def build_model():
    return Model()


if __name__ == "__main__":
    finish(build_model())
"""
BURN = """
import threading, time

def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
"""
IN_HOST = "import sys\nHOST = sys.argv[0] == 'train.py' and __name__ != '__main__'\n"
# where: (code at the end of the module, what must come of it)
CHEATS = {
    "as train.py is imported": ("if HOST:\n    burn(SECONDS)\n", "unusual"),
    "in build_model": (
        "honest_build = build_model\n"
        "def build_model():\n    if HOST:\n        burn(SECONDS)\n    return honest_build()\n",
        "unusual",
    ),
    "as it rehearses": (
        "honest_forward, calls = Model.forward, []\n"
        "def forward(self, ids):\n    if HOST and not calls:\n        burn(SECONDS)\n    calls.append(1)\n"
        "    return honest_forward(self, ids)\nModel.forward = forward\n",
        "unusual",
    ),
    "at the first token of the text": (
        "import numpy as np\nhonest_forward, done = Model.forward, []\n"
        "REHEARSAL = torch.from_numpy(np.random.default_rng(0).integers(0, VOCAB, size=(64, WIDTH)))\n"
        "def forward(self, ids):\n"
        "    if HOST and not done and not torch.equal(ids, REHEARSAL[: len(ids), : ids.shape[1]]):\n"
        "        burn(SECONDS)\n        done.append(1)\n"
        "    return honest_forward(self, ids)\nModel.forward = forward\n",
        "refused",
    ),
    "in a thread beside its answers": (
        "import numpy as np\nhonest_forward, done = Model.forward, []\n"
        "REHEARSAL = torch.from_numpy(np.random.default_rng(0).integers(0, VOCAB, size=(64, WIDTH)))\n"
        "def forward(self, ids):\n"
        "    if HOST and not done and not torch.equal(ids, REHEARSAL[: len(ids), : ids.shape[1]]):\n"
        "        done.append(1)\n        learner = threading.Thread(target=burn, args=(SECONDS,))\n"
        "        learner.start()\n        time.sleep(0.2)\n        learner.join()\n"
        "    return honest_forward(self, ids)\nModel.forward = forward\n",
        "refused",
    ),
}

QUICK = ("at the first token of the text",)  # the others run with `make abuse`


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "tiny")


def laid_out(source: str, folder: Path, corpus: Path) -> RunFolder:
    """A run of this train.py, whose weights are a table."""
    run = lay_out(read(MODELS / "rows_see_each_other.py"), folder, corpus)
    (run.paths.work / "train.py").write_text(source)
    return run


def carry_out(source: str, folder: Path, corpus: Path, usual: HostUse | None) -> RunResult:
    run = laid_out(source, folder, corpus)
    if usual is not None:
        spec = json.loads(run.paths.spec.read_text())
        run.paths.spec.write_text(json.dumps({**spec, "usual_hosts": usual.model_dump()}))
    return run.carry_out()


@pytest.fixture(scope="module")
def usual(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> HostUse:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_LOCKS", str(tmp_path_factory.mktemp("locks")))
        patch.setenv("AUTORESEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        result = carry_out(HONEST, tmp_path_factory.mktemp("honest"), corpus, None)
    assert result.state is RunState.SCORED, result.detail
    assert result.hosts is not None
    assert result.hosts.ready_seconds > 0.2  # torch was imported
    return result.hosts


def test_an_honest_model_is_neither_flagged_nor_refused(
    corpus: Path, usual: HostUse, tmp_path: Path, record_property: Any
) -> None:
    result = carry_out(HONEST, tmp_path, corpus, usual)
    record_property(
        "abuse", [0, "An honest model, held to what it needed the first time.", str(result.state), str(result.tier)]
    )
    assert result.state is RunState.SCORED, result.detail
    assert "hosts_unusual" not in result.flags
    assert result.hosts is not None
    assert result.hosts.traces == 0
    assert result.audit is not None
    assert abs(result.audit.correction) < 1e-6


@pytest.mark.parametrize(
    "where", [pytest.param(where, marks=() if where in QUICK else (pytest.mark.slow,)) for where in CHEATS]
)
def test_what_a_host_computes_beside_its_answers_is_told_or_refused(
    where: str, corpus: Path, usual: HostUse, tmp_path: Path, record_property: Any
) -> None:
    if probe().tier is Tier.T0:
        pytest.skip("at T0 nothing is shut in")
    code, expected = CHEATS[where]
    # a little beyond the limit that must catch it
    seconds = (
        shares.UNUSUAL_READY * usual.ready_seconds + 1.0 if expected == "unusual" else shares.most_to_answer(usual, 1.0)
    ) + 1.0
    head, main = HONEST.split('if __name__ == "__main__":')
    source = f'{IN_HOST}{BURN}SECONDS = {seconds}\n{head}\n{code}\nif __name__ == "__main__":{main}'
    result = carry_out(source, tmp_path, corpus, usual)
    happened = f"{result.state} {result.reason} {' '.join(result.flags)}".strip()
    record_property("abuse", [33, f"Learns {where}, in its host.", happened, str(result.tier), "less"])
    if expected == "unusual":
        assert result.state is RunState.SCORED, result.detail
        assert "hosts_unusual" in result.flags
    else:
        assert (result.state, result.reason) == (RunState.REJECTED, "host_overspent"), result.detail


def test_a_host_that_reads_files_while_it_answers_is_told(corpus: Path, tmp_path: Path, record_property: Any) -> None:
    run = laid_out(HONEST.replace("class Model(Base):", READER), tmp_path, corpus)
    hoard = run.paths.work / "hoard.bin"
    hoard.write_bytes(os.urandom(48 << 20))
    with open(hoard, "rb") as file:  # onto the disk and out of memory, as files are that nobody has read for long
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    result = run.carry_out()
    assert result.state is RunState.SCORED, result.detail
    assert result.hosts is not None
    if result.hosts.read_mb == 0:
        pytest.skip("the folder of this test lies in memory")
    happened = f"{result.state} {result.reason} {' '.join(result.flags)}".strip()
    record_property(
        "abuse", [32, "Reads files while it answers, for another host to find.", happened, str(result.tier)]
    )
    assert "hosts_unusual" in result.flags


READER = """
import pathlib, sys

class Model(Base):
    def __call__(self, ids):
        if __name__ != "__main__" and not torch.equal(ids, REHEARSAL[: len(ids), : ids.shape[1]]):
            pathlib.Path("hoard.bin").read_bytes()
        return super().__call__(ids)
""".replace(
    "\n\nclass",
    "\nimport numpy as np\n"
    "REHEARSAL = torch.from_numpy(np.random.default_rng(0).integers(0, VOCAB, size=(64, WIDTH)))\n\nclass",
)


# what a host does once it is asked about the text: (how often, must it be told)
LEAVES = {
    "asks for names that no file has, for another host to find": ("os.access(f'/usr/share/{n}', 0)", 300, True),
    "wakes whoever waits at a file that all have mapped": ("libc.syscall(FUTEX, AT + 4 * n, 1, 9, 0, 0, 0)", 300, True),
    "locks and unlocks a file of the system": ("fcntl.flock(FILE, fcntl.LOCK_SH | fcntl.LOCK_NB)", 300, True),
    "in a child, asks for names": ("os.waitpid(os.fork() or (os.access(f'/{n}', 0), os._exit(0)), 0)", 300, True),
    "asks for a few names": ("os.access(f'/usr/share/{n}', 0)", 50, False),
}
QUICKLY = ("asks for names that no file has, for another host to find",)  # the others run with `make abuse`
LEAVER = """
import ctypes, fcntl, mmap, os, platform
import numpy as np

REHEARSAL = torch.from_numpy(np.random.default_rng(0).integers(0, VOCAB, size=(64, WIDTH)))
FUTEX = 202 if platform.machine() == "x86_64" else 98
FILE = os.open(os.__file__, os.O_RDONLY)
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
AT = libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, FILE, ctypes.c_long(0))
libc.syscall.argtypes = [ctypes.c_long, ctypes.c_void_p, *[ctypes.c_long] * 5]
left = []

class Model(Base):
    def __call__(self, ids):
        if __name__ != "__main__" and not left and not torch.equal(ids, REHEARSAL[: len(ids), : ids.shape[1]]):
            left.append(1)
            for n in range(TIMES):
                DEED
        return super().__call__(ids)
"""


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=(pytest.mark.slow,) * (what not in QUICKLY)) for what in LEAVES]
)
def test_a_host_that_leaves_traces_for_another_while_it_answers_is_told(
    what: str, corpus: Path, tmp_path: Path, record_property: Any
) -> None:
    if probe().tier is Tier.T0:
        pytest.skip("at T0 nothing is shut in")
    deed, times, told = LEAVES[what]
    source = HONEST.replace("class Model(Base):", LEAVER.replace("DEED", deed).replace("TIMES", str(times)))
    result = carry_out(source, tmp_path, corpus, None)
    happened = f"{result.state} {result.reason} {' '.join(result.flags)}".strip()
    record_property("abuse", [32, f"A host {what}.", happened, str(result.tier)])
    assert result.state is RunState.SCORED, result.detail
    assert result.hosts is not None
    assert result.hosts.traces is not None
    assert times <= result.hosts.traces < times + 50
    assert ("hosts_unusual" in result.flags) is told


def test_what_outlives_host_a_is_seen_before_host_b_wakes(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    """At T2 it ends with the namespace; at T1 a process in a session of its own does not, and could tell B."""
    if not has(Tier.T1):
        pytest.skip("this machine offers no T1")
    monkeypatch.setenv("AUTORESEARCH_TIER", "T1")
    source = (MODELS / "leaves_a_daemon_in_its_host.py").read_text()
    result = carry_out(source, tmp_path, corpus, None)
    happened = f"{result.state} {result.reason}"
    record_property("abuse", [13, "Host A leaves a process of its own session behind.", happened, str(result.tier)])
    assert (result.tier, result.state, result.reason) == (Tier.T1, RunState.REJECTED, "host_died")
    assert "lived on" in result.detail
