"""What must not leave the house by accident: keys and tokens in code or text, with the line. Pure.

It knows the shapes that services give their tokens, and assignments of long random strings to names that say secret.
It finds accidents; who wants to send a secret out can.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

QUOTES = "'\""
MOST_LINE = 20_000  # characters of a line that are looked at

_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(pattern))
    for what, pattern in (
        ("a private key", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
        ("an AWS key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})"),
        ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
        ("an Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
        ("an OpenAI key", r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,}"),
        ("a Slack token", r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
        ("a Google key", r"\bAIza[0-9A-Za-z_-]{35}\b"),
        ("a Stripe key", r"\b[rs]k_(?:live|test)_[0-9a-zA-Z]{20,}"),
        ("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("a PyPI token", r"\bpypi-[A-Za-z0-9_-]{50,}"),
        ("a SendGrid key", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
        ("an Azure key", r"\bAccountKey=[A-Za-z0-9+/]{40,}={0,2}"),
        ("a web token", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
        ("a password in a URL", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"{}]+:[^\s:/@'\"{}]{3,}@[^\s'\"]+"),
        ("a login header", r"(?i)\bauthorization['\"]?\s*[:=]\s*['\"]?(?:bearer|basic)\s+[A-Za-z0-9+/=_.-]{12,}"),
    )
)
_ASSIGNED = re.compile(
    r"(?i)\b(\w*(?:api_?key|apikey|secret|passwd|password|access_?token|auth_?token|_token|private_?key|credential)\w*)"
    r"['\"]?\s*[\]]?\s*[:=,]\s*['\"]([^'\"\s]{12,})['\"]"
)
# without quotes, as files of settings write it: `wandb_api_key: 0123…`, `TOKEN=…`; in code that is a name
_SETTING = re.compile(
    r"(?im)^[^\S\n]*(?:-[^\S\n]+|export[^\S\n]+)?(\w*(?:api_?key|secret|passwd|password|token|private_?key|credential)\w*)"
    r"[^\S\n]*[:=][^\S\n]*([A-Za-z0-9+/=_.~-]{16,})[^\S\n]*(?:[#;].*)?$"
)
SETTINGS = (".env", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties", ".sh")
DIGITS = 4  # of such a value: words have fewer
_DUMMY = re.compile(r"(?i)^(?:your|example|changeme|dummy|placeholder|none|null|xxx|\*+|<.*>|\$\{?.*)")
RANDOM_BITS = 3.0  # a character: words of a language have fewer


@dataclass(frozen=True)
class Finding:
    """One place that looks like a secret. The secret itself is not repeated."""

    file: str  # "" for the text of a record
    line: int
    what: str

    def words(self) -> str:
        return f"{self.file or 'its text'}, line {self.line}, looks like {self.what}"


def find_secrets(name: str, text: str) -> list[Finding]:
    """Every line that looks as if it held a secret, once."""
    found: list[Finding] = []
    lines = text.splitlines()
    settings = name.endswith(SETTINGS)
    nothing = not _anywhere(text) and not (settings and _SETTING.search(text))
    if nothing and max(map(len, lines), default=0) <= MOST_LINE:
        return found  # as good as always, and much quicker than line by line
    for number, line in enumerate(lines, 1):
        what = _in_line(line[:MOST_LINE]) or (_in_setting(line[:MOST_LINE]) if settings else "")
        if what:
            found.append(Finding(name, number, what))
    return found


def in_files(files: Mapping[str, bytes]) -> list[Finding]:
    return [one for name, raw in sorted(files.items()) for one in find_secrets(name, raw.decode("utf-8", "replace"))]


def in_constants(values: Iterable[tuple[str, str]]) -> list[Finding]:
    """In constants by name, whose values are as Python writes them, or texts as they are."""
    return find_secrets("", "\n".join(f"{name} = '{value.strip(QUOTES)}'" for name, value in values))


def _anywhere(text: str) -> bool:
    """Whether any shape or assignment stands in a whole text: where none does, none does in a line of it."""
    return any(pattern.search(text) for _, pattern in _SHAPES) or _ASSIGNED.search(text) is not None


def _in_line(line: str) -> str:
    for what, pattern in _SHAPES:
        if pattern.search(line):
            return what
    for found in _ASSIGNED.finditer(line):
        value = found[2]
        if not _DUMMY.match(value) and _bits(value) >= RANDOM_BITS and re.search(r"\d", value):
            return f"a secret called {found[1][:40]}"
    return ""


def _in_setting(line: str) -> str:
    found = _SETTING.match(line)
    if found is None or _DUMMY.match(found[2]) or _bits(found[2]) < RANDOM_BITS:
        return ""
    return f"a secret called {found[1][:40]}" if sum(map(str.isdigit, found[2])) >= DIGITS else ""


def _bits(text: str) -> float:
    """Entropy of its characters, in bits each."""
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values())
