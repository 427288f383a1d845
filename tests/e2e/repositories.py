"""Repositories the clients are started in: a checkout of this project with a seconds-long arena, and a stranger's lab.

The arena: `train.py` writes its constants, the frozen `score.py` compares KNOB with the frozen `prepare.py`'s TARGET.
So a test knows what each edit is worth, and what a changed `prepare.py` would be worth if it counted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.e2e.clients import ROOT

PROJECT_CONFIGURATION = (
    *(".mcp.json", "mcp.json", "plugin.json", ".claude", ".claude-plugin", ".codex", ".codex-plugin", ".agents"),
    *(".gemini", "opencode.json", "AGENTS.md", "bin", "commands", "hooks", "scripts", "skills"),
)
PROGRAM = """\
---
goal: bring KNOB to the target
metric: {name: loss, direction: minimize, unit: squares}
editable: [train.py]
frozen: [prepare.py, score.py]
run: python train.py
score: python score.py
budget: {seconds: 60, clock: cpu, startup_seconds: 20, grace_seconds: 1}
keep: {confirm: never}
devices: cpu
---

Bring KNOB to the target.
"""
TRAIN = """\
# A stand-in for a trainer: its constants are its weights.
import json, os, pathlib, time
KNOB = 1.0
SECONDS = 0.0
time.sleep(SECONDS)
out = pathlib.Path(os.environ["AUTORESEARCH_OUT"])
(out / "model.json").write_text(json.dumps({"knob": KNOB, "seed": int(os.environ["AUTORESEARCH_SEED"])}))
"""
PREPARE = "# fixed\nTARGET = 3.0\n"
SCORE = """\
import json, os, pathlib
from prepare import TARGET
model = json.loads((pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.json").read_text())
print(json.dumps({"score": (model["knob"] - TARGET) ** 2}))
"""


def git(folder: Path, *arguments: str) -> str:
    """Run git as the repository's person would, with none of the settings of whoever runs the tests."""
    quiet = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": os.environ["PATH"]}
    named = ("-c", "user.name=User", "-c", "user.email=user@example.com", *arguments)
    return subprocess.run(["git", *named], cwd=folder, check=True, capture_output=True, text=True, env=quiet).stdout


def commit_all(folder: Path) -> None:
    """Make a repository of a folder, or commit what changed in it."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "files")


def lay_lab(folder: Path, seconds: float = 0.0, experiments: int | None = None) -> Path:
    """A lab of somebody's own, with nothing of this project in it: runs of so many seconds, and when it stops."""
    folder.mkdir(parents=True, exist_ok=True)
    stop = f"devices: cpu\nstop: {{experiments: {experiments}}}\n" if experiments else "devices: cpu\n"
    train = TRAIN.replace("SECONDS = 0.0", f"SECONDS = {seconds}")
    files = {
        "program.md": PROGRAM.replace("devices: cpu\n", stop),
        "train.py": train,
        "prepare.py": PREPARE,
        "score.py": SCORE,
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "notes.txt").write_text("the person's own\n")
    commit_all(folder)
    return folder


def lay_project(folder: Path, experiments: int | None = None) -> Path:
    """A checkout of this project, as its clients see it, with the seconds-long arena instead of language models."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROJECT_CONFIGURATION:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return lay_lab(folder, experiments=experiments)


def lay_release(folder: Path) -> Path:
    """What somebody gets who installs this project as a plugin: the files git knows, as they are now."""
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    commit_all(folder)
    return folder


def kept(lab: Path, tag: str) -> list[str]:
    """Subjects of what was kept on a campaign's branch, oldest first."""
    return git(lab, "log", "--reverse", "--format=%s", f"main..autoresearch/{tag}").splitlines()


def attempts(lab: Path, tag: str) -> list[str]:
    """Numbers of the attempts in the vault."""
    names = git(lab, "for-each-ref", "--format=%(refname)", f"refs/autoresearch/{tag}").split()
    return sorted((name.rpartition("/")[2] for name in names), key=int)
