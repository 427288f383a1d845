"""Signing of every commit, tag and push by a program of the repository's own, and its log showing signatures."""

from __future__ import annotations

from tests.hostile.canary import Canary
from tests.repositories import UserRepository


def plant(user: UserRepository, canary: Canary) -> None:
    for key in (
        "gpg.program",
        "gpg.openpgp.program",
        "gpg.x509.program",
        "gpg.ssh.program",
        "gpg.ssh.defaultKeyCommand",
    ):
        user.git("config", key, canary.command(key))
    for key in (
        "commit.gpgSign",
        "tag.gpgSign",
        "tag.forceSignAnnotated",
        "log.showSignature",
        "merge.verifySignatures",
    ):
        user.git("config", key, "true")
    user.git("config", "user.signingKey", "0123456789ABCDEF")


def spring(user: UserRepository) -> None:
    user.git("commit", "--allow-empty", "-m", "signed", check=False)
