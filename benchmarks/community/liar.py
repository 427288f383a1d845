"""Row 4, one liar among eight labs: `python -m benchmarks.community liar`.

Simulated labs, the product's own decisions: every verdict is `judging.decide`'s, and what is repeated, whose turn it
is, what a claim's status and a lab's standing are is `community.claims`'s. Labs take turns by the runs they have spent,
hear of each other after one slot, and draw from one finite pool of ideas that do not interact. One lab claims a gain
for every attempt, none of which is real, and fabricates what it repeats. Everybody trusts everybody: the worst case.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.community.table import Told, at_most
from benchmarks.referee import STEADY, Simulated, _normals
from benchmarks.rivals import World
from mcp_server.community.claims.choosing import Bounds, Choice, Past, Repeat, Situation, due
from mcp_server.community.claims.standing import standings
from mcp_server.community.claims.status import claims
from mcp_server.judging.verdict import LEAST_ADOPTED, Decision, Verdict
from mcp_server.ledger.measured import Measured
from mcp_server.nouns.exchanged import stamp

LABS, COMMUNITIES = 8, 12
POOL, SLOT = 1500, timedelta(minutes=6)
NOISE = 7e-4  # of one run; half a typical gain
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CONTRACT, MACHINE = "cc" * 16, "simulated"


@dataclass
class Player:
    """One lab: its campaign, what it has tried, and how its slots were spent."""

    lab: str
    campaign: Simulated
    ideas: list[int]  # of its own, in the order in which it would have them
    past: Past = field(default_factory=lambda: Past(0))
    tried: set[str] = field(default_factory=set)
    false: int = 0  # adopted, and no improvement
    real: int = 0

    @property
    def spent(self) -> int:
        return self.campaign.runs - self.campaign.left


@dataclass
class Community:
    """Everybody's records, with the slot in which others hear of them."""

    world: World
    players: list[Player]
    worth: list[float]  # true gain of each idea
    told: list[tuple[int, Measured]] = field(default_factory=list)
    faked: int = 0  # fabricated claims
    spent_on_liar: int = 0
    fakes_adopted: int = 0
    liar: str = ""

    def heard(self, slot: int, own: str) -> list[Measured]:
        return [one for at, one in self.told if at < slot or one.lab == own]


def edit_of(idea: int) -> str:
    return f"{idea:032x}"


def record(player: Player, idea: int, verdict: Verdict, slot: int, repeats: str) -> Measured | None:
    if verdict.gain is None or verdict.interval is None:
        return None
    low, high = verdict.interval
    kept = verdict.decision is Decision.KEEP
    return Measured(
        lab=player.lab,
        n=player.past.attempts,
        contract=CONTRACT,
        edit=edit_of(idea),
        machine=MACHINE,
        gain=verdict.gain,
        deviation=(high - low) / (2 * 1.96) or None,
        helped=kept or low > 0,
        kept=kept,
        role="replication" if repeats else "attempt",
        repeats=repeats,
        code=True,
        at=stamp(BEGAN + slot * SLOT),
    )


def choice_of(community: Community, player: Player, slot: int, sharing: bool) -> Choice | None:
    """What the product would repeat now."""
    if not sharing:
        return None
    known = community.heard(slot, player.lab)
    found = claims(known, own=player.lab)
    discards = [one for one in known if not one.kept and one.lab != player.lab and not one.repeats][-200:]
    at = Situation(
        own=player.lab,
        machine=MACHINE,
        now=BEGAN + slot * SLOT,
        past=player.past,
        claims=found,
        standings=standings(found),
        discards=discards,
        tried=frozenset(player.tried),
        labs=[one.lab for one in community.players],
        bounds=Bounds(),
    )
    return next(iter(due(at)), None)


def turn(community: Community, player: Player, slot: int, sharing: bool) -> None:
    """One attempt of an honest lab: what is due from others, else an idea that nobody is known to have tried."""
    choice = choice_of(community, player, slot, sharing)
    if choice is not None:
        idea = int(next(one.edit for _, one in community.told if one.name == choice.name), 16)
    else:
        known = {one.edit for one in community.heard(slot, player.lab)} if sharing else player.tried
        idea = next((one for one in player.ideas if edit_of(one) not in known), -1)
        if idea < 0:
            player.campaign.left = 0
            return
        player.ideas.remove(idea)
    before = player.campaign.left
    true = community.worth[idea] if idea < POOL else fake_worth(community.world, idea)
    usual = player.campaign.policy
    if choice is not None:
        player.campaign.policy = replace(usual, least=LEAST_ADOPTED)
    verdict = player.campaign.attempt(true)
    player.campaign.policy = usual
    player.tried.add(edit_of(idea))
    kept = verdict.decision is Decision.KEEP
    repeats = () if choice is None else (Repeat(choice.name, player.past.attempts + 1, choice.discard, kept),)
    runs = before - player.campaign.left
    past, repeated = player.past, runs if choice is not None else 0
    player.past = Past(past.slots + runs, (*past.repeats, *repeats), past.spent + repeated, past.attempts + 1)
    if choice is not None:
        player.false += kept and true <= 0
        player.real += kept and true > 0
        community.spent_on_liar += choice.name.startswith(community.liar + "/")
        community.fakes_adopted += kept and idea >= POOL
    told = record(player, idea, verdict, slot, choice.name if choice else "")
    if told is not None:
        community.told.append((slot, told))


