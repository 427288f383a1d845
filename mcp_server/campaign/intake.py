"""Takes an attempt in: reads what the work tree proposes, recognises what was tried, and records the rest.

An attempt is checked before anything is written; what it costs begins with the ledger's record of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mcp_server.arena.program import Arena
from mcp_server.arena.styles import style_version
from mcp_server.campaign import progress
from mcp_server.campaign.beginning import baseline
from mcp_server.campaign.bench import Bench, incumbent_commit
from mcp_server.campaign.find import EDITABLE_LIMIT_BYTES
from mcp_server.campaign.imported import tried_before
from mcp_server.campaign.runs import ahead, pairing
from mcp_server.campaign.trees import astray, company, overwritten
from mcp_server.campaign.upkeep import disk, recovery
from mcp_server.edits.constants import knob_changes
from mcp_server.edits.fingerprint import change, fingerprint, nodes
from mcp_server.edits.luck import protocol_changes
from mcp_server.edits.themes import theme
from mcp_server.judging.looks import excused, excuses_left, looks, may_repeat, repeats_left
from mcp_server.nouns.attempt import status_of
from mcp_server.nouns.baseline import calibration, quiet_again
from mcp_server.nouns.errors import NotNow, WorkspaceError
from mcp_server.nouns.records import Kind, Purpose
from mcp_server.nouns.replies import ExperimentReply
from mcp_server.nouns.rows import NOBODY, Campaign, Experiment, Proposer, Run
from mcp_server.nouns.text import clean_line
from mcp_server.repo.messages import opened

DESCRIPTION_LIMIT = 200  # characters
# What other labs know of an attempt: (why it is not run unless the caller insists, what is only worth knowing).
# Asked with its code, the constants that it changes, and the attempt elsewhere that it repeats.
Elsewhere = Callable[[Campaign, Arena, str, Sequence[tuple[str, str, str]], str], tuple[str, str]]


def unknown(
    campaign: Campaign, arena: Arena, code: str, changes: Sequence[tuple[str, str, str]], repeats: str
) -> tuple[str, str]:
    """No other labs are heard."""
    return "", ""


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a caller says of an experiment. insist: run it also where a run could bring nothing.

    files: the editable files it is about, in place of those on disk, which must be the incumbent's then.
    """

    description: str
    hypothesis: str = ""
    expected_delta: float | None = None
    kind: Kind = Kind.ATTEMPT
    session: str = ""
    insist: bool = False
    proposer: Proposer = NOBODY
    files: Mapping[str, bytes] | None = None
    repeats: str = ""
    joins: tuple[str, ...] = ()


def open_experiment(
    bench: Bench, campaign: Campaign, arena: Arena, asked: Asked, elsewhere: Elsewhere = unknown
) -> ExperimentReply:
    """Snapshot what the work tree has, record the attempt and start its run.

    Raises NotNow while the undecided edit of another living session lies in this work tree, and, unless the caller
    insists, where the branch or the files are not where a run could bring something.
    """
    tree, state = str(bench.paths.tree), bench.paths.state
    crowd = company.company_in(
        bench.ledger.undecided(campaign.tag), asked.session, tree, lambda: company.present(state)
    )
    incumbent = bench.ledger.incumbent(campaign.tag)
    offered = incumbent is None and baseline.needs_baseline(bench, campaign, arena)
    sources, before = read_sources(bench, campaign, arena, asked.files)
    marks = fingerprint(sources)
    if incumbent is not None and marks == fingerprint(before):
        raise NotNow(
            f"Nothing changed: {', '.join(arena.editable)} means the same as the incumbent, experiment "
            f"{incumbent.number}. Edit it, then call run_experiment again."
        )
    earlier = None if asked.kind == Kind.PRUNE or offered else answered(bench, campaign, arena, marks)
    if earlier is not None:
        return earlier
    if incumbent is not None and asked.kind != Kind.PRUNE and not asked.insist and asked.files is None:
        astray.refuse(bench, campaign, arena, sources)
    changes = changed(before, sources)
    known = worth = ""
    if not offered and asked.kind in (Kind.ATTEMPT, Kind.REPLICATION):
        known, worth = elsewhere(campaign, arena, marks, changes, asked.repeats)
    if known and not asked.insist:
        raise NotNow(f"{known} To run it all the same, as a retest: {astray.INSIST}.")
    if offered:
        asked = dataclasses.replace(asked, kind=Kind.BASELINE)
    elif known and asked.kind == Kind.ATTEMPT:
        asked = dataclasses.replace(asked, kind=Kind.RETEST)
    tip = incumbent_commit(bench.ledger, campaign)
    experiment, tried = take_in(bench, campaign, arena, asked, sources, before, tree)
    number, laid = experiment.number, [] if asked.files is None else _lay(bench, arena, asked.files, tip)
    started = recovery.catch_up(bench)
    reply = progress.experiment_reply(bench.ledger, bench.paths, experiment, arena, bench.now())
    heard = [said for said in (worth, known, tried_before(bench.ledger, changes)) if said]
    reply.warnings += crowd + laid + heard + warnings_of(experiment, tried) + started.problems
    reply.next = f"read_score({number}) waits for the score; think about the next idea meanwhile."
    _say_room(reply, bench, campaign, arena, ahead.afresh(bench, campaign, before, sources))
    return reply


