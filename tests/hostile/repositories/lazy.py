"""A partial clone: every missing object would be fetched from a remote whose transport is the attacker's."""

from __future__ import annotations

import pytest

from mcp_server.nouns.errors import GitError
from mcp_server.repo.workspace import Workspace
from tests.hostile.canary import Canary
from tests.repositories import UserRepository


def plant(user: UserRepository, canary: Canary) -> None:
    user.git("config", "core.repositoryFormatVersion", "1")
    user.git("config", "extensions.partialClone", "origin")
    user.git("config", "remote.origin.promisor", "true")
    user.git("config", "remote.origin.url", f"ext::{canary.command('transport', 'exit 1')} %S")
    user.git("config", "remote.origin.uploadpack", canary.command("uploadpack", "exit 1"))
    user.git("config", "core.sshCommand", canary.command("ssh", "exit 1"))
    user.git("config", "core.gitProxy", canary.command("proxy", "exit 1"))
    user.git("config", "protocol.ext.allow", "always")
    user.git("config", "protocol.allow", "always")
    with pytest.raises(GitError, match="missing"):
        Workspace(user.folder).git.blobs(["1" * 40])
    assert canary.songs() == []


def spring(user: UserRepository) -> None:
    user.git("cat-file", "-e", "1" * 40, check=False)
