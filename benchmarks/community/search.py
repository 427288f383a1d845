"""What a community brings: eight and sixteen labs against one, on a finite pool of ideas.

Two cores cannot hold sixteen trainings, so time is played: a run takes what a draw says, and nothing else does. All
that labs tell each other is real: repositories, ledgers, journals, leases, claims and exchanges over one bare remote,
by the product's own code. A researcher takes at random what nobody is known to have tried or to run, and first what
others kept: all of it together in one run of its own. `real` is the same in small with nothing played: eight servers,
eight built-in researchers, real runs.
"""

from __future__ import annotations

import hashlib
import heapq
import random
import statistics
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.community.table import Told, at_least, at_most
from benchmarks.ledger import AT, begin, repository, result
from mcp_server.community.exchange import Exchange
from mcp_server.community.leases.claim import Claim, ToClaim
from mcp_server.community.leases.known import live
from mcp_server.community.settings import Places, Settings, write_settings
from mcp_server.community.wire.store import make_bare
from mcp_server.ledger.foreign import Foreign
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.records import Kind, Purpose
from mcp_server.nouns.rows import Experiment

IDEAS, WINNERS = 160, 5  # the target is reached with all of the winners
RUN_SECONDS = 300.0
SHORTEST, LONGEST = 0.8, 1.2  # of it, as a draw says
EPOCH = 1767225600.0
Idea = int


@dataclass
class Pool:
    """The ideas of one world: which of them help."""

    seed: int
    winners: frozenset[Idea] = field(init=False)

    def __post_init__(self) -> None:
        self.winners = frozenset(random.Random(self.seed).sample(range(IDEAS), WINNERS))


def one_lab(pool: Pool, seed: int) -> float:
    """Seconds that a lab alone needs to reach the target."""
    draw = random.Random(f"alone {seed}")
    order = draw.sample(range(IDEAS), IDEAS)
    needed = max(order.index(idea) for idea in pool.winners) + 1
    return sum(draw.uniform(SHORTEST, LONGEST) * RUN_SECONDS for _ in range(needed))


class Member:
    """One lab of a community: a repository, a ledger, a key; its runs are played."""

    def __init__(self, folder: Path, remote: Path, seed: str) -> None:
        self.draw = random.Random(seed)
        self.lab = repository(folder, seconds=round(LONGEST * RUN_SECONDS))  # a lease is as long as the arena's runs
        begin(self.lab)
        self.places = Places.of(self.lab.paths.state)
        self.base: frozenset[Idea] = frozenset()
        self.number = 1
        self.tried: set[Idea] = set()
        with self.lab.reading() as (bench, campaign, arena):
            self.ledger, self.arena = bench.ledger, arena
            self.first = bench.ledger.experiment("first", 1)
        # joined after the last of the lab's verbs, which would start an exchange by itself: here time is played to them
        write_settings(self.places, Settings(remote=str(remote), kind="folder", name=folder.name))
        with Exchange(self.lab.workspace, lambda: datetime.fromtimestamp(EPOCH, UTC)) as found:
            self.contract = found.contract(campaign, arena)

    def exchange(self, now: float) -> None:
        self.places.last.unlink(missing_ok=True)
        moment = datetime.fromtimestamp(now, UTC)
        with Exchange(self.lab.workspace, lambda: moment, clock=lambda: now) as found:
            report = found.run()
        assert not report.trouble, report.trouble

    def code(self, ideas: frozenset[Idea]) -> str:
        return hashlib.sha256(repr(sorted(self.base | ideas)).encode()).hexdigest()

    def choose(self, now: float) -> tuple[frozenset[Idea], bool] | None:
        """(what to run next, whether it repeats what others found); None where nothing is left."""
        foreign = Foreign(self.places.records)
        try:
            known = {int(name.removeprefix("IDEA_")) for name in foreign.constants()}
            kept = {
                int(name.removeprefix("IDEA_"))
                for one in foreign.newest(self.contract, 1000)
                if one.attempt.status == "kept"
                for name, _, _ in one.attempt.knobs
            }
        finally:
            foreign.close()
        found = frozenset(kept - self.base - self.tried)
        if found:
            return found, True
        running = {int(name.removeprefix("IDEA_")) for one in live(self.places, now) for name, _, _ in one.knobs}
        options = sorted(set(range(IDEAS)) - known - self.tried - running)
        while options:
            idea = options.pop(self.draw.randrange(len(options)))
            if self.claimed(idea, now):
                return frozenset([idea]), False
        return None

    def claimed(self, idea: Idea, now: float) -> bool:
        """Whether nobody else runs it; as `run_experiment` finds out."""
        claim = Claim(self.places, self.lab.workspace, lambda: now)
        asked = (self.contract, self.code(frozenset([idea]))[:32], [(f"IDEA_{idea}", "0", "1")], self.arena)
        try:
            told, alike = claim.about(*asked)
        except ToClaim:
            claim.send()
            claim.wait()
            told, alike = claim.about(*asked)
        if told or alike:
            return False
        claim.runs("first", self.number + 1)
        return True

    def opened(self, ideas: frozenset[Idea], again: bool) -> None:
        """The experiment begins: its run is queued in the ledger, so that its lease lives."""
        self.number += 1
        self.tried |= ideas
        edit = hashlib.sha256(repr(sorted(ideas)).encode()).hexdigest()
        one = Experiment(
            campaign="first",
            number=self.number,
            kind=Kind.RETEST if again else Kind.ATTEMPT,
            description=f"try {', '.join(f'idea {idea}' for idea in sorted(ideas))}",
            hypothesis="",
            expected_delta=None,
            snapshot=self.first.snapshot,
            base=None,
            fingerprint=self.code(ideas),
            edit=edit,
            nodes=100,
            knobs=tuple((f"IDEA_{idea}", "0", "1") for idea in sorted(ideas)),
            protocol=(),
            theme="other",
            program=self.first.program,
            style=None,
            opened_at=AT,
            tree=self.first.tree,
        )
        self.ledger.open_experiment(one, [(7, Purpose.FIRST)])
        self.ledger.vaulted("first", self.number)

    def decided(self, ideas: frozenset[Idea], pool: Pool) -> None:
        helped = bool(ideas & pool.winners)
        gain = 0.01 * len(ideas & pool.winners) if helped else -0.002
        (run,) = self.ledger.runs("first", self.number)
        self.ledger.close_run(run, result(1.0 - gain), AT)
        told = Decided(
            score=1.0 - gain,
            change=gain,
            low=gain - 0.001,
            high=gain + 0.001,
            noise_widths=gain / 0.0005,
            outcome="kept" if helped else "discarded",
            code="gain" if helped else "worse",
        )
        decision = "keep" if helped else "revert"
        self.ledger.intend("first", self.number, decision, "provisional" if helped else None, told, AT)
        self.ledger.settle("first", self.number, decision, self.first.commit_sha if helped else None)
        if helped:
            self.base |= ideas & pool.winners


