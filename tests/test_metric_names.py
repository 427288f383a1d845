"""Which way a metric is better, by its name: one rule for adopting, proposing and reading others' logs."""

from __future__ import annotations

import pytest

from mcp_server.arena.metrics import better_by_name


@pytest.mark.parametrize(
    ("name", "better"),
    [
        *(
            (name, "minimize")
            for name in ("val_bpb", "valLoss", "valloss", "test-RMSE", "error_rate", "p99 latency_ms")
        ),
        *((name, "minimize") for name in ("f1_loss", "brier_score", "max_drawdown", "seconds_per_epoch", "total_µs")),
        *((name, "maximize") for name in ("accuracy", "testAccuracy", "val_f1", "min_test_pnl", "ticker_holdout_pnl")),
        *((name, "maximize") for name in ("tok_per_sec", "tokens_per_second", "win_rate", "mIoU", "sharpe", "recall%")),
        *((name, "maximize") for name in ("pass_at_1", "tg_tok_s", "balanced_mcc", "tflops", "proxy_ndcg10")),
        *((name, "minimize") for name in ("cycles", "exploitability", "neg_accuracy", "nll")),
        *((name, "maximize") for name in ("neg_mean_squared_error", "val_neg_log_loss")),
        *(
            (name, None)
            for name in (
                "score",
                "roi_IPS",
                "ratio",
                "steps",
                "time_to_accuracy",
                "win_loss_ratio",
                "gloves",
                "neg_log_likelihood",
                "",
            )
        ),
    ],
)
def test_a_name_tells_which_way_is_better_or_says_nothing(name: str, better: str | None) -> None:
    assert better_by_name(name) == better
