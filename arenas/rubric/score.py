"""Points of a text, 0 to 100, by rules that can be counted, and by a judge where rubric.yaml names one.

The text is read as data; nothing of it is executed. Before any point is given it is refused if it is no honest text:
if it repeats the rubric, is stuffed with a word, speaks to whoever judges it, tells numbers that the brief does not
have, or has words that take back what it says. Meaning is not read: what no rule can count, a judge or a person must
see.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from judging import Judged, ask_judge

MOST_BYTES = 16_000
SHINGLE = 6  # words in a row; a text shares few of them with any other by chance
MOST_SHARED = 2
# What holds English sentences together. Prose has a share of about 0.45, a list of keywords hardly any.
_LITTLE = """
    a about after all also an and any are as at be because been before but by can could did do does during each every
    for from had has have he her his how i if in into is it its more most must no nobody not nothing now of off on once
    one or our out over she should since so some than that the their them then there these they this those to until up
    us was we were what when where which while who will with within without would you your
"""
LITTLE_WORDS = frozenset(_LITTLE.split())
LEAST_LITTLE = 0.28
SPEAKS_TO_JUDGE = re.compile(
    r"\b(rubric|judge|grader|evaluator|(full|maximum|top) (score|marks|points)|"
    r"(ignore|disregard|forget) (all|any|the|previous|these|your))\b|\b(score|rate|grade) (this|it|me)\b",
    re.IGNORECASE,
)
# A fact that is taken back is not told, though all of its words are there. What turns a statement round: negations, of
# which a fact says itself how many it needs; doubts and conditions, beside which no fact is told; and words that can
# take back what another sentence says, which have no place in a note like this.
NEGATION = re.compile(
    r"\b(no|not|never|none|nobody|nothing|nowhere|neither|nor|cannot|without|hardly|scarcely|barely|lacks?|lacked"
    r"|anything but|far from|instead of|rather than|fail(s|ed)? to|refuse[sd]? to|un(true|likely|founded))\b|n't\b",
    re.IGNORECASE,
)
DOUBT = re.compile(
    r"\?|\b(if|unless|whether|would|could|might|may|perhaps|maybe|possibly|probably|should|seems?|seemed|appears?"
    r"|appeared|apparently|said|say|says|think|thinks|thought|believes?|believed|claim(s|ed)?|until|almost|nearly)\b",
    re.IGNORECASE,
)
TAKES_BACK = re.compile(
    r"\b(false(ly|hoods?)?|untrue|true|truth|lie[sd]?|lying|wrong(ly)?|incorrect(ly)?|mistaken|myths?|rumou?rs?|hoax(es)?"
    r"|fictions?|fictional|fake[sd]?|jokes?|joking|kidding|irony|ironic(ally)?|invent(s|ed|ions?)?|imagin(e|ed|ary)"
    r"|pretend(s|ed)?|alleg(e|ed|edly|ations?)|suppos(e|ed|edly)|hypothetical(ly)?|den(y|ies|ied|ial)|disput(e|es|ed)"
    r"|reject(s|ed)?|refut(e|es|ed)|retract(s|ed)?|contrary|opposite|contradict(s|ed)?|disregard|ignore|disbelieve"
    r"|nonsense|baseless|so-called|never happened|made up|dreams?|dreamt|stor(y|ies)|tales?)\b",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\d+(?:[:.,]\d+)*")
SPAN = re.compile(r"(\d+)[ -](second|minute|hour|day|week|month|year|percent|%)")
PASSIVE = re.compile(r"\b(is|are|was|were|be|been|being)\s+(\w+ly\s+)?\w+(ed|en|wn)\b", re.IGNORECASE)


class Refused(Exception):
    """The artifact is no honest text; the arguments are a reason code and a sentence."""


def read(path: Path) -> str:
    """Raises Refused for what is not plain text."""
    if not path.is_file():
        raise Refused("bad_output", "There is no text.md.")
    content = path.read_bytes()
    if len(content) > MOST_BYTES:
        raise Refused("bad_output", f"The text has more than {MOST_BYTES} bytes.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("bad_output", "The text is not UTF-8.") from None
    hidden = [letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Co", "Cn") and letter != "\n"]
    if hidden or "<!--" in text:
        raise Refused("bad_output", "The text has characters or comments that a reader does not see.")
    return text


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z0-9][a-z0-9'@.:-]*[a-z0-9]|[a-z0-9]", text.lower())


def sentences_of(text: str) -> list[str]:
    """Sentences of the body; headings and lists are no sentences, each line of a list ends one."""
    body = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
    parts = re.split(r"(?<=[.!?])\s+|\n\s*\n|\n\s*[-*]\s+", body)
    return [part.strip() for part in parts if words_of(part)]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}


def prose(sentence: str) -> bool:
    """Whether words are held together as in a sentence."""
    words = words_of(sentence)
    return len(words) >= 4 and sum(word in LITTLE_WORDS for word in words) / len(words) >= LEAST_LITTLE


def refuse(text: str, rubric: dict[str, Any], sources: list[str], brief: str) -> None:
    """Raises Refused for a text that would win by other means than being good."""
    shared = shingles(text) & set().union(*(shingles(source) for source in sources))
    if len(shared) > MOST_SHARED:
        raise Refused("copies_rubric", f"The text repeats the rubric: {' '.join(min(shared))!r}, for example.")
    if SPEAKS_TO_JUDGE.search(text):
        raise Refused("speaks_to_judge", "The text speaks to whoever judges it, not to its readers.")
    words = words_of(text)
    for word in sorted(set(words) - LITTLE_WORDS):
        if words.count(word) > max(4, rubric["repeated_word_share"] * len(words)):
            raise Refused("stuffed", f"{word!r} stands in the text {words.count(word)} times.")
    if words and sum(word in LITTLE_WORDS for word in words) / len(words) < LEAST_LITTLE:
        raise Refused("stuffed", "The text is a list of keywords, not sentences.")
    taken_back = TAKES_BACK.search(text)
    if taken_back:
        raise Refused(
            "takes_back", f"{taken_back[0]!r} can take back what the note says; say what is so, and only that."
        )
    known = set(NUMBER.findall(brief))
    spans = set(SPAN.findall(brief))
    invented = [number for number in NUMBER.findall(text) if number not in known]
    invented += [" ".join(span) for span in SPAN.findall(text) if span not in spans]
    if invented:
        raise Refused("invented", f"{invented[0]!r} is not in the brief; a note tells no other numbers.")


@dataclass(frozen=True)
class Fact:
    """What one sentence must have to tell a fact."""

    patterns: list[str]
    negations: int = 0  # how many negations the fact itself takes
    conditional: bool = False  # whether it may stand behind an "if"

    @classmethod
    def of(cls, written: list[str] | dict[str, Any]) -> Fact:
        return cls(**written) if isinstance(written, dict) else cls(written)

    def in_words_of(self, sentence: str) -> bool:
        return all(re.search(pattern, sentence, re.IGNORECASE) for pattern in self.patterns)


def facts_told(sentences: list[str], rubric: dict[str, Any]) -> dict[str, int]:
    """Number of the sentence that tells each fact; a sentence tells two at most, and only if it is one.

    "It is not so that nothing is missing" has every word of a fact and one negation too many: the sentence tells
    nothing unless its negations are exactly those of the facts in it.
    """
    facts = {name: Fact.of(written) for name, written in rubric["facts"].items()}
    told: dict[str, int] = {}
    for number, sentence in enumerate(sentences):
        if len(words_of(sentence)) > rubric["longest_sentence_words"] or not prose(sentence):
            continue
        doubtful = DOUBT.search(sentence) is not None
        found = {name: fact for name, fact in facts.items() if fact.in_words_of(sentence)}
        if len(NEGATION.findall(sentence)) != sum(fact.negations for fact in found.values()):
            continue
        new = [name for name, fact in found.items() if name not in told and (fact.conditional or not doubtful)]
        told |= dict.fromkeys(new[:2], number)
    return told


def within(value: float, least: float, most: float) -> float:
    """1 inside of the bounds, falling to 0 at half and at one and a half times."""
    if value < least:
        return max(0.0, 1.0 - 2.0 * (least - value) / least)
    return max(0.0, 1.0 - 2.0 * (value - most) / most) if value > most else 1.0


def count(text: str, rubric: dict[str, Any]) -> dict[str, float]:
    """Each rule's share of its points, 0 to 1."""
    sentences, words = sentences_of(text), words_of(text)
    if not words or not sentences:
        raise Refused("bad_output", "There is no text.")
    told = facts_told(sentences, rubric)
    opening = 1.0 if told.get(rubric["opens_with"], 99) < 2 else 0.8
    mean = sum(len(words_of(sentence)) for sentence in sentences) / len(sentences)
    long_share = sum(len(word) >= rubric["long_words"]["letters"] for word in words if "@" not in word) / len(words)
    passives = len(PASSIVE.findall(text))
    empty = sum(len(re.findall(re.escape(phrase), text, re.IGNORECASE)) for phrase in rubric["empty_phrases"])
    return {
        "facts": opening * len(told) / len(rubric["facts"]),
        "length": within(len(words), **rubric["words"]),
        "sentences": within(mean, **rubric["sentence_words"]),
        "plain": max(0.0, 1.0 - max(0.0, long_share / rubric["long_words"]["most_share"] - 1.0)),
        "active": max(0.0, 1.0 - 0.25 * max(0, passives - rubric["passives"]["most"])),
        "clean": max(0.0, 1.0 - empty / 3.0),
    }


