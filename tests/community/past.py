"""Labs with a past, without waiting for runs: real git, real ledger; every fact is written as a verb writes it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mcp_server.arena.program import parse_program
from mcp_server.community.exchange import Exchange, Report
from mcp_server.community.settings import Kind, Places, Settings, write_settings
from mcp_server.community.wire.store import Store
from mcp_server.edits.fingerprint import change, fingerprint, knob_changes, nodes
from mcp_server.edits.themes import theme
from mcp_server.ledger import Ledger
from mcp_server.ledger.foreign import Foreign
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.records import DeviceReading, RunResult, RunState
from mcp_server.nouns.rows import Campaign, Experiment
from mcp_server.repo.workspace import Workspace
from tests.labs import SCORE, TRAIN, edit, make_lab

AT = "2026-01-01T00:00:00.000+00:00"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
CARD = "NVIDIA H200 (GPU-12345678-1234-1234-1234-123456789abc)"
ENDS = {
    "kept": RunState.SCORED,
    "discarded": RunState.SCORED,
    "crashed": RunState.CRASHED,
    "cancelled": RunState.CANCELLED,
    "lost": RunState.LOST,
    "rejected": RunState.REJECTED,
    "timeout": RunState.TIMEOUT,
}


class Past:
    """One lab whose attempts are written, not run."""

    def __init__(
        self, folder: Path, tag: str = "first", train: str = TRAIN, noise: float = 0.0, score: str = SCORE
    ) -> None:
        self.lab = make_lab(folder, train=train, noise=noise, score=score)
        self.workspace: Workspace = self.lab.workspace
        self.ledger = Ledger(self.lab.paths.ledger)
        self.tag, self.incumbent = tag, 0
        text = self.lab.paths.program.read_text()
        program = parse_program(text)
        self.arena = program.arena
        self.ledger.note_program(program.digest, text, AT)
        pinned = self.workspace.resolve("HEAD")
        campaign = Campaign(tag, pinned, AT, 1, 0, None, None, "secret", program.digest, False)
        self.ledger.intend_campaign(campaign, str(self.lab.paths.tree))
        self.workspace.begin(tag, pinned, self.arena.editable)
        self.ledger.campaign_ready(tag)
        self.campaign = campaign
        self.tip = pinned
        self.attempt("kept", "the unchanged code", kind="baseline", score=4.0)

    @property
    def places(self) -> Places:
        return Places.of(self.lab.paths.state)

    def attempt(
        self,
        status: str = "discarded",
        description: str = "move KNOB",
        *,
        kind: str = "attempt",
        gain: float = -0.5,
        score: float = 4.5,
        lesson: str = "",
        label: str = "provisional",
        source: str | None = None,
        **constants: float,
    ) -> int:
        """One decided attempt; its number."""
        before = self.workspace.committed(self.arena.editable, self.tip)
        if source is not None:
            (self.lab.paths.tree / "train.py").write_text(source)
        edit(self.lab, **constants)
        files = self.workspace.read_editable(self.arena.editable, self.tip)
        number = self.ledger.next_number(self.tag)
        knobs = tuple((c.name, c.before or "absent", c.after or "absent") for c in knob_changes(before, files))
        made = self.workspace.snapshot(self.arena.editable, self.tip, "attempt", AT, tag=self.tag, number=number)
        one = Experiment(
            campaign=self.tag,
            number=number,
            kind=kind,
            description=description,
            hypothesis="nobody else's business",
            expected_delta=None,
            snapshot=made.commit,
            base=self.incumbent or None,
            fingerprint=fingerprint(files),
            edit=change(before, files),
            nodes=nodes(files),
            knobs=knobs,
            protocol=(),
            theme=theme(description, [name for name, _, _ in knobs]),
            program=self.campaign.program,
            style=None,
            opened_at=AT,
            tree=str(self.lab.paths.tree),
        )
        self.ledger.open_experiment(one, [(1, "first")])
        self.ledger.vaulted(self.tag, number)
        scored = ENDS[status] is RunState.SCORED
        device = DeviceReading(name="cuda:0", identity=CARD)
        result = RunResult(state=ENDS[status], score=score if scored else None, device=device, steps=100)
        self.ledger.close_run(self.ledger.runs(self.tag, number)[0], result, AT)
        told = Decided(
            score=score if scored else None,
            change=gain if scored and kind != "baseline" else None,
            low=gain - 0.1 if scored and kind != "baseline" else None,
            high=gain + 0.1 if scored and kind != "baseline" else None,
            noise_widths=gain / 0.05 if scored and kind != "baseline" else None,
            outcome=status,
            code="gain" if status == "kept" else "worse",
        )
        if lesson:
            self.ledger.add_learning(self.tag, number, lesson, [], "agent", AT)
        decision = "keep" if status == "kept" else "revert"
        self.ledger.intend(self.tag, number, decision, label if decision == "keep" else None, told, AT)
        self.ledger.settle(self.tag, number, decision, made.commit if decision == "keep" else None)
        if decision == "keep":
            self.incumbent, self.tip = number, made.commit
        else:
            original = self.workspace.committed(self.arena.editable, self.tip)
            (self.lab.paths.tree / "train.py").write_bytes(original["train.py"])
        return number

    def relabel(self, number: int, label: str) -> None:
        """As `prune` and confirmations do: a keep becomes surer."""
        with self.ledger._fact():
            self.ledger._db.execute("UPDATE experiments SET label = ? WHERE number = ?", (label, number))

    def join(self, remote: str | Path, kind: Kind = "folder", **settings: object) -> None:
        plain = Settings(remote=str(remote), kind=kind, name=self.lab.paths.tree.name)
        write_settings(self.places, plain.model_copy(update=settings))

    def exchange(self, bundle: Path | None = None) -> Report:
        where = Settings(remote=str(bundle), kind="bundle") if bundle else None
        with Exchange(self.workspace, lambda: NOW, patience=10.0) as exchange:
            self.places.last.unlink(missing_ok=True)  # no test waits for a period
            return exchange.run(bundle=where)

    @property
    def store(self) -> Store:
        return Store.at(self.places.store)

    def foreign(self) -> Foreign:
        return Foreign(self.places.records)

    def table(self) -> list[tuple[str, int, str, str]]:
        """Everything known, in an order of its own: (lab, n, status, line)."""
        foreign = self.foreign()
        try:
            rows = foreign._rows("SELECT lab, n, status, line FROM records ORDER BY lab, n")
            return [tuple(row) for row in rows]
        finally:
            foreign.close()


def replace_experiment(one: Experiment, **changes: Any) -> Experiment:
    return dataclasses.replace(one, **changes)
