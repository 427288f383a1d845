"""Writes the references under docs/reference/ from the code: `python -m dev.references` (`--check` only compares).

What a page says of a command, a tool, a key or a table is what the code says; nothing of it is typed twice. A test runs
the comparison, so a change of the code without its page fails.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import click
from mcp.client import Client

from dev.variables import VARIABLES, Audience
from mcp_server.arena.program import Arena
from mcp_server.campaign.beginning.keys import A_PERSONS, RULES, Holder
from mcp_server.cli import cli
from mcp_server.commands.names import COMMANDS
from mcp_server.ledger.live.events import Event
from mcp_server.ledger.schema import STEPS, take
from mcp_server.nouns import replies

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "reference"
WIDTH = 100
WRITTEN = "<!-- Written by `python -m dev.references` from the code; edit that. -->"


def page(title: str, about: str, lines: Iterator[str]) -> str:
    return "\n".join([f"# {title}", "", WRITTEN, "", about, "", *lines]).rstrip() + "\n"


def commands() -> str:
    """Every command's own help."""

    def lines() -> Iterator[str]:
        for name in COMMANDS:
            # -h as well: click keeps the first help option it makes for a command, whoever asked
            context = click.Context(
                cli, info_name="autoresearch", max_content_width=WIDTH, terminal_width=WIDTH, **cli.context_settings
            )
            command = cli.get_command(context, name)
            assert command is not None
            inner = click.Context(
                command, info_name=name, parent=context, max_content_width=WIDTH, terminal_width=WIDTH
            )
            yield from _help(f"## {name}", command, inner)
            for below, one in command.commands.items() if isinstance(command, click.Group) else ():
                deeper = click.Context(
                    one, info_name=below, parent=inner, max_content_width=WIDTH, terminal_width=WIDTH
                )
                yield from _help(f"### {name} {below}", one, deeper)

    return page("Commands", "What `autoresearch COMMAND --help` says.", lines())


def _help(title: str, command: click.Command, context: click.Context) -> Iterator[str]:
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield from (title, "", "```text", text, "```", "")


