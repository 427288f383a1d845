"""Histories as commands: import takes what others tried into the memory, audit says how far a run can be believed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pydantic import Field
from rich.text import Text

from mcp_server.arena.program import load_program
from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.histories.audit import Audit, Finding
from mcp_server.histories.audit import audit as audited
from mcp_server.histories.keeping import imported, unknown
from mcp_server.histories.page import as_html, markdown
from mcp_server.histories.reading import read, shown
from mcp_server.histories.rows import STATUSES, History
from mcp_server.histories.sniff import Wishes
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import NotNow, WorkspaceError
from mcp_server.nouns.files import locked, write_atomically
from mcp_server.nouns.replies import Reply
from mcp_server.repo.git import Repository
from mcp_server.repo.workspace import Workspace

SHOWN = 20  # unreadable rows on a terminal, and rows of a finding


class HistoryReadReply(Reply):
    """How a source was read."""

    source: str
    shape: str
    metric: str
    direction: str
    rows: int
    statuses: dict[str, int] = Field(default_factory=dict)
    columns: dict[str, str] = Field(default_factory=dict, description="the source's column for each field")
    unused: list[str] = Field(default_factory=list)
    why: list[str] = Field(default_factory=list, description="how each choice was made")
    unreadable: list[str] = Field(default_factory=list, description="rows nothing was made of, each with its line")


class ImportReply(HistoryReadReply):
    """What was or would be taken into the memory."""

    origin: str = "imported"
    new: int = 0
    known: int = 0
    imported: int | None = Field(default=None, description="attempts taken in; absent where nothing was done")
    next: str = ""


class FindingReply(Reply):
    """One finding of an audit."""

    code: str
    sentence: str
    lines: list[int] = Field(default_factory=list, description="of the rows it rests on")
    rows: list[str] = Field(default_factory=list)


class AuditReply(HistoryReadReply):
    """How far a run can be believed, from its history alone."""

    findings: list[FindingReply] = Field(default_factory=list)
    unchecked: list[str] = Field(default_factory=list)
    keeps: int = Field(default=0, description="kept gains; the first keep is where they begin")
    claimed_gain: float | None = None
    believed_gain: float | None = None
    expected_false_keeps: float | None = None
    noise_sd: float | None = Field(default=None, description="of one run")
    noise_from: str = ""
    page: str = ""
    next: str = ""


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What somebody may say of a source that does not say it itself."""
    for option in (
        click.option("--metric", default="", metavar="COLUMN", help="The column that holds the score."),
        click.option("--direction", default="", metavar="WAY", help="minimize or maximize."),
        click.option("--column", "columns", multiple=True, metavar="FIELD=COLUMN", help="Where a field stands."),
        click.option(
            "--status", "statuses", multiple=True, metavar="WORD=OUTCOME", help="What a word of the log means."
        ),
        click.option(
            "--repo",
            type=asking.Here(exists=True, file_okay=False),
            help="The repository of the commits, and of a branch.",
        ),
    ):
        command = option(command)
    return command


def _wishes(given: dict[str, Any]) -> Wishes:
    columns = dict(_pair("--column", one) for one in given["columns"])
    statuses = {word.lower(): outcome for word, outcome in (_pair("--status", one) for one in given["statuses"])}
    for word, outcome in statuses.items():
        if outcome not in STATUSES:
            raise NotNow(f"--status {word}={outcome}: an outcome is one of {', '.join(STATUSES)}.")
    return Wishes(given["metric"], given["direction"], columns, statuses)


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not equals or not name or not value:
        raise NotNow(f"{option} takes NAME=VALUE, not {text[:60]!r}.")
    return name.strip(), value.strip()


def _said(history: History) -> dict[str, Any]:
    """What both replies say of how the source was read."""
    found = [row.status for row in history.rows]
    return {
        "source": history.name,
        "shape": history.shape,
        "metric": history.schema.metric,
        "direction": history.schema.direction,
        "rows": len(history.rows),
        "statuses": {status: found.count(status) for status in dict.fromkeys(found)},
        "columns": dict(history.schema.columns),
        "unused": list(history.schema.unused),
        "why": list(history.schema.reasons),
        "unreadable": [one.words() for one in history.unreadable],
    }


# there is no `def import(`: the word is Python's own
@click.command("import")
@click.argument("source")
@reading_options
@click.option("--yes", is_flag=True, help="Take it in; without a terminal nothing is done otherwise.")
@asking.replying
def import_(place: Place, /, source: str, repo: Path | None, yes: bool, as_json: bool, **given: Any) -> None:
    """Take the history of another tool into the memory: what was tried elsewhere is found, and counts for nothing else.

    SOURCE is a log (results.tsv of the reference and its forks, a CSV or Markdown table, pi-autoresearch's
    autoresearch.jsonl or .auto/log.jsonl, other JSON lines, an exported journal), a folder with one, or a branch whose
    commits carry scores. What its columns mean is shown first and asked to be confirmed. Every row that cannot be read
    is listed with its line. Its attempts get the origin `imported`: recall finds them, they are never an incumbent and
    never part of the noise.

    \b
    Examples:
      autoresearch import ../fork/results.tsv
      autoresearch import runs.tsv --metric IC --direction maximize --status 保留=kept --yes
      autoresearch import autoresearch/mar5 --repo ../fork
    """
    history = read(source, place.folder, _wishes(given), repo)
    paths = Workspace(place.folder).paths
    if not paths.ledger.exists():
        load_program(paths.program)  # no lab here: say so before anything is created
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    rows, known = imported(history, at), set[str]()
    if paths.ledger.exists():
        known = _in_ledger(paths.ledger, paths.lock, lambda ledger: ledger.imported_digests())
    new = unknown(rows, known)
    reply = ImportReply(**_said(history), new=len(new), known=len(rows) - len(new))
    if not as_json:
        _show(history, [("the memory", f"{len(new)} new, {reply.known} known already")])
    agreed = asking.agreed("Is it read rightly, and taken in?", as_json, yes)
    if agreed:
        reply.imported = _in_ledger(paths.ledger, paths.lock, lambda ledger: ledger.add_imported(new)) if new else 0
        reply.next = 'autoresearch recall "an idea" finds them; autoresearch audit says how far they can be believed'
    else:
        reply.next = f"Nothing was changed. {asking.typed_again('--yes')} takes it in as it is read here."
    done = Text(f"{reply.imported} attempts are in the memory, as tried elsewhere.") if agreed else None
    asking.answer(reply, as_json, done, asking.hint(reply.next))


