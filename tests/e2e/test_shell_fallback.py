"""Where the tools are missing the skill names a program in the shell: it is there in all four settings and works."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.clients import scrubbed
from tests.e2e.drivers import plug, plug_codex
from tests.e2e.repositories import lay_lab, lay_project

OWN = {"AUTORESEARCH_PYTHON": sys.executable}
SKILL = "skills/autoresearch/SKILL.md"


def clone(folder: str) -> Callable[[Path, Path], tuple[Path, Path]]:
    def lay(lab: Path, home: Path) -> tuple[Path, Path]:
        return lay_project(lab), lab / folder / SKILL

    return lay


def plugin(install: Callable[[Path, Path], Path], store: str) -> Callable[[Path, Path], tuple[Path, Path]]:
    def lay(lab: Path, home: Path) -> tuple[Path, Path]:
        install(lay_lab(lab), home)
        (skill,) = (found for found in (home / store).glob(f"**/{SKILL}") if not found.parts[-4].startswith("."))
        return lab, skill

    return lay


@pytest.mark.usefixtures("needs_claude", "needs_codex")
@pytest.mark.parametrize(
    "lay",
    [
        pytest.param(clone(".claude"), id="claude-clone"),
        pytest.param(clone(".agents"), id="codex-clone"),
        pytest.param(plugin(plug, ".claude/plugins/cache"), id="claude-plugin"),
        pytest.param(plugin(plug_codex, ".codex/plugins/cache"), id="codex-plugin"),
    ],
)
def test_the_program_that_the_skill_names_is_where_it_says(
    tmp_path: Path, home: Path, lay: Callable[[Path, Path], tuple[Path, Path]]
) -> None:
    lab, skill = lay(tmp_path / "lab", home)
    assert "`../../bin/autoresearch`, seen from this file" in skill.read_text()
    program = f"{skill.parent}/../../bin/autoresearch"
    for words, said in ((["start", "shell", "--calibrate", "0"], "shell"), (["status"], "bring KNOB to the target")):
        command, environment = [program, *words], scrubbed(home, **OWN)
        done = subprocess.run(
            command, cwd=lab, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr
        assert said in done.stdout
