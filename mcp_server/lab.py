"""One repository under experiment: each verb is one paragraph and returns at once.

A verb takes the lab's lock, catches up with what happened meanwhile, reads the arena, acts, and lets go. Runs live in
processes of their own; whoever calls the next verb, in whatever process, moves their results into the ledger.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from mcp_server.arena.program import Arena, load_program
from mcp_server.campaign import progress
from mcp_server.campaign.beginning import amend, baseline
from mcp_server.campaign.beginning.amend import program_in_force
from mcp_server.campaign.beginning.start import start
from mcp_server.campaign.bench import Bench
from mcp_server.campaign.decide import WRITE_FIRST, conclude, confirming, decided, judgement_of, next_for
from mcp_server.campaign.exam import examined, is_due
from mcp_server.campaign.find import begins_other, campaign_at, experiment_at, join, no_campaign, open_here
from mcp_server.campaign.intake import DESCRIPTION_LIMIT, Asked, open_experiment, open_without
from mcp_server.campaign.money.spending import look
from mcp_server.campaign.reins import queue
from mcp_server.campaign.reins.gate import refuse_while_closed
from mcp_server.campaign.reins.hands import deliver
from mcp_server.campaign.runs import orders, pairing
from mcp_server.campaign.status import known_like, nowhere, recalled, whereabouts
from mcp_server.campaign.stop import ending, over_by_rule, refuse_when_over
from mcp_server.campaign.transfers.adopting import adopted, edits_named
from mcp_server.campaign.trees import astray, overwritten
from mcp_server.campaign.trees.overwritten import NOBODY, Caller
from mcp_server.campaign.upkeep import recovery
from mcp_server.campaign.upkeep.caught import CaughtUp
from mcp_server.campaign.upkeep.settling import asked_again
from mcp_server.community import beside
from mcp_server.community.board import reading, saying
from mcp_server.community.claims.choosing import Choice
from mcp_server.community.claims.desk import Desk
from mcp_server.community.elsewhere import Elsewhere
from mcp_server.community.leases.claim import NOT_RUN, Claim, ToClaim
from mcp_server.community.settings import Places
from mcp_server.engines import Engine
from mcp_server.engines.choosing import CHOSEN
from mcp_server.ledger import Ledger
from mcp_server.memory.admission import admit
from mcp_server.nouns.errors import (
    ArenaError,
    AutoresearchError,
    LedgerError,
    NotNow,
    UnknownExperiment,
    WorkspaceError,
    refused,
    unsupported,
)
from mcp_server.nouns.files import locked
from mcp_server.nouns.paths import LabPaths
from mcp_server.nouns.records import Kind, Status
from mcp_server.nouns.replies import (
    AmendReply,
    CampaignReply,
    DecisionReply,
    ExamReply,
    ExperimentReply,
    LearningReply,
    RecallReply,
    ScoreReply,
    StatusReply,
    SuggestReply,
)
from mcp_server.nouns.rows import NOBODY as UNTOLD
from mcp_server.nouns.rows import Campaign, Draws, Proposer
from mcp_server.nouns.text import clean_block, clean_line
from mcp_server.personal import beside as personal
from mcp_server.repo.workspace import Workspace
from mcp_server.secrecy.guard import of_old_corpus
from mcp_server.suggesting.carried import Advice
from mcp_server.views.publishing import Publisher, finish_drawing

log = logging.getLogger(__name__)

HYPOTHESIS_LIMIT = 600  # characters
EXAM_SEEDS = 3
FIRST_EXAM_SEED = 1_000_000  # far from every seed a campaign uses
CALIBRATE = 2  # by default one repeat on the same seed and one new seed


def utc_now() -> datetime:
    return datetime.now(UTC)


class Lab:
    """The verbs of one lab, seen from one work tree.

    Every method may raise AutoresearchError with two sentences for the caller; nothing has changed then.
    """

    def __init__(
        self,
        tree: Path,
        now: Callable[[], datetime] = utc_now,
        campaign: str | None = None,
        engine: Engine = CHOSEN,
    ) -> None:
        """campaign: one the caller names outranks the checked-out branch. engine: where the runs' supervisors are."""
        self.workspace = Workspace(tree)
        self.paths: LabPaths = self.workspace.paths
        self.now = now
        self.engine, self._named = engine, campaign
        self._ledger: Ledger | None = None
        self._publisher = Publisher(str(self.paths.tree), self.paths.state)
        self._elsewhere = Elsewhere(self.paths.state, self.workspace)
        self._advice = Advice(self._elsewhere)
        self._claims = Desk(self.paths.state, self.workspace)
        self._mutex = threading.RLock()  # sync tools run in worker threads

    def close(self) -> None:
        """Draw what is still to be drawn, and let go of the ledger."""
        if self._ledger is not None:
            finish_drawing()
            with contextlib.suppress(AutoresearchError), self._verb() as (bench, _):
                self._publish(bench, at_once=True)
            finish_drawing()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    # --- the verbs ---------------------------------------------------------------------------------------------------

    def start_campaign(
        self, tag: str, from_ref: str = "HEAD", calibrate: int = CALIBRATE, draws: Draws | None = None
    ) -> CampaignReply:
        """Begin a line of research on branch `autoresearch/<tag>`: baseline, calibration; or join it.

        draws: what campaigns of a tournament share by chance.
        """
        if not 0 <= calibrate <= 20:
            raise ArenaError(f"calibrate is {calibrate}; it counts the extra baseline runs and must be 0 to 20.")
        if wrong := unsupported() or begins_other(self._named, tag):
            raise NotNow(wrong)
        program = None if self.paths.ledger.exists() else load_program(self.paths.program)
        with self._verb() as (bench, _):
            existing = bench.ledger.campaign(tag)
            if existing is not None:
                room = self._publisher.make_room(bench, tag)
                return join(bench, existing, [*room, *of_old_corpus(existing.corpus)])
            program = program or load_program(self.paths.program)
            from_ref = self._claims.beginning(program.arena, from_ref, bench.stamp())
            return start(bench, self._publisher.make_room, program, tag, from_ref, calibrate, draws)

    def run_experiment(
        self,
        description: str = "",
        hypothesis: str = "",
        expected_delta: float | None = None,
        session: str = "",
        insist: bool = False,
        proposer: Proposer = UNTOLD,
        source: str = "",
    ) -> ExperimentReply:
        """Snapshot the editable files into the vault and queue a run; what was scored before is answered, not run.

        insist: run it also where it takes back what was kept, where the branch was moved to what nobody measured, or
        where other labs have tried it. proposer: recorded as told; no verdict knows it. source: another lab's attempt,
        LAB/n, whose edit is made on the incumbent instead of what the work tree has; or two, `A + B`, put together.
        """
        description = clean_line(description, DESCRIPTION_LIMIT)
        if not description and not source:
            raise NotNow("The description is empty. Say in one line what this experiment changes.")
        why, claim = clean_block(hypothesis, HYPOTHESIS_LIMIT), self._elsewhere.claim()
        asked = Asked(description, why, expected_delta, session=session, insist=insist, proposer=proposer)
        look(self)
        try:
            return self._open(asked, claim, source)
        except ToClaim:
            claim.send()  # with the lab's lock free: the network delays nobody
        try:
            return self._open(asked, claim, source)
        except BaseException:
            claim.give_up()
            raise

    def _open(self, asked: Asked, claim: Claim, source: str) -> ExperimentReply:
        """Take an attempt in. Raises ToClaim where other labs are to be told first."""
        with self._verb() as (bench, caught):
            campaign, arena = campaign_at(bench)
            refuse_when_over(bench, campaign, arena)
            refuse_while_closed(bench, campaign)
            told: Sequence[str] = ()
            if source:
                asked, told = self._adopted(bench, campaign, arena, asked, source)
            reply = open_experiment(bench, campaign, arena, asked, partial(self._elsewhere.about, claim))
            late = None if asked.insist else partial(self._answered, claim, reply.experiment)
            claim.runs(campaign.tag, reply.experiment, late)
            queue.taken(bench, campaign, reply.experiment, f"{asked.description} {asked.hypothesis}")
            _, problem = program_in_force(bench, campaign)
            reply.warnings += [*told, *caught.problems, *([problem] if problem else [])]
            return reply

    def _answered(self, claim: Claim, number: int) -> None:
        """Other labs answered after the start: what one of them was first with is stopped."""
        with self._verb() as (bench, _):
            campaign, arena = campaign_at(bench)
            one = bench.ledger.experiment(campaign.tag, number)
            told = self._elsewhere.about(claim, campaign, arena, one.fingerprint, one.knobs, one.repeats)[0]
            if told and orders.stop(bench, campaign.tag, number):
                self._elsewhere.withdrawn(f"{campaign.tag}/{number}", told.replace(NOT_RUN, " It was stopped here."))

    def _adopted(
        self, bench: Bench, campaign: Campaign, arena: Arena, asked: Asked, source: str
    ) -> tuple[Asked, list[str]]:
        """What to run for another lab's edit, and what is worth knowing of it. Nothing was written yet."""
        edits = edits_named(bench, campaign, arena, source, partial(self._claims.edit, campaign, arena))
        full = "" if asked.insist or len(edits) > 1 else self._claims.refusal(bench.ledger, campaign, edits[0].name)
        if full:
            raise NotNow(f"{full} To run it all the same: {astray.INSIST}.")
        return adopted(bench, campaign, arena, edits, asked), [said for edit in edits for said in edit.warnings]

    def to_repeat(self, asked_for: bool = False) -> Choice | None:
        """What of other labs to repeat now: what is due by itself, or the best there is for who asks by hand."""
        with self._verb() as (bench, _):
            return self._to_repeat(bench, *campaign_at(bench), asked_for)

    def _to_repeat(self, bench: Bench, campaign: Campaign, arena: Arena, asked_for: bool = False) -> Choice | None:
        fits = partial(adopted, bench, campaign, arena)
        return self._claims.to_repeat(bench.ledger, campaign, arena, bench.now(), fits, asked_for)

    def read_score(self, experiment: int | None = None, session: str = "") -> ScoreReply:
        """Score, noise band and state of an experiment, by default the last one of the session. Never waits."""
        with self._verb() as (bench, caught):
            campaign, arena = campaign_at(bench)
            found = experiment_at(bench, campaign, experiment, session)
            judgement = judgement_of(bench, campaign, found)
            reply = progress.score_reply(bench.ledger, self.paths, found, arena, self.now(), judgement)
            reply.warnings += [*caught.problems, *self._elsewhere.first(f"{campaign.tag}/{found.number}")]
            due = reply.eta_seconds if reply.phase == "pending" else None
            reply.next = next_for(found, Status(reply.status), judgement, due)
            if found.kind == Kind.BASELINE and reply.phase != "pending":
                reply.next = baseline.of_campaign(bench, campaign, arena) or reply.next
            return reply

    def commit_or_revert(
        self, experiment: int | None = None, decision: str = "auto", learned: str = "", session: str = ""
    ) -> DecisionReply:
        """Let the referee decide on a scored experiment, then let git follow. Takes no number from the caller.

        `learned`: the lesson of it, remembered once it is decided; one that is refused undoes no decision.
        """
        reply = self._decide(experiment, decision, session)
        if learned and reply.decision != "confirming":
            try:
                lesson = self.append_learnings(learned, reply.experiment)
                reply.learning, reply.note = lesson.learning, lesson.note
            except NotNow as error:
                reply.note = str(error)
            reply.next = reply.next.removeprefix(WRITE_FIRST).lstrip()
        return reply

    def _decide(self, experiment: int | None, decision: str, session: str) -> DecisionReply:
        if decision not in ("auto", "keep", "revert"):
            raise NotNow(f"decision is {clean_line(decision, 40)!r}; it must be auto (the referee's), keep or revert.")
        with self._verb() as (bench, _):
            campaign, arena = campaign_at(bench)
            found = experiment_at(bench, campaign, experiment, session)
            if found.decision is not None:
                return decided(bench, found, asked_again(bench, campaign, found, decision))
            self.workspace.guard()
            if decision != "revert" or found.kind == Kind.BASELINE:
                baseline.refuse_without_baseline(bench, campaign, arena, found)
            judgement = judgement_of(bench, campaign, found)
            judgement = conclude(bench, campaign, arena, found, judgement, decision)
            caught = recovery.catch_up(bench)
            found = bench.ledger.experiment(campaign.tag, found.number)
            if found.decision is None:
                return confirming(bench, found, judgement)
            if not found.settled:
                raise WorkspaceError(
                    f"Decided, but git could not follow: {' '.join(caught.problems)} Mend that; the next "
                    "call finishes it."
                )
            reply, over = decided(bench, found, caught), over_by_rule(bench, campaign, arena)
            reply.next = queue.next_step(bench, campaign, reply.next)
            if over:
                reply.next = f"{WRITE_FIRST} {ending(bench, campaign, over)}"
            return reply

    def append_learnings(
        self,
        text: str,
        experiment: int | None = None,
        tags: Sequence[str] = (),
        about: Sequence[str] = (),
        reply_to: str = "",
    ) -> LearningReply:
        """Add one lesson to the shared memory; with `about` or `reply_to` say it to the other labs instead.

        about: records that a post is about, LAB/n or experiments of this campaign. A tag "question" or "idea" says what
        kind of post it is; a lesson with the tag "idea" goes into the queue of ideas.
        """
        with self._verb() as (bench, _):
            campaign, arena = campaign_at(bench)
            if about or reply_to:
                cited = [*about, *([str(experiment)] if experiment is not None else [])]
                speaker = saying.Speaker(self.workspace, bench.ledger, campaign, arena, self.now)
                return saying.posted(speaker, text, cited, reply_to, tags)
            if experiment is not None:
                bench.ledger.experiment(campaign.tag, experiment)
            if queue.IDEA in [tag.strip().lower() for tag in tags]:
                number, said = queue.added(bench, campaign, text, "agent")
                return LearningReply(text=said, note=f"idea {number} of the queue", next="It waits for its turn.")
            admitted = admit(text, known_like(bench.ledger, text))
            if admitted.text is None:
                raise NotNow(admitted.refusal)
            labels = [clean_line(tag, 32) for tag in list(tags)[:8]]
            key = bench.ledger.add_learning(campaign.tag, experiment, admitted.text, labels, "agent", bench.stamp())
            return LearningReply(
                learning=key,
                text=admitted.text,
                note="; ".join(admitted.notes),
                next=queue.next_step(bench, campaign, "Propose the next experiment; recall shows what was tried."),
            )

    def recall(self, query: str = "", knobs: Sequence[str] = (), limit: int = 10) -> RecallReply:
        """What was tried and learned, best match first."""
        if not 1 <= limit <= 50:
            raise NotNow(f"limit is {limit}; it must be 1 to 50.")
        with self._verb() as (bench, _):
            asked = clean_block(query, 2000), list(knobs)[:20]
            reply = recalled(bench.ledger, *asked, limit, self._elsewhere.tried)
            reply.suggestions, reply.landscape = self._carried(bench)
            with contextlib.suppress(UnknownExperiment):
                campaign, _ = campaign_at(bench)
                ideas = queue.bearing_on(bench, campaign, *asked)
                reply.lines, reply.found = [*ideas, *reply.lines][:limit], reply.found + len(ideas)
                reply.next = queue.next_step(bench, campaign, reply.next)
            return reply

    def notes(self, reader: str) -> list[str]:
        """What people left for the agent that calls, who has it from now on; asked after each of its calls."""
        # where it cannot be delivered it waits: the call was carried out, or has its own words for what is wrong
        with self._mutex, contextlib.suppress(AutoresearchError):
            if self._ledger is not None and self._ledger.has_notes():
                with self._verb() as (bench, _):
                    return deliver(bench, campaign_at(bench)[0], reader)
        return []

    def suggest(self, count: int = 3) -> SuggestReply:
        """What a classical optimiser would try next over the constants of the incumbent's file. It runs nothing."""
        if not 1 <= count <= 20:
            raise NotNow(f"count is {count}; it must be 1 to 20.")
        with self._verb() as (bench, _):
            return self._advice.of(bench, *campaign_at(bench), count)

    def _carried(self, bench: Bench) -> tuple[list[str], str]:
        """Suggestions for replies about other things, where there are any."""
        with contextlib.suppress(AutoresearchError):
            return self._advice.carried(bench, *campaign_at(bench))
        return [], ""

    def lab_status(self, caller: Caller = NOBODY, suggesting: bool = True) -> StatusReply:
        """Where are we: what a fresh agent reads first. It answers in every state of the work tree and of program.md.

        suggesting: with the optimiser's, which a page for people does not show. Raises LedgerError, for a ledger
        that is damaged or newer than this code, and UnknownExperiment where the campaign that was named is not there.
        """
        caught = CaughtUp()
        try:
            if not self.paths.ledger.exists():
                if self._named:
                    raise no_campaign(self._named)
                return nowhere(self.paths, None, caught)
            look(self)
            with self._verb() as (bench, caught):
                campaign, _ = campaign_at(bench)
                program, problem = program_in_force(bench, campaign)
                reply = whereabouts(bench, campaign, program, problem, caught)
                reply.community = self._elsewhere.board(campaign, program.arena)
                if suggesting:
                    reply.suggestions, reply.landscape = self._carried(bench)
                reply.news = reading.news(Places.of(self.paths.state), self.now)
                if self._claims.joined and not open_here(bench, campaign):
                    reply.repeat = str(self._to_repeat(bench, campaign, program.arena) or "")
                reply.problems += of_old_corpus(campaign.corpus)
                reply.problems += astray.remarks(bench, campaign, program.arena)
                reply.problems += overwritten.remarks(bench, campaign, program.arena, caller)
                return reply
        except AutoresearchError as error:
            if isinstance(error, LedgerError) or (self._named and isinstance(error, UnknownExperiment)):
                raise
            return nowhere(self.paths, error, caught)

    def cancel_experiment(self, experiment: int) -> ExperimentReply:
        """Stop the runs of an experiment and record it."""
        with self._verb() as (bench, _):
            campaign, arena = campaign_at(bench)
            found = bench.ledger.experiment(campaign.tag, experiment)
            if not orders.stop(bench, campaign.tag, experiment):
                raise NotNow(f"Experiment {experiment} is not running. read_score({experiment}) shows how it ended.")
            recovery.catch_up(bench)
            reply = progress.experiment_reply(bench.ledger, self.paths, found, arena, self.now())
            reply.next = f"It ends within the grace; commit_or_revert({experiment}) then puts the files back."
            return reply

    def amend(self, digest: str | None = None) -> AmendReply:
        """A person's: what program.md would change of the rules, or put exactly the version `digest` in force."""
        with self._verb() as (bench, _):
            campaign, _ = campaign_at(bench)
            return amend.amend(bench, campaign, digest)

    def exam(self, seeds: int = EXAM_SEEDS, again: bool = False) -> ExamReply:
        """The closing exam: baseline and incumbent on the untouched split and fresh seeds; `again` where it failed."""
        if not 2 <= seeds <= 50:
            raise NotNow(f"seeds is {seeds}; it must be 2 to 50, for one difference has no interval.")
        with self._verb() as (bench, _):
            campaign, arena = campaign_at(bench)
            incumbent = bench.ledger.incumbent(campaign.tag)
            kept = bench.ledger.kept(campaign.tag)
            if incumbent is None or incumbent.number == kept[0].number:
                raise NotNow(
                    "Nothing but the baseline was kept, so there is no gain to examine. Keep an improvement first."
                )
            exam = bench.ledger.exam(campaign.tag)
            if exam is None or is_due(exam, incumbent.number, again):
                fresh = [campaign.seed + FIRST_EXAM_SEED + turn for turn in range(seeds)]
                paired = bool(pairing.choice_of(bench.ledger, arena, campaign).pairing)
                bench.ledger.open_exam(campaign.tag, kept[0].number, incumbent.number, fresh, bench.stamp(), paired)
                recovery.catch_up(bench)
                exam = bench.ledger.exam(campaign.tag)
            assert exam is not None
            return examined(bench.ledger, arena, campaign, exam)

    def run_without(self, number: int) -> ExperimentReply:
        """Run the incumbent with the change of one kept experiment taken back; part of `prune`."""
        with self._verb() as (bench, _):
            campaign, arena = campaign_at(bench)
            return open_without(bench, campaign, arena, number)

    @contextlib.contextmanager
    def reading(self) -> Iterator[tuple[Bench, Campaign, Arena]]:
        """For faces that show more than a verb says: the bench, caught up, with the lock held."""
        with self._verb() as (bench, _):
            yield bench, *campaign_at(bench)

    @contextlib.contextmanager
    def reading_all(self) -> Iterator[Bench]:
        """The same for what looks at all campaigns, whichever this work tree is on."""
        with self._verb() as (bench, _):
            yield bench

    # --- how the verbs find what they act on -------------------------------------------------------------------------

    @contextlib.contextmanager
    def _verb(self) -> Iterator[tuple[Bench, CaughtUp]]:
        """The lab's lock, an open ledger, and everything caught up with."""
        with self._mutex:
            if not self.paths.ledger.exists():
                load_program(self.paths.program)  # no lab here: say so before anything is created
            with self._disk(), locked(self.paths.lock), self.workspace.git.at_hand():
                bench = self._bench()
                caught = recovery.catch_up(bench)
                with contextlib.suppress(AutoresearchError):  # no campaign here, so nothing is drawn
                    caught.problems += self._publisher.make_room(bench, campaign_at(bench)[0].tag)
                yield bench, caught
                self._publish(bench)
            for room in (beside, personal):  # other labs, and the user, hear of it; nobody waits for that
                room.wake(self.paths.state, self.paths.tree)

    def _publish(self, bench: Bench, *, at_once: bool = False) -> None:
        """Draw the views of the campaign this work tree is on, if it is on one."""
        try:
            with contextlib.suppress(UnknownExperiment):
                campaign, arena = campaign_at(bench)
                for problem in self._publisher.publish(bench, campaign, arena, at_once=at_once):
                    log.warning(problem)
        except AutoresearchError as error:
            log.warning("%s", error)  # what the verb did is recorded; it must not look as if it had failed

    def _bench(self) -> Bench:
        if self._ledger is not None and not self._ledger.in_place():
            # a backup was put in its place: the open file has no name any more, and nobody would read what goes into it
            self._ledger.close()
            self._ledger = None
        if self._ledger is None:
            ledger = Ledger(self.paths.ledger)
            ledger.check(touched=True)
            self._ledger = ledger
        return Bench(self.workspace, self.paths, self._ledger, self.now, self.engine, self._named)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AutoresearchError(refused(error)) from None