def _in_ledger(path: Path, lock: Path, act: Callable[[Ledger], Any]) -> Any:
    with locked(lock), contextlib.closing(Ledger(path)) as ledger:
        ledger.check()
        return act(ledger)


@click.command()
@click.argument("source")
@reading_options
@click.option("--noise", type=asking.Finite(0), metavar="SD", help="Standard deviation of one run, in the metric.")
@click.option("--page", type=asking.Here(dir_okay=False), help="Also write it: .md, or .html.")
@asking.replying
def audit(
    place: Place,
    /,
    source: str,
    repo: Path | None,
    noise: float | None,
    page: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """How far can this run be believed? What its history alone tells, finding by finding, with the rows.

    Looked for: rows that cannot be read, commits that do not resolve (with --repo), keeps that are not better than the
    best before, gains inside the noise that the log's own repeats show (or --noise states), seeds changed and nothing
    else, duplicates, gaps, gains that the number of steps explains, the winner's curse, keeps that are probably false.
    Nothing is run, and no lab is needed.

    \b
    Examples:
      autoresearch audit results.tsv --repo .
      autoresearch audit autoresearch.jsonl --noise 12 --page audit.html
    """
    history = read(source, place.folder, _wishes(given), repo)
    found = audited(history, _resolver(repo), noise)
    reply = AuditReply(
        **_said(history),
        findings=[_finding(one) for one in found.findings],
        unchecked=list(found.unchecked),
        keeps=found.keeps,
        claimed_gain=found.claimed,
        believed_gain=found.believed,
        expected_false_keeps=found.false_keeps,
        noise_sd=found.noise.sd if found.noise else None,
        noise_from=found.noise.words() if found.noise else "",
    )
    if page is not None:
        text = as_html(history, found) if page.suffix.lower() in (".html", ".htm") else markdown(history, found)
        reply.page = str(page.resolve())
        write_atomically(Path(reply.page), text.encode())
    if as_json:
        click.echo(reply.model_dump_json(indent=1))
    else:
        _show(history, _sums(found))
        terminal.show(terminal.screen(), *_findings(found.findings), *_written(reply))


def _resolver(repo: Path | None) -> Callable[[str], bool] | None:
    if repo is None:
        return None
    repository = Repository.at(repo)

    def resolves(commit: str) -> bool:
        try:
            return bool(repository.resolve(commit))
        except WorkspaceError:
            if (repository.common / "shallow").exists():
                raise NotNow(
                    f"{repo} is a shallow clone and lacks commits, {commit[:12]} for one, so none can be called lost. "
                    f"Fetch them first: git -C {repo} fetch --unshallow"
                ) from None
            return False

    return resolves


def _finding(one: Finding) -> FindingReply:
    return FindingReply(
        code=one.code,
        sentence=one.sentence,
        lines=[line for line, _ in one.evidence],
        rows=[words for _, words in one.evidence],
    )


def _sums(found: Audit) -> list[tuple[str, str]]:
    believed = "" if found.believed is None else f", about {found.believed:.4g} of it can be believed"
    return [
        ("kept gains", f"{found.keeps}, {found.claimed:.4g} claimed{believed}" if found.claimed is not None else ""),
        ("noise", found.noise.words() if found.noise else "the log shows none"),
        ("not checked", "; ".join(found.unchecked)),
    ]


def _show(history: History, more: Sequence[tuple[str, str]]) -> None:
    screen = terminal.screen()
    terminal.show(screen, terminal.facts([("source", f"{history.name}: {history.shape}"), *shown(history), *more]))
    lost = [one.words() for one in history.unreadable]
    left = [f"and {len(lost) - SHOWN} more; --json lists all"] if len(lost) > SHOWN else []
    terminal.show(screen, asking.problems([*lost[:SHOWN], *left]))


def _findings(findings: Sequence[Finding]) -> list[Text]:
    if not findings:
        return [Text("Nothing was found to be wrong.", style="green")]
    said: list[Text] = []
    for one in findings:
        rows = [words for _, words in one.evidence]
        more = [f"… and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
        said.append(Text(f"{one.code}: {one.sentence}", style="bold"))
        said += [Text(f"  {row}", style="dim") for row in [*rows[:SHOWN], *more]]
    return said


def _written(reply: AuditReply) -> list[Any]:
    return [asking.hint(f"The page is {reply.page}")] if reply.page else []
