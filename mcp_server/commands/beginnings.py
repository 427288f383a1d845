"""Before the first experiment: new, prepare, doctor, serve."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import click
from rich.table import Column, Table
from rich.text import Text

from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.replies import Reply
from mcp_server.repo.workspace import Workspace
from mcp_server.setup import doctor as health
from mcp_server.setup import nodes
from mcp_server.setup.newlab import LANGUAGE_MODEL, template, templates, write_lab

MARKS = {
    health.State.FINE: ("✓", "green"),
    health.State.MISSING: ("✗", "bold red"),
    health.State.OPTIONAL: ("–", "yellow"),
}
CALIBRATION = "mcp_server.scoring.calibrate"
STDERR = 2


class TemplatesReply(Reply):
    """What a lab can be made from: names and goals."""

    templates: dict[str, str]


class NewReply(Reply):
    """A lab that was written."""

    folder: str
    files: list[str]
    commit: str = ""
    next: str = ""


@click.command()
@click.argument("arena", required=False)
@click.argument("folder", type=asking.Here(), required=False, metavar="[DIR]")
@asking.replying
def new(place: Place, arena: str | None, folder: Path | None, as_json: bool) -> None:
    """Write a lab from a template into DIR (default: here).

    Without ARENA the templates are listed. Nothing is overwritten. In a folder that is no git repository one is begun,
    with the template as its first commit; in a repository the files are yours to commit.

    \b
    Examples:
      autoresearch new                     which templates are there?
      autoresearch new lm my-lab           program.md, prepare.py and train.py in ./my-lab
    """
    if arena is None:
        goals = [(name, found.goal) for name, found in templates().items()]
        listed = TemplatesReply(templates=dict(goals))
        asking.answer(listed, as_json, terminal.facts(goals), asking.hint("autoresearch new NAME [DIR]"))
        return
    written = write_lab(template(arena), (folder or place.folder).resolve())
    steps = [*asking.way_to(written.folder), "autoresearch doctor"]
    if arena == LANGUAGE_MODEL:
        steps.append("autoresearch prepare")
    if not written.commit:
        # program.md belongs at the top of a repository
        begin = "" if Workspace(written.folder).paths.tree == written.folder else "git init && "
        steps.append(f"{begin}git add {shlex.join(written.files)} && git commit")
    steps.append("autoresearch start first")
    reply = NewReply(
        folder=str(written.folder), files=list(written.files), commit=written.commit, next=" ; ".join(steps)
    )
    rows = [("lab", reply.folder), ("files", ", ".join(reply.files)), ("commit", reply.commit[:12])]
    asking.answer(reply, as_json, terminal.facts(rows), *(Text(f"  {step}", style="cyan") for step in steps))


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def prepare(place: Place, arguments: tuple[str, ...]) -> None:
    """Build the corpus: runs the lab's prepare.py, or the one that ships with autoresearch.

    \b
    Examples:
      autoresearch prepare --corpus stdlib
      autoresearch prepare --help
    """
    own = place.folder / "prepare.py"
    script = own if own.is_file() else template(LANGUAGE_MODEL).files["prepare.py"]
    # absolute: a checkout may be on a path that means something else in the lab's folder
    done = subprocess.run([sys.executable, str(script.resolve()), *arguments], cwd=place.folder)
    sys.exit(done.returncode)


@click.command()
@click.option(
    "--calibrate", is_flag=True, help="Also measure the tolerances of the language-model scorer here (minutes)."
)
@click.option("--engine", is_flag=True, help="Also ask every node of the cluster that program.md names.")
@click.option("--threads", is_flag=True, help="Also train the lab's code with 1, 2, 4 ... threads (minutes).")
@asking.replying
def doctor(place: Place, calibrate: bool, engine: bool, threads: bool, as_json: bool) -> None:
    """Check this machine and the lab in this folder: ✓ fine, ✗ missing, – can be done without.

    Exit code 1 if something is missing.
    """
    findings: list[health.Finding] = []
    looks = health.examine(place.folder)
    for finding in chain(looks, nodes.examine(place.folder)) if engine else looks:  # shown as soon as it is known
        findings.append(finding)
        if not as_json:
            terminal.show(terminal.screen(), _finding(finding))
    reply = health.HealthReply(findings=findings)
    if as_json:
        click.echo(reply.model_dump_json(indent=1))
    worked = reply.healthy
    if calibrate:
        # a process of its own: it needs torch, which this one never imports
        said = STDERR if as_json else None  # the JSON stays alone on stdout
        worked &= subprocess.run([sys.executable, "-m", CALIBRATION], cwd=place.folder, stdout=said).returncode == 0
    if threads:
        worked &= _threads(place.folder)
    sys.exit(0 if worked else 1)


def _threads(folder: Path) -> bool:
    """Measure how many threads a trainer should have, and say what to write into program.md."""
    proof = importlib.import_module("mcp_server.setup.threads")

    def say(tried: Any) -> None:
        score = "no score" if tried.score is None else f"score {tried.score:.5g}"
        steps = "" if tried.steps is None else f", {tried.steps:.0f} steps"
        click.echo(f"  {tried.threads} thread{'s' if tried.threads > 1 else ''}: {score}{steps}", err=True)

    try:
        best = proof.best(proof.measure(folder, say))
    except AutoresearchError as error:
        click.echo(str(error), err=True)
        return False
    said = "No run had a score." if best is None else f"The best score was with {best.threads}: threads: {best.threads}"
    click.echo(said, err=True)
    return best is not None


def _finding(finding: health.Finding) -> Table:
    mark, style = MARKS[finding.state]
    line = Table.grid(Column(width=1, style=style), Column(width=11, no_wrap=True), Column(), padding=(0, 1))
    line.add_row(mark, finding.name, Text(finding.found))
    if finding.fix:
        line.add_row("", "", Text(finding.fix, style="yellow"))
    return line


@click.command()
@click.option("--http", is_flag=True, help="Over HTTP instead of stdio, for agents on other machines.")
@click.option("--host", default="127.0.0.1", show_default=True, help="With --http: the address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8765, show_default=True, help="With --http.")
@click.option("--token-file", type=asking.Here(dir_okay=False), help="With --http: a token of your own.")
@click.option("--name", "names", multiple=True, metavar="HOST", help="With --http: a host name it may be called by.")
@click.option(
    "--dashboard/--no-dashboard", default=True, show_default=True, help="With the live page, its link on stderr."
)
@click.pass_obj
def serve(
    place: Place, http: bool, host: str, port: int, token_file: Path | None, names: tuple[str, ...], dashboard: bool
) -> None:
    """Serve the lab to an agent over MCP, with the live page beside it.

    \b
    Examples:
      autoresearch serve                          stdio; stdout belongs to the protocol
      claude mcp add autoresearch -- autoresearch serve
      autoresearch serve --http --port 8765       loopback, with a bearer token that only you can read
    """
    if not http:
        asking.refuse("heeded with --http alone: add it, or leave that out.", "host", "port", "token_file", "names")
    # only the one that is asked for: the SDK takes a second to import, the web server more
    build = importlib.import_module("mcp_server.server").build_server
    if not http:
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        fixed = place.folder.resolve() if place.folder != Path(".") else None
        with live_page(place, dashboard):
            build(fixed, place.campaign).run("stdio")
        return
    web = importlib.import_module("mcp_server.faces.http")
    paths = Workspace(place.folder).paths
    token = token_file or paths.state / "token"
    token.parent.mkdir(parents=True, exist_ok=True)
    click.echo(f"http://{f'[{host}]' if ':' in host else host}:{port}/mcp, bearer token in {token}", err=True)
    with live_page(place, dashboard):
        web.serve_http(build(paths.tree, place.campaign), token, host, port, names, chosen_token=token_file is not None)


@contextlib.contextmanager
def live_page(place: Place, wanted: bool) -> Iterator[None]:
    """The dashboard in a process of its own, which ends with this one however this one ends."""
    if not wanted or os.environ.get("AUTORESEARCH_DASHBOARD") == "off":
        yield
        return
    at = ["-C", str(place.folder), *(["--campaign", place.campaign] if place.campaign else [])]
    command = [sys.executable, "-m", "mcp_server.cli", *at, "dashboard", "--until-eof"]
    # stdout belongs to the protocol
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr.fileno()) as page:
        try:
            yield
        finally:
            assert page.stdin is not None
            page.stdin.close()
