"""The docs keep up with the code: every reason code, every link and every command they name."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from dev import references
from dev.variables import VARIABLES
from mcp_server.cli import cli
from mcp_server.commands.names import COMMANDS
from tests.command_lines import taught

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# names in quotes beside a RunState or a Decision that are no reason codes
CODE = re.compile(
    r"Decision\.[A-Z]+,\s*\"([a-z_]+)\"|reason=\"([a-z_]+)\"|code=\"([a-z_]+)\"|Crossed\(\s*\"([a-z_]+)\""
)


def test_every_reason_code_is_explained() -> None:
    explained = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs" / "reasons.md").read_text()))
    used = set()
    for source in (ROOT / "mcp_server").rglob("*.py"):
        used |= {code for found in CODE.findall(source.read_text()) for code in found if code}
    assert used
    assert used <= explained


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readme_names_only_commands_that_exist() -> None:
    named = set(re.findall(r"`autoresearch ([a-z][a-z-]*)", (ROOT / "README.md").read_text()))
    assert named <= {*COMMANDS, "status"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_teaches_itself(name: str) -> None:
    entry = COMMANDS[name]
    source = (ROOT / "mcp_server" / "commands" / f"{entry.module}.py").read_text()
    assert re.search(rf"def {name.replace('-', '_')}\(", source)
    assert "Examples:" in source


@pytest.mark.parametrize(
    ("where", "words"), [pytest.param(*one, id=f"{one[0]}: {' '.join(one[1])}"[:90]) for one in taught("autoresearch")]
)
def test_every_command_line_of_ours_has_a_command_and_options_that_exist(where: str, words: list[str]) -> None:
    with click.Context(cli) as context:
        known = {name for option in cli.params for name in option.opts}
        while words and words[0].startswith("-"):
            assert words[0] in known | {"--help", "--version"}, where
            words = words[2:]
        if not words or not re.fullmatch(r"[a-z][a-z_-]*", words[0]):
            return
        command = cli.get_command(context, words[0])
        assert command is not None, f"{where}: autoresearch {words[0]}"
        if isinstance(command, click.Group) and len(words) > 1 and words[1] in command.commands:
            command, words = command.commands[words[1]], words[1:]
        options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        free = command.context_settings.get("ignore_unknown_options")
        wrong = [word for word in words[1:] if re.match(r"--?[a-z]", word) and word.split("=")[0] not in options]
        assert free or not wrong, f"{where}: autoresearch {' '.join(words)}"


def test_the_references_say_what_the_code_says() -> None:
    assert references.stale() == [], "python -m dev.references writes them"


def test_every_variable_of_ours_is_explained_and_none_that_is_gone() -> None:
    places = [ROOT / name for name in ("mcp_server", "hooks", "scripts", "bin", "prepare.py", "arenas")]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*")))]
    used: set[str] = set()
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            used |= set(re.findall(r"AUTORESEARCH_[A-Z_]*[A-Z]", file.read_text("utf-8", errors="ignore")))
    assert used == set(VARIABLES)
