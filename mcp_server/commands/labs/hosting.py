"""A lab server on this machine: serve, and the tokens that let labs in."""

from __future__ import annotations

import importlib
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import Field
from rich.table import Table

from mcp_server.commands import asking
from mcp_server.community.trust import keys_in
from mcp_server.faces import terminal
from mcp_server.hosting.audit import Audit
from mcp_server.hosting.door.tokens import May, Tokens
from mcp_server.hosting.premises import Premises
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.replies import Reply

FOLDER = click.argument("folder", type=asking.Here(file_okay=False))


@click.command()
@FOLDER
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8420, show_default=True, help="0 for any free one.")
@click.option("--tls-cert", "certificate", type=asking.Here(exists=True, dir_okay=False), metavar="PEM")
@click.option("--tls-key", "key", type=asking.Here(exists=True, dir_okay=False), metavar="PEM")
@click.option(
    "--behind",
    default="",
    metavar="ADDRESS",
    help="Of the proxy that has the certificate; its X-Forwarded-For counts. Several with commas, networks too.",
)
@click.option("--plain", is_flag=True, help="Without TLS beyond this machine: where the network itself is private.")
@click.option("--anyone-reads", is_flag=True, help="No token is needed to fetch and to look.")
def serve(folder: Path, anyone_reads: bool, **given: Any) -> None:
    """Serve journals, leases, a live feed and the community's pages over HTTP, from one bare repository.

    For labs without a shared git host. FOLDER is made where there is none, and holds everything: journals, tokens,
    audit log. Another server on the same folder goes on where this one ended, or beside it. What is pushed is checked
    as each lab would check it.

    \b
    Examples:
      autoresearch community token add /srv/journals north
      autoresearch community serve /srv/journals
      autoresearch community serve /srv/journals --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
      autoresearch community join http://lab:TOKEN@127.0.0.1:8420      in each lab
    """
    running = importlib.import_module("mcp_server.hosting.running")  # a web server, which `--help` need not load
    premises = Premises.at(folder.resolve())
    running.serve(premises, running.Listening(**given), anyone_reads, lambda url: _announce(url, premises))


def _announce(url: str, premises: Premises) -> None:
    click.echo(f"Lab server: {url} serves {premises.folder}")
    if not Tokens(premises).all():
        there = shlex.quote(str(premises.folder))
        click.echo(f"Nobody has a token yet. `autoresearch community token add {there} NAME` makes one.")


class TokenReply(Reply):
    """One token; its text is shown when it is made, and never again."""

    name: str
    may: str
    lab: str = Field(default="", description="whose journal it publishes; the first that it does publish")
    ends: str = ""
    per_second: float = 20.0
    push_mb: float = 32.0
    token: str = ""


class TokensReply(Reply):
    """All tokens of a lab server."""

    tokens: list[TokenReply] = Field(default_factory=list)
    next: str = ""


@click.group()
def token() -> None:
    """Who may come in to a lab server: make tokens, list them, revoke them. A server that runs heeds it at once."""


@token.command()
@FOLDER
@click.argument("name")
@click.option("--may", type=click.Choice([str(one) for one in May]), default=str(May.PUBLISH), show_default=True)
@click.option("--lab", default="", metavar="KEY|LAB", help="Whose journal it publishes.  [default: its first]")
@click.option("--days", type=asking.Finite(min=0.01), help="It ends after so many.  [default: never]")
@click.option("--per-second", type=asking.Finite(0.01, 10_000), default=20.0, show_default=True, help="Requests.")
@click.option("--push-mb", type=asking.Finite(0.01, 4096), default=32.0, show_default=True, help="Largest push.")
@asking.json_option
def add(folder: Path, name: str, may: str, lab: str, as_json: bool, **given: Any) -> None:
    """Make a token: read, publish (one lab's journal and leases) or admin (any lab's, tokens, audit log).

    It is shown this once; the folder holds its digest. git takes it as the password of any user name.

    \b
    Examples:
      autoresearch community token add /srv/journals north
      autoresearch community token add /srv/journals reader --may read --days 30
    """
    premises = Premises.at(folder.resolve())
    whose = _lab(lab)
    _audit(premises).tell("token made", token=name, may=may, by="a command")
    text = Tokens(premises).add(name, May(may), datetime.now(UTC), lab=whose, **given)
    found = next(one for one in Tokens(premises).all() if one.name == name)
    reply = TokenReply(**found.model_dump(exclude={"digest", "made"}), token=text)
    said = "Shown this once. In the lab: `autoresearch community join http://lab:TOKEN@HOST:PORT`."
    asking.answer(reply, as_json, terminal.facts([("token", text), ("may", may)]), asking.hint(said))


def _lab(given: str) -> str:
    if not given:
        return ""
    found = keys_in(given)
    if len(found) != 1:
        raise NotNow("A token is one lab's. Name one key, or one lab's whole id.")
    return found[0][0]


def _audit(premises: Premises) -> Audit:
    return Audit(premises.audit, lambda: datetime.now(UTC))


@token.command("list")
@FOLDER
@asking.json_option
def list_(folder: Path, as_json: bool) -> None:
    """List tokens, without what nobody knows any more: their texts."""
    found = Tokens(Premises.at(folder.resolve())).all()
    reply = TokensReply(tokens=[TokenReply(**one.model_dump(exclude={"digest", "made"})) for one in found])
    table = Table("name", "may", "lab", "ends", "a second", "MB a push", box=None, pad_edge=False)
    for one in reply.tokens:
        table.add_row(
            one.name, one.may, one.lab[:8] or "its first", one.ends, f"{one.per_second:g}", f"{one.push_mb:g}"
        )
    reply.next = "" if found else "There are no tokens. `token add` makes one."
    asking.answer(reply, as_json, table if found else None, asking.hint(reply.next))


@token.command()
@FOLDER
@click.argument("name")
@asking.json_option
def revoke(folder: Path, name: str, as_json: bool) -> None:
    """Take a token away. What was published with it stays."""
    premises = Premises.at(folder.resolve())
    _audit(premises).tell("token revoked", token=name, by="a command")
    Tokens(premises).revoke(name)
    reply = TokensReply(next=f"The token {name} is worth nothing any more.")
    asking.answer(reply, as_json, asking.hint(reply.next))