def _lay(bench: Bench, arena: Arena, files: Mapping[str, bytes], tip: str) -> list[str]:
    """Bring what was taken in to the disk, last of all, so that a refusal has changed nothing; why not, in words."""
    try:
        bench.workspace.lay(files, arena.editable, tip)
    except (OSError, WorkspaceError) as error:
        return [f"It runs, but its files could not be put into the work tree: {error}"]
    return []


def _say_room(reply: ExperimentReply, bench: Bench, campaign: Campaign, arena: Arena, afresh: str) -> None:
    """Where devices wait for work: that more is wanted, and how the next idea is made while this one is under way."""
    if bench.ledger.incumbent(campaign.tag) is None:
        return  # nothing is judged before there is one, and every baseline has its own runs
    found = ahead.ahead(bench, campaign, arena)
    if not found.more or not reply.open:
        return
    reply.room = found.more
    reply.next = (
        f"{ahead.words(found)}: propose {found.more} more before this one is decided. `{afresh}` puts the incumbent's "
        f"files back (experiment {reply.experiment} is safe); then edit and run_experiment again. "
        f"read_score({reply.experiment}) has its score later."
    )


def take_in(
    bench: Bench,
    campaign: Campaign,
    arena: Arena,
    asked: Asked,
    sources: Mapping[str, bytes],
    before: Mapping[str, bytes],
    tree: str,
    seed: int | None = None,
) -> tuple[Experiment, list[Experiment]]:
    """An attempt with these files: in the vault, in the ledger, and its first run ordered; and those of the same edit.

    before: the incumbent's files. seed: of its first run; None: the campaign's, as every new idea has.
    """
    incumbent = bench.ledger.incumbent(campaign.tag)
    number = bench.workspace.free_number(campaign.tag, bench.ledger.next_number(campaign.tag))
    edit, changes = change(before, sources), changed(before, sources)
    tried = [e for e in bench.ledger.same_edit(edit, campaign.tag) if e.number != number]
    baseline_offered = asked.kind == Kind.BASELINE
    if tried and asked.kind == Kind.ATTEMPT:
        asked = dataclasses.replace(asked, kind=Kind.RETEST)
    experiment = Experiment(
        campaign=campaign.tag,
        number=number,
        kind=asked.kind,
        **_said(asked),
        snapshot="",
        base=incumbent.number if incumbent else None if baseline_offered else _awaited_baseline(bench, campaign),
        fingerprint=fingerprint(sources),
        edit=edit,
        # counted on from the incumbent's: a file that is editable no more is no code that was saved
        nodes=nodes(sources) if incumbent is None else incumbent.nodes + nodes(sources) - nodes(before),
        knobs=changes,
        protocol=protocol_changes(before, sources),
        theme=theme(f"{asked.description} {asked.hypothesis}", [name for name, _, _ in changes]),
        program=campaign.program,
        style=style_version(arena.style, bench.paths.tree),
        opened_at=bench.stamp(),
        tree=tree,
    )
    experiment = _in_the_vault(bench, campaign, arena, experiment, sources)
    _order_first(bench, campaign, arena, experiment, incumbent, seed)
    return experiment, tried


