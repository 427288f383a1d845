"""What leaves the house: the record of an attempt and its editable files, and never anything else.

No log, note, path, environment, user's or machine's name, campaign tag or history of the user's repository: the commit
that travels has the editable files alone, is made anew, and stands on the commit of the attempt it was made on. What
looks like a secret keeps the whole attempt at home.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import get_args

from pydantic import ValidationError

from mcp_server.arena.program import Arena, parse_program
from mcp_server.community.contract import contract_of
from mcp_server.community.secretscan import Finding, find_secrets, in_constants, in_files
from mcp_server.community.wire.journal import CODE_BYTES, MOST_FILES, plain_path
from mcp_server.ledger import Ledger
from mcp_server.nouns import attempt as shown
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.exchanged import DIGEST, LESSON_CHARACTERS, TEXT_CHARACTERS, Attempt, Ended, moves_of, stamp
from mcp_server.nouns.refusals import first
from mcp_server.nouns.rows import Campaign, Experiment, Run
from mcp_server.nouns.text import clean_line
from mcp_server.repo.workspace import Workspace

MARK = 16
AT_ONCE = 400  # attempts that are made ready together
SAYS_WHAT = (
    "the editable files of each attempt ({files}), without history, author or any other file",
    "a record of each: description, lesson, constants changed, scores and gain with its interval, how its runs ended, "
    "steps, machine class ({machine}), date; at most 1 KB",
    "while an attempt runs, a lease on it: a digest of its code, the constants changed, and about how long it takes",
    "what is posted on the board",
    "which agent made it: client and version, model if told, style of research, version of program.md as a digest",
    "the lab's public key and the name it gives itself",
)
NEVER = "logs, notes, hypotheses, paths, environment, tags, user and machine names, other files, corpus, weights"


@dataclass(frozen=True)
class Leaving:
    """One attempt that is ready to travel. `attempt` still lacks its number, its base's and its commit."""

    mark: str
    base_mark: str  # "" for what stands on nothing
    turn: int
    campaign: str
    attempt: Attempt
    files: Mapping[str, bytes]
    epoch: int
    joins: tuple[str, ...] = ()  # what it puts together: LAB/n of others, marks of our own


@dataclass
class Batch:
    """What is ready, and what stays at home and why."""

    leaving: list[Leaving] = field(default_factory=list)
    kept_home: list[str] = field(default_factory=list)
    turns: dict[str, int] = field(default_factory=dict)  # how far each campaign was looked through

    @property
    def bytes(self) -> int:
        return sum(len(content) for one in self.leaving for content in one.files.values())


def mark_of(ledger: Ledger, campaign: str, number: int) -> str:
    """The name by which a lab knows its own attempt again; it tells others nothing."""
    return hashlib.sha256(f"{ledger.lab} {campaign} {number}".encode()).hexdigest()[:MARK]


def gather(
    ledger: Ledger,
    workspace: Workspace,
    turns: Mapping[str, int],
    labels: Mapping[str, str],
    *,
    code: bool,
    limit: int = AT_ONCE,
    contracts: Callable[[Campaign, Arena], str] | None = None,
) -> Batch:
    """Attempts decided since `turns`, by campaign, and kept ones whose label became another since.

    labels: of what travelled already, by mark. code: whether files go along. Raises LedgerError.
    """
    batch = Batch(turns=dict(turns))
    digest = contracts or (lambda campaign, arena: contract_of(workspace, campaign, arena))
    for campaign in ledger.campaigns():
        text = ledger.program_text(campaign.program)
        if not campaign.ready or text is None:
            continue
        fresh = ledger.decided_after(campaign.tag, turns.get(campaign.tag, 0), limit - len(batch.leaving))
        again = [] if not labels else _relabelled(ledger, campaign, labels)
        if not fresh and not again:
            continue
        try:
            arena = parse_program(text, in_force=True).arena
            contract = digest(campaign, arena)
        except AutoresearchError as error:
            batch.kept_home.append(f"campaign {campaign.tag}: {error}")
            continue
        wanted = [*fresh, *((0, one) for one in again)]
        files = _files(workspace, arena, [one for _, one in wanted]) if code else {}
        for turn, experiment in wanted:
            ready = _ready(ledger, campaign, arena, contract, experiment, turn, files.get(experiment.snapshot), code)
            if isinstance(ready, Leaving):
                batch.leaving.append(ready)
            else:
                batch.kept_home += ready
            batch.turns[campaign.tag] = max(batch.turns.get(campaign.tag, 0), turn)
        if len(batch.leaving) >= limit:
            break
    return batch


def _relabelled(ledger: Ledger, campaign: Campaign, labels: Mapping[str, str]) -> list[Experiment]:
    """Kept attempts that travelled under another label than they have now."""
    found = []
    for one in ledger.kept(campaign.tag):
        before = labels.get(mark_of(ledger, campaign.tag, one.number))
        if before is not None and before != (one.label or ""):
            found.append(one)
    return found


def _files(
    workspace: Workspace, arena: Arena, experiments: Sequence[Experiment]
) -> dict[str, Mapping[str, bytes] | None]:
    """The editable files of each snapshot; None where git lost it."""
    found: dict[str, Mapping[str, bytes] | None] = {}
    for one in experiments:
        if one.snapshot in found:
            continue
        try:
            found[one.snapshot] = workspace.committed(arena.editable, one.snapshot)
        except AutoresearchError:
            found[one.snapshot] = None
    return found


