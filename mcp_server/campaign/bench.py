"""One lab seen from one work tree: what every verb is handed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from mcp_server.arena.program import Arena, Program, parse_program
from mcp_server.engines import Engine
from mcp_server.ledger import Ledger
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.paths import LabPaths, RunPaths
from mcp_server.nouns.records import Order
from mcp_server.nouns.rows import Campaign, Experiment, Run
from mcp_server.repo.workspace import Workspace


@dataclass(frozen=True)
class Bench:
    """One lab seen from one work tree. `now` is UTC; passing it in keeps time an argument."""

    workspace: Workspace
    paths: LabPaths
    ledger: Ledger
    now: Callable[[], datetime]
    engine: Engine
    named: str | None = None  # a campaign the caller named

    def stamp(self) -> str:
        return self.now().isoformat(timespec="milliseconds")

    def program(self, digest: str) -> Program:
        """A version of program.md that was in force, from the ledger."""
        text = self.ledger.program_text(digest)
        assert text is not None  # the foreign key sees to it
        return parse_program(text, in_force=True)

    def arena(self, of: Campaign | Experiment) -> Arena:
        return self.program(of.program).arena

    def rules_of(self, campaign: Campaign, experiment: Experiment) -> Arena:
        """By what an attempt is judged: the rules it was made under, as its runs are, whatever was changed since.

        When the campaign ends, and what may be told of single examples, is today's.
        """
        now = self.arena(campaign)
        if experiment.program == campaign.program:
            return now
        return self.arena(experiment).model_copy(update={"stop": now.stop, "units": now.units})

    def folder(self, run: Run) -> RunPaths:
        return self.paths.run(run.campaign, run.experiment, run.run)

    def order_of(self, run: Run) -> Order | None:
        """What this ledger ordered with a run; None for one that an older version opened."""
        if not run.run_id:
            return None
        snapshot = self.ledger.experiment(run.campaign, run.experiment).snapshot
        return Order(lab=self.ledger.lab, snapshot=snapshot, run_id=run.run_id)

    def tree_of(self, experiment: Experiment) -> Workspace | None:
        """The work tree an experiment came from, if it still exists; also where its folder was moved and this is it."""
        if experiment.tree == str(self.paths.tree):
            return self.workspace
        with contextlib.suppress(AutoresearchError):
            found = Workspace(Path(experiment.tree))
            # another repository may lie there by now, and is none of ours
            if found.paths.common == self.paths.common:
                return found
        with contextlib.suppress(AutoresearchError):
            if self.workspace.nothing_changed(self.arena(experiment).editable, experiment.snapshot):
                return self.workspace
        return None


class Books(Protocol):
    """What says how a campaign stands: the ledger, where the lab lies, what time it is. A bench is that, and more."""

    @property
    def paths(self) -> LabPaths: ...

    @property
    def ledger(self) -> Ledger: ...

    @property
    def now(self) -> Callable[[], datetime]: ...


class Readable(Protocol):
    """What opens a lab to be read: `Lab`, for the rooms below it that show more than a verb says."""

    paths: LabPaths
    workspace: Workspace

    def reading(self) -> AbstractContextManager[tuple[Bench, Campaign, Arena]]: ...

    def reading_all(self) -> AbstractContextManager[Bench]: ...


def incumbent_commit(ledger: Ledger, campaign: Campaign) -> str:
    """The commit that the branch is expected to point at."""
    incumbent = ledger.incumbent(campaign.tag)
    return incumbent.commit_sha if incumbent is not None and incumbent.commit_sha else campaign.pinned
