"""The words that logs use: names of columns, of outcomes and of metrics, and how their numbers are written. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from mcp_server.arena.metrics import COMPARED, plain_name
from mcp_server.histories.rows import CRASHED, DISCARDED, KEPT, UNKNOWN

LARGEST = 1e15  # of a score: what is beyond is no measurement

# For each field of ours the names that logs give its column, the most telling first.
COLUMNS: dict[str, tuple[str, ...]] = {
    "commit": ("commit", "git_commit", "commit_hash", "commit_sha", "sha", "hash", "rev", "revision"),
    "parent": ("parent", "parent_commit", "base_commit", "parent_exp_id", "parent_id", "base"),
    "status": (
        *("status", "decision", "kept", "outcome", "keep", "accepted", "result", "verdict", "improved"),
        *("is_best", "new_best", "is_new_best", "promoted"),
    ),
    "description": (
        *("description", "change_summary", "change", "changes", "idea", "strategy", "what", "summary", "title"),
        *("experiment_name", "subject", "text", "note", "notes", "name"),
    ),
    "reasoning": ("reasoning", "hypothesis", "reason", "rationale", "why", "justification", "lesson", "learning"),
    "verdict": ("verdict", "judgement", "judgment", "conclusion"),
    "before": ("metric_before", "score_before", "before", "best_before", "previous", "prev", "against", "old_score"),
    "delta": (
        *("delta", "delta_vs_best", "delta_pct", "improvement", "improvement_pct", "gain", "change_pct", "diff"),
        "difference",
    ),
    "config": ("config_hash", "config", "confighash", "config_id", "params_hash", "code"),
    "better": ("higher_is_better", "direction", "metric_direction", "best_direction", "bestdirection"),
    "metric": ("metric", "metric_name", "metricname", "selection_metric", "primary_metric"),
    "seed": ("seed", "random_seed", "rng_seed", "config_seed"),
    "steps": ("num_steps", "steps", "step", "n_steps", "iters", "train_steps"),
    "variant": ("subject", "dataset", "task", "fold", "benchmark", "track"),  # of what is measured, each by itself
    "at": ("timestamp", "at", "time", "date", "datetime", "created_at", "started_at"),
    "number": (
        *("experiment", "run", "iteration", "exp", "round", "trial", "attempt", "experiment_id", "run_id", "exp_id"),
        *("experiment_num", "experiment_number", "exp_num", "run_num", "run_number", "trial_id", "iteration_id"),
        *("id", "iter", "n"),
    ),
}
# Names of the score's column, before any known metric.
SCORES = ("metric_after", "score_after", "after", "score", "metric", "metric_value", "value", "new_score", "result")
# A word of a name that says that the column is what counts, whatever stands around it: val_score, score_ns, fitness.
SCORE_WORDS = frozenset({"score", "fitness", "objective"})
# Numbers that stand beside a score and are none: what it took.
BESIDE = re.compile(
    r"mem|vram|_gb$|_mb$|mfu|step|param|second|time|duration|elapsed|token|tok_|batch|cost|usd|confidence|lines|"
    r"^(old|new|extra|train)_|"
    r"^(gain|noise_widths|runs|seeds?|line|segment|size|artifact.*|depth)$"
)
# What was set, and no result.
SET = re.compile(r"^(config|env|params?|hyper\w*|args?|settings)_")
OUTCOMES: dict[str, str] = {
    **dict.fromkeys(
        (
            *("keep", "kept", "baseline", "improved", "improvement", "improves", "accept", "accepted", "win"),
            *("success", "approve", "approved", "promote", "promoted", "adopted"),
            *("true", "yes", "pass", "passed", "advance", "advanced", "best", "simplification", "1", "✓", "✔", "✅"),
        ),
        KEPT,
    ),
    **dict.fromkeys(
        (
            *("discard", "discarded", "revert", "reverted", "reject", "rejected", "regression", "regressed", "null"),
            *("worse", "false", "no", "loss", "lose", "lost", "neutral", "unchanged", "overtaken", "0", "✗", "❌"),
        ),
        DISCARDED,
    ),
    **dict.fromkeys(
        (
            *("crash", "crashed", "error", "fail", "failed", "oom", "timeout", "invalid", "nan", "diverged", "blocked"),
            *("checks_failed", "cancelled", "canceled", "hook", "fail_loss", "broken"),
        ),
        CRASHED,
    ),
    **dict.fromkeys(
        (
            *("ok", "ran", "complete", "completed", "done", "finished", "valid", "pending", "proposed", "planned"),
            *("queued", "running", "skipped"),
        ),
        UNKNOWN,
    ),
}
# They say that a run ended well; that it was kept they say only in a log that has another word for what was not.
ENDED_WELL = frozenset({"success", "pass", "passed"})
NO_NUMBER = frozenset({"", "-", "--", "—", "n/a", "na", "none", "null", "nan", "?"})
_NUMBER = re.compile(
    r"^[≈~]?\s*([+\-−]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:e[+\-]?\d+)?)\s*([^\d\s.,]{0,12})$", re.I
)
# NAME 0.04 -> 0.05, name: 0.04→0.05, "NAME from 0.04 to 0.05"
_VALUE = r"[+\-−]?(?:\d[\d_]*)?\.?\d+(?:e[+\-]?\d+)?"
_MOVE = re.compile(
    rf"\b([A-Za-z_][\w.]{{1,40}})\s*(?:[:=]|from)?\s*({_VALUE})\s*(?:->|→|=>|to)\s*({_VALUE})", re.IGNORECASE
)
_NOT_NAMES = frozenset({"from", "to", "by", "is", "of", "at", "was", "and", "with", "bpb", "val_bpb"})
SEED = re.compile(r"\bseeds?\b", re.IGNORECASE)
REPEAT = re.compile(
    r"^\W*(?:re-?run|repeat(?:ed)?|again|confirm(?:ation)?(?: run)?|replicat(?:e|ion)|reproduce|same (?:code|config))\b"
    r"|\b(?:confirmation|clean|noise|variance) (?:re)?(?:run|check)\b|\bre-?run of\b|\brepeat of\b",
    re.IGNORECASE,
)

_BASELINE = re.compile(
    r"^\W{0,9}(?:\w{1,20}\(baseline\):|(?:\w{1,20}(?:\([\w-]{1,40}\))?: )?"
    r"(?:(?:new|fresh|clean|initial|original|unchanged|the) |(?:re-?)?establish(?:ed|ing)?\b[^.;:]{0,40}?)?baseline\b"
    r"(?!\s*(?:[+&]|with\b|but\b|plus\b|and\b|->|→)))",
    re.IGNORECASE,
)

_ABOUT_SEEDS = frozenset(
    {
        *("random", "seed", "seeds", "change", "changed", "changing", "new", "another", "different", "try", "tried"),
        *("set", "use", "using", "from", "to", "the", "with", "torch", "manual", "only", "just", "rng", "value"),
        *("other", "switch", "swap", "luck", "lucky", "better", "best", "of", "and", "for", "test", "init", "run"),
    }
)


def number(text: str) -> float | None:
    """A number with its unit left away (`1,234`, `340ms`, `-16.2%`); None where none is told. Raises ValueError."""
    told = text.strip()
    if told.lower() in NO_NUMBER:
        return None
    found = _NUMBER.match(told)
    if found is None or not found[1]:
        raise ValueError(f"“{told[:40]}” is no number")
    try:
        value = float(found[1].replace(",", "").replace("−", "-"))
    except ValueError:
        raise ValueError(f"“{told[:40]}” is no number") from None
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise ValueError(f"{told[:40]} is no measurement")
    return value


def outcome(word: str, own: Mapping[str, str]) -> str | None:
    """Ours for a log's word; None where it is known to nobody. own: words that somebody explained."""
    told = word.strip().lower()
    if told in own:
        return own[told]
    told = re.sub(r"^[^\w+\-]+|[^\w)]+$", "", told)  # ticks, crosses and Markdown around it: "✅ **keep**"
    if told in OUTCOMES:
        return OUTCOMES[told]
    words = [one.rstrip("✓✔✗❌✅.") for one in re.split(r"[\s\-_:(,;/!]+", told)]
    found = own.get(words[0]) or OUTCOMES.get(words[0])
    return found or (CRASHED if any(OUTCOMES.get(one) == CRASHED for one in words) else None)  # server_failed


