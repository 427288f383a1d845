"""A shipped arena's score command by itself, as the supervisor asks it: trusted files, a snapshot, a drawer, a draw."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.arenas.campaigns import ROOT


class Scorer:
    """One arena laid out in a folder; `rules` replaces values of one of its JSON files, for a smaller question."""

    def __init__(self, arena: str, folder: Path, rules: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.trusted, self.snapshot = folder / "trusted", folder / "snapshot"
        self.drawer, self.artifact = folder / "drawer", folder / "artifact"
        shutil.copytree(ROOT / "arenas" / arena, self.trusted, ignore=shutil.ignore_patterns("__pycache__"))
        for place in (self.drawer, self.artifact):
            place.mkdir()
        for name, changes in (rules or {}).items():
            path = self.trusted / name
            path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def ask(self, files: Mapping[str, str] | None = None, **variables: str) -> dict[str, Any]:
        """What the scorer answers about the arena's own files with these instead of some of them."""
        done = self.done(files, **variables)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def done(self, files: Mapping[str, str] | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """The score command, heard out."""
        shutil.rmtree(self.snapshot, ignore_errors=True)
        shutil.copytree(self.trusted, self.snapshot)
        for name, text in (files or {}).items():
            (self.snapshot / name).write_text(text)
        for path in self.snapshot.glob("*.md"):
            shutil.copyfile(path, self.artifact / path.name)
        env = {
            **os.environ,
            **{"AUTORESEARCH_SNAPSHOT": str(self.snapshot), "AUTORESEARCH_ARTIFACT": str(self.artifact)},
            **{"AUTORESEARCH_HANDOVER": str(self.drawer), "AUTORESEARCH_RUN": "first-2-1", "AUTORESEARCH_TIER": "T2"},
            **{"AUTORESEARCH_DRAW": "c0ffee", "AUTORESEARCH_SEED": "1", "AUTORESEARCH_SPLIT": "val"},
            **variables,
        }
        command = [sys.executable, "-B", "score.py"]
        return subprocess.run(command, cwd=self.trusted, env=env, capture_output=True, text=True)


def module(arena: str, name: str) -> ModuleType:
    """A program of an arena's as a module, with its neighbours found beside it."""
    folder = ROOT / "arenas" / arena
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.chdir(folder)
        patch.setattr(sys, "dont_write_bytecode", True)
        spec = importlib.util.spec_from_file_location(f"{arena}_{name}", folder / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, found)  # dataclasses look their module up
        spec.loader.exec_module(found)
    for added in set(sys.modules) - before:  # `score` and `units` are other modules in the next arena
        if str(getattr(sys.modules[added], "__file__", "")).startswith(str(ROOT / "arenas")):
            del sys.modules[added]
    return found


def stepped(arena: str, file: str, *titles: str, text: str = "") -> str:
    """An editable file, or `text`, after some of the steps that the arena suggests to the built-in researcher."""
    folder = ROOT / "arenas" / arena
    text = text or (folder / file).read_text()
    steps = {step["title"]: step["edits"] for step in yaml.safe_load((folder / "proposals.yaml").read_text())}
    for title in titles:
        for edit in steps[title]:
            assert text.count(edit["old"]) == 1, title
            text = text.replace(edit["old"], edit["new"])
    return text
