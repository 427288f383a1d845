"""Which way a metric is better, as far as its name tells. Pure."""

from __future__ import annotations

import re
from typing import Literal

from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.text import clean_line

Better = Literal["minimize", "maximize"]

# words of a name, whole, but for what is often written together with others: valloss, testaccuracy
LOWER = re.compile(
    r"bpb|bpc|\w*loss(es)?|nll|ppl|perplexity|err|\w*errors?|n?mse|n?rmsl?e|mape|mae|brier|ece|wer|cer|fid|\w*latency|ms|us|"
    r"µs|ns|seconds?|duration|runtime|time|bytes|kib|kb|size|cost|regret|misses|failures|drawdown|distance|makespan|gap|"
    r"cycles|exploitability|smape|wape|mase|crps"
)
HIGHER = re.compile(
    r"acc|\w*accuracy|f1|f2|f05|auc|auroc|auprc|r2|rewards?|returns?|sharpe|sortino|calmar|pnl|profit|revenue|recall|precision|"
    r"bleu|rouge|wins?|winrate|throughput|tps|qps|fps|mfu|ic|map|ndcg\d*|mrr|m?iou|dice|passed|coverage|speedup|psnr|ssim|"
    r"[tg]flops|mcc|kappa|corr|correlation|pearson|spearman|fitness|elo"
)
RATE = re.compile(
    r"_per_(s|sec|second|minute|hour)(_|$)|(^|_)(pass|win|hit|success)_rate$|(^|_)pass_at_\w+$|(^|_)pass@\w+$|"
    r"(^|_)(tok|tokens|samples|images|frames|requests|req|ops)_s(_|$)"
)

# what a score is compared with, and how sure it is
COMPARED = re.compile(
    r"(^|_)(baselines?|best|delta|improvement|expected|predicted|std|stdev|rank)(_|$)|_so_far$|_before$|p_value"
)


def plain_name(name: str) -> str:
    """A name as it is looked up: lower case, words joined by one underscore, no sign of percent."""
    return re.sub(r"[\s\-.]+", "_", name.strip().lower()).strip("_%#")


def better_by_name(metric: str) -> Better | None:
    """Which way a metric of this name is usually better; None where the name says nothing, or two things."""
    plain = plain_name(metric)
    if RATE.search(plain):
        return "maximize"
    negated = re.search(r"(?:^|_)neg_(.+)", plain)
    if negated:  # scikit-learn's neg_log_loss is larger where the loss is smaller
        other = better_by_name(negated[1])
        return None if other is None else "minimize" if other == "maximize" else "maximize"
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", metric)  # valLoss
    words = [one for one in re.split(r"_|[^\w]+", f"{plain}_{plain_name(apart)}") if one]
    lower = any(LOWER.fullmatch(one) for one in words)
    higher = any(HIGHER.fullmatch(one) for one in words)
    if lower and higher and LOWER.fullmatch(words[-1]):  # f1_loss is a loss, as the last word is what it is
        return "minimize"
    return None if lower == higher else "minimize" if lower else "maximize"


def better_said(word: str) -> Better | None:
    """Which way somebody says is better: `higher`, `lower`, `maximize`, `true` of a column higher_is_better."""
    told = plain_name(word)
    if re.match(r"(higher|max|up|true|1$|yes|desc|bigger|larger)", told):
        return "maximize"
    if re.match(r"(lower|min|down|false|0$|no$|asc|smaller)", told):
        return "minimize"
    return None


def better_asked(option: str) -> Better | None:
    """What --direction says; None where it is not given. Raises NotNow."""
    if option and better_said(option) is None:
        raise NotNow(f"--direction is {clean_line(option, 40)}; it must be minimize or maximize.")
    return better_said(option)
