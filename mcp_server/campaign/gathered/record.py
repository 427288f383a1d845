"""Brings `decide` what the night has proven: the bets on all looks, in the order of the decisions.

An attempt that lies undecided counts as far as it speaks against the night. Else whoever decides on the lucky ones and
passes over the rest, as an agent does that simply goes on to its next idea, would be rich by luck.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from itertools import takewhile
from statistics import fmean

from mcp_server.arena.program import Arena
from mcp_server.campaign.gathered.front import with_front
from mcp_server.judging.verdict import Evidence, Record
from mcp_server.judging.weighing import CONFIRMED_AT, Case
from mcp_server.ledger import Ledger
from mcp_server.nouns.numbers import LARGEST_SCORE
from mcp_server.nouns.records import Kind
from mcp_server.nouns.rows import Experiment

NOTED_EVERY = 32  # decisions; a few are soon added up, and each note is a write to the disk


def record_of(ledger: Ledger, tag: str) -> Record:
    """What the night has proven, in the order of its decisions; added up from where it was last noted."""
    turn, evidence, proven, spent = ledger.record(tag)
    record = Record(evidence, proven, spent)
    for _, one in ledger.decided(tag, after=turn):
        record = _after(record, one)
    return record


def note_record(ledger: Ledger, tag: str) -> None:
    """Note what the night has proven, as far as git has followed: what is settled never changes again."""
    turn, evidence, proven, spent = ledger.record(tag)
    settled = list(takewhile(lambda one: one[1].settled, ledger.decided(tag, after=turn)))
    if len(settled) < NOTED_EVERY:
        return
    record = Record(evidence, proven, spent)
    for _, one in settled:
        record = _after(record, one)
    ledger.note_record(tag, settled[-1][0], record.evidence, record.proven, record.spent)


def _after(record: Record, one: Experiment) -> Record:
    said = one.verdict
    kept = one.decision == "keep" and one.kind != Kind.BASELINE
    if said.evidence is not None:
        record = replace(record, lying=said.lying).after(said.evidence, said.lost if kept else 0.0)
    # a campaign that an older version began goes on: what it was sure of counts as proven
    if kept and said.version < 2 and (said.probability or 0.0) >= CONFIRMED_AT:
        record = replace(record, proven=True)
    return record


def with_undecided(given: Evidence, ledger: Ledger, arena: Arena, experiment: Experiment) -> Evidence:
    """With the e-values of all other attempts that are scored and undecided, as wide as this comparison is."""
    tag = experiment.campaign
    lying = (one for one in ledger.undecided(tag) if one.kind != Kind.BASELINE)
    others = {one.number: one for one in lying if one.number != experiment.number}
    if not others or given.record.proven:
        return given
    scores: defaultdict[int, dict[int, float]] = defaultdict(dict)
    beside: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for run in ledger.scored_runs(tag):
        scores[run.experiment][run.seed] = -arena.loss(run.score)
    for number, seed, _, incumbent, _, score in ledger.measured_beside(tag):
        if incumbent != number and seed in scores.get(number, {}):
            beside[number][seed] = -arena.loss(score)
    bets = []
    for number in sorted(others.keys() & scores.keys()):
        if beside[number] or given.incumbent:
            own = replace(given, candidate=scores[number], beside=beside[number], called_off=0, units=None)
            bets.append(_bet(own, ledger, arena, others[number]))
    lost = math.exp(sum(min(0.0, math.log(max(bet, 1e-12))) for bet in bets))
    return replace(given, record=replace(given.record, lying=lost))


def _bet(own: Evidence, ledger: Ledger, arena: Arena, one: Experiment) -> float:
    """What the bet on an attempt that lies there has come to: of several metrics the average, as `step` has it."""
    if not arena.front or one.base is None:
        return Case.of(own).evidence
    front = with_front(own, ledger, arena, one, ledger.experiment(one.campaign, one.base)).front
    assert front is not None
    parts = (own, *front[1].values())
    return fmean(Case.of(part).evidence if _told(part) else 0.0 for part in parts)


def _told(part: Evidence) -> bool:
    """Whether a metric has numbers on both sides."""
    values = (*part.candidate.values(), *part.incumbent.values(), *part.beside.values())
    return bool(part.candidate and (part.beside or part.incumbent)) and all(abs(one) < LARGEST_SCORE for one in values)
