"""Share of messages that a model sorts rightly under a prompt, each asked several times; answers are kept by content.

The prompt is read as data. The model is any command that reads its standard input: it runs here, in the scorer's
sandbox without network, or outside, by `answer_outside.py`, while this program answers "pending". What it said to the
same text, on the same seed, for the same time is never asked again: neither a repeated run nor a killed one is paid
twice. Units are messages.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

from judging import run
from messages import cases
from scripted_model import CATEGORIES
from units import coarse, drawer, drawn, kept, mean_of, of_split, put, split

MODEL: dict[str, Any] = json.loads(Path("model.json").read_text("utf-8"))
OWN = "cases.json"  # in the drawer: messages of the user's
ASK_AGAIN_SECONDS = 20.0
LEAST_WORDS, LEAST_BYTES = 3, 26  # either makes a message that a prompt may not hold; "refund, please" it may


class Refused(Exception):
    """The artifact is no prompt to be scored; the arguments are a reason code and a sentence."""


class Wanted(Exception):
    """Answers are still to come from outside; the argument is how many."""


def asked() -> tuple[list[tuple[str, str]], list[str]]:
    """((category, message) of this scoring, the same for all on one seed; all categories)."""
    draw = drawn("messages")
    if not (drawer() / OWN).exists():
        return cases(draw, MODEL["cases"]), list(CATEGORIES)
    every = [(one["category"], one["message"]) for one in json.loads((drawer() / OWN).read_text("utf-8"))]
    chosen = of_split(every)
    return draw.sample(chosen, min(len(chosen), MODEL["cases"])), sorted({category for category, _ in every})


def read(path: Path, messages: list[str]) -> str:
    """Raises Refused."""
    if not path.is_file() or path.stat().st_size > 4 * MODEL["longest_prompt"]:
        raise Refused("bad_output", f"There is no prompt.md of at most {MODEL['longest_prompt']} letters.")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("bad_output", "The prompt is not UTF-8.") from None
    if not text.strip() or len(text) > MODEL["longest_prompt"]:
        raise Refused("bad_output", f"The prompt has no letters, or more than {MODEL['longest_prompt']}.")
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Co", "Cn") and letter != "\n" for letter in text):
        raise Refused("bad_output", "The prompt has characters that a reader does not see.")
    if any(long_enough(words(message)) and words(message) in words(text) for message in messages):
        raise Refused("copies_cases", "The prompt holds a message that is asked. Examples must be other ones.")
    return text


def words(text: str) -> str:
    """Its words in any script, whatever marks, capitals and widths they are written with."""
    found = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold())
    return f" {' '.join(found)} "


def long_enough(message: str) -> bool:
    """Whether it tells something to know it by heart; bytes, for some scripts set no blanks between words."""
    return len(message.split()) >= LEAST_WORDS or len(message.encode()) >= LEAST_BYTES


def answers(prompt: str, messages: list[str]) -> tuple[list[list[str]], dict[str, float]]:
    """(what the model said to each message, each time; what it took). Raises Wanted while answers are to come."""
    said: list[list[str]] = []
    letters = fresh = missing = 0
    for message in messages:
        text = f"{prompt.rstrip()}\n\n<message>\n{message}\n</message>\n"
        letters += len(text) * MODEL["repeats"]
        said.append([])
        for turn in range(MODEL["repeats"]):
            name = key(text, turn)
            path = drawer() / "answers" / name
            if not path.exists():
                fresh += 1
                if MODEL["where"] == "outside":
                    put(drawer() / "questions" / name, {"text": text})
                    missing += 1
                    continue
                put(path, {"said": run(MODEL["command"], text, MODEL["seconds"])})
            said[-1].append(json.loads(path.read_text("utf-8"))["said"])
    if missing:
        raise Wanted(missing)
    cost = letters / 1000 * MODEL["price_per_thousand_letters"]
    return said, {"cost": round(cost, 4), "calls": float(len(messages) * MODEL["repeats"]), "fresh_calls": float(fresh)}


def key(text: str, turn: int) -> str:
    """The name of an answer: by command, text, which time it is asked, and seed, for another seed asks afresh."""
    what = [MODEL["command"], text, turn, split(), os.environ["AUTORESEARCH_DRAW"]]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:40] + ".json"


def category_of(said: str, categories: list[str]) -> str:
    """The category, where that is all that was said; else "", which is never right."""
    plain = said.strip().strip(".'\"").lower()
    return plain if plain in categories else ""


def scored(found: list[tuple[str, list[str]]]) -> dict[str, Any]:
    """From (category, answers each time): score, interval over the messages, and what the answers disagree about."""
    shares = [sum(one == category for one in said) / len(said) for category, said in found]
    score, interval = mean_of(shares)
    repeats = len(found[0][1])
    luck = sum(share * (1 - share) / max(1, repeats - 1) for share in shares)
    secondary = {
        "disagreement": round(sum(len(set(said)) > 1 for _, said in found) / len(found), 3),
        "repeat_sd": round(math.sqrt(luck) / len(found), 4),  # of the score, for the same messages asked again
        "unreadable": round(sum(one == "" for _, said in found for one in said) / (repeats * len(found)), 3),
    }
    return {**coarse(score, interval), "secondary": secondary}


def main() -> int:
    chosen, categories = asked()
    messages = [message for _, message in chosen]
    try:
        if MODEL["where"] == "outside" and os.environ.get("AUTORESEARCH_TIER") == "T0":
            raise Refused("no_walls", "Nothing was asked: without any sandbox a run could write the answers itself.")
        prompt = read(Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "prompt.md", messages)
        said, took = answers(prompt, messages)
        pairs = zip(chosen, said, strict=True)
        found = scored([(category, [category_of(one, categories) for one in each]) for (category, _), each in pairs])
        found["secondary"] |= took | {"prompt_letters": float(len(prompt))}
    except Wanted as wanted:
        found = waiting(*wanted.args)
    except Refused as refusal:
        code, detail = refusal.args
        found = {"rejected": code, "detail": detail}
    except subprocess.SubprocessError as failure:
        sys.exit(f"The model command failed: {failure}")  # not the prompt's fault
    print(json.dumps(found))
    return 0


def waiting(missing: int) -> dict[str, Any]:
    """When to ask again, or that nobody answers."""
    began = kept(f"asked/{os.environ['AUTORESEARCH_RUN']}.json", time.time)
    if time.time() - began > MODEL["give_up_hours"] * 3600:
        return {"rejected": "no_outcome", "detail": f"{missing} answers have not come. Does answer_outside.py run?"}
    return {"pending": True, "retry_after_seconds": ASK_AGAIN_SECONDS}


if __name__ == "__main__":
    sys.exit(main())
