"""Which way a sentence moves the constants it speaks of: up, down, or it does not say. Pure.

What people write is read in the order in which it can be believed: two values ("0.5 -> 0.3", "12 heads instead of
16"), words ("halve", "longer", "remove"), factors and signs ("x2", "-20 %"). Each belongs to the constant it stands
beside, so that "a larger batch with a lower rate" moves the two apart; what it hopes for ("to double the steps") says
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from mcp_server.edits.families import Mention, mentions, plain
from mcp_server.edits.moves import Direction

# --- two values -------------------------------------------------------------------------------------------------------

_FRACTIONS = {"half": 0.5, "third": 1 / 3, "quarter": 0.25, "full": 1.0, "single": 1.0}
_COUNTS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORDS = {**_FRACTIONS, **{word: float(count) for count, word in enumerate(_COUNTS)}}
_PLAIN = r"(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+−]?\d+)?"
_NUMBER = (
    rf"(?:(?<![\w.])[-+−]?{_PLAIN}(?:\s?(?:\^|\*\*)\s?\d+|/\d+(?:\.\d+)?)?[kmgb]?[x×]?(?![\w^]|\.\d)"
    rf"|\b(?:{'|'.join(_WORDS)})\b)"
)
_UNIT = r"\s?%?(?: (?:percent|[a-z]{2,9}))?"  # "4 layers to 6", "50 % to 70 %"
_ARROW = r"(?:->|→|=>|⇒|➔|➜|~>|-->|to|into|in favou?r of)"
_ALL_THE_WAY = r"(?: (?:up|down|back|all the way|only))?"
_FORTH = re.compile(
    rf"({_NUMBER}){_UNIT}{_ALL_THE_WAY}\s*{_ARROW}\s*(?:(?:a|the|about|only) )?({_NUMBER})", re.IGNORECASE
)
_NOT_THIS = r"(?:instead of|rather than|in place of|as opposed to|down from|up from|versus|vs\.?|not|over|from)"
_BEFORE = r"(?:was|were|from|formerly|previously|originally|before|default|old|instead of|rather than|vs\.?|baseline)"
_BACK = re.compile(
    rf"({_NUMBER}){_UNIT}\s*(?:,? {_NOT_THIS} |(?: \w+){{0,2}},?\s*\(\s*{_BEFORE}[ :=]*)"
    rf"(?:(?:the|a|default|usual|old) )*({_NUMBER})",
    re.IGNORECASE,
)
_NOTHING = r"(?:none|off|false|disabled|no)"
_SOMETHING = r"(?:on|true|enabled|yes)"
_ON = re.compile(rf"\b{_NOTHING}\s*{_ARROW}\s*(?:{_SOMETHING}\b|{_NUMBER})", re.IGNORECASE)
_OFF = re.compile(rf"(?:\b{_SOMETHING}|{_NUMBER})\s*{_ARROW}\s*{_NOTHING}\b", re.IGNORECASE)
# a pattern of short and long windows is as wide as it has long ones: SSSL -> SSLL
_PATTERNS = re.compile(
    rf"\b([SL]{{2,12}})\b['\"]?(?: \w+)?\s*(?:{_ARROW}|({_NOT_THIS}))\s*(?:the |a )?['\"]?([SL]{{2,12}})\b"
)
# what was measured is no move of a constant: "val_bpb 1.71 -> 1.73"
_MEASURED = re.compile(
    r"(?i)\b(?:val|bpb|loss|ppl|perplexity|acc(?:uracy)?|mfu|score|gap|mem(?:ory)?|vram|throughput|steps?/s|regressed"
    r"|improved|worsened|spiked|fell|rose)\b[^,;.()]{0,24}$"
)
_SUFFIX = {"k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}

# --- factors and signs ------------------------------------------------------------------------------------------------

_TIMES = re.compile(
    rf"(?<![\w.)])[x×*]\s?({_PLAIN})(?!\w)|(?<![\w.])({_PLAIN})\s?[x×](?!\w)|factor of ({_PLAIN})", re.I
)
_DIVIDED = re.compile(rf"(?<![\d/])[/÷]{{1,2}}\s?({_PLAIN})(?!\w)|\bdivid\w+ by ({_PLAIN})", re.I)
_PLUS = re.compile(rf"(?<![\w.])\+\s?{_PLAIN}(?!\w)")
_MINUS = re.compile(rf"(?<![\w.])[-−]\s?{_PLAIN}(?= ?%| percent\b| (?:layers?|heads?|steps?|channels?|tokens?)\b)")

# --- words ------------------------------------------------------------------------------------------------------------

_UP_WORD = re.compile(
    r"\b(?:increas\w*|rais\w*|rise|rising|higher|larger|bigger|greater|more|doubl\w*|tripl\w*|quadrupl\w*|twice|grow\w*"
    r"|boost\w*|bump\w*|crank\w*|(?<!warm )(?<!speed )(?<!set )(?<!warmed )up|upscal\w*|longer|lengthen\w*|wider"
    r"|widen\w*|broaden\w*|deeper|deepen\w*|stronger|strengthen\w*|heavier|add\w*|introduc\w*|insert\w*|includ\w*"
    r"|(?:re ?)?enabl\w*|reintroduc\w*|restor\w*|bring back|warmer|hotter|faster|steeper|looser|loosen\w*|extend\w*"
    r"|expand\w*|enlarg\w*|amplif\w*|extra|additional|another|thicker|denser|untruncated)\b"
    r"|\b(?:turn|switch)(?:ed|ing)?(?: \w+){0,4} on\b"
)
_DOWN_WORD = re.compile(
    r"\b(?:reduc\w*|decreas\w*|lower\w*|smaller|less|fewer|halv\w*|half(?! of)|quarter\w*|(?:a|one|by|two) thirds?"
    r"|shrink\w*|shrunk|cut(?:s|ting)?(?! off)|drop(?:s|ped|ping)?(?! ?(?:out|path))|shorter|shorten\w*|narrow\w*"
    r"|shallow\w*|weaker|weaken\w*|remov\w*|delet\w*|disabl\w*|without|no(?! (?:improv|gain|chang|effect|diff|help))"
    r"|(?<!trade )(?<!fall )(?<!cut )off|strip\w*|slower|tighter|tighten\w*|lighter|gentler|milder|softer|cooler|colder"
    r"|trim\w*|prun\w*|kill\w*|ditch\w*|skip(?! conn)\w*|omit\w*|eliminat\w*|get(?:ting)? rid|(?<!cool )(?<!warm )down"
    r"|downscal\w*|downsiz\w*|dial\w*(?: \w+){0,4} back|back(?:ed|ing)? off|damp\w*|ablat\w*|minus|thinner|sparser"
    r"|stop(?:ped|ping|s)?|untie\w*|truncat\w*|halfway)\b"
)
_NOT_SO = re.compile(
    r"\b(?:(?:instead of|rather than|not|don t|do not|never|without|stop(?:ped|ping|s)?)(?: \w+)?|no) $"
)
_BEGINS = re.compile(r"\b(?:use|using|implement\w*|apply|try|switch|combine|with|replac\w*)\b")  # any proposal does
_APART = re.compile(
    r"\b(?:different|separate|per|adaptive|layer wise|depth wise) .*\b(?:for|per|across|by|between|over)\b"
)

# --- reading ----------------------------------------------------------------------------------------------------------

_TAG = re.compile(r"(?i)^\s*(?:experiment|discard(?:ed)?|keep|kept|crash(?:ed)?|idea|try|exp)\s*\d*\s*:\s*")
_CLAUSE = re.compile(r"\s+[—–-]+\s+|[;:()\[\]]|\.\s|,\s|\s(?:but|while|and then)\s")
_BRINGS = re.compile(
    r" (?:so that|so as to|in order to|because|since|hoping"
    r"|for (?:↗ )?(?:better|more|faster|smoother|less|lower|higher)"
    r"|to (?:improve|get|give|gain|allow|help|double|avoid|prevent|let|make|save|free|fit|speed|stabili\w+|enable"
    r"|reduce|increase|lower|raise|cut|boost|encourage|regulari\w+|smooth)) "
)
STRONG = {"⇑": Direction.UP, "⇓": Direction.DOWN}  # two values
WEAK = {"↗": Direction.UP, "↘": Direction.DOWN}  # a factor or a sign
_MARK = {Direction.UP: ("⇑", "↗"), Direction.DOWN: ("⇓", "↘")}
BESIDE = 24  # characters between a constant and its two values
_JOINS = re.compile(r"[¦⇑⇓]| (?:with|and|for|by|while|plus|at) ")  # what stands behind is of something else


@dataclass(frozen=True)
class _Cue:
    """Something in a sentence that says which way."""

    start: int
    way: Direction
    force: int  # 2: values, 1: words, 0: a factor or sign
    owners: frozenset[str]  # families it stands beside; none when its clause names none


def way(text: str, family: str = "") -> Direction:
    """Which way a sentence moves `family`, by default the one it speaks of first."""
    return _read(text).get(family, Direction.OTHER)


@lru_cache(maxsize=16384)
def _read(text: str) -> dict[str, Direction]:
    """The way of each family that a sentence speaks of; under "" that of the first, or of the sentence as a whole."""
    flat, values = _flat(text)
    spoken = mentions(flat)
    cues = _cues(flat, spoken)
    found = {one.family: _own(cues, one.family) for one in reversed(spoken)}
    first = spoken[0].family if spoken else ""
    whole = _whole(flat, cues, first, values)
    # "add QK-norm to the attention heads": what has no word of its own goes as the whole sentence does
    return {"": whole} | {
        name: whole if name == first or own is Direction.OTHER else own for name, own in found.items()
    }


def _own(cues: Sequence[_Cue], family: str) -> Direction:
    """What stands beside a family says: the strongest, then the nearest, which is how they are sorted."""
    return next((cue.way for cue in cues if family in cue.owners), Direction.OTHER)


def _whole(flat: str, cues: Sequence[_Cue], first: str, valued: bool) -> Direction:
    """The way of what a sentence speaks of first: what stands beside it, and what stands beside nothing."""
    for force in (2, 1, 0):
        strong = [cue for cue in cues if cue.force == force]
        own = [cue for cue in strong if first in cue.owners]
        of_one_mind = own and len({cue.way for cue in strong}) == 1
        if force == 1 and not of_one_mind and _APART.search(flat):
            return Direction.UP  # several values where one was: something came, where one is larger and one smaller
        for cue in own or [cue for cue in strong if not cue.owners or not first]:
            return cue.way
    return Direction.UP if _BEGINS.search(flat) or (first and valued) else Direction.OTHER


def _flat(text: str) -> tuple[str, bool]:
    """A sentence in plain words, its values, factors and clauses as marks; and whether it names a value."""
    told = re.sub(r"(?<=\d),(?=\d{3}\b)", "", _TAG.sub("", text))
    told = _ON.sub(" ⇑ ", _OFF.sub(" ⇓ ", told))
    told = _PATTERNS.sub(_widened, told)
    told = _FORTH.sub(lambda pair: _moved(told, pair, pair[1], pair[2]), told)
    told = _BACK.sub(lambda pair: _moved(told, pair, pair[2], pair[1]), told)
    told = _DIVIDED.sub(lambda one: _factor(1 / max(1e-9, float(one[1] or one[2]))), told)
    told = _TIMES.sub(lambda one: _factor(float(one[1] or one[2] or one[3])) or one[0], told)  # x0 is a name
    told = _MINUS.sub(" ↘ ", _PLUS.sub(" ↗ ", told))
    clauses = [plain(part) for part in _CLAUSE.split(told)]
    flat = " ¦ ".join(_before_its_purpose(part) for part in clauses if part)
    return flat, bool(re.search(r"\d", flat))


def _before_its_purpose(clause: str) -> str:
    """A clause without what it hopes for, where it speaks of something before that."""
    kept = _BRINGS.split(f"{clause} ", maxsplit=1)[0]
    return kept if mentions(kept) else clause


def _moved(told: str, pair: re.Match[str], before: str, after: str) -> str:
    old, new = _value(before), _value(after)
    if old == new or _MEASURED.search(told[: pair.start()]):
        return " "
    return f" {_MARK[Direction.UP if new > old else Direction.DOWN][0]} "


def _widened(pair: re.Match[str]) -> str:
    """What the share of long windows does from one pattern to the other."""
    first, second = (pattern.count("L") / len(pattern) for pattern in (pair[1], pair[3]))
    before, after = (second, first) if pair[2] else (first, second)  # "SSLL instead of SSSL"
    return pair[0] if before == after else f" window {_MARK[Direction.UP if after > before else Direction.DOWN][0]} "


def _factor(value: float) -> str:
    if not value:
        return ""
    return " " if value == 1 else f" {_MARK[Direction.UP if value > 1 else Direction.DOWN][1]} "


def _value(number: str) -> float:
    told = number.lower()
    if told in _WORDS:
        return _WORDS[told]
    told = told.replace("−", "-").replace(" ", "").rstrip("x×")
    scale = _SUFFIX.get(told[-1], 1.0)
    told = told[:-1] if told[-1] in _SUFFIX else told
    base, power = re.split(r"\^|\*\*", told) if re.search(r"\^|\*\*", told) else (told, "1")
    top, _, bottom = base.partition("/")
    value = float(top) / (float(bottom) if bottom and float(bottom) else 1.0)
    return value ** min(64.0, float(power)) * scale if abs(value) < 1e6 else value * scale


def _cues(flat: str, spoken: Sequence[Mention]) -> list[_Cue]:
    """Everything that says which way, the strongest first, then the nearest to what it belongs to."""
    found: list[tuple[int, _Cue]] = []
    for place, letter in enumerate(flat):
        if letter in STRONG or letter in WEAK:
            force = 2 if letter in STRONG else 0
            gap, owners = _beside(flat, spoken, place) if force else _nearest(flat, spoken, place, place + 1)
            found.append((gap, _Cue(place, (STRONG | WEAK)[letter], force, owners)))
    for words, which in ((_UP_WORD, Direction.UP), (_DOWN_WORD, Direction.DOWN)):
        for one in words.finditer(flat):
            if not _NOT_SO.search(flat[: one.start()]):
                gap, owners = _nearest(flat, spoken, *one.span())
                found.append((gap, _Cue(one.start(), which, 1, owners)))
    return [cue for _, cue in sorted(found, key=lambda item: (-item[1].force, item[0], item[1].start))]


def _beside(flat: str, spoken: Sequence[Mention], start: int) -> tuple[int, frozenset[str]]:
    """Whose two values these are: of all that is named just before, "x0 lambda init" being one thing."""
    named = [one for one in spoken if one.end <= start <= one.end + BESIDE]
    return 0, frozenset(one.family for one in named if not _JOINS.search(flat[one.end : start]))


def _nearest(flat: str, spoken: Sequence[Mention], start: int, end: int) -> tuple[int, frozenset[str]]:
    """(how far, the family) of what a word stands beside within its clause."""
    best: tuple[int, frozenset[str]] = (len(flat), frozenset())
    for one in spoken:
        after = one.start >= end
        between = flat[end : one.start] if after else flat[one.end : start]
        gap = len(between) + (0 if after else 3)  # "longer warm-up" is said more often than "warm-up longer"
        if "¦" not in between and gap < best[0]:
            best = gap, frozenset({one.family})
    return best
