"""A promising change whose beginnings are the incumbent no more: made on the present one, to be measured there.

Agents propose while others run, so what they propose stands on an incumbent that another proposal may have replaced by
the time it is judged. The referee then compares it with what it began from, and where it is worth another look its
change is merged onto the present incumbent. That is another code, so it is an attempt of its own, on a seed that did
not choose it, and kept or not by its own score. Where both changed the same lines the change's are tried, and said.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from mcp_server.arena.program import Arena
from mcp_server.campaign.bench import Bench, incumbent_commit
from mcp_server.campaign.intake import DESCRIPTION_LIMIT, Asked, not_python, take_in
from mcp_server.edits.fingerprint import fingerprint
from mcp_server.nouns.records import Kind
from mcp_server.nouns.rows import Campaign, Experiment
from mcp_server.nouns.text import clean_line

CLASH_CHARACTERS = 300


@dataclasses.dataclass(frozen=True)
class Rebased:
    """What became of the change: the attempt that carries it on, or why there is none to make.

    same: the candidate has what was kept since in it already, so it is judged as it is. clash: where both changed the
    same lines, in words.
    """

    number: int | None = None
    same: bool = False
    why: str = ""
    clash: str = ""


def rebase(bench: Bench, campaign: Campaign, arena: Arena, found: Experiment) -> Rebased:
    """Make the change of `found` on the present incumbent and order its run. Calling again finds what was made.

    The work tree is left alone: the next idea may lie there already. Raises NotNow where the disk is full.
    """
    incumbent = bench.ledger.incumbent(campaign.tag)
    assert incumbent is not None
    assert found.base is not None
    made = bench.ledger.carried_on(campaign.tag, found.number)
    if made is not None and made.base == incumbent.number:
        return Rebased(made.number)
    base = bench.ledger.experiment(campaign.tag, found.base)
    now = bench.workspace.committed(arena.editable, incumbent_commit(bench.ledger, campaign))
    before, after = (bench.workspace.committed(arena.editable, one.snapshot) for one in (base, found))
    merged = bench.workspace.merge(now, before, after, theirs=True)
    marks = fingerprint(merged.files)
    if marks == fingerprint(after):
        bench.ledger.stands_on(campaign.tag, found.number, incumbent.number)
        return Rebased(same=True)
    has = f"experiment {incumbent.number} has this change already" if marks == fingerprint(now) else ""
    why = has or _hopeless(bench, campaign, merged.files, marks)
    clash = clean_line(merged.words(), CLASH_CHARACTERS) if merged.conflicts else ""
    if why:
        return Rebased(why=why, clash=clash)
    kind = found.kind if found.kind in (Kind.PRUNE, Kind.REPLICATION) else Kind.ATTEMPT
    asked = Asked(
        clean_line(f"experiment {found.number} on {incumbent.number}: {found.description}", DESCRIPTION_LIMIT),
        found.hypothesis,
        found.expected_delta,
        kind,
        found.session,
        proposer=found.proposer,
        repeats=found.repeats,
        joins=(str(found.number),),
    )
    seed = max(run.seed for run in bench.ledger.runs(campaign.tag, found.number)) + 1
    carried, _ = take_in(bench, campaign, arena, asked, merged.files, now, found.tree, seed)
    return Rebased(carried.number, clash=clash)


def changes_of(bench: Bench, found: Experiment) -> list[int]:
    """The numbers under which a change was tried: its own, and those of the attempts that it carries on."""
    numbers = [found.number]
    while len(found.joins) == 1 and found.joins[0].isdecimal():
        found = bench.ledger.experiment(found.campaign, int(found.joins[0]))
        numbers.append(found.number)
    return numbers


def _hopeless(bench: Bench, campaign: Campaign, files: Mapping[str, bytes], marks: str) -> str:
    """Why the merged code is not worth a run; "" where it is."""
    broken = not_python(files)
    if broken is not None:
        return f"the two changes do not go together: {clean_line(str(broken[1]), 120)}"
    twins = [one for one in bench.ledger.twins(marks, campaign.tag) if one.decision != "overtaken"]
    return f"the two together are experiment {twins[-1].number} already" if twins else ""
