"""Which edits touch the rules of an experiment and which do not: row by row, by one word each."""

from __future__ import annotations

import pytest

from mcp_server.edits.luck import protocol_changes

BODY = "import random\nimport time\nimport torch\n\n{}\n"


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("SEED = 1", "SEED = 2", "seeding"),
        ("seed = 1", "seed = 2", "seeding"),
        ("DATA_SEEDS = (1, 2)", "DATA_SEEDS = (3, 4)", "seeding"),
        ("", "torch.manual_seed(7)", "seeding"),
        ("x = f(seed=1)", "x = f(seed=2)", "seeding"),
        ("x = f(model_seed=1)", "x = f(model_seed=2)", "seeding"),
        ("", "torch.rand(3)", "seeding"),  # a draw thrown away moves all later ones
        ("", "random.random()", "seeding"),
        ("", "random.seed = None", "seeding"),
        ("x = torch.randperm(3)", "x = torch.arange(3)", "data order"),
        ("", "next(batches)", "data order"),
        ("TRAIN_SECONDS = 60", "TRAIN_SECONDS = 90", "budget"),
        ("", "time.time = lambda: 0", "budget"),
        ("", "x = 'AUTORESEARCH_BUDGET'", "budget"),
    ],
)
def test_what_deals_luck_or_time_anew_is_named(before: str, after: str, kind: str) -> None:
    found = protocol_changes(BODY.format(before), BODY.format(after))
    assert found
    assert {one.partition(":")[0] for one in found} == {kind}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SEEDED = 1", "SEEDED = 2"),
        ("speed = 1", "speed = 2"),
        ("LR = 1", "LR = 2"),
        ("x = f(speed=1)", "x = f(speed=2)"),
        ("", "noise = torch.rand(3)"),  # used, so it is the model's
        ("", "batch = next(batches)"),
        ("SECONDS_PER_STEP = 1", "SECONDS_PER_STEP = 2"),
        ("seed = 1", "seed = 1  # a comment"),
    ],
)
def test_what_looks_alike_is_free(before: str, after: str) -> None:
    assert protocol_changes(BODY.format(before), BODY.format(after)) == ()
