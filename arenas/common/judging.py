"""A judge of the user's own: a command that reads a text and prints points, asked several times.

What its answers scatter is doubt about the score, and what they cost is told beside it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Judged:
    """What the judge said: each answer from 0 to 100, what they cost together, and the seconds they took."""

    scores: list[float]
    cost: float
    seconds: float

    @property
    def mean(self) -> float:
        return statistics.fmean(self.scores)

    @property
    def sd(self) -> float:
        return statistics.stdev(self.scores) if len(self.scores) > 1 else 0.0

    @property
    def told(self) -> dict[str, float]:
        """For `secondary`."""
        told = {"judge_sd": self.sd, "judge_cost": self.cost, "judge_seconds": self.seconds}
        return told | {"judge_calls": float(len(self.scores))}

    def doubt(self, share: float) -> float:
        """Half of the 95 % interval that its disagreement gives a score of which it is a share."""
        return 1.96 * share * self.sd / len(self.scores) ** 0.5


def ask_judge(text: str, judge: dict[str, Any], *arguments: str) -> Judged | None:
    """The judge's answers, or None without one. A judge that fails ends the scoring: that is not the text's fault.

    judge: `command` (a list of words, or null), `repeats`, `seconds` for each; it prints {"score": 71, "cost": 0.002}.
    """
    if not judge.get("command"):
        return None
    began, scores, cost = time.monotonic(), [], 0.0
    for _ in range(judge["repeats"]):
        said = json.loads(run([*judge["command"], *arguments], text, judge["seconds"]).strip().splitlines()[-1])
        scores.append(min(100.0, max(0.0, float(said["score"]))))
        cost += float(said.get("cost", 0.0))
    return Judged(scores, cost, time.monotonic() - began)


def run(command: list[str], text: str, seconds: float) -> str:
    """What a command prints that reads the text. Raises CalledProcessError, TimeoutExpired.

    It is not told what scorers alone are told: the text is the experiment's, and a model may do as a text says.
    """
    words = [sys.executable if word == "python" else word for word in command]
    env = {name: value for name, value in os.environ.items() if not name.startswith("AUTORESEARCH_")}
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=seconds, check=True, env=env)
    return done.stdout