def points(text: str, rubric: dict[str, Any], shares: dict[str, float]) -> dict[str, float]:
    """What each rule gives, and each fact: their sum is the score that is counted."""
    weights, told = rubric["weights"], shares["facts"]
    found = {name: weights[name] * share * told for name, share in shares.items() if name != "facts"}
    facts = facts_told(sentences_of(text), rubric)
    each = weights["facts"] * told / max(1, len(facts))
    return found | {f"fact {name}": each if name in facts else 0.0 for name in rubric["facts"]}


def answer(text: str, rubric: dict[str, Any], judged: Judged | None) -> dict[str, Any]:
    shares = count(text, rubric)
    # how well nothing is said is worth nothing: all other points count as far as the facts are told
    units = points(text, rubric, shares)
    score = sum(units.values())
    secondary = {name: round(share, 3) for name, share in shares.items()} | {"words": float(len(words_of(text)))}
    interval = None
    if judged is not None:
        share = rubric["judge"]["share"]
        score = (1.0 - share) * score + share * judged.mean
        interval = [score - judged.doubt(share), score + judged.doubt(share)]
        secondary |= judged.told
        units = {name: (1.0 - share) * value for name, value in units.items()} | {"the judge": share * judged.mean}
    return {"score": score, "interval": interval, "secondary": secondary, "units": units}


def main() -> int:
    rubric = yaml.safe_load(Path("rubric.yaml").read_text("utf-8"))
    brief = Path("brief.md").read_text("utf-8")
    sources = [brief, *(Path(name).read_text("utf-8") for name in ("rubric.yaml", "program.md"))]
    try:
        text = read(Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "text.md")
        refuse(text, rubric, sources, brief)
        count(text, rubric)  # before a judge is paid
        found = answer(text, rubric, ask_judge(text, rubric["judge"], "brief.md"))
    except Refused as refusal:
        code, detail = refusal.args
        found = {"rejected": code, "detail": detail}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
