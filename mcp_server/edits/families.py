"""Which constants a sentence or a constant's name speaks of, by synonyms. Pure.

"raise the LR of the matrices", "matrix learning rate 0.04 -> 0.06" and `MATRIX_LR` are one family. Words find the
constant and never the direction (measured: text similarity tells directions apart no better than chance), so both are
read by rule, directions in `ways`; what no rule knows is left to the words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_RATE = r"(?:lrs?|learning rates?|step size)"
_OF = r"(?: (?:of|for|on|in) (?:the |all )?)"
_CAMEL = re.compile(r"\b([a-z]+)((?:[A-Z][a-z]+)+)\b")  # weightDecay, and neither RoPE nor SwiGLU


def _rate_of(*owners: str) -> str:
    names = "|".join(owners)
    return rf"\b(?:{names})s?(?: \w+)? {_RATE}\b|\b{_RATE}{_OF}(?:{names})"


# In the order in which a sentence is asked; what is more special comes first and takes its words with it, so that
# "unembedding lr" is no embedding and "label smoothing" no smoothing of weights.
_FAMILIES: tuple[tuple[str, str], ...] = (
    ("seed", r"\b(?:random )?seeds?\b"),
    (
        "final_lr",
        rf"\bfinal (?:fraction|frac|{_RATE})|\b{_RATE} (?:floor|min|frac)\b|\bmin {_RATE}\b|\bfinal {_RATE} frac",
    ),
    (
        "warmdown",
        r"\bwarm ?downs?\b|\bcool ?downs?\b|\b(?:lr|rate|cosine|linear|polynomial|exponential) (?:decay|annealing"
        r"|schedule)\b|\bcosine\b|\banneal\w*|\bwsd\b|\btrapezoid\w*",
    ),
    ("momentum_warmup", r"\bmomentum (?:warm ?up|schedule|ramp)"),
    ("warmup", r"\bwarm ?ups?\b|\bwarmed up\b"),
    ("clip", r"\bclip\w*|\bmax (?:grad )?norm\b|\bgrad(?:ient)? norm\b"),
    (
        "zloss",
        r"\bz ?loss\b|\blog partition\b|\blog sum exp\b|\blabel smooth\w*|\bconfidence penalty\b|\bentropy reg\w*",
    ),
    ("dropout", r"\bdrop ?outs?\b|\bdrop ?path\b|\bstochastic depth\b|\blayer ?drop\b|\btoken drop\w*"),
    ("ema", r"\bemas?\b|\bmoving averages?\b|\bswa\b|\bweight averag\w*|\bpolyak\b|\blawa\b"),
    (
        "weight_decay",
        r"\bweight decays?\b|\bwds?\b|\bdecay\b(?= (?:on|of|for|to|\d))|\bl2 (?:reg\w*|penalty)\b|\bcautious\b",
    ),
    ("value_embed", r"\bvalue emb\w*|\bves?\b|\bvte\b"),
    ("beta", r"\bbetas?\b|\bbeta ?\d\b|\badam eps\w*|\bepsilon\b"),
    ("init", r"\binit\w*|\bstd\b|\bxavier\b|\bkaiming\b|\borthogonal\b|\bzero out\b"),
    (
        "unembed_lr",
        _rate_of("un ?embedding", "un ?embed", "lm head", "output head", "output projection", "head", "classifier"),
    ),
    ("embed_lr", _rate_of("token embedding", "embedding", "embed", "wte")),
    ("scalar_lr", _rate_of("scalar", "lambda", "gain")),
    (
        "matrix_lr",
        _rate_of("matrix", "matrice", "muon", "weight matrice", "weight matrix", "hidden weight", "hidden matrice"),
    ),
    ("lr", rf"\b{_RATE}\b"),
    ("batch", r"\bbatch\w*|\baccum\w*|\bmicro ?batch\w*|\btokens per step\b"),
    ("rope", r"\bropes?\b|\brotary\b|\bpositional?\b|\balibi\b"),
    ("softcap", r"\bsoft ?caps?\b|\blogits? (?:soft ?)?caps?\b|\btanh (?:logit )?cap\b|\blogit (?:scal|temper)\w*"),
    ("momentum", r"\bmomentum\b|\bnesterov\b|\bns steps\b|\bnewton schulz\b|\bmuon\b"),
    ("lambda", r"\blambdas?\b|\bresidual\w*|\bresid\b|\bskip conn\w*|\bx0\b|\bsmear\w*|\bre ?zero\b|\blayer ?scale\b"),
    ("qk_norm", r"\bqk ?norm\w*|\bquery key norm\w*"),
    ("window", r"\bwindow\w*|\bsliding\b|\b[sl]{3,}\b|\blocal attention\b|\bfull attention\b"),
    (
        "heads",
        r"\bn? ?heads?\b(?! (?:init|wd|lr|weight))|\bhead dim\w*|\bgqa\b|\bmqa\b|\bkv heads?\b"
        r"|\b(?:multi|grouped) query\b",
    ),
    (
        "activation",
        r"\bactivations?\b|\brelu\w*|\bgelu\b|\bsilu\b|\bswish\b"
        r"|\b(?:swi|ge|re)? ?glu\b|\bmish\b|\bnon ?linearity\b",
    ),
    ("mlp", r"\bmlps?\b|\bffn\b|\bfeed ?forward\b|\bexpansion\b|\bmo ?e\b|\bexperts?\b|\bhidden (?:dim|size|ratio)"),
    (
        "width",
        r"\bwidth\b|\bwiden?\b|\bwider\b|\bnarrow\w*|\baspect ratio\b"
        r"|\bmodel dim\b|\bd model\b|\bn embd\b|\bdim\b|\bchannels?\b|\bhidden\b",
    ),
    ("vocab", r"\bvocab\w*|\btokenizer\b|\bbpe\b|\bbigram\w*|\btrigram\w*|\bn ?grams?\b"),
    ("tying", r"\b(?:un)?tie[ds]?\b|\btying\b|\bweight sharing\b"),
    ("norm", r"\brms ?norm\w*|\blayer ?norm\w*|\bbatch ?norm\w*|\bnorm\b|\bnormali[sz]\w*"),
    ("context", r"\bseq(?:uence)?(?: len\w*)?\b|\bcontext\b|\bblock size\b"),
    ("depth", r"\bdepths?\b|\blayers?\b|\bdeep\w*|\bshallow\w*|\bn layers?\b|\bblocks?\b"),
    ("precision", r"\bbf16\b|\bfp16\b|\bfp8\b|\bprecision\b|\bcompile\b|\bdtype\b"),
    ("data", r"\bdata\b|\bcorpus\b|\bshuffl\w*|\bcurricul\w*|\baugment\w*|\bpacking\b"),
    ("embedding", r"\bembed\w*|\bwte\b"),
    ("attention", r"\battention\b|\battn\b|\bqkv?\b"),
)
_ANY = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _FAMILIES))


@lru_cache(maxsize=16384)
def plain(text: str) -> str:
    """Lower case, names taken apart: `MATRIX_LR`, `matrixLr` and "matrix-LR" are all "matrix lr"."""
    apart = _CAMEL.sub(lambda one: one[1] + re.sub(r"([A-Z])", r" \1", one[2]), text)
    return re.sub(r"[\s_\-/`'\"()\[\]{},:;*=]+", " ", apart.replace("->", " → ")).strip().lower()


@dataclass(frozen=True)
class Mention:
    """Where a text speaks of a family."""

    family: str
    start: int
    end: int


def mentions(told: str) -> list[Mention]:
    """Every place at which a text in plain words speaks of a family, in order."""
    return [Mention(found.lastgroup or "", *found.span()) for found in _ANY.finditer(told)]


@lru_cache(maxsize=16384)
def families(text: str) -> tuple[str, ...]:
    """The families a sentence or a name speaks of, in the order in which it speaks of them."""
    return tuple(dict.fromkeys(one.family for one in mentions(plain(text))))


def speaks_of(text: str, wanted: tuple[str, ...]) -> bool:
    """Whether a text may speak of one of some families: a quick look, before all of them are asked for."""
    return _some_of(wanted).search(plain(text)) is not None


@lru_cache(maxsize=256)
def _some_of(wanted: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(pattern for name, pattern in _FAMILIES if name in wanted))