def changed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[tuple[str, str, str], ...]:
    """Each constant that moved, with from and to."""
    return tuple((c.name, c.before or "absent", c.after or "absent") for c in knob_changes(before, after))


def _said(asked: Asked) -> dict[str, Any]:
    """What of an experiment the caller says, by the names of its row."""
    names = ("description", "hypothesis", "expected_delta", "session", "proposer", "repeats", "joins")
    return {name: getattr(asked, name) for name in names}


def _in_the_vault(
    bench: Bench, campaign: Campaign, arena: Arena, experiment: Experiment, sources: Mapping[str, bytes]
) -> Experiment:
    """With its snapshot taken of what was looked at, and kept from git's gc before the ledger names it.

    Raises NotNow where its run would leave more on the disk than the arena allows.
    """
    disk.refuse_when_full(bench, campaign, arena)
    tip, words = incumbent_commit(bench.ledger, campaign), opened(campaign, experiment)
    snapshot = bench.workspace.snapshot(
        arena.editable, tip, words, experiment.opened_at, tag=campaign.tag, files=sources
    )
    return dataclasses.replace(experiment, snapshot=snapshot.commit)


def _order_first(
    bench: Bench,
    campaign: Campaign,
    arena: Arena,
    experiment: Experiment,
    incumbent: Experiment | None,
    given: int | None,
) -> None:
    """Write the experiment down with the runs it begins with, and the incumbent's where that must be measured anew."""
    seed, kind = campaign.seed if given is None else given, experiment.kind
    if kind == Kind.PRUNE and incumbent is not None:
        # on the seeds that the change was chosen by, its luck would only be seen again
        theirs = bench.ledger.runs(campaign.tag, incumbent.number)
        seed = max([seed, *(run.seed + 1 for run in theirs if run.purpose != Purpose.EXAM)])  # an exam's stay fresh
    paired = bool(pairing.choice_of(bench.ledger, arena, campaign).pairing)
    baseline_runs = calibration(seed, campaign.calibrate, paired)
    ordered = baseline_runs if kind == Kind.BASELINE else [(seed, Purpose.FIRST)]
    bench.ledger.open_experiment(experiment, ordered)
    held = set() if incumbent is None else {run.seed for run in bench.ledger.runs(campaign.tag, incumbent.number)}
    if seed not in {campaign.seed, *held} and incumbent is not None and not arena.score_incumbent and not paired:
        bench.ledger.open_run(campaign.tag, incumbent.number, seed, Purpose.CONFIRM, experiment.opened_at)


def open_without(bench: Bench, campaign: Campaign, arena: Arena, number: int) -> ExperimentReply:
    """The incumbent with the change of one kept experiment taken back, as an attempt. Raises NotNow."""
    found, incumbent = bench.ledger.experiment(campaign.tag, number), bench.ledger.incumbent(campaign.tag)
    if incumbent is None or found.decision != "keep" or found.commit_sha is None or found.label == "baseline":
        raise NotNow(f"Experiment {number} is not a kept change. `autoresearch history --status kept` lists them.")
    tip = incumbent_commit(bench.ledger, campaign)
    files = bench.workspace.without(found.commit_sha, tip, arena.editable)
    if files is None:
        raise NotNow(f"Later changes build on experiment {number}, so it cannot be taken back alone. It stays.")
    description = clean_line(f"without experiment {number}: {found.description}", DESCRIPTION_LIMIT)
    return open_experiment(bench, campaign, arena, Asked(description, kind=Kind.PRUNE, files=files))


