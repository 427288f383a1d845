"""A bearer token in a file that only its owner can read."""

from __future__ import annotations

import os
import secrets
import shlex
from pathlib import Path

from mcp_server.nouns.errors import AutoresearchError


def read_token(path: Path) -> str:
    """The token in `path`, made on first use with mode 0600. Raises AutoresearchError when others could read it."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise AutoresearchError(
                f"{path} can be read by others. Run `chmod 600 {shlex.quote(str(path))}`, or delete it to get a new "
                "token."
            ) from None
    else:
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    token = path.read_text().strip()
    if len(token) < 16:
        raise AutoresearchError(f"{path} holds no usable token. Delete it to get a new one.")
    return token
