"""The asking of the score command: run it, hold it to its time, and take nothing but one well-formed answer.

The score is what the last JSON object on its stdout says; what the trainer printed never comes near it. The
language-model scorer is ours and runs without walls, for it builds sandboxes itself; every other one is shut in.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from mcp_server.nouns.files import remove
from mcp_server.nouns.text import object_in
from mcp_server.runner.answers import NO_NUMBER, REFUSED_BY_JSON, Answer, Failure, parse
from mcp_server.runner.environment import (
    Surroundings,
    for_scorer,
    is_language_model_scorer,
    scorer_threads,
)
from mcp_server.runner.machine import cores
from mcp_server.runner.machine.leaving import with_own_package
from mcp_server.runner.process import child as children
from mcp_server.runner.process.limits import Crossed, Limits
from mcp_server.runner.process.listen import listen
from mcp_server.runner.process.logs import BoundedLog, excerpt
from mcp_server.runner.process.secrets import secrets_by_pipe
from mcp_server.runner.process.stop import Stop
from mcp_server.runner.process.unseen import hint

ANSWER_BYTES = UNITS_BYTES = 8 * 1024 * 1024  # of what is printed, and of a file of units: either may tell all of them
WARM_FROM_SECONDS = 10.0  # of training; in less, starting up would take a large part of it


class Fraction:
    """Hears how far a scorer says it is: lines of {"event": "scored", "fraction": 0.25}, for people to see."""

    def __init__(self, show: Callable[[float], None]) -> None:
        self._show = show
        self._log = BoundedLog(0, 4096)

    def drain(self, fd: int, most: int) -> bool:
        """As `BoundedLog.drain`; shows the newest fraction that makes sense."""
        more = self._log.drain(fd, most)
        for line in reversed(self._log.raw_tail().splitlines()):
            fraction = (object_in(line) or {}).get("fraction")
            if isinstance(fraction, int | float) and 0 <= fraction <= 1:
                self._show(float(fraction))
                break
        return more


class Asked:
    """A score command that was started, perhaps before there is anything to score. Always `end` it."""

    def __init__(self, around: Surroundings, limits: Limits, warm: bool = False, on: Collection[int] = ()) -> None:
        """Start it. A warm one (our own scorer alone can be) waits until it is heard out. Raises OSError.

        on: the cores that it may use until then, () for all; those that training is bound to are not its to disturb.
        """
        self._around, self._limits, self._on = around, limits, on
        trusted = is_language_model_scorer(around.spec.score_command)
        self._out, self._err, self._marks = (children.listening_pipe() for _ in range(3))
        told, tell = os.pipe()
        self._tell: int | None = tell
        if not trusted:
            around.renew_scratch()
        remove(around.paths.units)
        around.paths.units.mkdir(mode=0o700)
        confinement = for_scorer(around, self._marks.theirs, limits.tasks)
        if trusted:
            confinement = replace(confinement, env=_own_environment(around, confinement.env, warm))
        command, secrets = around.command_line(around.spec.score_command, around.paths.trusted), None
        if not trusted:
            command, confinement, secrets = secrets_by_pipe(command, confinement)
        try:
            self._child = children.start(
                command,
                confinement,
                None if trusted else around.tier,
                stdout=self._out.theirs,
                stderr=self._err.theirs,
                largest_file_bytes=int(limits.output_bytes),
                stdin=told,
                on=on,
            )
        finally:
            os.close(told)
            if secrets is not None:
                os.close(secrets)
            for pipe in (self._out, self._err, self._marks):
                pipe.close_theirs()

    def cpu_seconds(self) -> float:
        """What it has used of the processors so far."""
        return self._child.tree.sample(time.monotonic()).cpu_seconds

    def answer(self, stop: Stop, progress: Callable[[float], None]) -> Answer | None:
        """What it says, None when the run was cancelled meanwhile; nothing of it stays alive. Raises OSError."""
        around = self._around
        answer, words, fraction = BoundedLog(0, ANSWER_BYTES), BoundedLog(), Fraction(progress)
        if self._on:
            self._child.tree.sample(time.monotonic())
            self._child.bind(cores.allowed())
        if self._tell is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._tell, b"score\n")
        self._hang_up()
        deadline = time.monotonic() + around.spec.score_seconds
        ears = {self._out.ours: answer.drain, self._err.ours: words.drain, self._marks.ours: fraction.drain}
        ending = listen(self._child, ears, deadline, self._limits, stop)
        text = words.text()
        if text.strip():
            with open(around.paths.score_log, "a", encoding="utf-8", errors="replace") as file:
                file.write(text)
        if ending == "cancelled":
            return None
        if isinstance(ending, Crossed):
            return Failure("scorer_failed", f"The score command was stopped. {ending.detail}", excerpt(text))
        if ending == "late":
            detail = f"The score command did not answer within {around.spec.score_seconds:g} seconds."
            return Failure("scorer_timeout", detail, excerpt(text))
        if self._child.exit_status != 0 and REFUSED_BY_JSON in text:
            return Failure("not_a_number", f"The score {NO_NUMBER.format(value='not finite')}", excerpt(text))
        if self._child.exit_status != 0:
            detail = f"The score command ended with status {self._child.exit_status}."
            unseen = hint(text, around.spec, around.paths.trusted, around.paths.trusted, around.lease.card is not None)
            detail = f"{unseen.said} {detail}" if unseen is not None else detail
            return Failure("scorer_failed", detail, excerpt(text))
        found = parse(answer.raw_tail().decode(errors="replace"), self._file)
        return Failure(found.reason, found.detail, excerpt(text)) if isinstance(found, Failure) else found

    def end(self) -> None:
        """Leave nothing of it."""
        self._child.end()
        self._hang_up()
        for pipe in (self._out, self._err, self._marks):
            pipe.close_ours()

    def _file(self, name: str) -> bytes:
        """A file that the command wrote into its folder of units. Raises OSError."""
        name = name.removeprefix(f"{self._around.paths.units}/")
        if not re.fullmatch(r"\w[\w.-]{0,79}", name):
            raise OSError("not the plain name of a file")
        with open(os.open(self._around.paths.units / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError("not a plain file")
            content = file.read(UNITS_BYTES + 1)
        if len(content) > UNITS_BYTES:
            raise OSError(f"larger than {UNITS_BYTES // 1024} KB")
        return content

    def _hang_up(self) -> None:
        if self._tell is not None:
            os.close(self._tell)
            self._tell = None


def can_be_warm(around: Surroundings, spare: Collection[int]) -> bool:
    """Whether to start the scorer while training runs: there must be a core to spare for it.

    The secret of an exam is given to nobody before the weights are sealed.
    """
    spec = around.spec
    if not is_language_model_scorer(spec.score_command) or spec.secret is not None:
        return False
    return bool(spare) and spec.budget.seconds >= WARM_FROM_SECONDS


def _own_environment(around: Surroundings, given: Mapping[str, str], warm: bool) -> dict[str, str]:
    home, count = around.scorer_home, str(scorer_threads(around.spec))
    home.mkdir(mode=0o700, exist_ok=True)
    env = {**given, "HOME": str(home), "TMPDIR": str(home), "AUTORESEARCH_THREADS": count, "OMP_NUM_THREADS": count}
    if "AUTORESEARCH_CACHE" in os.environ:
        env["AUTORESEARCH_CACHE"] = os.environ["AUTORESEARCH_CACHE"]
    if warm:
        env["AUTORESEARCH_WARM"] = "1"
    return with_own_package(env)
