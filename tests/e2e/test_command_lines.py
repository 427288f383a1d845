"""Every line that people are told to type is put to the client it is for; it parses each, none is started."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.command_lines import taught
from tests.e2e.clients import installed, scrubbed
from tests.e2e.drivers import codex
from tests.e2e.endpoint import serving
from tests.e2e.repositories import lay_project
from tests.e2e.script import Say, Script


def asked(program: Path, words: Sequence[str], home: Path) -> subprocess.CompletedProcess[str]:
    """What a client says to a command line with --help behind it: it reads the line and does nothing."""
    return subprocess.run(
        [str(program), *words, "--help"],
        env=scrubbed(home, CODEX_HOME=str(home)), cwd=home, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def refused_by_codex(words: Sequence[str], home: Path) -> str:
    done = asked(installed().codex, [word for word in words if word != "..."], home)
    return done.stderr if done.returncode else ""


def refused_by_claude(words: Sequence[str], home: Path) -> str:
    """Claude Code answers --help whatever else stands there, so its options are looked up in the answer."""
    done = asked(installed().claude, words, home)
    if done.returncode:
        return done.stderr
    named = [word.split("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    unknown = [word for word in named if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", done.stdout)]
    usage = done.stdout.splitlines()[0]
    commands = [word for word in words if re.fullmatch(r"[a-z]+", word)][:2] if words[0] in ("plugin", "mcp") else []
    unknown += [word for word in commands if word not in re.split(r"[ |]", usage)]
    return f"unknown: {unknown}" if unknown else ""


@pytest.mark.usefixtures("needs_codex")
def test_codex_reads_every_line_that_is_taught(home: Path) -> None:
    found = taught("codex")
    assert len(found) > 3
    wrong = {f"{where}: codex {' '.join(words)}": refused_by_codex(words, home) for where, words in found}
    assert {line: why for line, why in wrong.items() if why} == {}
    assert "unexpected argument" in refused_by_codex(["exec", "--full-auto", "-"], home)  # one that is gone


@pytest.mark.usefixtures("needs_claude")
def test_claude_code_reads_every_line_that_is_taught(home: Path) -> None:
    found = taught("claude")
    assert len(found) > 2
    wrong = {f"{where}: claude {' '.join(words)}": refused_by_claude(words, home) for where, words in found}
    assert {line: why for line, why in wrong.items() if why} == {}
    assert "--nosuch" in refused_by_claude(["-p", "--nosuch"], home)
    assert "nosuch" in refused_by_claude(["plugin", "nosuch"], home)


@pytest.mark.usefixtures("needs_codex")
def test_the_name_that_is_taught_for_codex_is_the_one_that_expands(tmp_path: Path, home: Path) -> None:
    def play() -> Script:
        yield Say("heard")

    lab = lay_project(tmp_path / "lab")
    for prompt, expands in (("$autoresearch:autoresearch", True), ("$autoresearch", False)):
        with serving(play(), str(lab)) as endpoint, codex(endpoint, lab, home, prompt) as client:
            client.wait()
            told = str(endpoint.requests[0]["input"])
        assert ("Research, experiment after experiment" in told) == expands
