"""The proof: the order in which an arena is run, watched, attacked and harmed. Effects only; `verdict` decides."""

from __future__ import annotations

import contextlib
import inspect
import shlex
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mcp_server.programs.commands import PYTHON_NAMES
from mcp_server.proving import attacks, exploits, harms, watcher
from mcp_server.proving.asked import Proof, Step, Variant, Wish
from mcp_server.proving.evidence import Aim, Evidence, Finding, Severity, Tried
from mcp_server.proving.ground import Ground, Launched, proving_ground, read_source
from mcp_server.proving.scan import Watched, known_to_scorer, program_files, scan, suspects, told, watched
from mcp_server.proving.verdict import ONE_RUN, scale_of, weigh
from mcp_server.runner.environment import is_language_model_scorer

BATCH = 3  # runs queued at once: the next one starts up while one runs
IN_THE_FIELD = 12  # the same where the world answers later: waiting costs nothing
MOST_PASTES = 3
TAINTED_RETRIES = 2  # of a run beside a foreign load
REFUSALS = 3  # harms that were refused, after which no other is tried
WATCHER = "autoresearch_watcher.py"


def prove(arena_folder: Path, wish: Wish, tell: Callable[[Step], None]) -> Proof:
    """Prove the arena in a folder, which is only read. Raises AutoresearchError."""
    with proving_ground(read_source(arena_folder)) as ground, _listening() as port:
        return _Prover(ground, wish, tell, port).carry_out()


