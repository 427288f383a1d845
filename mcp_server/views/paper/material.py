"""What a paper is made of: the attempts it is about, with their ablations, replications and curves, from the ledger."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mcp_server.campaign.attempt import Attempt, read
from mcp_server.campaign.bench import Readable
from mcp_server.community.claims.desk import Desk
from mcp_server.community.claims.hearing import heard
from mcp_server.community.claims.pooling import Pool, pool
from mcp_server.community.contract import contract_of
from mcp_server.ledger import Ledger
from mcp_server.ledger.measured import Measured, measured
from mcp_server.nouns.decided import NORMAL_95
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.exchanged import SHORT
from mcp_server.nouns.records import CurvePoint, Kind
from mcp_server.nouns.text import clean_line
from mcp_server.views.findings import Findings, gather

MOST_CURVES = 6
SHORTEST_WORD = 4  # letters; shorter words of a question choose nothing


@dataclass(frozen=True)
class Scope:
    """What a paper is about: a campaign, one kept change of it, or what bears on a question."""

    kept: int | None = None
    question: str = ""


@dataclass(frozen=True)
class Measurement:
    """One measurement of an effect, as a line of the forest plot. Gains are positive when better."""

    record: str  # #n of this campaign, or LAB/n of another lab
    gain: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Curve:
    """The training curve of one run."""

    number: int
    name: str
    points: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class Material:
    """All that a paper says. `found` is narrowed to what the paper is about; totals stay the campaign's."""

    scope: Scope
    found: Findings
    baseline: Attempt
    course: tuple[Attempt, ...]  # all decided attempts of the campaign, in order
    contract: str
    seeds: tuple[int, ...]
    exam_seeds: tuple[int, ...]
    agents: tuple[str, ...]
    ablations: dict[int, list[Attempt]]  # by kept change, the runs without it
    replications: dict[int, list[Measurement]]  # by kept change, who else measured the same edit
    curves: tuple[Curve, ...]

    @property
    def told(self) -> dict[int, Attempt]:
        """Every attempt that the paper may speak of."""
        return {one.number: one for one in (self.baseline, *self.course)}


def collect(lab: Readable, scope: Scope) -> Material:
    """Read it, beside the lab's lock. Raises NotNow where there is nothing to write about, UnknownExperiment."""
    with lab.reading() as (bench, campaign, arena):
        pass
    found, tag = gather(lab), campaign.tag
    beside = Ledger(bench.paths.ledger)
    try:
        course = [read(beside, one) for one in beside.experiments(tag) if one.decision is not None]
        baseline = next((one for one in course if one.experiment.kind == Kind.BASELINE), None)
        if baseline is None:
            raise NotNow(f"Campaign {tag} has no decided baseline yet, so there is nothing a gain could be over.")
        # what was run without a keep says how good that was: an ablation, and no failure
        failed = tuple(one for one in found.failed if one.experiment.kind != Kind.PRUNE)
        found = _narrowed(replace(found, failed=failed), scope)
        exam = beside.exam(tag)
        return Material(
            scope=scope,
            found=found,
            baseline=baseline,
            course=tuple(one for one in course if one.number != baseline.number),
            contract=contract_of(lab.workspace, campaign, arena),
            seeds=tuple(sorted({run.seed for one in course for run in one.runs if run.counts})),
            exam_seeds=exam.seeds if exam is not None and found.totals.exam_gain is not None else (),
            agents=tuple(sorted({one.experiment.proposer.agent for one in course})),
            ablations=_ablations(found.kept, course),
            replications=_replications(lab, beside, found),
            curves=_curves([baseline, *found.kept]),
        )
    finally:
        beside.close()


