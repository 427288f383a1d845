"""The brand's rules, countably: which words may be used, what may be claimed, how it may sound. Texts are data.

A creative that breaks one is refused before anybody sees it. The rules stand in brand.json: a list of allowed words;
patterns of claims, each with the only phrases in which it may occur; lengths, exclamations, repetition. Pure but for
that file.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

RULES: dict[str, Any] = json.loads((Path(__file__).parent / "brand.json").read_text("utf-8"))


def refusal(plan: dict[str, Any]) -> str:
    """Why a plan breaks the brand's rules; "" when it does not."""
    creatives = plan["creatives"]
    if len({tuple(said(part) for _, part in sorted(one.items())) for one in creatives}) < len(creatives):
        return "two creatives are the same."
    return next((why for one in creatives if (why := broken(one))), "")


def broken(creative: dict[str, str]) -> str:
    """Why one creative breaks a rule; "" when it does not."""
    if any(not said(part) for part in creative.values()):
        return "a part of a creative has no word."
    text = ". ".join(part.strip() for part in creative.values())
    # an underscore would join a word to what stands beside it, and every rule below would look past it
    if odd := re.search(r"[^A-Za-z0-9 " + re.escape(RULES["marks"]) + "]", text):
        return f"a creative has {odd[0]!a}: plain letters, digits and {RULES['marks']} may stand in it."
    words = said(text)
    unknown = [word for word in words if word not in RULES["words"].split() and not word.isdigit()]
    if unknown:
        return f"{unknown[0]!r} is none of the brand's words."
    for pattern, allowed in RULES["claims"].items():
        rest = text.lower()
        for phrase in allowed:
            rest = rest.replace(phrase, "")
        if found := re.search(pattern, rest):
            return f"{found[0]!r} is a claim that may not be made like this."
    return sounding(text, words)


def said(text: str) -> tuple[str, ...]:
    """The words of a text, by whatever marks they are set apart."""
    return tuple(re.findall(r"[a-z0-9']+", text.lower()))


def sounding(text: str, words: tuple[str, ...]) -> str:
    """Why it does not sound like the brand."""
    if text.count("!") > RULES["exclamations"] or re.search(r"[A-Z][A-Za-z0-9']*[A-Z]|[?!,:;'-]{2}", text):
        return "it shouts."
    if max(map(len, words)) > RULES["longest_word"]:
        return "it has a word that is too long."
    for sentence in re.split(r"[.!?]+", text):
        count = len(re.findall(r"[A-Za-z0-9']+", sentence))
        if count and not RULES["sentence_words"]["least"] <= count <= RULES["sentence_words"]["most"]:
            return f"a sentence has {count} words."
    often = [word for word in set(words) if len(word) > 3 and words.count(word) > RULES["repeated_word"]]
    often += [word for word, other in itertools.pairwise(words) if word == other]  # a short one, which may come often
    return f"it says {sorted(often)[0]!r} too often." if often else ""
