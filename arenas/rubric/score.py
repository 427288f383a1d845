"""Points of a text, 0 to 100, by rules that can be counted, and by a judge where rubric.yaml names one.

The text is read as data; nothing of it is executed. Before any point is given it is refused if it is no honest text: if
it repeats the rubric, is stuffed with a word, or speaks to whoever judges it.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

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
PASSIVE = re.compile(r"\b(is|are|was|were|be|been|being)\s+(\w+ly\s+)?\w+(ed|en|wn)\b", re.IGNORECASE)


class Refused(Exception):
    """The artifact is no honest text; the arguments are a reason code and a sentence."""


@dataclass(frozen=True)
class Judged:
    """What the judge said: each answer, what they cost together, and the seconds they took."""

    scores: list[float]
    cost: float
    seconds: float

    @property
    def sd(self) -> float:
        return statistics.stdev(self.scores) if len(self.scores) > 1 else 0.0


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


def refuse(text: str, rubric: dict[str, Any], sources: list[str]) -> None:
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


def facts_told(sentences: list[str], rubric: dict[str, Any]) -> dict[str, int]:
    """Number of the sentence that tells each fact; a sentence tells two at most, and only if it is one."""
    told: dict[str, int] = {}
    for number, sentence in enumerate(sentences):
        if len(words_of(sentence)) > rubric["longest_sentence_words"] or not prose(sentence):
            continue
        found = [
            name
            for name, patterns in rubric["facts"].items()
            if name not in told and all(re.search(pattern, sentence, re.IGNORECASE) for pattern in patterns)
        ]
        told |= dict.fromkeys(found[:2], number)
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


def ask_judge(text: str, judge: dict[str, Any]) -> Judged | None:
    """The judge's answers, or None without one. A judge that fails ends the scoring: that is not the text's fault."""
    if not judge.get("command"):
        return None
    began, scores, cost = time.monotonic(), [], 0.0
    command = [sys.executable if word == "python" else word for word in judge["command"]]
    for _ in range(judge["repeats"]):
        done = subprocess.run(
            [*command, "brief.md"], input=text, capture_output=True, text=True, timeout=judge["seconds"], check=True
        )
        said = json.loads(done.stdout.strip().splitlines()[-1])
        scores.append(min(100.0, max(0.0, float(said["score"]))))
        cost += float(said.get("cost", 0.0))
    return Judged(scores, cost, time.monotonic() - began)


def answer(text: str, rubric: dict[str, Any], judged: Judged | None) -> dict[str, Any]:
    shares = count(text, rubric)
    score = sum(rubric["weights"][name] * share for name, share in shares.items())
    secondary = {name: round(share, 3) for name, share in shares.items()} | {"words": float(len(words_of(text)))}
    interval = None
    if judged is not None:
        share = rubric["judge"]["share"]
        score = (1.0 - share) * score + share * statistics.fmean(judged.scores)
        doubt = 1.96 * share * judged.sd / len(judged.scores) ** 0.5
        interval = [score - doubt, score + doubt]
        secondary |= {"judge_sd": judged.sd, "judge_cost": judged.cost, "judge_seconds": judged.seconds}
        secondary["judge_calls"] = float(len(judged.scores))
    return {"score": score, "interval": interval, "secondary": secondary}


def main() -> int:
    rubric = yaml.safe_load(Path("rubric.yaml").read_text("utf-8"))
    sources = [Path(name).read_text("utf-8") for name in ("rubric.yaml", "program.md", "brief.md")]
    try:
        text = read(Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "text.md")
        refuse(text, rubric, sources)
        count(text, rubric)  # before a judge is paid
        found = answer(text, rubric, ask_judge(text, rubric["judge"]))
    except Refused as refusal:
        code, detail = refusal.args
        found = {"rejected": code, "detail": detail}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
