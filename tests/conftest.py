"""Every test has its own cache, locks and configuration, so that tests never meet each other or the user."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(folder / "cache"))
    monkeypatch.setenv("AUTORESEARCH_LOCKS", str(folder / "locks"))
    monkeypatch.setenv("AUTORESEARCH_CHART", "off")  # a test about the chart turns it on
    monkeypatch.setenv("AUTORESEARCH_DASHBOARD", "off")  # and so for the live page
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for name in ("AUTORESEARCH_PROJECT", "CLAUDE_PROJECT_DIR", "AUTORESEARCH_WAIT_SECONDS", "AUTORESEARCH_CAMPAIGN"):
        monkeypatch.delenv(name, raising=False)
    return folder
