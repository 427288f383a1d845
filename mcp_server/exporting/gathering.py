"""Brings `rows` and targets the attempts of a lab: from the ledger, and their constants from the measured commits."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from mcp_server.campaign.attempt import read
from mcp_server.campaign.bench import Bench, Readable
from mcp_server.edits.constants import knobs
from mcp_server.exporting import targets
from mcp_server.exporting.done import Done
from mcp_server.exporting.rows import Row, constants_of, row_of
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import locked
from mcp_server.nouns.rows import Campaign

MOST_REMEMBERED = 4096
_knobs: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}  # of a commit: it never changes


def gathered(lab: Readable, *, every: bool = False) -> list[Row]:
    """The attempts of the campaign here, or of all campaigns of the lab; oldest first.

    The lab is caught up with under its lock; what it says is read after that, so that nobody waits.
    Raises AutoresearchError.
    """
    if every:
        with lab.reading_all() as bench:
            campaigns = [one for one in bench.ledger.campaigns() if one.ready]
    else:
        with lab.reading() as (bench, campaign, _):
            campaigns = [campaign]
    return [row for campaign in campaigns for row in rows_of(bench, campaign)]


def sent(lab: Readable, target: str, where: str, project: str | None, *, every: bool) -> Done:
    """Gather and export; the project is called like the repository's folder unless told. Raises AutoresearchError."""
    if not lab.paths.ledger.exists():
        gathered(lab, every=every)  # says that there is no lab
    # two at once would both miss what the other is about to write
    with locked(lab.paths.state / "export.lock"):
        return targets.export(target, gathered(lab, every=every), where, project or lab.paths.common.parent.name)


def rows_of(bench: Bench, campaign: Campaign) -> list[Row]:
    """One campaign's attempts. Raises AutoresearchError."""
    arena = bench.arena(campaign)
    experiments = bench.ledger.experiments(campaign.tag)
    moved = {name for one in experiments for name, _, _ in one.knobs}
    found = []
    with bench.workspace.git.at_hand():
        for one in experiments:
            told = _constants(bench, one.snapshot, arena.editable) or {n: b for n, _, b in one.knobs if b is not None}
            found.append(row_of(read(bench.ledger, one), bench.ledger.lab, arena.metric, constants_of(told, moved)))
    return sorted(found, key=lambda row: row.experiment)


def _constants(bench: Bench, commit: str, patterns: Sequence[str]) -> dict[str, str]:
    """Nothing where the commit is gone."""
    key = commit, tuple(patterns)
    if key not in _knobs:
        if len(_knobs) >= MOST_REMEMBERED:
            _knobs.clear()
        _knobs[key] = {}
        with contextlib.suppress(AutoresearchError):
            files = bench.workspace.committed(patterns, commit)
            _knobs[key] = knobs({path: text for path, text in files.items() if PurePosixPath(path).suffix == ".py"})
    return _knobs[key]
