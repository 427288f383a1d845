"""Case 5: a cache of first answers fools whoever asks the same process again, and nobody else."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mcp_server.scoring.corpus import read_split
from mcp_server.scoring.evaluation import Rejected, Scored, claim_all, examine
from mcp_server.scoring.remote import Host
from tests.abuse.model_runs import MODELS, host_setting, read
from tests.scoring.tiny import write_corpus

pytestmark = pytest.mark.abuse


def test_a_replayed_answer_passes_the_process_that_gave_it_and_fails_a_fresh_one(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus")
    split, random = read_split(corpus, "val"), np.random.default_rng(0)
    run = host_setting(read(MODELS / "replay_cache.py"), tmp_path, corpus)
    with closing(Host("A", run.setting)) as first, closing(Host("B", run.setting)) as second:
        first.wait_until_ready()
        second.wait_until_ready()
        claims = claim_all(first, split, random, lambda fraction: None)
        naive = examine(first, split, claims, 256, run.tolerance, random)
        isolated = examine(second, split, claims, 256, run.tolerance, random)
    assert isinstance(naive, Scored)  # the way that does not work
    assert isinstance(isolated, Rejected)
    assert isolated.reason == "stateful"
