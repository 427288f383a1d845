"""How many times faster than the campaign's first version: log2 of the ratio of processor times, measured in one slot.

Three versions answer the same questions, each in a process of its own: the campaign's first (it is trusted, and the
yardstick that keeps the scores of a campaign comparable), the incumbent and the candidate. Every round draws a
catalogue that nobody has seen, after all code is loaded, and asks the three in random order; every answer of the
candidate must be the first version's. A process is timed by its parent, from the first byte of the question to the
last byte of the answer, and is stopped while others are timed.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import statistics
import sys
from pathlib import Path

import numpy as np
from catalogue import catalogue, odd
from confined import Answer, Child, Failed, forbids_processes, shield, strangers

ROUNDS = 15
WARM_UP = 2  # rounds that do not count
SECONDS = 20.0  # for one answer; the first version needs a fiftieth of a second
RELATIVE = 1e-9  # sums may be added in another order, float32 is not enough


def check(answer: bytes, expected: bytes) -> None:
    """Raises Failed unless the vectors agree."""
    if len(answer) != len(expected):
        raise Failed("wrong_output", "An answer has another length than the first version's.")
    mine, right = np.frombuffer(answer), np.frombuffer(expected)
    wrong = np.flatnonzero(~np.isclose(mine, right, rtol=RELATIVE, atol=0.0, equal_nan=True))
    if len(wrong):
        at = int(wrong[0])
        raise Failed(
            "wrong_output", f"{len(wrong)} numbers differ, the first at {at}: {mine[at]!r}, not {right[at]!r}."
        )


def costs(answers: list[Answer]) -> list[float]:
    """Seconds of each answer: the processor time of all its threads, which a busy machine hardly changes.

    Where it could let other processes work, what it waited even in the quietest round is added.
    """
    waits = 0.0 if forbids_processes() else min(max(0.0, answer.wall - answer.cpu) for answer in answers)
    return [answer.cpu + waits for answer in answers]


def gain(slow: list[float], fast: list[float]) -> float:
    """By how many doublings one version is faster, round by round: both were asked the same question."""
    return statistics.median(math.log2(one / other) for one, other in zip(slow, fast, strict=True))


def measure(children: dict[str, Child]) -> dict[str, list[Answer]]:
    """Ask all versions in every round, in random order. Raises Failed."""
    draw = np.random.default_rng(secrets.randbits(128))  # after all code is loaded
    taken: dict[str, list[Answer]] = {name: [] for name in children}
    questions = [*odd(draw), *(catalogue(draw) for _ in range(WARM_UP + ROUNDS))]
    for turn, events in enumerate(questions):
        said: dict[str, Answer] = {}
        names = list(children)
        draw.shuffle(names)
        for name in names:
            if strangers(children.values()):
                raise Failed("background_work", "The program left a process behind, which could slow the others down.")
            most = 8 * (3 * len(events) + 100)
            said[name] = children[name].ask(events.tobytes(), most_bytes=most, seconds=SECONDS)
        if strangers(children.values()):
            raise Failed("background_work", "The program left a process behind, which could slow the others down.")
        check(said["candidate"].content, said["first"].content)
        if turn >= len(questions) - ROUNDS:
            for name, answer in said.items():
                taken[name].append(answer)
    return taken


def main() -> int:
    shield()
    folders = {"first": Path.cwd(), "incumbent": None, "candidate": Path(os.environ["AUTORESEARCH_SNAPSHOT"])}
    if "AUTORESEARCH_INCUMBENT" in os.environ:
        folders["incumbent"] = Path(os.environ["AUTORESEARCH_INCUMBENT"])
    children: dict[str, Child] = {}
    try:
        for name, folder in folders.items():  # the candidate comes last, when the others are loaded and shielded
            if folder is not None:
                children[name] = Child(Path.cwd() / "serve.py", str(folder), seconds=SECONDS)
        seconds = {name: costs(answers) for name, answers in measure(children).items()}
    except Failed as failure:
        code, detail = failure.args
        print(json.dumps({"rejected": code, "detail": detail}))
        return 0
    finally:
        for child in children.values():
            child.end()
    score = gain(seconds["first"], seconds["candidate"])
    milliseconds = 1000 * statistics.median(seconds["candidate"])
    answer = {
        "score": score,
        "secondary": {"speedup": round(2.0**score, 3), "milliseconds": round(milliseconds, 3)},
    }
    if "incumbent" in seconds:
        answer["incumbent"] = gain(seconds["first"], seconds["incumbent"])
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
