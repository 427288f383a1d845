"""The command lines that this project tells people to type: from the README, the docs, the skills and --help."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from mcp_server.cli import cli
from mcp_server.commands.names import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("autoresearch", "claude", "codex", "gemini", "opencode", "copilot")
COMMENT = re.compile(r"\s{2,}(?:#|[a-z].*).*$")  # words beside a command, set apart by spaces


def texts() -> dict[str, str]:
    """Every text that teaches a command line, by where it stands."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "skills").rglob("*.md"))]
    pages += sorted((ROOT / "commands").glob("*.md"))
    found = {str(page.relative_to(ROOT)): page.read_text() for page in pages}
    with click.Context(cli) as context:
        for name in COMMANDS:
            command = cli.get_command(context, name)
            assert command is not None
            found[f"autoresearch {name} --help"] = command.help or ""
    return found


def lines(text: str) -> list[str]:
    """Command lines in a text: in back quotes, or on an indented line of their own."""
    quoted = re.findall(r"`([^`\n]+)`", text)
    indented = [line for line in text.splitlines() if re.match(r"(?: {2,}|\s*[$>] )\S", line)]
    found = []
    for words in (*quoted, *(COMMENT.sub("", line.strip().lstrip("$> ")) for line in indented)):
        for part in re.split(r"\s+(?:&&|;|\|)\s+|\s+#\s", words):
            if part.split(" ")[0] in PROGRAMS and part.strip() not in PROGRAMS:
                found.append(part.strip())
    return found


def taught(program: str) -> list[tuple[str, list[str]]]:
    """(where, words) of each command line of a program; what follows a lone `--` is a line of its own."""
    found = []
    for where, text in texts().items():
        for line in lines(text):
            try:
                words = shlex.split(line)
            except ValueError:
                continue  # a sentence with an apostrophe, no command line
            while words:
                end = words.index("--") if "--" in words else len(words)
                if words[0] == program and len(words) > 1:
                    found.append((where, words[1:end]))
                words = words[end + 1 :]
    return found