def _awaited_baseline(bench: Bench, campaign: Campaign) -> int | None:
    """What an attempt will be judged against that is made while the baseline is in the field."""
    found = bench.ledger.baseline(campaign.tag)
    return found.number if found else None


def read_sources(
    bench: Bench, campaign: Campaign, arena: Arena, given: Mapping[str, bytes] | None = None
) -> tuple[Mapping[str, bytes], Mapping[str, bytes]]:
    """The editable files now (or those given in their place), and as the incumbent has them. Raises WorkspaceError."""
    changed = bench.workspace.frozen_changes(campaign.pinned, arena.frozen)
    if changed:
        said = overwritten.differs(bench, campaign, changed)
        raise WorkspaceError("\n".join([said, *(one.diff for one in changed[:3])]))
    tip = incumbent_commit(bench.ledger, campaign)
    sources = bench.workspace.read_editable(arena.editable, tip, EDITABLE_LIMIT_BYTES)
    before = bench.workspace.committed(arena.editable, tip)
    if given is not None:
        bench.workspace.refuse_edited(arena.editable, tip)
        sources = dict(given)
    broken = not_python(sources)
    if broken is not None:
        path, error = broken
        line = getattr(error, "lineno", None)
        where = f"{path}, line {line}" if line else path
        raise NotNow(f"{where} is not valid Python: {error}. Mend it; nothing was run or counted.")
    return sources, before


def not_python(files: Mapping[str, bytes]) -> tuple[str, Exception] | None:
    """The first file that Python would not take, and what is wrong with it."""
    for path, content in files.items():
        if path.endswith(".py"):
            try:
                compile(content, path, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                return path, error
    return None


def answered(bench: Bench, campaign: Campaign, arena: Arena, marks: str) -> ExperimentReply | None:
    """The earlier result of the same code, or the attempt on its way again; None if it is to be run as a new one."""
    twins = bench.ledger.twins(marks, campaign.tag)
    runs_of = {twin.number: bench.ledger.runs(campaign.tag, twin.number) for twin in twins}
    spent = [run for runs in runs_of.values() for run in runs]
    for twin in reversed(twins):
        runs = runs_of[twin.number]
        again = all(may_repeat(run) for run in runs)
        left = repeats_left(spent, runs[-1].seed) if again else 0
        if (left and twin.decision is not None) or twin.decision == "overtaken":
            continue
        if left and not bench.workspace.whole(twin.snapshot):
            continue  # its commit is gone, so it can only be run as another
        if left:
            bench.ledger.open_run(
                campaign.tag, twin.number, runs[-1].seed, Purpose.RETRY, bench.stamp(), quiet_again(runs)
            )
            recovery.catch_up(bench)
        reply = progress.experiment_reply(bench.ledger, bench.paths, twin, arena, bench.now())
        if left:
            reply.warnings.append(_run_again(twin, runs[-1], spent))
        else:
            tried = f"The same code was tried as experiment {twin.number} ({status_of(twin, runs)})"
            often = f", {len(spent)} times, and no run counts" if again else ""
            reply.warnings.append(f"{tried}{often}; it was not run again.")
        reply.next = f"read_score({twin.number}) has the details."
        return reply
    return None


def _run_again(twin: Experiment, last: Run, spent: Sequence[Run]) -> str:
    """What a second run of the same code costs."""
    said = f"Experiment {twin.number} is run again; it does not count as another attempt"
    if not excused(last):
        return f"{said}, but as another look at its seed ({looks(spent)[last.seed] + 1} now)."
    left = excuses_left(spent, last.seed)
    if not left:
        return f"{said}, but as another look at its seed: no more runs of it are excused."
    return f"{said}, for what ended it came from outside ({left} such runs are excused)."


def warnings_of(experiment: Experiment, tried: Sequence[Experiment]) -> list[str]:
    warnings = []
    if tried:
        warnings.append(
            f"The same change was tried on another base as experiment {tried[-1].number}; this one is a retest."
        )
    if experiment.protocol:
        warnings.append(f"It touches {'; '.join(experiment.protocol[:3])}: such a change is not kept for its score.")
    return warnings
