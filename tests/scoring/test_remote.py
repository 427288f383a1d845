"""A host seen from outside: it sleeps when it must, answers when it is woken, and nothing of it outlives its end."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mcp_server.nouns.records import Tier
from mcp_server.runner.machine import descendants
from mcp_server.runner.machine.proc import read_stat
from mcp_server.runner.sandbox import probe
from mcp_server.scoring.remote import Host, HostFailed, Setting
from tests.scoring.tiny import HONEST, VOCAB, WIDTH, sealed_run, write_corpus

RESTLESS = f"""{HONEST}
import gc, os, threading, time
assert gc.isenabled() and gc.get_freeze_count() > 10_000  # torch came without the collector, a model runs with it
def work():
    while True:
        time.sleep(0.001)
threading.Thread(target=work, daemon=True).start()
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        while True:
            time.sleep(1)
"""


def setting(folder: Path, source: str) -> Setting:
    run = sealed_run(folder / "run", write_corpus(folder / "corpus"), source)
    return Setting(
        snapshot=run.snapshot,
        weights=run.artifact / "model.safetensors",
        data=run.data,
        device="cpu",
        threads=1,
        rows=4,
        width=WIDTH,
        vocab=VOCAB,
        start_seconds=300,
        reply_seconds=300,
        tier=probe().tier,
    )


@pytest.fixture
def restless(tmp_path: Path) -> Iterator[Host]:
    """A host with a busy thread and three processes of its own."""
    with closing(Host("A", setting(tmp_path, RESTLESS))) as host:
        host.wait_until_ready()
        yield host


def states(pids: set[int]) -> list[str]:
    return [stat.state for stat in map(read_stat, pids) if stat is not None]


def test_a_host_is_frozen_with_all_its_processes_answers_when_it_thaws_and_leaves_none(restless: Host) -> None:
    tokens = np.ones((4, WIDTH), np.uint16)
    before = restless.claims(tokens, tokens)
    restless.freeze()
    pids = descendants.tree(restless.pid)
    assert len(pids) >= 4
    assert set(states(pids)) == {"T"}
    restless.thaw()
    assert (restless.claims(tokens, tokens) == before).all()
    if probe().tier is not Tier.T2:
        return  # below T2 a process may outlive its host until the supervisor ends
    pids = descendants.tree(restless.pid)
    restless.freeze()
    ends = [os.pidfd_open(pid) for pid in pids]
    restless.close()
    for fd in ends:  # readable when the process is gone
        ended, _, _ = select.select([fd], [], [], 30)
        os.close(fd)
        assert ended


def test_a_host_that_says_ready_and_then_nonsense_is_refused_without_its_words(tmp_path: Path) -> None:
    source = f"""{HONEST}
import os, sys
from mcp_server.scoring.protocol import Kind, send_text
send_text(int(sys.orig_argv[sys.orig_argv.index("--fd") + 1]), Kind.READY, "{{}}")
send_text(int(sys.orig_argv[sys.orig_argv.index("--fd") + 1]), Kind.FAILED, '{{"reason": "secret", "said": "secret"}}')
"""
    with closing(Host("A", setting(tmp_path, source))) as host:
        host.wait_until_ready()
        tokens = np.ones((4, WIDTH), np.uint16)
        with pytest.raises(HostFailed) as failure:
            host.claims(tokens, tokens)
    assert failure.value.reason == "host_died"
    assert "secret" not in failure.value.detail
