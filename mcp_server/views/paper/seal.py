"""The seal of a paper: its last line, a digest over every line above and over each figure; and who vouches for it.

A digest alone proves nothing, for whoever changes a number can make it anew. So the lab keeps what it wrote, and what
it tells the community of a paper is the digest, in its signed journal. A file that neither knows is vouched by nobody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from mcp_server.nouns.files import private_folder, write_atomically
from mcp_server.nouns.text import clean_line

SHORT_SEAL = 16  # hexadecimal digits by which a paper is named: 64 bits
_SEAL = re.compile(r"\n`autoresearch-paper 1 (?P<campaign>[A-Za-z0-9._-]{1,40}) sha256:(?P<digest>[0-9a-f]{64})`\n*\Z")
_FIGURE = re.compile(r"^- (?P<name>[a-z]+\.svg) sha256:(?P<digest>[0-9a-f]{64})$", re.MULTILINE)
MOST_DIFFERENCES = 8


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(text: str, campaign: str, figures: Mapping[str, str]) -> str:
    """The paper with its seal."""
    lines = [f"- {name} sha256:{digest_of(svg)}" for name, svg in figures.items()]
    said = "A number that is changed by hand breaks it: `autoresearch paper --check FILE` says where."
    above = "\n".join([f"{text}\n## Seal\n\n{said}\n", *lines, *([""] if lines else [])])
    return f"{above}\n`autoresearch-paper 1 {campaign} sha256:{digest_of(above)}`\n"


def seal_of(text: str) -> tuple[str, str] | None:
    """(campaign, digest) as the last line says; None where there is no seal."""
    found = _SEAL.search(text)
    return (found["campaign"], found["digest"]) if found else None


def intact(text: str) -> bool:
    """Whether the text is what its seal was made for. Says nothing of who made it."""
    found = _SEAL.search(text)
    return found is not None and digest_of(text[: found.start()]) == found["digest"]


def figures_of(text: str) -> dict[str, str]:
    """Digests of the figures, by name, as the seal lists them."""
    return {found["name"]: found["digest"] for found in _FIGURE.finditer(text)}


def keep(state: Path, text: str, figures: Mapping[str, str]) -> str:
    """Remember what the lab wrote; the name of it. Raises OSError."""
    found = seal_of(text)
    assert found is not None  # only what was sealed is kept
    folder = state / "papers" / found[1][:SHORT_SEAL]
    private_folder(folder.parent)
    private_folder(folder)
    for name, svg in figures.items():
        write_atomically(folder / name, svg.encode(), mode=0o600)
    write_atomically(folder / "paper.md", text.encode(), mode=0o600)
    return folder.name


def kept(state: Path, digest: str) -> tuple[str, dict[str, str]] | None:
    """(text, figures) of what this lab wrote under that digest; None where it did not."""
    folder = state / "papers" / digest[:SHORT_SEAL]
    try:
        text = (folder / "paper.md").read_text("utf-8")
        if not intact(text) or (seal_of(text) or ("", ""))[1] != digest:
            return None
        return text, {name: (folder / name).read_text("utf-8") for name in figures_of(text)}
    except (OSError, UnicodeDecodeError):
        return None


def differences(text: str, original: str) -> list[str]:
    """Where a file is not what the lab wrote, line by line."""
    here, there = text.splitlines(), original.splitlines()
    found = []
    for number, (ours, theirs) in enumerate(zip(here, there, strict=False), 1):
        if ours != theirs:
            at = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), len(ours))
            found.append(f"line {number}: “{_around(ours, at)}” was written as “{_around(theirs, at)}”")
    if len(here) != len(there):
        found.append(f"it has {len(here)} lines and was written with {len(there)}")
    return found[:MOST_DIFFERENCES]


def _around(line: str, at: int) -> str:
    """What stands about the first difference."""
    begin, end = max(0, at - 40), at + 60
    return ("…" if begin else "") + clean_line(line[begin:end], 120) + ("…" if end < len(line) else "")
