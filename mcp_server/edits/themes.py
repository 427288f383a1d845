"""What kind of idea an edit is: optimizer, schedule, architecture and so on, read from its words and constants."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum


class Theme(StrEnum):
    """The kinds of edit a campaign is sorted into; an edit may belong to several, the first being its main one."""

    OPTIMIZER = "optimizer"
    SCHEDULE = "schedule"
    ARCHITECTURE = "architecture"
    ATTENTION = "attention"
    EMBEDDING = "embedding"
    BATCH = "batch"
    REGULARISATION = "regularisation"
    DATA = "data"
    INITIALISATION = "initialisation"
    SPEED = "speed"
    SIMPLIFICATION = "simplification"
    OTHER = "other"


# Beginnings of words, after names like MATRIX_LR or weightDecay were taken apart. The earlier theme wins a tie.
_STEMS: dict[Theme, str] = {
    Theme.SCHEDULE: "schedule warmup warmdown cooldown cool decay-to anneal cosine linear-decay final-lr trapezoid wsd",
    Theme.REGULARISATION: """dropout weight-decay decay label-smooth smooth regulari clip ema swa z-loss noise
        stochastic-depth""",
    Theme.EMBEDDING: """embed wte lm-head unembed tie tied untied bigram trigram ngram n-gram hash vocab value-embed
        token-embed""",
    Theme.ATTENTION: """attn attention head-dim heads window rope rotary qk kv gqa mqa sdpa flash softcap sliding query
        key""",
    Theme.INITIALISATION: "init initialis initializ zero-init orthogonal xavier kaiming std-init",
    Theme.BATCH: "batch accum accumulation microbatch sequence-len seq-len context tokens-per rows",
    Theme.OPTIMIZER: """lr learning-rate rate optim optimizer adam adamw muon sgd lion momentum beta betas nesterov
        newton adagrad shampoo soap eps sparse-adagrad""",
    Theme.DATA: "data corpus loader shuffl curricul mask loss document pack sampl augment label",
    Theme.ARCHITECTURE: """depth width layer block mlp ffn swiglu gelu relu silu activation norm rmsnorm layernorm
        residual skip lambda gate expert moe smear conv hidden expansion dim model-dim aspect parallel unet recur memory
        induction""",
    Theme.SPEED: "compile bf16 fp16 fp8 precision fused kernel throughput speed faster prefetch cache cuda-graph chunk",
    Theme.SIMPLIFICATION: "simplif remove drop delete cleanup clean strip unused revert",
}
_PARTS = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")


def _table() -> tuple[dict[str, Theme], dict[tuple[str, str], Theme], dict[str, tuple[tuple[str, Theme], ...]]]:
    whole: dict[str, Theme] = {}
    pairs: dict[tuple[str, str], Theme] = {}
    beginnings: dict[str, list[tuple[str, Theme]]] = {}
    for theme, stems in _STEMS.items():
        for stem in stems.split():
            first, dash, second = stem.partition("-")
            if dash:
                pairs.setdefault((first, second), theme)
            elif len(stem) <= 3:
                whole.setdefault(stem, theme)
            else:
                beginnings.setdefault(stem[:3], []).append((stem, theme))
    return whole, pairs, {key: tuple(value) for key, value in beginnings.items()}


_WHOLE, _PAIRS, _BEGINNINGS = _table()
_RANK = {theme: place for place, theme in enumerate([*_STEMS, Theme.OTHER])}


def themes(description: str, knobs: Iterable[str] = ()) -> tuple[Theme, ...]:
    """All themes of an edit, the strongest first. Names of changed constants count twice: they really were changed."""
    votes: Counter[Theme] = Counter()
    _vote(votes, description, 1)
    for knob in knobs:
        _vote(votes, knob, 2)
    if not votes:
        return (Theme.OTHER,)
    return tuple(sorted(votes, key=lambda theme: (-votes[theme], _RANK[theme])))


def theme(description: str, knobs: Iterable[str] = ()) -> Theme:
    """The main theme of an edit."""
    return themes(description, knobs)[0]


def least_tried(tried: Sequence[str], limit: int = 3) -> tuple[tuple[Theme, int], ...]:
    """The themes tried least often with their counts; of equals, the one not tried for longest comes first."""
    counts = Counter(tried)
    last = {name: place for place, name in enumerate(tried)}
    open_to_anybody = [theme for theme in Theme if theme is not Theme.OTHER]
    ordered = sorted(open_to_anybody, key=lambda theme: (counts[theme], last.get(theme, -1)))
    return tuple((theme, counts[theme]) for theme in ordered[:limit])


def _vote(votes: Counter[Theme], text: str, weight: int) -> None:
    parts = [part.lower() for part in _PARTS.findall(text)]
    for first, second in itertools.pairwise([*parts, ""]):
        found = _PAIRS.get((first, second)) or _WHOLE.get(first)
        if found is None:
            found = next((kind for stem, kind in _BEGINNINGS.get(first[:3], ()) if first.startswith(stem)), None)
        if found is not None:
            # a pair such as "weight decay" says more than a word
            votes[found] += weight * (2 if (first, second) in _PAIRS else 1)