def community(labs: int, pool: Pool, folder: Path, seed: int) -> tuple[float, int, int]:
    """(seconds until one lab has the target, runs, runs of a code that was known to another lab or running there)."""
    remote = folder / "remote.git"
    make_bare(remote)
    members = [Member(folder / f"lab{n}", remote, f"{seed} {n}") for n in range(labs)]
    draw = random.Random(f"lengths {seed}")
    runs = doubled = 0
    begun: set[str] = set()  # codes that anybody began
    working: dict[int, frozenset[Idea]] = {}
    events = [(EPOCH + n * 1e-3, n) for n in range(labs)]
    for member in members:
        member.exchange(EPOCH)
    while events:
        now, who = heapq.heappop(events)
        member = members[who]
        if who in working:
            member.decided(working.pop(who), pool)
            if member.base >= pool.winners:
                return now - EPOCH, runs, doubled
        member.exchange(now)
        chosen = member.choose(now)
        if chosen is None:
            heapq.heappush(events, (now + RUN_SECONDS / 4, who))  # what is left runs elsewhere
            continue
        ideas, again = chosen
        code = member.code(ideas)
        doubled += not again and code in begun
        begun.add(code)
        runs += 1
        member.opened(ideas, again)
        working[who] = ideas
        heapq.heappush(events, (now + draw.uniform(SHORTEST, LONGEST) * RUN_SECONDS, who))
    raise AssertionError("nobody reached the target")


def rows(worlds: int = 2) -> list[Told]:
    pools = [Pool(seed) for seed in range(worlds)]
    many = [Pool(seed) for seed in range(200)]
    alone = statistics.mean(one_lab(pool, pool.seed) for pool in many)
    isolated = statistics.mean(min(one_lab(pool, 1000 * n + pool.seed) for n in range(8)) for pool in many)
    told = []
    for labs, goal in ((8, 5.0), (16, 9.0)):
        times, runs, doubled = [], 0, 0
        for pool in pools:
            with tempfile.TemporaryDirectory() as name:
                spent, some, twice = community(labs, pool, Path(name), pool.seed)
            times.append(spent)
            runs, doubled = runs + some, doubled + twice
        mean = statistics.mean(times)
        hours = f"{alone / 3600:.1f} h and {mean / 3600:.2f} h"
        told.append(at_least("1", f"{labs} labs to the target against one, played", alone / mean, goal, " x", 1, hours))
        if labs == 8:
            told.append(at_least("1", "against the best of 8 isolated, played", isolated / mean, 3, " x", 1))
        told.append(at_most("1", f"doubled by {labs} labs, played", 100 * doubled / runs, 2, " %", 1, f"{runs} runs"))
    return told
