"""Whether a URL is a lab server, which bears more than a git host that others use as well: it says so when asked."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from urllib.parse import urlsplit, urlunsplit

SAYS = "autoresearch lab server 1\n"
ASKED = "lab-server"  # below the place that is joined
SECONDS = 5.0


def is_lab_server(url: str) -> bool:
    """Ask, without a token. What does not answer, or otherwise, is a git host like any."""
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https"):
        return False
    path = parts.path.rstrip("/").removesuffix("/journals.git")
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=f"{path}/{ASKED}", query="", fragment="")
    try:
        with urllib.request.urlopen(urlunsplit(bare), timeout=SECONDS) as answer:
            return bool(answer.read(200) == SAYS.encode())
    except (OSError, ValueError, urllib.error.URLError, http.client.HTTPException):
        return False