def _ready(
    ledger: Ledger,
    campaign: Campaign,
    arena: Arena,
    contract: str,
    experiment: Experiment,
    turn: int,
    files: Mapping[str, bytes] | None,
    code: bool,
) -> Leaving | list[str]:
    """One attempt as it travels, or why it stays."""
    name = f"{campaign.tag}/{experiment.number}"
    lessons = ledger.learnings_of(campaign.tag, experiment.number)
    lesson = clean_line(lessons[-1].text, LESSON_CHARACTERS) if lessons else ""
    text = clean_line(experiment.description, TEXT_CHARACTERS)
    # the whole lesson is looked at, and not what of it would travel: a cut secret is a secret
    spoken = [experiment.description, *(one.text for one in lessons)]
    found: list[Finding] = in_files(files) if code and files is not None else []
    found = found or find_secrets("", "\n".join(spoken))
    found = found or in_constants((name, after) for name, _, after in experiment.knobs)
    if found:
        return [f"{name} stays at home: {one.words()}" for one in found[:3]]
    if code and files is not None:
        odd = [path for path in files if not plain_path(path)]
        large = [path for path, content in files.items() if len(content) > CODE_BYTES]
        if odd or large or len(files) > MOST_FILES:
            what = (odd or large or ["so many files"])[0]
            return [f"{name} stays at home: {clean_line(what, 60)} cannot travel (its name, or more than 2 MB)"]
    at = _time(experiment.decided_at or experiment.opened_at)
    mark = mark_of(ledger, campaign.tag, experiment.number)
    try:
        runs = ledger.runs(campaign.tag, experiment.number)
        attempt = _record(arena, contract, experiment, runs, text, lesson, at).model_copy(update={"mark": mark})
    except ValidationError as error:  # a record of an older version that others would hold back
        return [f"{name} stays at home: its record {first(error)}"]
    base = mark_of(ledger, campaign.tag, experiment.base) if experiment.base else ""
    joins = tuple(one if "/" in one else mark_of(ledger, campaign.tag, int(one)) for one in experiment.joins)
    return Leaving(
        attempt.mark, base, turn, campaign.tag, attempt, files if code and files else {}, int(at.timestamp()), joins
    )


def _record(
    arena: Arena,
    contract: str,
    experiment: Experiment,
    runs: Sequence[Run],
    text: str,
    lesson: str,
    at: datetime,
) -> Attempt:
    verdict = experiment.verdict
    edges = verdict.interval or (None, None)
    ended = Counter("tainted" if run.counts is False and run.tainted else str(run.state) for run in runs)
    scored = [run for run in runs if run.counts and run.purpose != "exam"]
    last = scored[-1].result if scored else None
    score = verdict.score
    gain = verdict.change if score is not None else None
    low, high = edges if gain is not None else (None, None)
    return Attempt(
        n=1,
        mark="0" * MARK,
        contract=contract,
        code=experiment.fingerprint[:DIGEST],
        edit=experiment.edit[:DIGEST],
        role=experiment.kind,
        status=_ENDED.get(shown.Attempt.of(experiment, runs).status, "discarded"),
        label=experiment.label or "",
        reason=clean_line(verdict.code or _reason(runs), 40),
        knobs=moves_of(experiment.knobs),
        theme=clean_line(experiment.theme, 24),
        measured="run" if arena.claimed else "lab",
        score=score,
        against=_round(score + _sign(arena) * gain) if score is not None and gain is not None else None,
        gain=_round(gain),
        low=_round(low),
        high=_round(high),
        widths=_round(verdict.noise_widths if gain is not None else None, 3),
        comparison=clean_line(verdict.comparison, 16),
        seeds=tuple(dict.fromkeys(run.seed for run in scored))[:8],
        runs={clean_line(state, 12): count for state, count in sorted(ended.items())},
        steps=last.steps if last else None,
        machine=machine_class(runs),
        at=stamp(at),
        text=text,
        lesson=lesson,
        of=experiment.repeats,
        agent=clean_line(f"{experiment.proposer.client} {experiment.proposer.version}", 40),
        model=clean_line(experiment.proposer.model, 40),
        style=clean_line(experiment.style or "", 24),
        program=experiment.program[:12],
    )


def _sign(arena: Arena) -> float:
    """What a gain is added with to get from a score to its incumbent's."""
    return 1.0 if arena.metric.direction == "minimize" else -1.0


def machine_class(runs: Sequence[Run]) -> str:
    """The model of the card, or the processor and its cores; no name, address or number of one machine."""
    for run in reversed(runs):
        if run.result is not None and run.result.device is not None:
            return clean_line(run.result.device.model, 60)
    return ""


_ENDED: dict[str, Ended] = {name: name for name in get_args(Ended)}


def _reason(runs: Sequence[Run]) -> str:
    return next((run.result.reason for run in reversed(runs) if run.result is not None and run.result.reason), "")


def _round(value: float | None, digits: int = 9) -> float | None:
    return None if value is None else round(value, digits)


def _time(written: str) -> datetime:
    return datetime.fromisoformat(written).astimezone(UTC)


def leaves(arena: Arena, machine: str) -> Iterator[str]:
    """What `join` prints."""
    for line in SAYS_WHAT:
        yield line.format(files=", ".join(arena.editable), machine=machine or "model of the card or processor")
