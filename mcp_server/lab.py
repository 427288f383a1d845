"""One repository under experiment: each verb is one paragraph and returns at once.

A verb takes the lab's lock, catches up with what happened meanwhile, reads the arena, acts, and lets go. Runs live in
processes of their own; whoever calls the next verb, in whatever process, moves their results into the ledger.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mcp_server import recovery, standing, tally
from mcp_server.arena import Arena, Program, load_program
from mcp_server.corpus import prepared_corpus
from mcp_server.entries import Campaign, Experiment
from mcp_server.errors import ArenaError, AutoresearchError, NotNow, UnknownExperiment, WorkspaceError
from mcp_server.files import locked
from mcp_server.fingerprint import change, fingerprint, nodes
from mcp_server.judgement import Judgement, judge_experiment
from mcp_server.knobs import knob_changes
from mcp_server.ledger import Ledger
from mcp_server.memory import admit
from mcp_server.messages import opened
from mcp_server.overview import recalled, whereabouts
from mcp_server.paths import LabPaths
from mcp_server.publishing import Publisher, finish_drawing
from mcp_server.reckoning import examined
from mcp_server.records import RunState, Status
from mcp_server.recovery import CaughtUp, House
from mcp_server.referee import Decision
from mcp_server.replies import (
    CampaignReply,
    DecisionReply,
    ExamReply,
    ExperimentReply,
    LearningReply,
    RecallReply,
    ScoreReply,
    StatusReply,
)
from mcp_server.text import clean_block, clean_line
from mcp_server.themes import theme
from mcp_server.touches import touches_protocol
from mcp_server.workspace import Workspace

log = logging.getLogger(__name__)

EDITABLE_LIMIT_BYTES = 2_000_000
DESCRIPTION_LIMIT, HYPOTHESIS_LIMIT = 200, 600
EXAM_SEEDS = 3
FIRST_EXAM_SEED = 1_000_000  # far from every seed a campaign uses
CALIBRATE = 2  # by default one repeat on the same seed and one new seed


def utc_now() -> datetime:
    return datetime.now(UTC)


class Lab:
    """The verbs of one lab, seen from one work tree.

    Every method may raise AutoresearchError with two sentences for the caller; nothing has changed then.
    """

    def __init__(self, tree: Path, now: Callable[[], datetime] = utc_now, campaign: str | None = None) -> None:
        self.workspace = Workspace(tree)
        self.paths: LabPaths = self.workspace.paths
        self.now = now
        self._named = campaign  # a campaign named by the caller outranks the checked-out branch
        self._ledger: Ledger | None = None
        self._publisher = Publisher(str(self.paths.tree), self.paths.state)
        self._mutex = threading.RLock()  # sync tools run in worker threads

    def close(self) -> None:
        """Draw what is still to be drawn, and let go of the ledger."""
        if self._ledger is not None:
            finish_drawing()
            with contextlib.suppress(AutoresearchError), self._verb() as (house, _):
                self._publish(house, at_once=True)
            finish_drawing()
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    # --- the verbs ---------------------------------------------------------------------------------------------------

    def start_campaign(self, tag: str, from_ref: str = "HEAD", calibrate: int = CALIBRATE) -> CampaignReply:
        """Begin a line of research on branch `autoresearch/<tag>`: baseline, calibration; or join it."""
        if not 0 <= calibrate <= 20:
            raise ArenaError(f"calibrate is {calibrate}; it counts the extra baseline runs and must be 0 to 20.")
        program = None if self.paths.ledger.exists() else load_program(self.paths.program)
        with self._verb() as (house, _):
            existing = house.ledger.campaign(tag)
            if existing is not None:
                return self._join(house, existing)
            program = program or load_program(self.paths.program)
            arena = program.arena
            self.workspace.guard()
            pinned = self.workspace.resolve(from_ref)
            self._check_files(arena, pinned)
            corpus = prepared_corpus() if arena.needs_corpus else None
            at = house.stamp()
            house.ledger.note_program(program.digest, program.text, at)
            campaign = Campaign(
                tag=tag,
                pinned=pinned,
                began_at=at,
                # unpredictable for an editor of train.py, the same for whoever repeats the campaign by its name
                seed=int.from_bytes(hashlib.sha256(f"{tag}\0{pinned}".encode()).digest()[:3]),
                calibrate=calibrate,
                corpus=str(corpus.folder) if corpus else None,
                fingerprint=corpus.fingerprint if corpus else None,
                secret=secrets.token_hex(32),
                program=program.digest,
                ready=False,
            )
            self.workspace.begin(tag, pinned, arena.editable)
            house.ledger.intend_campaign(campaign, str(self.paths.tree))
            self.workspace.ignore_views()
            problems = recovery.catch_up(house).problems
            return CampaignReply(
                campaign=tag,
                branch=campaign.branch,
                baseline=1,
                status=self._status(house, tag, 1),
                seeds=[run.seed for run in house.ledger.runs(tag, 1)],
                warnings=problems,
                next="The baseline runs; read_score(1) waits for it. Then edit "
                + f"{', '.join(arena.editable)} and call run_experiment.",
            )

    def run_experiment(
        self, description: str, hypothesis: str = "", expected_delta: float | None = None
    ) -> ExperimentReply:
        """Snapshot the editable files into the vault and queue a run; what was scored before is answered, not run."""
        description = clean_line(description, DESCRIPTION_LIMIT)
        if not description:
            raise NotNow("The description is empty. Say in one line what this experiment changes.")
        with self._verb() as (house, caught):
            campaign, arena = self._campaign(house)
            self._refuse_when_over(house, campaign, arena)
            reply = self._open(
                house, campaign, arena, description, clean_block(hypothesis, HYPOTHESIS_LIMIT), expected_delta
            )
            reply.warnings += caught.problems
            return reply

    def read_score(self, experiment: int | None = None) -> ScoreReply:
        """Score, noise band and state of an experiment (the last one by default). Never waits."""
        with self._verb() as (house, caught):
            campaign, arena = self._campaign(house)
            found = self._experiment(house, campaign, experiment)
            judgement = self._judge(house, campaign, arena, found)
            reply = standing.score_reply(house.ledger, self.paths, found, arena, self.now(), judgement)
            reply.warnings += caught.problems
            reply.next = self._next_for(found, Status(reply.status), judgement)
            return reply

    def commit_or_revert(self, experiment: int | None = None, decision: str = "auto") -> DecisionReply:
        """Let the referee decide on a scored experiment, then let git follow. Takes no number from the caller."""
        if decision not in ("auto", "keep", "revert"):
            raise NotNow(
                f"decision is {clean_line(decision, 40)!r}; it must be auto, keep or revert. `auto` "
                "follows the referee."
            )
        with self._verb() as (house, _):
            campaign, arena = self._campaign(house)
            found = self._experiment(house, campaign, experiment)
            if found.decision is not None:
                return self._decided(house, found, CaughtUp())
            self.workspace.guard()
            judgement = self._judge(house, campaign, arena, found)
            if decision == "revert":
                runs = house.ledger.runs(campaign.tag, found.number)
                if any(not run.state.terminal for run in runs):
                    raise NotNow(
                        f"Experiment {found.number} is still running. Wait with read_score, or call "
                        "cancel_experiment first."
                    )
                self._intend(house, found, "revert", None, judgement, "asked for by the agent")
            elif judgement is None:
                self._decide_without_score(house, campaign, found)
            else:
                self._follow(house, campaign, found, judgement, decision)
            caught = recovery.catch_up(house)
            found = house.ledger.experiment(campaign.tag, found.number)
            if found.decision is None:
                return self._confirming(house, found, judgement)
            if not found.settled:
                raise WorkspaceError(
                    f"Decided, but git could not follow: {' '.join(caught.problems)} Mend that; the next "
                    "call finishes it."
                )
            return self._decided(house, found, caught)

    def append_learnings(self, text: str, experiment: int | None = None, tags: Sequence[str] = ()) -> LearningReply:
        """Add one lesson to the shared memory."""
        with self._verb() as (house, _):
            campaign, _ = self._campaign(house)
            if experiment is not None:
                house.ledger.experiment(campaign.tag, experiment)
            known = [learning.text for learning in house.ledger.learnings()]
            admitted = admit(text, known)
            if admitted.text is None:
                raise NotNow(admitted.refusal)
            labels = [clean_line(tag, 32) for tag in list(tags)[:8]]
            key = house.ledger.add_learning(campaign.tag, experiment, admitted.text, labels, "agent", house.stamp())
            return LearningReply(
                learning=key,
                text=admitted.text,
                note="; ".join(admitted.notes),
                next="Propose the next experiment; recall shows what was tried.",
            )

    def recall(self, query: str = "", knobs: Sequence[str] = (), limit: int = 10) -> RecallReply:
        """What was tried and learned, best match first."""
        if not 1 <= limit <= 50:
            raise NotNow(f"limit is {limit}; it must be 1 to 50.")
        with self._verb() as (house, _):
            return recalled(house.ledger, clean_block(query, 2000), list(knobs)[:20], limit)

    def lab_status(self) -> StatusReply:
        """Where are we: what a fresh agent reads first."""
        if not self.paths.ledger.exists():
            arena = load_program(self.paths.program).arena
            return StatusReply(
                goal=arena.goal,
                metric=f"{arena.metric.name}, {arena.metric.direction}",
                editable=list(arena.editable),
                next="No campaign yet: start_campaign(tag) begins one and runs the baseline.",
            )
        with self._verb() as (house, caught):
            campaign, _ = self._campaign(house)
            program, problem = self._program(house, campaign)
            return whereabouts(house, campaign, program, problem, caught)

    def cancel_experiment(self, experiment: int) -> ExperimentReply:
        """Stop the runs of an experiment and record it."""
        with self._verb() as (house, _):
            campaign, arena = self._campaign(house)
            found = house.ledger.experiment(campaign.tag, experiment)
            waiting = [run for run in house.ledger.runs(campaign.tag, experiment) if not run.state.terminal]
            if not waiting:
                raise NotNow(f"Experiment {experiment} is not running. read_score({experiment}) shows how it ended.")
            for run in waiting:
                self.paths.run(run.campaign, run.experiment, run.run).cancel.touch()
            recovery.catch_up(house)
            reply = standing.experiment_reply(house.ledger, self.paths, found, arena, self.now())
            reply.next = f"It ends within the grace; commit_or_revert({experiment}) then puts the files back."
            return reply

    def exam(self, seeds: int = EXAM_SEEDS) -> ExamReply:
        """The closing exam: baseline and incumbent on the untouched split and fresh paired seeds."""
        if not 2 <= seeds <= 50:
            raise NotNow(f"seeds is {seeds}; it must be 2 to 50, for one difference has no interval.")
        with self._verb() as (house, _):
            campaign, arena = self._campaign(house)
            incumbent = house.ledger.incumbent(campaign.tag)
            kept = house.ledger.kept(campaign.tag)
            if incumbent is None or incumbent.number == kept[0].number:
                raise NotNow(
                    "Nothing but the baseline was kept, so there is no gain to examine. Keep an improvement first."
                )
            exam = house.ledger.exam(campaign.tag)
            if exam is None or (exam.result is not None and exam.incumbent != incumbent.number):
                fresh = [campaign.seed + FIRST_EXAM_SEED + turn for turn in range(seeds)]
                house.ledger.open_exam(campaign.tag, kept[0].number, incumbent.number, fresh, house.stamp())
                recovery.catch_up(house)
                exam = house.ledger.exam(campaign.tag)
            assert exam is not None
            return examined(house.ledger, arena, campaign, exam)

    def run_without(self, number: int) -> ExperimentReply:
        """Run the incumbent with the change of one kept experiment taken back; part of `prune`."""
        with self._verb() as (house, _):
            campaign, arena = self._campaign(house)
            found = house.ledger.experiment(campaign.tag, number)
            incumbent = house.ledger.incumbent(campaign.tag)
            if incumbent is None or found.decision != "keep" or found.commit_sha is None or found.label == "baseline":
                raise NotNow(
                    f"Experiment {number} is not a kept change. `autoresearch history --status kept` lists them."
                )
            tip = recovery.incumbent_commit(house.ledger, campaign)
            files = self.workspace.without(found.commit_sha, tip, arena.editable)
            if files is None:
                raise NotNow(f"Later changes build on experiment {number}, so it cannot be taken back alone. It stays.")
            self.workspace.lay(files, arena.editable, tip)
            return self._open(
                house,
                campaign,
                arena,
                f"without experiment {number}: {found.description}"[:DESCRIPTION_LIMIT],
                kind="prune",
            )

    def finished(self, experiment: int | None = None) -> bool:
        """Whether no run of an experiment (the last one by default) is open any more; what a waiting face asks."""
        with self._verb() as (house, _):
            campaign, _ = self._campaign(house)
            found = self._experiment(house, campaign, experiment)
            return all(run.state.terminal for run in house.ledger.runs(campaign.tag, found.number))

    @contextlib.contextmanager
    def reading(self) -> Iterator[tuple[House, Campaign, Arena]]:
        """For faces that show more than a verb says: the house, caught up, with the lock held."""
        with self._verb() as (house, _):
            yield house, *self._campaign(house)

    # --- how the verbs find what they act on -------------------------------------------------------------------------

    @contextlib.contextmanager
    def _verb(self) -> Iterator[tuple[House, CaughtUp]]:
        """The lab's lock, an open ledger, and everything caught up with."""
        with self._mutex:
            if not self.paths.ledger.exists():
                load_program(self.paths.program)  # no lab here: say so before anything is created
            with self._disk(), locked(self.paths.lock):
                house = self._house()
                caught = recovery.catch_up(house)
                yield house, caught
                self._publish(house)

    def _publish(self, house: House, *, at_once: bool = False) -> None:
        """Draw the views of the campaign this work tree is on, if it is on one."""
        with contextlib.suppress(UnknownExperiment):
            campaign, arena = self._campaign(house)
            for problem in self._publisher.publish(house, campaign, arena, at_once=at_once):
                log.warning(problem)

    def _house(self) -> House:
        if self._ledger is None:
            ledger = Ledger(self.paths.ledger)
            ledger.check()
            self._ledger = ledger
        return House(self.workspace, self.paths, self._ledger, self.now)

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AutoresearchError(
                f"The disk refused: {error}. What was recorded before is whole; free some space or mend "
                "the permissions, then call again."
            ) from None

    def _campaign(self, house: House) -> tuple[Campaign, Arena]:
        """The campaign a verb called here acts on, and the arena in force. Raises UnknownExperiment."""
        head = self.workspace.branch_at_head()
        by_branch = head.removeprefix("autoresearch/") if head and head.startswith("autoresearch/") else None
        for tag in (self._named, by_branch, house.ledger.campaign_of(str(self.paths.tree))):
            campaign = house.ledger.campaign(tag) if tag else None
            if campaign is not None and campaign.ready:
                program, _ = self._program(house, campaign)
                return house.ledger.campaign(campaign.tag) or campaign, program.arena
        tags = house.ledger.active_campaigns()
        if self._named or not tags:
            raise UnknownExperiment(
                (f"There is no campaign {self._named}. " if self._named else "No campaign has begun in this lab. ")
                + "Begin one with start_campaign(tag), for example start_campaign('first')."
            )
        raise UnknownExperiment(
            f"This work tree is on no campaign. Join one with start_campaign(tag): {', '.join(tags[-10:])}."
        )

    def _program(self, house: House, campaign: Campaign) -> tuple[Program, str]:
        """The program in force and what is wrong with the file: only a valid edit applies."""
        in_force = house.program(campaign.program)
        try:
            written = load_program(self.paths.program)
            if written.digest == in_force.digest:
                return in_force, ""
            _refuse_another_measure(in_force.arena, written.arena)
        except ArenaError as error:
            return in_force, f"{error} Until then the last valid version ({in_force.digest}) stays in force."
        house.ledger.note_program(written.digest, written.text, house.stamp())
        house.ledger.set_program(campaign.tag, written.digest)
        return written, ""

    def _experiment(self, house: House, campaign: Campaign, number: int | None) -> Experiment:
        if number is not None:
            return house.ledger.experiment(campaign.tag, number)
        last = house.ledger.experiments(campaign.tag, last=1)
        if not last:
            raise UnknownExperiment(f"Campaign {campaign.tag} has no experiment yet. run_experiment makes one.")
        return last[0]

    def _check_files(self, arena: Arena, commit: str) -> None:
        """What the arena names must be in the commit the campaign begins from."""
        for path in arena.frozen:
            if not self.workspace.committed((path,), commit):
                raise WorkspaceError(
                    f"The frozen file {path} is not in commit {commit[:10]}. Commit it, or take it out of "
                    "`frozen` in program.md."
                )
        for pattern in arena.editable:
            if not self.workspace.committed((pattern,), commit):
                raise WorkspaceError(
                    f"The editable file {pattern} is not in commit {commit[:10]}. Commit it, or correct "
                    "`editable` in program.md."
                )
        self.workspace.read_editable(arena.editable, commit, EDITABLE_LIMIT_BYTES)

    def _join(self, house: House, campaign: Campaign) -> CampaignReply:
        house.ledger.join(str(self.paths.tree), campaign.tag, house.stamp())
        self.workspace.ignore_views()
        head = self.workspace.branch_at_head()
        warnings = []
        if head != campaign.branch:
            warnings.append(
                f"This work tree has {head or 'a detached HEAD'} checked out; verbs called here now act on "
                f"{campaign.branch}. "
                f"`git restore --source {campaign.branch} -- FILE` brings the incumbent's files here."
            )
        incumbent = house.ledger.incumbent(campaign.tag)
        return CampaignReply(
            campaign=campaign.tag,
            branch=campaign.branch,
            baseline=1,
            status=self._status(house, campaign.tag, 1),
            warnings=warnings,
            next=f"Joined; the incumbent is experiment {incumbent.number}."
            if incumbent
            else "Joined; the baseline has no score yet.",
        )

    def _status(self, house: House, tag: str, number: int) -> Status:
        return tally.status_of(house.ledger.experiment(tag, number), house.ledger.runs(tag, number))

    # --- parts of run_experiment -------------------------------------------------------------------------------------

    def _open(
        self,
        house: House,
        campaign: Campaign,
        arena: Arena,
        description: str,
        hypothesis: str = "",
        expected_delta: float | None = None,
        kind: str = "attempt",
    ) -> ExperimentReply:
        """Snapshot what the work tree has, record the attempt and start its run."""
        incumbent = house.ledger.incumbent(campaign.tag)
        sources, before = self._sources(house, campaign, arena, incumbent)
        marks = fingerprint(sources)
        if incumbent is not None and marks == incumbent.fingerprint:
            raise NotNow(
                f"Nothing changed: {', '.join(arena.editable)} means the same as the incumbent, experiment "
                f"{incumbent.number}. Edit it, then call run_experiment again."
            )
        earlier = None if kind == "prune" else self._answered(house, campaign, arena, marks)
        if earlier is not None:
            return earlier
        number, edit = house.ledger.next_number(campaign.tag), change(before, sources)
        tried = [e for e in house.ledger.same_edit(edit, campaign.tag) if e.number != number]
        kind = "baseline" if incumbent is None else "retest" if tried and kind == "attempt" else kind
        changes = tuple((c.name, c.before or "absent", c.after or "absent") for c in knob_changes(before, sources))
        experiment = Experiment(
            campaign=campaign.tag,
            number=number,
            kind=kind,
            description=description,
            hypothesis=hypothesis,
            expected_delta=expected_delta,
            snapshot="",
            base=incumbent.number if incumbent else None,
            fingerprint=marks,
            edit=edit,
            nodes=nodes(sources),
            knobs=changes,
            protocol=touches_protocol(before, sources),
            theme=theme(f"{description} {hypothesis}", [name for name, _, _ in changes]),
            program=campaign.program,
            style=arena.style,
            opened_at=house.stamp(),
            tree=str(self.paths.tree),
        )
        tip = recovery.incumbent_commit(house.ledger, campaign)
        snapshot = self.workspace.snapshot(arena.editable, tip, opened(campaign, experiment), experiment.opened_at)
        if snapshot.files != sources:
            raise NotNow("The editable files changed while the snapshot was taken. Call run_experiment again.")
        experiment = dataclasses.replace(experiment, snapshot=snapshot.commit)
        house.ledger.open_experiment(experiment, [(campaign.seed, "first")])
        started = recovery.catch_up(house)
        reply = standing.experiment_reply(house.ledger, self.paths, experiment, arena, self.now())
        reply.warnings += self._warnings(experiment, tried) + started.problems
        reply.next = f"read_score({number}) waits for the score; think about the next idea meanwhile."
        return reply

    def _refuse_when_over(self, house: House, campaign: Campaign, arena: Arena) -> None:
        over = self._over(house, campaign, arena)
        if over:
            raise NotNow(
                f"The campaign is over: {over}. Decide what is open, write down what was learned, and "
                "stop; the human may change `stop` in program.md."
            )

    def _over(self, house: House, campaign: Campaign, arena: Arena) -> str:
        incumbent = house.ledger.incumbent(campaign.tag)
        best = tally.mean_score(house.ledger.runs(campaign.tag, incumbent.number), arena) if incumbent else None
        counts, stale = house.ledger.count(campaign.tag), house.ledger.since_keep(campaign.tag)
        return standing.stop_reason(arena, campaign, counts, stale, best, self.now())

    def _sources(
        self, house: House, campaign: Campaign, arena: Arena, incumbent: Experiment | None
    ) -> tuple[Mapping[str, bytes], Mapping[str, bytes]]:
        """The editable files now and as the incumbent has them. Raises WorkspaceError."""
        changed = self.workspace.frozen_changes(campaign.pinned, arena.frozen)
        if changed:
            raise WorkspaceError(
                f"Frozen: {', '.join(one.path for one in changed)} differs from the campaign's first "
                "version, which is what is "
                f"measured. Put it back with `git restore --source {campaign.pinned[:12]} -- {changed[0].path}`.\n"
                + "\n".join(one.diff for one in changed[:3])
            )
        tip = recovery.incumbent_commit(house.ledger, campaign)
        sources = self.workspace.read_editable(arena.editable, tip, EDITABLE_LIMIT_BYTES)
        for path, content in sources.items():
            if path.endswith(".py"):
                try:
                    compile(content, path, "exec", dont_inherit=True)
                except (SyntaxError, ValueError) as error:
                    line = getattr(error, "lineno", None)
                    raise NotNow(
                        f"{path}{f', line {line}' if line else ''} is not valid Python: {error}. Mend it; "
                        "nothing was run or counted."
                    ) from None
        return sources, self.workspace.committed(arena.editable, tip)

    def _answered(self, house: House, campaign: Campaign, arena: Arena, marks: str) -> ExperimentReply | None:
        """The earlier result of the same code, or the lost attempt on its way again; None if it is new."""
        for twin in reversed(house.ledger.twins(marks, campaign.tag)):
            runs = house.ledger.runs(campaign.tag, twin.number)
            status = tally.status_of(twin, runs)
            excused = all(run.state in (RunState.LOST, RunState.CANCELLED) or run.tainted for run in runs)
            if excused and twin.decision is not None:
                continue
            if excused:
                house.ledger.open_run(campaign.tag, twin.number, runs[-1].seed, "retry", house.stamp())
                recovery.catch_up(house)
            reply = standing.experiment_reply(house.ledger, self.paths, twin, arena, self.now())
            if excused:
                reply.warnings.append(f"Experiment {twin.number} is run again; it does not count as another attempt.")
            else:
                reply.warnings.append(
                    f"The same code was tried as experiment {twin.number} ({status}); it was not run again."
                )
            reply.next = f"read_score({twin.number}) has the details."
            return reply
        return None

    def _warnings(self, experiment: Experiment, tried: Sequence[Experiment]) -> list[str]:
        warnings = []
        if tried:
            warnings.append(
                f"The same change was tried on another base as experiment {tried[-1].number}; this one is a retest."
            )
        if experiment.protocol:
            warnings.append(
                f"It touches {'; '.join(experiment.protocol[:3])}: such a change is not kept for its score."
            )
        return warnings

    # --- parts of commit_or_revert -----------------------------------------------------------------------------------

    def _judge(self, house: House, campaign: Campaign, arena: Arena, found: Experiment) -> Judgement | None:
        """The referee's view, or None while there is nothing to compare."""
        if found.kind == "baseline" or found.decision is not None:
            return None
        return judge_experiment(house.ledger, arena, campaign, found)

    def _follow(self, house: House, campaign: Campaign, found: Experiment, judgement: Judgement, decision: str) -> None:
        verdict = judgement.verdict
        if any(not run.state.terminal for run in judgement.runs):
            raise NotNow(f"Experiment {found.number} is still running. read_score({found.number}) waits for it.")
        if verdict.decision is Decision.CONFIRM and decision == "auto":
            for number, seed, purpose in judgement.wanted:
                house.ledger.open_run(campaign.tag, number, seed, purpose, house.stamp())
            return
        if decision == "keep" and verdict.decision is not Decision.KEEP:
            raise NotNow(
                f"The referee does not keep experiment {found.number}: {verdict.reason} "
                "`keep` cannot overrule it; use auto, or revert."
            )
        kept = verdict.decision is Decision.KEEP
        self._intend(
            house, found, "keep" if kept else "revert", judgement.label if kept else None, judgement, verdict.reason
        )

    def _decide_without_score(self, house: House, campaign: Campaign, found: Experiment) -> None:
        """A baseline or a failed attempt: there is nothing to judge."""
        runs = house.ledger.runs(campaign.tag, found.number)
        if any(not run.state.terminal for run in runs):
            raise NotNow(f"Experiment {found.number} is still running. read_score({found.number}) waits for it.")
        failed = tally.failure_of(runs)
        reason = (failed.result.reason if failed and failed.result else "") or "it has no score"
        self._intend(house, found, "revert", None, None, reason)

    def _intend(
        self,
        house: House,
        found: Experiment,
        decision: str,
        label: str | None,
        judgement: Judgement | None,
        reason: str,
    ) -> None:
        evidence = judgement.evidence() if judgement else {}
        failed = tally.failure_of(house.ledger.runs(found.campaign, found.number))
        outcome = "kept" if decision == "keep" else str(failed.state) if failed else "discarded"
        evidence |= {"reason": reason, "outcome": outcome}
        house.ledger.intend(found.campaign, found.number, decision, label, evidence, house.stamp())

    def _confirming(self, house: House, found: Experiment, judgement: Judgement | None) -> DecisionReply:
        runs = [run for run in house.ledger.runs(found.campaign, found.number) if not run.state.terminal]
        assert judgement is not None
        return DecisionReply(
            experiment=found.number,
            decision="confirming",
            change=standing.rounded(judgement.change),
            noise_widths=standing.rounded(judgement.widths, 2),
            probability=standing.rounded(judgement.verdict.probability, 3),
            reason=judgement.verdict.reason,
            runs=[standing.run_reply(run) for run in runs],
            next=f"read_score({found.number}) waits for the repeats; then commit_or_revert({found.number}) again.",
        )

    def _decided(self, house: House, found: Experiment, caught: CaughtUp) -> DecisionReply:
        verdict = found.verdict or {}
        key = (found.campaign, found.number)
        names = {"keep": "kept", "revert": "reverted", "overtaken": "overtaken"}
        incumbent = house.ledger.incumbent(found.campaign)
        after = {
            "keep": "Write down what was learned (append_learnings), then build on it.",
            "revert": "Write down why it failed (append_learnings), then try something else.",
            "overtaken": "Somebody changed the branch's editable files meanwhile; the candidate stays in the vault. "
            "Apply its change to the branch's present files and run it again.",
        }[found.decision or "revert"]
        return DecisionReply(
            experiment=found.number,
            decision=names[found.decision or "revert"],
            label=found.label or "",
            score=standing.rounded(verdict.get("score")),
            change=standing.rounded(verdict.get("change")),
            noise_widths=standing.rounded(verdict.get("noise_widths"), 2),
            probability=standing.rounded(verdict.get("probability"), 3),
            reason=clean_block(str(verdict.get("reason", "")), 400),
            commit=(found.commit_sha or "")[:12],
            restored=caught.restored.get(key, []),
            left=caught.left.get(key, []),
            incumbent=incumbent.number if incumbent else None,
            next=after,
        )

    def _next_for(self, found: Experiment, status: Status, judgement: Judgement | None) -> str:
        number = found.number
        if status in (Status.QUEUED, Status.RUNNING, Status.PENDING, Status.CONFIRMING):
            return f"Not finished; read_score({number}) again. Giving up the wait never affects the run."
        if found.decision is not None:
            return "Decided; propose the next experiment."
        if judgement is not None and judgement.verdict.decision is Decision.CONFIRM:
            return f"commit_or_revert({number}) starts the repeats the referee asks for."
        return f"commit_or_revert({number}) decides, then append_learnings."


def _refuse_another_measure(before: Arena, after: Arena) -> None:
    """Within a campaign scores must stay comparable. Raises ArenaError that names what may not change."""
    fixed = {
        "metric": (before.metric, after.metric),
        "run": (before.run, after.run),
        "score": (before.score, after.score),
        "frozen": (before.frozen, after.frozen),
        "budget.seconds": (before.budget.seconds, after.budget.seconds),
        "budget.clock": (before.budget.clock, after.budget.clock),
    }
    changed = [name for name, (old, new) in fixed.items() if old != new]
    if changed:
        raise ArenaError(
            f"program.md changes {', '.join(changed)}, which would make scores of this campaign incomparable. "
            "Put it back, or begin a new campaign with start_campaign."
        )
