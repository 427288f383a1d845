"""An agent of flesh and blood, as far as a lab can tell: a process that edits, runs, decides and learns until killed.

It announces every step before it takes it and acknowledges it afterwards, so that a killer can aim and a checker can
ask whether everything that was promised is still true.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import secrets
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mcp_server.lab import Lab
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.records import Status
from tests.labs import TRAIN

T = TypeVar("T")
FAR = TRAIN.replace("KNOB = 1.0", "KNOB = 1000.0")  # far from the goal, so that there is always something to gain


def apart(function: Callable[[], T]) -> T:
    """Do something in a process of its own that ends without tidying up, and return its answer."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ours)
            answer: tuple[bool, Any] = (True, function())
        except BaseException:
            answer = (False, traceback.format_exc())
        with os.fdopen(theirs, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        raw = pipe.read()
    os.waitpid(child, 0)
    assert raw, "the process died without an answer"
    good, found = pickle.loads(raw)
    assert good, found
    return found  # type: ignore[no-any-return]


@dataclass
class Agent:
    """A running agent: `step` is what it does now, `kept_promises` what it was told by the lab."""

    pid: int
    pipe: int
    step: str = ""
    promises: list[dict[str, Any]] = field(default_factory=list)
    _rest: bytes = b""

    def listen(self) -> None:
        """Take in what the agent said meanwhile."""
        while True:
            try:
                found = os.read(self.pipe, 65536)
            except BlockingIOError:
                return
            if not found:
                return
            *lines, self._rest = (self._rest + found).split(b"\n")
            for line in lines:
                said = json.loads(line)
                if "step" in said:
                    self.step = said["step"]
                else:
                    assert "error" not in said, said["error"]
                    self.promises.append(said)

    def end(self) -> None:
        """Reap it, after it was killed or asked to stop."""
        os.waitpid(self.pid, 0)
        self.listen()
        os.close(self.pipe)

    def ask_to_stop(self) -> None:
        """It ends after the verb that it is in."""
        os.kill(self.pid, signal.SIGTERM)


def begin_agent(tree: Path, seed: int) -> Agent:
    """An agent in a session of its own, as a client starts its server."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    child = os.fork()
    if child == 0:
        try:
            os.close(ours)
            os.setsid()
            signal.signal(signal.SIGTERM, lambda *_: None)
            _live(tree, theirs, random.Random(seed))
        except BaseException:
            _say(theirs, {"error": traceback.format_exc()})
        finally:
            os._exit(0)
    os.close(theirs)
    return Agent(child, ours)


def _say(pipe: int, what: dict[str, Any]) -> None:
    os.write(pipe, json.dumps(what).encode() + b"\n")


def knob_of(text: str) -> float:
    return float(next(line for line in text.splitlines() if line.startswith("KNOB =")).partition("=")[2])


def write_train(lab: Lab, text: str, knob: float, seconds: float = 0.0) -> None:
    """Edit train.py as an editor that may be killed too: whole or not at all."""
    lines = [
        f"KNOB = {knob}"
        if line.startswith("KNOB =")
        else f"SECONDS = {seconds}"
        if line.startswith("SECONDS =")
        else line
        for line in text.splitlines()
    ]
    staged = lab.paths.common / f"edited-{os.getpid()}"
    write_atomically(staged, ("\n".join(lines) + "\n").encode())
    os.replace(staged, lab.paths.tree / "train.py")


def incumbent_text(lab: Lab) -> str:
    with lab.reading() as (bench, campaign, _):
        incumbent = bench.ledger.incumbent(campaign.tag)
        commit = incumbent.commit_sha if incumbent and incumbent.commit_sha else campaign.pinned
    content = lab.workspace.blob(commit, "train.py")
    assert content is not None
    return content.decode()


def idea(lab: Lab, good: bool, seconds: float) -> None:
    """Edit train.py into something nobody tried: better than the incumbent, or worse."""
    text = incumbent_text(lab)
    # a share of what is left, so that hundreds of keeps never get there; two ideas that meet would be one experiment
    share = 0.004 + secrets.randbelow(10**9) / 10**12
    write_train(lab, text, 3 + (knob_of(text) - 3) * (1 - share if good else 1 + share), seconds)


def decide(lab: Lab, number: int, announce: Callable[[str], None] = lambda _: None) -> str:
    """Wait for an experiment and decide on it, with as many repeats as the referee asks for."""
    for _ in range(20):
        while (score := lab.read_score(number)).open:
            time.sleep(0.02)
        keeps = score.verdict is not None and score.verdict.decision == "keep"
        announce("keep" if keeps else "revert")
        reply = lab.commit_or_revert(number)
        if reply.decision != "confirming":
            return reply.decision
    raise AssertionError("the referee never had enough")


def _live(tree: Path, pipe: int, draw: random.Random) -> None:
    stop = False

    def asked(*_: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGTERM, asked)

    def announce(step: str) -> None:
        _say(pipe, {"step": step})
        if stop:
            os._exit(0)

    lab = Lab(tree)
    while True:
        announce("status")
        status = lab.lab_status()
        for number in status.waiting_for_decision:
            announce("keep")
            lab.commit_or_revert(number)
        for one in status.running:
            decide(lab, one.experiment, announce)
        announce("edit")
        idea(lab, draw.random() < 0.6, draw.choice((0.0, 0.05, 0.2)))
        announce("run")
        words = f"idea {draw.randrange(10**9)}"
        number = lab.run_experiment(words, insist=True).experiment
        _say(pipe, {"experiment": number, "description": words})
        announce("score")
        score = lab.read_score(number)
        while score.open:
            time.sleep(0.02)
            announce("score")
            score = lab.read_score(number)
        if score.status is Status.LOST and draw.random() < 0.5:
            announce("run")
            assert lab.run_experiment(words, insist=True).experiment == number
        decided = decide(lab, number, announce)
        _say(pipe, {"experiment": number, "decision": decided})
        announce("learn")
        text = f"Lesson {draw.randrange(10**12)}: {words} was {decided}."
        lab.append_learnings(text, number)
        _say(pipe, {"experiment": number, "learning": text})
