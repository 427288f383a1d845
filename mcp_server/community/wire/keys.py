"""The key of a lab: made on first use, or an SSH key that the user names; what it signs, and who signed something.

A lab's name among others is the fingerprint of its Ed25519 key. git signs with `ssh-keygen`, and the same program
verifies; nothing of cryptography is ours. The private key never leaves its file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.errors import CommunityError
from mcp_server.nouns.exchanged import LAB_CHARACTERS
from mcp_server.nouns.files import mend, private_folder
from mcp_server.nouns.text import clean_line

KIND = "ssh-ed25519"
NAMESPACE = "git"  # what git's signatures are made for: one made for anything else is none
_SECONDS = 20
_LINE = re.compile(rf"{KIND} ([A-Za-z0-9+/]+=*)")


class BadSignature(ValueError):
    """Why something is not signed by the lab it is said to be of."""


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 key as everybody may know it."""

    blob: bytes  # as SSH writes it: kind and key, each with its length

    @property
    def lab(self) -> str:
        """The lab's id: the first 128 bits of the key's SHA-256 fingerprint."""
        return hashlib.sha256(self.blob).hexdigest()[:LAB_CHARACTERS]

    @property
    def line(self) -> str:
        """As a line of a `.pub` file, without a comment: comments tell the user's and the machine's name."""
        return f"{KIND} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @classmethod
    def of_blob(cls, blob: bytes) -> PublicKey:
        """Raises ValueError when it is no Ed25519 key."""
        kind, rest = _text(blob)
        key, rest = _text(rest)
        if kind != KIND.encode() or len(key) != 32 or rest:
            raise ValueError(f"it is no {KIND} key")
        return cls(blob)

    @classmethod
    def of_line(cls, text: str) -> PublicKey:
        """From a line such as a `.pub` file has, or one of an allowed_signers file. Raises ValueError."""
        found = _LINE.search(text)
        if found is None:
            raise ValueError(f"there is no {KIND} key in it")
        try:
            return cls.of_blob(base64.b64decode(found[1], validate=True))
        except binascii.Error:
            raise ValueError("the key is cut or damaged") from None


@dataclass(frozen=True)
class LabKey:
    """A key we can sign with. `path`: what git's `user.signingkey` is told."""

    path: Path
    public: PublicKey

    @property
    def lab(self) -> str:
        return self.public.lab

    def configuration(self) -> tuple[str, ...]:
        """What git is told to sign with it, whatever program the user's configuration names for that."""
        told = ("gpg.format=ssh", f"user.signingkey={self.path}", "gpg.ssh.program=ssh-keygen")
        return tuple(part for setting in told for part in ("-c", setting))


def own_key(folder: Path, named: Path | None = None) -> LabKey:
    """The lab's key: the SSH key that is named, else the one in `folder`, made if there is none yet.

    Raises CommunityError when there is no ssh-keygen, or the named key cannot be used.
    """
    _need_program()
    if named is not None:
        return _named(named.expanduser().absolute())
    place = folder / "key"
    if not place.exists():
        private_folder(folder)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # whole or not at all
            made = Path(scratch) / "key"
            _run("-q", "-t", "ed25519", "-N", "", "-C", "autoresearch", "-f", str(made))
            os.replace(made.with_suffix(".pub"), place.with_suffix(".pub"))
            os.replace(made, place)
    mend(place)
    return _named(place)


def _named(path: Path) -> LabKey:
    public = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    try:
        text = public.read_text() if public.exists() else _run("-y", "-P", "", "-f", str(path))
        return LabKey(path, PublicKey.of_line(text))
    except (OSError, UnicodeDecodeError, ValueError, CommunityError) as error:
        raise CommunityError(
            f"{path} cannot be a lab's key: {clean_line(str(error), 200)}. Name an Ed25519 SSH key (`ssh-keygen -t "
            "ed25519` makes one), or leave --key out and the lab makes its own."
        ) from None


def signer(signature: bytes) -> PublicKey:
    """The key that a signature says it was made with; it proves nothing yet. Raises BadSignature."""
    lines = signature.decode("ascii", "replace").split("\n")
    inner = "".join(lines[1:-1] if lines[-1] else lines[1:-2])
    try:
        if not lines[0].startswith("-----BEGIN SSH SIGNATURE"):
            raise ValueError("it is no SSH signature")
        raw = base64.b64decode(inner, validate=True)
        if raw[:6] != b"SSHSIG" or struct.unpack(">I", raw[6:10]) != (1,):
            raise ValueError("it is no SSH signature")
        return PublicKey.of_blob(_text(raw[10:])[0])
    except (ValueError, struct.error) as error:
        raise BadSignature(f"the signature cannot be read: {clean_line(str(error), 80)}") from None


def verify(payload: bytes, signature: bytes, lab: str) -> None:
    """Check that a lab signed something. Raises BadSignature, or CommunityError without an ssh-keygen."""
    key = signer(signature)
    if key.lab != lab:
        raise BadSignature(f"it is signed by another key, {key.lab[:8]}")
    _need_program()
    with tempfile.TemporaryDirectory() as folder:
        allowed, signed = Path(folder) / "allowed", Path(folder) / "signature"
        allowed.write_text(f'{lab} namespaces="{NAMESPACE}" {key.line}\n')
        signed.write_bytes(signature)
        command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", lab, "-n", NAMESPACE, "-s", str(signed)]
        done = subprocess.run(command, input=payload, capture_output=True, timeout=_SECONDS)
    if done.returncode != 0:
        raise BadSignature("the signature does not fit what it signs")


def _text(raw: bytes) -> tuple[bytes, bytes]:
    """SSH's string: four bytes of length, then the bytes; and what is left."""
    if len(raw) < 4:
        raise ValueError("it is cut")
    size = struct.unpack(">I", raw[:4])[0]
    if size > len(raw) - 4:
        raise ValueError("it is cut")
    return raw[4 : 4 + size], raw[4 + size :]


def _need_program() -> None:
    if shutil.which("ssh-keygen") is None:
        raise CommunityError(
            "ssh-keygen is not installed, and journals are signed with it. Install OpenSSH (Debian: openssh-client); "
            "the lab itself works without."
        )


def _run(*arguments: str) -> str:
    quiet = {**os.environ, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"}
    command = ["ssh-keygen", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL, env=quiet
    )
    if done.returncode != 0:
        raise CommunityError(f"ssh-keygen refused: {clean_line(done.stderr or done.stdout, 200)}. Mend that first.")
    return done.stdout
