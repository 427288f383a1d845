"""What in a command line only a shell would understand: runs are started without one. Pure."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath

SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish")
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=")
_EXPANDED = re.compile(r"\$[\w{(@*#?!-]")


def complaint(text: str) -> str | None:
    """What a shell would do here that nobody does, with the line that works; None for a plain command line.

    `text` must be one that `shlex.split` takes.
    """
    words = shlex.split(text)
    quoted = f"bash -c {shlex.quote(text)}"
    found = _syntax(text, PurePosixPath(words[0]).name in SHELLS)
    if found is None and _ASSIGNED.match(words[0]) and len(words) > 1:
        return f"no shell reads this, so {words[0]!r} would be taken for the program. Write: env {text.strip()}"
    if found is None:
        return None
    if found == "~/":
        place = next(word for word in words if word.startswith("~/"))
        return f"no shell reads this, so {place!r} would stay as it is. Write the whole path, and readable: [{place}]"
    more = " (what a run prints is kept without it)" if found.startswith((">", "2>")) else ""
    return f"no shell reads this, so {found!r} would reach the program as a word{more}. Write: {quoted}"


def _syntax(text: str, shell: bool) -> str | None:
    """The first piece of shell syntax that stands outside of quotes. `shell`: what is quoted is for a shell to read."""
    quote, at, begins = "", 0, True
    while at < len(text):
        letter = text[at]
        if letter == "\\" and quote != "'":
            at, begins = at + 2, False
            continue
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "|&;<>()`\n":
            return re.match(r"[|&;<>()`\n]+", text[at:])[0]  # type: ignore[index]  # the letter is one of them
        elif begins and text.startswith("~/", at) and text[:at].strip():
            return "~/"
        if letter == "$" and quote != "'" and not shell and _EXPANDED.match(text, at):
            return re.match(r"\$(\w+|\{\w*\}?|.)", text[at:])[0]  # type: ignore[index]  # _EXPANDED did
        begins = letter.isspace() and not quote
        at += 1
    return None