def _narrowed(found: Findings, scope: Scope) -> Findings:
    """To one kept change and what failed on its theme, or to what shares a word with the question."""
    if scope.kept is not None:
        kept = tuple(one for one in found.kept if one.number == scope.kept)
        if not kept:
            raise NotNow(f"#{scope.kept} is no kept change of {found.campaign.tag}. `autoresearch history` lists them.")
        theme = kept[0].experiment.theme
        return replace(found, kept=kept, failed=tuple(one for one in found.failed if one.experiment.theme == theme))
    if not scope.question:
        return found
    words = _words(scope.question)
    kept, failed = (tuple(one for one in some if words & _spoken(one)) for some in (found.kept, found.failed))
    if not kept and not failed:
        raise NotNow(
            f"No attempt of {found.campaign.tag} shares a word of {SHORTEST_WORD} letters with the question. "
            "`autoresearch recall` shows the words they were described with."
        )
    return replace(found, kept=kept, failed=failed)


def _words(text: str) -> set[str]:
    return {one for one in re.findall(r"[^\W\d_]+", text.lower()) if len(one) >= SHORTEST_WORD}


def _spoken(one: Attempt) -> set[str]:
    said = one.experiment
    names = " ".join(name for name, _, _ in said.knobs)
    return _words(f"{said.description} {said.hypothesis} {said.theme} {names}")


def _ablations(kept: Sequence[Attempt], course: Sequence[Attempt]) -> dict[int, list[Attempt]]:
    found: dict[int, list[Attempt]] = {}
    numbers = {one.number for one in kept}
    for one in course:
        number = one.experiment.takes_back
        if number is not None and one.gain is not None and number in numbers:
            found.setdefault(number, []).append(one)
    return found


def _replications(lab: Readable, ledger: Ledger, found: Findings) -> dict[int, list[Measurement]]:
    """Who else measured each kept change: this lab again, and other labs where it has joined a community."""
    told, tag = _told_elsewhere(lab, found), found.campaign.tag
    result = {}
    for one in found.kept:
        edit = one.experiment.edit
        again = [other for other in ledger.same_edit(edit, tag) if other.number != one.number] if edit else []
        lines = [
            Measurement(f"#{other.number}", other.verdict.change, other.verdict.interval)
            for other in again
            if other.verdict.change is not None and other.kind != Kind.PRUNE
        ]
        own = {m.name for m in told if m.own and m.edit and m.edit == edit[: len(m.edit)]}
        for m in told:
            same = bool(m.edit) and m.edit == edit[: len(m.edit)]
            if not m.own and (same or m.repeats in own or m.name == one.experiment.repeats):
                lines.append(_elsewhere(m))
        if lines:
            result[one.number] = lines
    return result


def _told_elsewhere(lab: Readable, found: Findings) -> list[Measured]:
    """Measurements of our own journal and of labs that the address book hears, as for the status of a claim."""
    desk = Desk(lab.paths.state, lab.workspace)
    if not desk.joined:
        return []
    with contextlib.suppress(AutoresearchError), desk.open() as foreign:
        view = desk.view(foreign, contract := desk.contract(foreign, found.campaign, found.arena))
        return [one for one in measured(foreign, contract) if heard(view.trust, view.own, one.lab)]
    return []


def _elsewhere(one: Measured) -> Measurement:
    half = None if one.deviation is None else NORMAL_95 * one.deviation
    edges = None if half is None else (one.gain - half, one.gain + half)
    return Measurement(f"{one.lab[:SHORT]}/{one.n}", one.gain, edges)


def pooled(lines: Sequence[Measurement]) -> Pool | None:
    """What all of them say together, by random effects; None of nothing."""
    return pool([(one.gain, None if one.interval is None else _deviation(one.interval)) for one in lines])


def _deviation(edges: tuple[float, float]) -> float:
    return (edges[1] - edges[0]) / (2 * NORMAL_95)


def _curves(attempts: Sequence[Attempt]) -> tuple[Curve, ...]:
    found = []
    for one in attempts:
        told = [run.result.curve for run in one.runs if run.counts and run.result is not None and run.result.curve]
        if told:
            name = "baseline" if one.experiment.kind == Kind.BASELINE else clean_line(one.experiment.description, 40)
            found.append(Curve(one.number, name, told[0]))
    return tuple(found[:1] + found[1:][-(MOST_CURVES - 1) :])
