"""Repositories as people have them: a trainer that tells which Python ran it, and environments of several makers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.lab import Lab
from mcp_server.nouns.replies import ScoreReply
from tests.labs import finish, git

PROGRAM = """\
---
goal: a small number
metric: {{name: x, direction: minimize}}
editable: [train.py]
frozen: [score.py]
run: {run}
score: python score.py
budget: {{seconds: 20, clock: cpu, startup_seconds: 30, grace_seconds: 1}}
devices: cpu
{more}---
"""
TRAIN = """\
import json, os, pathlib, sys
X = 3.0
try:
    import only_here
    X += only_here.WORTH
except ImportError:
    pass
pathlib.Path(os.environ["AUTORESEARCH_OUT"], "model.json").write_text(json.dumps({"x": X, "prefix": sys.prefix}))
"""
SCORE = """\
import json, os, pathlib
model = pathlib.Path(os.environ["AUTORESEARCH_ARTIFACT"], "model.json")
print(json.dumps({"score": json.loads(model.read_text())["x"]}))
"""


def ground(folder: Path, run: str = "python train.py", more: str = "", train: str = TRAIN, **files: str) -> Path:
    """A repository with its first commit; what it ignores is `.venv/` and `data/`."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    texts = {"train.py": train, "score.py": SCORE, "program.md": PROGRAM.format(run=run, more=more)}
    for name, text in {**texts, ".gitignore": ".venv/\ndata/\n", **files}.items():
        (folder / name).write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def venv(prefix: Path, worth: float = 100.0) -> Path:
    """An environment with a package that no other has: its score tells that it ran."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    _with_package(prefix, worth)
    return prefix


def conda(prefix: Path, worth: float = 100.0) -> Path:
    """What conda makes, as far as anybody looks: `conda-meta`, and a Python of its own in `bin`."""
    base = Path(sys.base_prefix)
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "bin").mkdir()
    shutil.copy2(Path(sys.executable).resolve(), prefix / "bin" / "python")
    for library in base.glob("lib/libpython*"):
        (prefix / "lib").mkdir(exist_ok=True)
        shutil.copy2(library, prefix / "lib" / library.name)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    skip = shutil.ignore_patterns("test", "site-packages", "__pycache__", "idlelib", "tkinter", "ensurepip", "config-*")
    shutil.copytree(base / "lib" / version, prefix / "lib" / version, ignore=skip)
    _with_package(prefix, worth)
    # Debian's Python, copied, looks for packages in folders of its own
    asked = [str(prefix / "bin" / "python"), "-c", "import site; print(*site.getsitepackages(), sep=chr(10))"]
    for place in map(Path, subprocess.check_output(asked, text=True).splitlines()):
        if place.is_relative_to(prefix):
            place.mkdir(parents=True, exist_ok=True)
            (place / "only_here.py").write_text(f"WORTH = {worth}\n")
    return prefix


def _with_package(prefix: Path, worth: float) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = prefix / "lib" / version / "site-packages"
    packages.mkdir(parents=True, exist_ok=True)
    (packages / "only_here.py").write_text(f"WORTH = {worth}\n")


def uv() -> str:
    """uv's program; skips the test where there is none (`pip install uv`)."""
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("uv is not on this machine: pip install uv")
    return found


def baseline(folder: Path) -> ScoreReply:
    """The first score of a campaign."""
    lab = Lab(folder)
    try:
        lab.start_campaign("first", calibrate=0)
        return finish(lab, 1)
    finally:
        lab.close()
