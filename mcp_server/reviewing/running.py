"""Runs what a reviewer asked for, one after the other within a budget, and remembers each outcome as it comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcp_server.arena.program import Arena
from mcp_server.campaign import waiting
from mcp_server.campaign.transfers.adopting import own_edit
from mcp_server.community.claims.desk import Desk
from mcp_server.community.outgoing import machine_class
from mcp_server.lab import Lab
from mcp_server.ledger.measured import measured
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.errors import AutoresearchError, NotNow
from mcp_server.nouns.exchanged import Edit
from mcp_server.nouns.rows import Campaign, Proposer
from mcp_server.reviewing.bench import Trial, failed, tried
from mcp_server.reviewing.opening import remember
from mcp_server.reviewing.sheet import NOT_RUN, Claimed, Outcome, Request, Review, Sheet

Files = Mapping[str, bytes]
SCORER_BYTES = 1_000_000


@dataclass(frozen=True)
class Ground:
    """What requested runs stand on: the lab's campaign with its rules and machine."""

    lab: Lab
    campaign: Campaign
    arena: Arena
    program: str
    machine: str
    proposer: Proposer

    @classmethod
    def of(cls, lab: Lab, proposer: Proposer) -> Ground:
        with lab.reading() as (bench, campaign, arena):
            baseline = bench.ledger.baseline(campaign.tag)
            text = bench.ledger.program_text(campaign.program)
            if baseline is None or text is None:
                raise NotNow("This campaign has no baseline yet, so nothing can be compared here. Wait for it.")
            return cls(lab, campaign, arena, text, machine_class(baseline.runs), proposer)

    @property
    def desk(self) -> Desk:
        """Where claims of other labs are looked at."""
        return Desk(self.lab.paths.state, self.lab.workspace)

    def edit(self, review: Review, claim: Claimed) -> Edit:
        """The change of a claim. Raises AutoresearchError."""
        if not claim.name.startswith("#"):
            return self.desk.edit(self.campaign, self.arena, claim.name)
        if review.campaign != self.campaign.tag:
            raise NotNow(f"The paper is about campaign {review.campaign}; check that out, or name it with --campaign.")
        with self.lab.reading() as (bench, campaign, arena):
            return own_edit(bench, campaign, arena, int(claim.name[1:]))

    def best(self, claim: Claimed) -> Files:
        """The newest kept code of the paper's author. Raises AutoresearchError."""
        if claim.name.startswith("#"):
            with self.lab.reading() as (bench, campaign, arena):
                incumbent = bench.ledger.incumbent(campaign.tag)
                assert incumbent is not None  # a kept change was claimed
                return bench.workspace.committed(arena.editable, incumbent.snapshot)
        desk = self.desk
        lab, _, number = claim.name.partition("/")
        with desk.open() as foreign:
            told = measured(foreign, desk.contract(foreign, self.campaign, self.arena))
        newest = max((one.n for one in told if one.lab.startswith(lab) and one.kept and one.code), default=int(number))
        return desk.code(self.arena, f"{lab}/{newest}")[1]


def run_all(
    lab: Lab, review: Review, sheet: Sheet, most: int, proposer: Proposer, say: Callable[[str], None]
) -> tuple[Review, int]:
    """Run what is asked for and was not run, at most so many; the review, and how many requests are left.

    proposer: whom an adopted edit is recorded for. An interrupt loses the run it was in, and no other. Raises
    AutoresearchError where nothing can be run at all.
    """
    ground, left = Ground.of(lab, proposer), 0
    for claim in review.claims:
        for request in sheet.requests.get(claim.name, ()):
            if request in review.done(claim.name):
                continue
            if most <= 0:
                left += 1
                continue
            say(f"{claim.name}: {request.words()}")
            outcome = _outcome(ground, review, claim, request)
            most -= not outcome.why.startswith(NOT_RUN)
            before = [one for one in review.outcomes.get(claim.name, ()) if one.request != request]
            told = (*before, outcome)
            review = review.model_copy(update={"outcomes": {**review.outcomes, claim.name: told}})
            remember(lab, review)
    return review, left


def _outcome(ground: Ground, review: Review, claim: Claimed, request: Request) -> Outcome:
    """One requested run. What cannot be run is an outcome too, and says why."""
    if request.kind == "machine" and request.value.lower() not in ground.machine.lower():
        return Outcome(request=request, why=f"{NOT_RUN}no such machine here ({ground.machine or 'unknown'})")
    try:
        edit = ground.edit(review, claim)
        if request.kind == "repeat" and not claim.name.startswith("#"):
            return _adopted(ground.lab, edit, request, ground.proposer)
        base, candidate = edit.before, edit.after
        if request.kind == "ablate":
            candidate = ground.best(claim)
            without = ground.lab.workspace.merge(candidate, edit.after, edit.before)
            if without.conflicts:
                return Outcome(request=request, why=f"{NOT_RUN}later changes build on it, it cannot be taken out alone")
            base = without.files
        trial = Trial(
            base,
            candidate,
            seed=int(request.value) if request.kind == "seeds" else None,
            seconds=float(request.value) if request.kind == "budget" else None,
            scorer=_scorer(ground.lab, request.value) if request.kind == "scorer" else None,
        )
        folder = ground.lab.paths.state / "reviews" / f"{review.id}-{os.getpid()}"
        found = tried(ground.lab, ground.campaign.pinned, ground.program, trial, folder)
    except AutoresearchError as error:
        return Outcome(request=request, why=f"{NOT_RUN}{failed(error)}")
    return _measured(request, found, "on a bench of its own")


def _scorer(lab: Lab, name: str) -> tuple[str, bytes]:
    """A program of the reviewer's own in its work tree, and its path there. Raises NotNow."""
    tree = lab.paths.tree.resolve()
    path = (tree / name).resolve()
    if not path.is_relative_to(tree) or ".git" in path.relative_to(tree).parts or not path.is_file():
        raise NotNow(f"there is no file {name} in this work tree to score with")
    if path.stat().st_size > SCORER_BYTES:
        raise NotNow(f"{name} is larger than {SCORER_BYTES:,} bytes")
    return str(path.relative_to(tree)), path.read_bytes()


def _adopted(lab: Lab, edit: Edit, request: Request, proposer: Proposer) -> Outcome:
    """A repeat of another lab's edit is an adoption: decided like any attempt, and told to the community."""
    begun = lab.run_experiment(source=edit.name, proposer=proposer)
    waiting.until_finished(lab, begun.experiment)
    waiting.until_decided(lab, begun.experiment, "auto")
    with lab.reading() as (bench, campaign, _):
        verdict = bench.ledger.experiment(campaign.tag, begun.experiment).verdict
    return _measured(request, verdict, f"#{begun.experiment} here")


def _measured(request: Request, verdict: Decided, where: str) -> Outcome:
    if verdict.change is None:
        return Outcome(request=request, where=where, why=f"no gain was measured: {verdict.reason[:160]} ({where})")
    low, high = verdict.interval or (None, None)
    return Outcome(request=request, gain=verdict.change, low=low, high=high, where=where)
