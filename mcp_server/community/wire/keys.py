"""The key of a lab: made on first use, or an SSH key that the user names; what it signs, and who signed something.

A lab's name among others is the fingerprint of its Ed25519 key. Signatures are SSH's (OpenSSH's PROTOCOL.sshsig): git
makes and verifies them with `ssh-keygen`, and `cryptography` does the same without a process for each. A key that only
an agent holds signs through git. The private key never leaves its file and our memory.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import os
import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.nouns.errors import CommunityError
from mcp_server.nouns.exchanged import LAB_CHARACTERS
from mcp_server.nouns.files import mend, private_folder
from mcp_server.nouns.text import clean_line

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KIND = "ssh-ed25519"
NAMESPACE = "git"  # what git's signatures are made for: one made for anything else is none
_SECONDS = 20
_MAGIC = b"SSHSIG"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
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

    def sign(self, payload: bytes) -> bytes | None:
        """An armoured signature as git's; None where the key is locked, or not in the file but with an agent."""
        secret = _secret(self.path, self.path.stat().st_mtime_ns) if self.path.exists() else None
        if secret is None:
            return None
        made = _string(KIND.encode()) + _string(secret.sign(_signed("sha512", payload)))
        fields = (self.public.blob, NAMESPACE.encode(), b"", b"sha512", made)
        raw = base64.b64encode(_MAGIC + struct.pack(">I", 1) + b"".join(map(_string, fields))).decode()
        lines = [raw[at : at + 70] for at in range(0, len(raw), 70)]
        return "\n".join([_BEGIN, *lines, _END, ""]).encode()

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
        return _named(named)
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
    return _parts(signature)[0]


def verify(payload: bytes, signature: bytes, lab: str) -> None:
    """Check that a lab signed something. Raises BadSignature."""
    key, namespace, algorithm, made = _parts(signature)
    if key.lab != lab:
        raise BadSignature(f"it is signed by another key, {key.lab[:8]}")
    if namespace != NAMESPACE.encode() or algorithm not in (b"sha256", b"sha512"):
        raise BadSignature("the signature does not fit what it signs: it was made for something else")
    from cryptography.exceptions import InvalidSignature  # it takes longer to load than to use: for who verifies
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        kind, rest = _text(made)
        raw, rest = _text(rest)
        if kind != KIND.encode() or len(raw) != 64 or rest:
            raise ValueError("it is cut")
        Ed25519PublicKey.from_public_bytes(_text(_text(key.blob)[1])[0]).verify(
            raw, _signed(algorithm.decode(), payload)
        )
    except (InvalidSignature, ValueError):
        raise BadSignature("the signature does not fit what it signs") from None


def _parts(signature: bytes) -> tuple[PublicKey, bytes, bytes, bytes]:
    """(key, namespace, hash algorithm, signature proper) as an armoured signature says. Raises BadSignature."""
    lines = signature.decode("ascii", "replace").rstrip("\n").split("\n")
    try:
        if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
            raise ValueError("it is no SSH signature")
        raw = base64.b64decode("".join(lines[1:-1]), validate=True)
        if raw[:6] != _MAGIC or struct.unpack(">I", raw[6:10]) != (1,):
            raise ValueError("it is no SSH signature")
        fields, rest = [], raw[10:]
        for _ in range(5):  # key, namespace, reserved, hash algorithm, signature
            field, rest = _text(rest)
            fields.append(field)
        if rest:
            raise ValueError("something follows it")
        return PublicKey.of_blob(fields[0]), fields[1], fields[3], fields[4]
    except (ValueError, struct.error) as error:
        raise BadSignature(f"the signature cannot be read: {clean_line(str(error), 80)}") from None


def _signed(algorithm: str, payload: bytes) -> bytes:
    """What is really signed: the purpose, and a hash of what is told."""
    fields = (NAMESPACE.encode(), b"", algorithm.encode(), hashlib.new(algorithm, payload).digest())
    return _MAGIC + b"".join(map(_string, fields))


@functools.lru_cache(maxsize=4)
def _secret(path: Path, changed_ns: int) -> Ed25519PrivateKey | None:
    """The private key in a file, as it was changed last; None where it is locked, or no file has it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    try:
        found = load_ssh_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return found if isinstance(found, Ed25519PrivateKey) else None


def _string(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw


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
