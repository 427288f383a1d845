"""No canary sings: repositories that try to make git run something go through a whole campaign, and nothing runs.

Each file in `repositories/` plants one trap; adding a file adds the test. `plant(user, canary)` arms the repository
with a command that, if anything runs it, leaves a file in the canary's folder. Each trap is also shown to be sharp:
`spring(user)` does what its user would do with plain git, and then the canary must sing.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

from tests.hostile import repositories
from tests.hostile.canary import Canary
from tests.repositories import Campaign, UserRepository

TRAPS = [
    importlib.import_module(f"{repositories.__name__}.{found.name}")
    for found in pkgutil.iter_modules(repositories.__path__)
]


def named(trap: ModuleType) -> str:
    return trap.__name__.rpartition(".")[2]


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    return Canary(tmp_path / "canary")


@pytest.fixture
def user(tmp_path: Path) -> UserRepository:
    return UserRepository.make(tmp_path / "lab")


def arm(trap: ModuleType, user: UserRepository, canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    trap.plant(user, canary)
    for name, value in (trap.variables(canary) if hasattr(trap, "variables") else {}).items():
        monkeypatch.setenv(name, value)
    canary.hush()  # what the planting itself ran does not count


def whole_campaign(user: UserRepository, first: str, copies: Path) -> None:
    """Every verb of the workspace, with a keep, a revert, a move between commits, copies and questions."""
    campaign = Campaign(user, ("train.py", "src/"), first=first)
    workspace = campaign.workspace
    workspace.ignore()
    assert workspace.nothing_changed(campaign.patterns, first)
    user.write("train.py", "LR = 2\n").write("src/new.py", "1\n")
    candidate = campaign.snapshot()
    assert campaign.keep(candidate).status == "kept"
    user.write("train.py", "LR = 3\n")
    worse = campaign.snapshot()
    assert "-LR = 2\n+LR = 3" in workspace.diff(campaign.tip, worse.commit)
    assert campaign.revert(worse).restored == ("train.py",)
    workspace.materialise(campaign.tip, copies / "whole")
    workspace.materialise_run(first, worse.commit, campaign.patterns, copies / "run")
    workspace.frozen_changes(first, ("prepare.py",))
    settled = workspace.commit_like(worse.commit, f"{worse.commit}^", "settled", "2026-01-01T00:00:00+00:00")
    workspace.move_vault("t", campaign.number, worse.commit, settled)
    assert set(workspace.vault("t")) == {1, 2}
    assert workspace.log("t")[0].message.startswith("Experiment 1: keep\n")
    workspace.begin("second", workspace.resolve(first), campaign.patterns)
    assert user.read("train.py") == "LR = 1\n"
    workspace.guard()


@pytest.mark.parametrize("trap", TRAPS, ids=named)
def test_nothing_that_a_repository_configures_is_run(
    trap: ModuleType, user: UserRepository, canary: Canary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = user.head()
    arm(trap, user, canary, monkeypatch)
    whole_campaign(user, first, tmp_path / "copies")
    assert canary.songs() == []


@pytest.mark.parametrize("trap", TRAPS, ids=named)
def test_the_trap_is_sharp(
    trap: ModuleType, user: UserRepository, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm(trap, user, canary, monkeypatch)
    trap.spring(user)
    assert canary.songs() != []