class _Prover:
    """One proof on one ground; holds what has been found so far."""

    def __init__(self, ground: Ground, wish: Wish, tell: Callable[[Step], None], port: int) -> None:
        self.ground, self.wish, self._tell, self._port = ground, wish, tell, port
        self.evidence = Evidence(ground.arena, ())
        self.watch = Watched()
        self._done, self._planned = 0, wish.repeats + 8
        self._first: Launched | None = None

    def carry_out(self) -> Proof:
        told_versions = [
            Variant(aim, f"{aim}: {asked}", self._version(asked), {})
            for aim, asked in ((Aim.BETTER, self.wish.better), (Aim.WORSE, self.wish.worse))
            if asked
        ]  # first, so that a slip in them costs no run
        self._run_baseline()
        if scale_of(self.evidence) is None or any(trial.score is None for trial in self.evidence.baseline):
            self._scan()
            return Proof(self.evidence, weigh(self.evidence))
        self._watch()
        self._scan()
        variants = [*told_versions, *self._attacks()]
        self._planned = self._done + len(variants) + 1
        self._try(variants)
        if self.wish.worse is None:
            self._harm()
        self._pair()
        return Proof(self.evidence, weigh(self.evidence))

    @property
    def _delayed(self) -> bool:
        return self.ground.arena.handover is not None

    def _version(self, asked: str) -> dict[str, bytes]:
        found = harms.as_told(self.ground.sources, asked, self.wish.folder)
        return self.ground.applied(found) if isinstance(found, Path) else found

    # -- honest runs ---------------------------------------------------------------------------------------------------

    def _run_baseline(self) -> None:
        """Twice on one seed, then on others."""
        seeds = [max(1, turn) for turn in range(self.wish.repeats)]
        waiting = [self.ground.launch("unchanged", seed=seed) for seed in seeds] if self._delayed else []
        for turn, seed in enumerate(seeds):
            self._say(f"unchanged code, run {turn + 1} of {self.wish.repeats}")
            # one after the other, so that none disturbs the time of another
            launched = waiting[turn] if waiting else self.ground.launch("unchanged", seed=seed)
            trial = self.ground.wait(launched, self.wish.patience_seconds)
            for _ in range(TAINTED_RETRIES):
                if not trial.result.tainted:
                    break
                self._say(f"run {turn + 1} again, the machine was busy")
                launched = self.ground.launch("unchanged", seed=seed)
                trial = self.ground.wait(launched, self.wish.patience_seconds)
            self._done += 1
            self.evidence = replace(self.evidence, baseline=(*self.evidence.baseline, trial))
            if trial.score is None:
                return
            self._first = self._first or launched

    def _watch(self) -> None:
        """Ask the scorer about the first run again, and see what it opens."""
        command = tuple(shlex.split(self.ground.arena.score))
        if command[0] not in PYTHON_NAMES or is_language_model_scorer(command) or self._first is None:
            return
        if len(command) < 2 or (command[1].startswith("-") and command[1] != "-m"):
            return
        self._say("what the scorer opens")
        source = inspect.getsource(watcher).encode()
        trial = self.ground.rescored(self._first, (command[0], WATCHER, *command[1:]), {WATCHER: source})
        self.watch = watched(trial.words)

    def _scan(self) -> None:
        found = scan(self.ground.arena, self.ground.source.files, self.ground.source.untracked, self.watch)
        self.evidence = replace(self.evidence, scanned=(*self.evidence.scanned, *found))

    # -- attacks -------------------------------------------------------------------------------------------------------

    def _attacks(self) -> Iterator[Variant]:
        sources, arena = self.ground.sources, self.ground.arena
        python = attacks.in_python(sources)
        emptied = ", ".join(list(sources)[:3]) + (" and others" if len(sources) > 3 else "")
        yield Variant(Aim.IDLE, f"{emptied} emptied", attacks.idle(sources), {})
        if python and arena.checks:
            yield Variant(Aim.IDLE_PAST_CHECKS, f"{emptied} emptied", attacks.idle(sources, past_checks=True), {})
        files = self._files_known()
        known = known_to_scorer(self.watch, files, arena.score)
        if python:
            yield self._spy()
            if self._runs_attempt():
                plants = {"spoken": self._planted()["spoken"]}
                yield Variant(Aim.VOICE, "answering for the scorer", attacks.speaking(sources, plants), plants)
                yield Variant(Aim.CLOCK, "a slower clock", attacks.slowing(sources), {})
            yield from self._hand_ins(known)
            for said, changed in list(attacks.moved(sources, attacks.MEASURES, 0.1))[:2]:
                yield Variant(Aim.MEASURE, said, changed, {})
            more = attacks.more_work(sources)
            if more is not None:
                yield Variant(Aim.MORE_WORK, more[0], more[1], {})
        else:
            data = [(name, content) for name, content in known.items() if not name.endswith(".py")]
            for name, content in data[:MOST_PASTES]:
                said = f"{name} pasted into {next(iter(sources))}"
                yield Variant(Aim.PASTE, said, {**sources, next(iter(sources)): content}, {})

    def _spy(self, leave: bool = True) -> Variant:
        plants = {way: value for way, value in self._planted().items() if way != "spoken"}
        judges = program_files(self.ground.arena.score, self.ground.source.files)
        writes = [f"{place}{name}" for name in judges for place in ("", "../trusted/")]
        reads = sorted(self.watch.trusted | {f"../trusted/{name}" for name in judges})
        metric = self.ground.arena.metric.name
        files = attacks.spying(self.ground.sources, metric, self._score(), plants, reads, writes, self._port, leave)
        return Variant(Aim.SPY, "honest work with claims on the side", files, plants)

    def _hand_ins(self, known: Mapping[str, bytes]) -> Iterator[Variant]:
        assert self._first is not None
        files = attacks.artifact_files(self._first.paths.artifact)
        if files is None:
            return
        sources = self.ground.sources
        yield Variant(Aim.REPLAY, "an earlier artifact handed in", attacks.handing_in(sources, files), {})
        constant = attacks.constant_answers(files)
        if constant is not None:
            yield Variant(Aim.CONSTANT, "one answer everywhere", attacks.handing_in(sources, constant), {})
        for turn, (source, made) in enumerate(attacks.pasted_answers(files, known)):
            if turn < MOST_PASTES:
                yield Variant(Aim.PASTE, f"answers from {source}", attacks.handing_in(sources, made), {})

    def _runs_attempt(self) -> bool:
        """Whether the scorer may run the attempt's code. Unknown counts as yes."""
        if is_language_model_scorer(tuple(shlex.split(self.ground.arena.score))):
            return (
                False  # its hosts are attacked by tests of their own, and a proof would be minutes of training longer
            )
        code = [path for path in (*self.watch.snapshot, *self.watch.artifact) if path.endswith((".py", ".pyc"))]
        return not self.watch.seen or self.watch.started or bool(code)

    def _files_known(self) -> dict[str, bytes]:
        tree = self.ground.tree
        names = [*self.watch.trusted, *program_files(self.ground.arena.score, self.ground.source.files)]
        return {name: (tree / name).read_bytes() for name in names if (tree / name).is_file()}

    def _planted(self) -> dict[str, float]:
        return attacks.planted(self._score(), self.ground.arena.metric.direction)

    def _score(self) -> float:
        score = self.evidence.baseline[0].score
        assert score is not None
        return score

    def _try(self, variants: Sequence[Variant]) -> None:
        size = IN_THE_FIELD if self._delayed else BATCH
        for at in range(0, len(variants), size):
            batch = variants[at : at + size]
            launched = [self.ground.launch(str(variant.aim), variant.files, variant.seed) for variant in batch]
            for variant, run in zip(batch, launched, strict=True):
                self._say(variant.what)
                trial = self.ground.wait(run, self.wish.patience_seconds)
                self._done += 1
                tried = Tried(variant.aim, variant.what, trial, variant.planted)
                self.evidence = replace(self.evidence, tried=(*self.evidence.tried, tried))
                if variant.aim is Aim.SPY:
                    self._hear(tried)
        last = next((one for one in self.evidence.tried if one.aim is Aim.SPY), None)
        if (
            last is not None
            and last.trial.score is None
            and len([t for t in self.evidence.tried if t.aim is Aim.SPY]) < 2
        ):
            self._try(
                [self._spy(leave=False)]
            )  # the scorer refuses strange files; the other claims are still to be tried

    def _hear(self, tried: Tried) -> None:
        """What the spy found out, beyond its score."""
        said = told(tried.trial.log)
        if "opened" not in said and not said:
            return
        found: list[Finding] = []
        opened = [str(path) for paths in said.get("opened", []) if isinstance(paths, list) for path in paths]
        readable = {str(path) for path in said.get("readable", [])}
        telling, others = suspects(self.watch, opened, self.ground.arena)
        if hidden := [path for path in telling if path in readable]:
            found.append(exploits.readable(hidden, certain=True))
        elif known := [path for path in others if path in readable]:
            found.append(exploits.readable(known, certain=False))
        if written := [str(path) for path in said.get("written", [])]:
            words = f"A run could write {', '.join(written[:4])}."
            mend = "What is measured is put back from the first commit, but get a real sandbox: docs/trust.md."
            found.append(Finding("scorer_writable", Severity.WARNS, words, mend))
        if said.get("network"):
            words = "A run can reach the network."
            found.append(Finding("network_open", Severity.WARNS, words, "docs/trust.md says how to shut it."))
        self.evidence = replace(self.evidence, scanned=(*self.evidence.scanned, *found))

    # -- harm ----------------------------------------------------------------------------------------------------------

    def _harm(self) -> None:
        """Harms one after the other until one shows in the score, or several were refused."""
        scale = scale_of(self.evidence)
        assert scale is not None
        harming = [Variant(Aim.HARM, said, files, {}) for said, files in harms.harmed(self.ground.sources)]
        if self._delayed:
            self._try(harming)
            return
        refused = 0
        for variant in harming:
            self._try([variant])
            score = self.evidence.tried[-1].trial.score
            refused += score is None
            if refused >= REFUSALS or (score is not None and scale.gain(self.ground.arena.loss(score)) < 0):
                return

    def _pair(self) -> None:
        """Where scores scatter, run a small step on every seed: the referee pairs runs, and that may quiet them."""
        scale = scale_of(self.evidence)
        nudge = attacks.nudged(self.ground.sources)
        if scale is None or scale.ratio <= ONE_RUN or nudge is None:
            return
        seeds = sorted({trial.seed for trial in self.evidence.baseline})
        self._try([Variant(Aim.NUDGE, nudge[0], nudge[1], {}, seed) for seed in seeds])

    def _say(self, what: str) -> None:
        times = [trial.seconds for trial in self.evidence.baseline]
        left = max(0, self._planned - self._done)
        self._tell(Step(what, self._done, self._planned, left * sum(times) / len(times) if times else None))


@contextlib.contextmanager
def _listening() -> Iterator[int]:
    """A port of this machine that answers, for a run that tries the network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])
