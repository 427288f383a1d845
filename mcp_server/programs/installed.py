"""What was installed and from where, for sentences that tell somebody to install a part of it.

The name `autoresearch` on an index may be anybody's, so it is never told by itself: pip writes beside every package
where it came from (`direct_url.json`, https://packaging.python.org/en/latest/specifications/direct-url/), and that is
what is named.
"""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

PACKAGE = "autoresearch"


def with_extra(extra: str) -> str:
    """The command that adds an extra to this installation: `pip install "/home/me/autoresearch[train]"`."""
    return f"pip install {requirement(extra, _origin(), Path(__file__).resolve().parents[2])}"


def requirement(extra: str, origin: dict[str, Any], package: Path) -> str:
    """What pip is given, for a shell. origin: what direct_url.json says; package: the folder that `mcp_server` is in.

    Without an origin a source tree around the package is named; an installation that tells nothing of itself came from
    an index, and the sentence names its version so that no other package of that name fits.
    """
    address = str(origin.get("url", ""))
    if vcs := origin.get("vcs_info"):
        commit = f"@{vcs['commit_id']}" if vcs.get("commit_id") else ""
        return _quoted(f"{PACKAGE}[{extra}] @ {vcs['vcs']}+{address}{commit}")
    if address.startswith("file:"):
        place = Path(unquote(urlsplit(address).path))
        return _quoted(f"{place}[{extra}]", "--editable " if origin.get("dir_info", {}).get("editable") else "")
    if address:
        return _quoted(f"{PACKAGE}[{extra}] @ {address}")
    if (package / "pyproject.toml").is_file():
        return _quoted(f"{package}[{extra}]", "--editable ")
    return _quoted(f"{PACKAGE}[{extra}]=={_version()}")


def _quoted(what: str, before: str = "") -> str:
    # brackets are patterns to some shells
    return f'{before}"{what}"' if not set(what) & set('"$`\\') else f"{before}{shlex.quote(what)}"


def _origin() -> dict[str, Any]:
    try:
        found = json.loads(metadata.distribution(PACKAGE).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _version() -> str:
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return "0"