def beside(name: str) -> bool:
    """Whether a number of this name stands beside a score: what it took, or what it was compared with."""
    plain = plain_name(name)
    return BESIDE.search(plain) is not None or COMPARED.search(plain) is not None


def whole(text: str) -> int | None:
    """The whole number in `12`, `exp_0012` or `#12`."""
    found = re.fullmatch(r"[A-Za-z_#\-]*?0*(\d{1,9})", text.strip())
    return int(found[1]) if found else None


def baseline(text: str) -> bool:
    """Whether a description is of the code as it was found, and not of a change to it (`baseline + dropout`)."""
    return _BASELINE.match(text) is not None and REPEAT.search(text) is None


def moves(text: str) -> tuple[tuple[str, str, str], ...]:
    """(constant, before, after) of each constant that a description says was moved."""
    found = [
        (name, before.replace("−", "-"), after.replace("−", "-"))
        for name, before, after in _MOVE.findall(text[:2000])
        if name.lower() not in _NOT_NAMES
    ]
    return tuple(dict.fromkeys(found))[:8]


def seed_only(text: str) -> bool:
    """Whether a description speaks of another seed and of nothing else that was changed."""
    if not SEED.search(text):
        return False
    rest = re.sub(r"\([^)]*\)|[—:;].*$", "", text)
    rest = re.sub(r"\d+|->|→|=>", " ", rest)
    words = {one for one in re.findall(r"[a-z]+", rest.lower()) if len(one) > 1}
    return not words - _ABOUT_SEEDS
