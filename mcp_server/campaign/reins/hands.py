"""What a person may do to a running campaign, for every face: the terminal, `watch`, the page. No tool of agents.

Nothing here stops a run but `cancel`, which is a verb of the lab; a pause lets what has begun go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from pydantic import Field

from mcp_server.campaign.bench import Bench, Readable
from mcp_server.campaign.find import experiment_at
from mcp_server.campaign.reins import queue
from mcp_server.campaign.reins.gate import held, paused
from mcp_server.ledger import Ledger
from mcp_server.ledger.live.orders import Asked, Idea, IdeaState, Order
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.replies import Reply
from mcp_server.nouns.rows import Campaign
from mcp_server.nouns.text import clean_block, clean_line

NOTE_CHARACTERS, REASON_CHARACTERS = 2000, 200
SHOWN_NOTES, SHOWN_IDEAS = 20, 200
LONGEST_MINUTES = 30 * 24 * 60


class NoteReply(Reply):
    """A note to the agent, and whether it was delivered."""

    note: int
    text: str
    at: str = ""
    delivered_at: str = ""
    delivered_to: str = ""


class VetoReply(Reply):
    """A veto that no keep has met yet."""

    veto: int
    experiment: int | None = Field(default=None, description="the one it is on; else whichever would be kept next")
    reason: str = ""
    at: str = ""


class IdeaReply(Reply):
    """One idea of the queue."""

    idea: int
    text: str
    state: str
    priority: int | None = None
    source: str = ""
    at: str = ""
    experiment: int | None = Field(default=None, description="that tried it")


class ReinsReply(Reply):
    """What a person has asked of a campaign, and the queue of ideas."""

    campaign: str
    done: str = ""
    paused: str = ""
    vetoes: list[VetoReply] = Field(default_factory=list)
    notes: list[NoteReply] = Field(default_factory=list)
    ideas: list[IdeaReply] = Field(default_factory=list, description="those that wait in their order, then the others")


def reins_of(bench: Bench, campaign: Campaign) -> ReinsReply:
    """What holds now, and the last notes."""
    ledger, tag = bench.ledger, campaign.tag
    return ReinsReply(
        campaign=tag,
        paused=held(bench, campaign),
        vetoes=[_veto(one) for one in ledger.asked(tag, Order.VETO)],
        notes=[_note(one) for one in ledger.asked_last(tag, Order.NOTE, SHOWN_NOTES)],
        ideas=[_idea(one) for one in _in_order(ledger, tag)],
    )


def _in_order(ledger: Ledger, tag: str) -> list[Idea]:
    waiting = ledger.queue(tag)
    known = {one.id for one in waiting}
    return (waiting + [one for one in reversed(ledger.ideas(tag, SHOWN_IDEAS)) if one.id not in known])[:SHOWN_IDEAS]


def _veto(one: Asked) -> VetoReply:
    return VetoReply(veto=one.id, experiment=one.experiment, reason=one.text, at=one.at)


def _note(one: Asked) -> NoteReply:
    return NoteReply(note=one.id, text=one.text, at=one.at, delivered_at=one.done_at or "", delivered_to=one.done)


def _idea(one: Idea) -> IdeaReply:
    return IdeaReply(
        idea=one.id, text=one.text, state=one.state, priority=one.priority or None, source=one.source, at=one.at,
        experiment=one.experiment,
    )  # fmt: skip


def deliver(bench: Bench, campaign: Campaign, reader: str) -> list[str]:
    """The notes that wait for this campaign's agent; from now on they are delivered."""
    waiting = bench.ledger.asked(campaign.tag, Order.NOTE)
    bench.ledger.over([one.id for one in waiting], bench.stamp(), clean_line(reader, 80) or "an agent")
    return [one.text for one in waiting]


