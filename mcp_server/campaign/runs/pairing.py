"""Brings `pairing` its facts from the ledger and the machine, and says which run has whom beside it."""

from __future__ import annotations

from mcp_server.arena.program import Arena
from mcp_server.campaign.evidence import began_from
from mcp_server.campaign.exam import runs_of
from mcp_server.campaign.runs.dispatch import resolve_budget, resolve_devices
from mcp_server.judging.pairing import Choice, Machine, Work, choose
from mcp_server.ledger import Ledger
from mcp_server.nouns.records import Kind, Pairing, Purpose
from mcp_server.nouns.rows import Campaign, Experiment, Run
from mcp_server.runner.environment import thread_count
from mcp_server.runner.machine import cores, devices
from mcp_server.runner.process.limits import available_memory

PAIRED = (
    Purpose.FIRST,
    Purpose.REPEAT,
    Purpose.SEED,
    Purpose.RETRY,
    Purpose.CONFIRM,
)  # purposes; an anchor is a run of the incumbent alone


def choice_of(ledger: Ledger, arena: Arena, campaign: Campaign) -> Choice:
    """How attempts of this campaign run from now on."""
    if arena.score_incumbent:
        return Choice("", "the score command measures the incumbent in the same slot")
    if arena.handover is not None:
        return Choice("", "what the world answers is not moved by this machine")
    usable = resolve_devices(arena)
    budget = resolve_budget(arena, usable)
    equal = max((len(cards) for cards in devices.equal_cards(usable)), default=0)
    kind, processors = usable[0].partition(":")[0], cores.usable()
    if arena.engine.name == "ray":
        # what the lease says; the node that gets the run has the last word, as every machine has
        equal, processors = len(usable) if kind == "cuda" else 0, int(arena.engine.resources.get("CPU", processors))
    share = len(usable) if kind == "cpu" else 1  # of the processor, where it has several places
    here = max(1, processors // share)
    machine = Machine(kind, equal, here, available_memory() / share)
    asked = None if arena.threads == "auto" else arena.threads
    # where all cores are one run's, half of them are one half's
    threads = thread_count(asked, budget.clock, kind == "cuda", max(1, here // 2))
    spreads = ledger.repeat_spreads(campaign.tag)
    exact = bool(spreads) and max(spreads) == 0.0
    work = Work(budget.clock, threads, _needed(ledger, campaign.tag), exact)
    return choose(arena.keep.pairing, machine, work)


def _needed(ledger: Ledger, tag: str) -> float | None:
    """The most memory that a run of the incumbent held, in bytes."""
    incumbent = ledger.incumbent(tag)
    runs = [] if incumbent is None else ledger.runs(tag, incumbent.number)
    held = [run.result.peak_memory_mb for run in runs if run.result is not None and run.result.peak_memory_mb]
    return max(held) * 1e6 if held else None


def beside(
    ledger: Ledger, arena: Arena, campaign: Campaign, run: Run, experiment: Experiment, rescore: bool = False
) -> tuple[Experiment | None, Pairing]:
    """Whom a run has beside it in its slot, and how that one is trained there; "": it is not, the scorer measures it.

    It is what the attempt began from, the incumbent of its time; a baseline has itself while its noise is measured.
    rescore: only the scorer is asked again.
    """
    incumbent = ledger.incumbent(run.campaign)
    if incumbent is not None:  # an attempt is compared with what it began from, whatever was kept meanwhile
        incumbent = began_from(ledger, experiment, incumbent) or incumbent
    if arena.score_incumbent:
        return (None if run.purpose == Purpose.EXAM else _other(incumbent, experiment)), ""
    sealed = run.result if rescore else None  # as it was when both were sealed
    if sealed is not None:
        if sealed.beside is None or sealed.incumbent is None or sealed.pairing == "scorer":
            return None, ""
        return ledger.experiment(run.campaign, sealed.incumbent), sealed.pairing
    if run.purpose == Purpose.EXAM:
        other = _examined_beside(ledger, run)
    elif run.purpose not in PAIRED:
        other = None
    elif experiment.kind == Kind.BASELINE and run.purpose != Purpose.CONFIRM:
        other = experiment
    else:
        other = _other(incumbent, experiment)
    pairing = "" if other is None else choice_of(ledger, arena, campaign).pairing
    return (other, pairing) if pairing else (None, "")


def _examined_beside(ledger: Ledger, run: Run) -> Experiment | None:
    """The baseline of an exam, where it has no run of its own on this seed."""
    exam = ledger.exam(run.campaign)
    if exam is None or run.experiment != exam.incumbent or run.seed not in exam.seeds:
        return None
    alone = any(one.seed == run.seed for one in runs_of(ledger, exam, exam.baseline))
    return None if alone else ledger.experiment(run.campaign, exam.baseline)


def _other(incumbent: Experiment | None, experiment: Experiment) -> Experiment | None:
    return None if incumbent is None or incumbent.number == experiment.number else incumbent
