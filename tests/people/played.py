"""Labs whose supervisors are played: a run ends at the moment it is launched, or stays in the air until it is told to.

What is tried here is the ledger, git and the user's files; the supervisor itself has tests of its own. A played run
reads what a real one reads, the spec and the snapshot that were laid out for it, and answers with the spec's order.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.engines import local
from mcp_server.lab import Lab
from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunResult, RunSpec, RunState
from mcp_server.nouns.replies import DecisionReply
from tests.labs import edit, make_lab


def knob_in(folder: Path) -> float:
    """The constant that a copy of train.py was left with; its score is (KNOB - 3) squared."""
    return float((folder / "train.py").read_text().partition("KNOB = ")[2].partition("\n")[0])


@dataclass
class Played:
    """Supervisors in this process. `hold`: runs launched from now on stay alive until `end`."""

    hold: bool = False
    alive: list[tuple[RunPaths, int]] = field(default_factory=list)
    launched: list[RunPaths] = field(default_factory=list)

    def launch(self, paths: RunPaths, alive_fd: int) -> int:
        self.launched.append(paths)
        paths.begun.touch()
        if self.hold:
            self.alive.append((paths, os.dup(alive_fd)))
        else:
            self.answer(paths)
        return os.getpid()

    def answer(self, paths: RunPaths) -> None:
        spec: RunSpec = RunSpec.read(paths.spec)
        score = (knob_in(paths.work) - 3) ** 2
        RunResult(state=RunState.SCORED, order=spec.order, score=score).write(paths.result)

    def end(self, *, lost: bool = False) -> None:
        """Every run in the air ends: with a score, or without a word."""
        for paths, fd in self.alive:
            if not lost:
                self.answer(paths)
            os.close(fd)
        self.alive.clear()


@contextmanager
def playing() -> Iterator[Played]:
    played = Played()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "start", played.launch)
        patch.setenv("AUTORESEARCH_CHART", "off")
        patch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        yield played
        played.end(lost=True)


def small_lab(folder: Path, tag: str = "first") -> Lab:
    """A lab with a kept baseline of score 4. Nothing is ever asked to repeat itself: that is the referee's matter."""
    lab = make_lab(folder, more="keep: {confirm: never}\n")
    lab.start_campaign(tag, calibrate=0)
    lab.lab_status()
    return lab


def tried(lab: Lab, **constants: float) -> DecisionReply:
    """One whole iteration of a played lab."""
    edit(lab, **constants)
    number = lab.run_experiment(f"to {constants}").experiment
    return lab.commit_or_revert(number)


def named_commands(said: str) -> list[str]:
    """The commands that a sentence names, in its order."""
    return re.findall(r"`((?:git|autoresearch|cp) [^`]+)`", said)


def obey(said: str, folder: Path) -> str:
    """Run the first command that a sentence names, as a person would paste it into a shell; the command."""
    command = named_commands(said)[0]
    if command.startswith("autoresearch "):  # in this process, where the supervisors are played
        answer = CliRunner().invoke(cli, ["-C", str(folder), *shlex.split(command)[1:]])
        assert answer.exit_code == 0, f"{command}: {answer.output}"
        return command
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "AUTORESEARCH_CHART": "off"}
    for name in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{name}_NAME": "User", f"GIT_{name}_EMAIL": "user@example.com"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{shlex.quote(command)}: {done.stderr}"
    return command