class Reins:
    """The verbs of a person. Every one may raise AutoresearchError; nothing has changed then."""

    def __init__(self, lab: Readable) -> None:
        self._lab = lab

    def look(self) -> ReinsReply:
        with self._held() as (bench, campaign):
            return reins_of(bench, campaign)

    def pause(self, reason: str = "", minutes: float | None = None) -> ReinsReply:
        """Let nothing new begin, until `resume` or for so long."""
        if minutes is not None and not 0 < minutes <= LONGEST_MINUTES:
            raise NotNow(f"minutes is {minutes:g}; it must be more than 0 and at most {LONGEST_MINUTES}.")
        with self._held() as (bench, campaign):
            self._let_go(bench, campaign, "replaced")
            ends = None if minutes is None else (bench.now() + timedelta(minutes=minutes)).isoformat()
            said = clean_line(reason, REASON_CHARACTERS)
            bench.ledger.ask(campaign.tag, Order.PAUSE, said, bench.stamp(), until=ends)
        with self._held() as (bench, campaign):  # looked at again, so that what waits for a device hears of it
            return self._done(bench, campaign, "Paused: nothing new begins. What runs goes on to its end.")

    def resume(self) -> ReinsReply:
        with self._held() as (bench, campaign):
            if paused(bench.ledger, campaign.tag, bench.now()) is None:
                raise NotNow(f"Campaign {campaign.tag} is not paused.")
            self._let_go(bench, campaign, "resumed")
        with self._held() as (bench, campaign):  # looked at again, so that what waited begins at once
            return self._done(bench, campaign, "Resumed.")

    def veto(self, experiment: int | None = None, reason: str = "") -> ReinsReply:
        """Let the next keep, or a keep of this experiment, be reverted instead, whatever the referee says."""
        with self._held() as (bench, campaign):
            if experiment is not None:
                found = experiment_at(bench, campaign, experiment, "")
                if found.decision is not None:
                    raise NotNow(
                        f"Experiment {experiment} is decided already ({found.decision}). `autoresearch prune` drops "
                        "keeps, and `finalize --branches` leaves the choice to you."
                    )
            if any(one.experiment == experiment for one in bench.ledger.asked(campaign.tag, Order.VETO)):
                raise NotNow("That veto stands already. `autoresearch veto --withdraw` takes it back.")
            said = clean_line(reason, REASON_CHARACTERS)
            bench.ledger.ask(campaign.tag, Order.VETO, said, bench.stamp(), experiment)
            which = "The next keep" if experiment is None else f"A keep of experiment {experiment}"
            return self._done(bench, campaign, f"{which} is vetoed: it will be reverted, and stays in the vault.")

    def withdraw(self) -> ReinsReply:
        """Take all vetoes back that no keep has met."""
        with self._held() as (bench, campaign):
            open_ones = bench.ledger.asked(campaign.tag, Order.VETO)
            if not open_ones:
                raise NotNow("There is no veto to take back.")
            bench.ledger.over([one.id for one in open_ones], bench.stamp(), "withdrawn")
            return self._done(bench, campaign, "Withdrawn.")

    def note(self, text: str) -> ReinsReply:
        """Leave a note that the agent gets with its next reply."""
        said = clean_block(text, NOTE_CHARACTERS)
        if not said:
            raise NotNow("The note is empty. Say what the agent is to know.")
        with self._held() as (bench, campaign):
            bench.ledger.ask(campaign.tag, Order.NOTE, said, bench.stamp())
            return self._done(bench, campaign, "The agent gets it with its next reply.")

    def add_idea(self, text: str, priority: int = 0) -> ReinsReply:
        with self._held() as (bench, campaign):
            key, _ = queue.added(bench, campaign, text, "person", priority)
            return self._done(bench, campaign, f"Idea {key} is in the queue.")

    def move_idea(self, key: int, state: IdeaState, priority: int | None = None) -> ReinsReply:
        """Pin it before all others, let it wait in its turn, park it, or drop it; and say how urgent it is."""
        if priority is not None and not queue.LEAST[0] <= priority <= queue.LEAST[1]:
            raise NotNow(f"The priority is {priority}; it must be {queue.LEAST[0]} to {queue.LEAST[1]}.")
        with self._held() as (bench, campaign):
            bench.ledger.idea(campaign.tag, key)
            bench.ledger.change_idea(key, state, priority)
            return self._done(bench, campaign, f"Idea {key} is {state}.")

    @contextmanager
    def _held(self) -> Iterator[tuple[Bench, Campaign]]:
        with self._lab.reading() as (bench, campaign, _):
            yield bench, campaign

    @staticmethod
    def _let_go(bench: Bench, campaign: Campaign, how: str) -> None:
        pauses = bench.ledger.asked(campaign.tag, Order.PAUSE)
        bench.ledger.over([one.id for one in pauses], bench.stamp(), how)

    @staticmethod
    def _done(bench: Bench, campaign: Campaign, words: str) -> ReinsReply:
        return reins_of(bench, campaign).model_copy(update={"done": words})
