"""Another lab's edit on the own incumbent: merged, checked, and opened as an own attempt that names what it repeats.

The union of two edits is made the same way. Conflicts are said with both sides, and nothing is written then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from mcp_server.arena.program import Arena
from mcp_server.campaign.bench import Bench, incumbent_commit
from mcp_server.campaign.intake import DESCRIPTION_LIMIT, Asked
from mcp_server.edits.fingerprint import fingerprint
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.exchanged import Edit, short
from mcp_server.nouns.records import Kind
from mcp_server.nouns.rows import Campaign
from mcp_server.nouns.text import clean_line

ONLY_LOOKING = Asked("")


def edits_named(
    bench: Bench, campaign: Campaign, arena: Arena, source: str, elsewhere: Callable[[str], Edit]
) -> list[Edit]:
    """The edits that `source` names: LAB/n, or two apart by `+`, of which one may be an own experiment's number."""
    names = [clean_line(name, 80) for name in source.split("+")]
    if len(names) > 2 or not all(names):
        raise NotNow("`source` is one attempt elsewhere, LAB/n, or two that are put together: LAB/n + LAB/m.")
    return [
        own_edit(bench, campaign, arena, int(name))
        if len(names) == 2 and name.isascii() and name.isdecimal()
        else elsewhere(name)
        for name in names
    ]


def own_edit(bench: Bench, campaign: Campaign, arena: Arena, number: int) -> Edit:
    """The change of an experiment of this campaign. Raises NotNow or UnknownExperiment."""
    found = bench.ledger.experiment(campaign.tag, number)
    if found.base is None:
        raise NotNow(f"Experiment {number} stands on nothing, so it changes nothing. Name an attempt.")
    base = bench.ledger.experiment(campaign.tag, found.base)
    before, after = (bench.workspace.committed(arena.editable, one.snapshot) for one in (base, found))
    return Edit(str(number), found.description, found.knobs, before, after)


def adopted(
    bench: Bench, campaign: Campaign, arena: Arena, edits: Sequence[Edit], asked: Asked = ONLY_LOOKING
) -> Asked:
    """What to run: the incumbent with these edits. Raises NotNow with both sides where they do not go together."""
    incumbent = bench.ledger.incumbent(campaign.tag)
    if incumbent is None:
        raise NotNow("There is no incumbent yet to make the edit on. Wait for the baseline: read_score(1).")
    _refuse_overlap(edits)
    held = bench.workspace.committed(arena.editable, incumbent_commit(bench.ledger, campaign))
    files: Mapping[str, bytes] = held
    for edit in edits:
        merged = bench.workspace.merge(files, edit.before, edit.after)
        if merged.conflicts:
            against = "the incumbent" if edit is edits[0] else f"{_short(edits[0].name)} on the incumbent"
            raise NotNow(
                f"{_short(edit.name)} changes lines that {against} has otherwise; nothing was written or run. "
                f"Make the edit by hand, or choose another. The places:\n{merged.words()}"
            )
        if fingerprint(merged.files) == fingerprint(files):
            raise NotNow(f"{_short(edit.name)} changes nothing here: the incumbent has it already.")
        files = merged.files
    names = " and ".join(_short(edit.name) for edit in edits)
    said = " and ".join(edit.words for edit in edits if edit.words)
    one = len(edits) == 1
    described = f"{names}: {said}" if one else f"{names} together: {said}"
    return dataclasses.replace(
        asked,
        description=asked.description or clean_line(described, DESCRIPTION_LIMIT),
        kind=Kind.REPLICATION if one and "/" in edits[0].name else Kind.ATTEMPT,
        files=files,
        repeats=edits[0].name if one else "",
        joins=() if one else tuple(edit.name for edit in edits),
    )


def _refuse_overlap(edits: Sequence[Edit]) -> None:
    if len(edits) < 2:
        return
    first, second = ({name: after for name, _, after in edit.knobs} for edit in edits)
    both = sorted(first.keys() & second.keys())
    if both:
        sides = "; ".join(f"{name} becomes {first[name]} there, {second[name]} here" for name in both[:3])
        raise NotNow(f"{_short(edits[0].name)} and {_short(edits[1].name)} overlap: {clean_line(sides, 300)}.")


def _short(name: str) -> str:
    return short(name) if "/" in name else f"experiment {name}"