def fake_worth(world: World, idea: int) -> float:
    """What a fabricated claim really does: nothing, or harm."""
    part = int(hashlib.sha256(str(idea).encode()).hexdigest()[:8], 16) / 2**32
    return 0.0 if part < 0.3 else -world.harm * part


def lie(community: Community, player: Player, slot: int, draw: np.random.Generator) -> None:
    """One attempt of the liar: a gain that nobody measured, or another's claim refuted or praised as it likes."""
    player.past = replace(player.past, attempts=player.past.attempts + 1)
    player.campaign.left -= 1
    others = [one for one in community.heard(slot, player.lab) if one.helped and one.lab != player.lab]
    gain = community.world.typical * float(draw.uniform(2, 8))
    edit, repeats, kept = edit_of(POOL + community.faked), "", True
    if others and draw.random() < 0.3:
        of = others[int(draw.integers(len(others)))]
        kept = bool(draw.random() < 0.3)
        edit, repeats, gain = of.edit, of.name, gain if kept else -gain
    else:
        community.faked += 1
    at = stamp(BEGAN + slot * SLOT)
    role = "replication" if repeats else "attempt"
    one = Measured(
        player.lab, player.past.attempts, CONTRACT, edit, MACHINE, gain, 1e-7, kept, kept, role, repeats, True, at
    )
    community.told.append((slot, one))


def play(world: World, seed: int, lying: bool, sharing: bool = True) -> Community:
    """One community until all have spent their runs."""
    draw = np.random.default_rng([seed, 77])
    worth = world.proposals(draw, (1, POOL))[0].tolist()
    names = [hashlib.sha256(f"{seed} {n}".encode()).hexdigest()[:32] for n in range(LABS)]
    players = []
    for n, name in enumerate(names):
        normal = _normals(np.random.default_rng([seed, n, 3]))
        campaign = Simulated(normal, NOISE, world.runs, True, STEADY, world.typical)
        players.append(Player(name, campaign, draw.permutation(POOL).tolist()))
    community = Community(world, players, worth, liar=names[0] if lying else "nobody")
    while any(one.campaign.left > 0 for one in players):
        player = min((one for one in players if one.campaign.left > 0), key=lambda one: (one.spent, one.lab))
        slot = player.spent
        if player.lab == community.liar:
            lie(community, player, slot, draw)
        else:
            turn(community, player, slot, sharing)
    return community


def rows(reps: int = COMMUNITIES) -> list[Told]:
    world = World()
    lying = [play(world, seed, True) for seed in range(reps)]
    fair = [play(world, seed, False) for seed in range(reps)]
    alone = [play(world, seed, False, sharing=False) for seed in range(reps)]
    kind = f"{reps} communities of {LABS} labs of {world.runs} runs, simulated"
    found = [
        _mean("fakes adopted by all labs of a community", 0, [one.fakes_adopted for one in lying], kind),
        _mean("replications spent on the liar by all", 2, [one.spent_on_liar for one in lying]),
    ]
    base = statistics.fmean(p.campaign.held for c in alone for p in c.players)
    for name, some in (("with a liar", lying), ("all honest", fair)):
        honest = [[one for one in c.players if one.lab != c.liar] for c in some]
        false = [statistics.fmean(p.false for p in c) for c in honest]
        shares = [statistics.fmean(p.past.spent / p.past.slots for p in c) for c in honest]
        gain = statistics.fmean(p.campaign.held for c in honest for p in c)
        found += [
            _mean(f"false adoptions a campaign, {name}", 0.05, false),
            _mean(f"share of the runs that repeat, {name}", 0.10, shares),
            Told("4", f"true gain beside labs alone, {name}", "", f"{gain / base:.2f} x"),
        ]
    return found


def _mean(what: str, goal: float, values: Sequence[float], more: str = "") -> Told:
    """A mean over communities, which is what small ones are judged by, with the worst."""
    worst = f"worst {max(values):.3f}"
    return at_most("4", what, statistics.fmean(values), goal, more=f"{worst}, {more}" if more else worst)
