"""The user's own file, `config.yaml` in the user's configuration folder: what no agent may choose.

An agent writes in the repository, so nothing in it may name an address that we send to or a command that runs outside
the walls. This file lies outside of every repository and is the user's alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import platformdirs

from mcp_server.arena.yamllines import read
from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.files import OTHERS
from mcp_server.nouns.refusals import nearest

SECTIONS = ("notify", "track", "spend", "quota")  # whom to tell, trackers to mirror into, what was spent, what may be
LIMIT_BYTES = 64_000
WRITABLE = 0o022 & OTHERS


def personal_file() -> Path:
    """`~/.config/autoresearch/config.yaml`; XDG_CONFIG_HOME moves the folder, as it does for other programs."""
    return Path(platformdirs.user_config_dir("autoresearch")) / "config.yaml"


def meant(labs: Sequence[str], tree: Path) -> bool:
    """Whether what is for these folders (for all where none is named) is for the lab at `tree`."""
    real = tree.resolve()
    return not labs or any(real.is_relative_to(Path(lab).expanduser().resolve()) for lab in labs)


def read_section(name: str, *repository: Path) -> Any:
    """What the file says under one key; None where it says nothing, or is not there.

    repository: folders of the lab, none of which may hold the file. Raises ArenaError with what to mend.
    """
    path = personal_file()
    try:
        state, real = path.stat(), path.resolve()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArenaError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from None
    inside = [folder for folder in repository if real.is_relative_to(folder.resolve())]
    if inside:
        raise ArenaError(
            f"{path} lies in the repository {inside[0]}, where an agent may write. Move it out: it says to whom news "
            "is sent and which commands run outside the sandbox."
        )
    if state.st_uid not in (os.getuid(), 0) or state.st_mode & WRITABLE:
        raise ArenaError(f"{path} can be written by others. Run `chmod 600 {path}`.")
    if state.st_size > LIMIT_BYTES:
        raise ArenaError(f"{path} has {state.st_size} bytes; the limit is {LIMIT_BYTES}.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ArenaError(f"{path} cannot be read: {error}. Save it as UTF-8 text that you may read.") from None
    _, found = read(text, str(path), hint="It has keys such as `quota: {experiments: 40, hours: 5}`.")
    if found is None:
        return None
    if not isinstance(found, dict):
        raise ArenaError(f"{path} must be `key: value` lines with the keys {', '.join(SECTIONS)}.")
    for key in found:
        if key not in SECTIONS:
            raise ArenaError(f"{path}: unknown key `{key}`.{nearest(str(key), SECTIONS)} It has {', '.join(SECTIONS)}.")
    return found.get(name)
