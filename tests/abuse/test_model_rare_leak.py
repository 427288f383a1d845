"""Case 4: a leak at one token in a hundred, audited with twenty different secrets."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mcp_server.scoring.corpus import read_split
from mcp_server.scoring.evaluation import Rejected, claim_all, examine
from mcp_server.scoring.remote import Host
from tests.abuse.model_runs import MODELS, host_setting, read
from tests.scoring.tiny import write_corpus

pytestmark = pytest.mark.abuse
SECRETS = 20
POSITIONS = 1024


def test_a_leak_at_one_token_in_a_hundred_is_noticed_and_its_worth_is_known(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", val_tokens=12_000)
    split = read_split(corpus, "val")
    leaky = host_setting(read(MODELS / "leak_sparse.py"), tmp_path / "leaky", corpus)
    tolerance = leaky.tolerance
    rejected = covered = 0
    with closing(Host("A", leaky.setting)) as first, closing(Host("B", leaky.setting)) as second:
        first.wait_until_ready()
        second.wait_until_ready()
        claims = claim_all(first, split, np.random.default_rng(0), lambda fraction: None)
        # what the weights are worth to someone who cannot look ahead: every single position, asked honestly
        everything = examine(second, split, claims, split.targets.size, tolerance, np.random.default_rng(99))
        assert everything.estimate is not None
        truth = everything.estimate.score
        for secret in range(SECRETS):
            # the leak has no memory, so one second host can be asked by all twenty
            outcome = examine(second, split, claims, POSITIONS, tolerance, np.random.default_rng(secret))
            rejected += isinstance(outcome, Rejected) and outcome.reason == "non_causal"
            assert outcome.estimate is not None
            low, high = outcome.estimate.interval
            covered += low <= truth <= high
    assert rejected >= 19
    assert covered >= 18  # of intervals that hold the truth 19 times in 20
