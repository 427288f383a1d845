"""What a classical optimiser would try next in a campaign, and the state of its constants in words."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.arena.program import Arena
from mcp_server.campaign.bench import Bench
from mcp_server.campaign.runs.dispatch import resolve_devices
from mcp_server.edits.movable import Move, evaluated, written
from mcp_server.nouns.replies import SuggestionReply, SuggestReply
from mcp_server.nouns.rows import Campaign
from mcp_server.suggesting.landscape import words
from mcp_server.suggesting.observations import Moved, known
from mcp_server.suggesting.optimiser import advise
from mcp_server.suggesting.space import Dimension, space


def suggested(
    bench: Bench, campaign: Campaign, arena: Arena, elsewhere: Sequence[Moved] = (), count: int = 3, least: int = 0
) -> SuggestReply:
    """The next steps over the constants of the incumbent's file, and what is known of them in words.

    least: the words alone where less than that was observed.
    """
    device = resolve_devices(arena)[0]
    found = known(bench, campaign, arena.editable, device, elsewhere)
    if found is None:
        return SuggestReply(campaign=campaign.tag, next="No editable Python file holds a constant in CAPITALS to move.")
    dimensions = space(found.source, device, found.tried, found.failed)
    names = [one.name for one in dimensions]
    seen = found.observations
    reply = SuggestReply(
        campaign=campaign.tag,
        file=found.path,
        landscape=words(names, found.steps, found.current),
        ranges={one.name: [one.low, one.high] for one in dimensions},
        observations=sum(one.loss is not None and not one.origin for one in seen),
        elsewhere=sum(bool(one.origin) for one in seen),
        running=sum(one.loss is None for one in seen),
        next="Advice: take one up, or combine it with an idea of your own; then run_experiment as ever.",
    )
    if reply.observations < least:
        return reply
    for values in advise(dimensions, seen, campaign.seed + bench.ledger.next_number(campaign.tag), count):
        moves = moved(dimensions, values)
        if moves:
            reply.suggestions.append(_said(moves))
    return reply


def moved(dimensions: Sequence[Dimension], values: dict[str, float]) -> list[Move]:
    """The edits from where the constants stand to what was advised, the largest step first."""
    steps = []
    for one in dimensions:
        after = written(values[one.name], one.constant.text)
        if evaluated(after) != one.constant.value:
            size = abs(one.place(float(evaluated(after))) - one.place(float(one.constant.value)))
            steps.append((size, Move(one.name, one.constant.text, after)))
    return [move for _, move in sorted(steps, key=lambda step: -step[0])]


def _said(moves: Sequence[Move]) -> SuggestionReply:
    return SuggestionReply(
        changes=", ".join(map(str, moves)), constants={move.name: float(evaluated(move.after)) for move in moves}
    )