def kind_of(schema: dict[str, Any]) -> str:
    """A JSON schema's type in a few words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind_of(one) for one in schema["anyOf"]))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    kind = {"integer": "whole number", "string": "text", "null": "nothing", "boolean": "true or false"}
    said = kind.get(schema.get("type", ""), schema.get("type", "anything"))
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"names to {kind_of(schema['additionalProperties'])}"
    return said


def fields(schema: dict[str, Any]) -> Iterator[str]:
    yield from ("| name | type | default | what |", "|---|---|---|---|")
    for name, field in schema.get("properties", {}).items():
        default = "needed" if name in schema.get("required", []) else f"`{json.dumps(field.get('default'))}`"
        words = str(field.get("description", "")).replace("\n", " ").replace("|", "\\|")
        yield f"| `{name}` | {kind_of(field).replace('|', '/')} | {default} | {words} |"


async def listed() -> list[Any]:
    from mcp_server import server

    async with Client(server.build_server(ROOT)) as client:
        return list((await client.list_tools()).tools)


def tools() -> str:
    """Every tool with its arguments, and every reply with its fields."""

    def lines() -> Iterator[str]:
        for tool in anyio.run(listed):
            hints = tool.annotations.model_dump(exclude_none=True) if tool.annotations else {}
            said = ", ".join(f"{name}: {str(value).lower()}" for name, value in hints.items() if name != "title")
            yield from (
                f"## {tool.name}",
                "",
                inspect.cleandoc(tool.description or ""),
                "",
                f"Announced as {said}.",
                "",
            )
            yield from fields(tool.input_schema)
            reply = str((tool.output_schema or {}).get("title", ""))
            yield from ("", f"Answers `{reply}`.", "")
        yield from ("# Replies", "")
        for name, found in inspect.getmembers(replies, inspect.isclass):
            if issubclass(found, replies.Reply) and found is not replies.Reply:
                schema = found.model_json_schema()
                yield from (f"## {name}", "", (inspect.getdoc(found) or "").strip(), "", *fields(schema), "")

    return page("Tools", "The tools of the server (MCP), their arguments and what they answer.", lines())


def variables() -> str:
    def lines() -> Iterator[str]:
        for audience in Audience:
            yield from (f"## {audience}", "", "| variable | what |", "|---|---|")
            yield from (f"| `{name}` | {one.words} |" for name, one in VARIABLES.items() if one.audience is audience)
            yield ""

    return page("Environment variables", "All of them. A run sees none of the user's own environment.", lines())


def ledger() -> str:
    """The schema that all migrations end in."""
    database = sqlite3.connect(":memory:")
    for step in STEPS:
        take(database, step)
    rows = database.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '%\\_%' ESCAPE '\\'"
        " ORDER BY type DESC, name"
    ).fetchall()

    def lines() -> Iterator[str]:
        for kind, name, sql in rows:
            yield from (f"## {name}", "", f"A {kind}.", "", "```sql", sql.strip(), "```", "")

    about = (
        f"`<git dir>/autoresearch/lab.db` (SQLite), schema {len(STEPS)}. Read it as you like; only the lab writes it."
    )
    return page("The ledger", about, lines())


LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "length at least {}",
    "maxLength": "length at most {}",
    "minItems": "at least {}",
    "pattern": "matches `{}`",
}
HOLDERS = {
    Holder.NOBODY: "nobody: scores from before and after would not compare; begin a new campaign",
    Holder.PERSON: "a person, by `autoresearch amend`",
    Holder.ANYBODY: "anybody, by an edit",
}


def bounds_of(schema: dict[str, Any]) -> str:
    """The limits a JSON schema sets, in words."""
    ways = schema.get("anyOf", [schema])
    said = [words.format(way[name]) for way in ways for name, words in LIMITS.items() if name in way]
    return "; ".join(said).replace("|", "\\|")


def keys_of(schema: dict[str, Any], defined: dict[str, Any], within: str = "") -> Iterator[str]:
    """A row for each key; the keys of a section follow its own row."""
    for name, field in schema["properties"].items():
        key, inner = within + name, defined.get(str(field.get("$ref", "")).rpartition("/")[2])
        default = "needed" if name in schema.get("required", []) else f"`{json.dumps(field.get('default'))}`"
        rule = RULES.get(key) or RULES.get(within.rstrip("."))
        if inner is None or "properties" not in inner:
            who = HOLDERS[rule.holder] if rule else ""
            tighter = "; an edit may make it stricter" if rule and rule.stricter is not A_PERSONS.stricter else ""
            kind = kind_of(field).replace("|", "/")
            yield f"| `{key}` | {kind} | {default} | {bounds_of(field)} | {who}{tighter} |"
        else:
            needed = default if default == "needed" else ""
            yield f"| `{key}` | section: {inner.get('description', '')} | {needed} | | |"
            yield from keys_of(inner, defined, f"{key}.")


def program() -> str:
    """Every key of program.md, from the model that reads it and the table of who may change what."""
    schema = Arena.model_json_schema()
    about = (
        "The front matter of `program.md`. The last column says who may change a key while a campaign runs. Scores stay"
        " comparable across every change but those of nobody's keys: these say what is measured, and two campaigns that"
        " differ in one are not compared."
    )
    head = ["| key | type | default | bounds | who may change it during a campaign |", "|---|---|---|---|---|"]
    return page("program.md", about, iter([*head, *keys_of(schema, schema["$defs"])]))


def events() -> str:
    """What a line of events.jsonl is, for programs that check it."""
    return json.dumps(Event.model_json_schema(), indent=2) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "events.schema.json": events,
    "program.md": program,
    "commands.md": commands,
    "tools.md": tools,
    "variables.md": variables,
    "ledger.md": ledger,
}


def stale() -> list[str]:
    """The pages that are not what the code says."""
    return [
        name
        for name, write in PAGES.items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text("utf-8") != write()
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a page is stale")
    if parser.parse_args(arguments).check:
        for name in stale():
            print(f"{FOLDER.relative_to(ROOT) / name} is stale; `python -m dev.references` writes it.", file=sys.stderr)
        return 1 if stale() else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
