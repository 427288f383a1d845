"""One side of a slot: the candidate's, or in a pair the incumbent's too. Its code, its folders, its device, its end.

Both sides take the same steps and give a result each; what one makes of the other is decided in `run` and `outcome`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mcp_server.nouns.files import remove
from mcp_server.nouns.records import RunResult, RunState, Tier, Watch
from mcp_server.runner import outcome, scorer
from mcp_server.runner.answers import Answer
from mcp_server.runner.environment import Surroundings, is_language_model_scorer, is_printed_scorer
from mcp_server.runner.pictures import making
from mcp_server.runner.process import compiled, limits
from mcp_server.runner.process.crash import diagnose, told
from mcp_server.runner.process.limits import Crossed, Limits
from mcp_server.runner.process.logs import hand_over
from mcp_server.runner.process.stop import Stop
from mcp_server.runner.process.unseen import hint
from mcp_server.runner.seal import Refused, measure, seal
from mcp_server.runner.trainer import Look, Training

FOLDER_SECONDS = 0.5


class Side:
    """What is done for one of the trees of code in a slot. `result` is what came of it so far."""

    def __init__(self, around: Surroundings, allowed: Limits, result: RunResult) -> None:
        self.around, self.allowed, self.result = around, allowed, result
        self.paths, self.spec = around.paths, around.spec
        self.asked: scorer.Asked | None = None
        self._originals: dict[str, bytes] = {}
        self._looked = float("-inf")
        self._leaves = False  # what its start-up compiles, to the runs after it

    @property
    def scorable(self) -> bool:
        """Whether it left something sealed that can be scored."""
        return self.result.state is RunState.RUNNING

    # -- training ------------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Empty folders, and the editable files as they are before anything runs. Raises OSError."""
        paths = self.paths
        paths.folder.mkdir(exist_ok=True)
        editable = [name for name in self.spec.editable if (paths.work / name).is_file()]
        self._originals = {name: (paths.work / name).read_bytes() for name in editable}
        for left in (paths.out, paths.artifact, paths.compiled, paths.compiled_first):
            remove(left)  # of an earlier attempt at this run that was lost
        paths.out.mkdir()
        if self.spec.compiled is not None:
            found = compiled.lay(self.spec.compiled, paths.compiled, self.spec.compiles)
            self._leaves = self.spec.compiles and not found
            self.result = self.result.model_copy(update={"compiled_before": found})
        self.around.renew_scratch()

    def too_large(self) -> Crossed | None:
        """Whether it has written more than it may."""
        # below T2 the trainer's home is a folder on the disk
        below = self.around.tier is not Tier.T2
        folders = (self.paths.out, self.around.scratch) if below else (self.paths.out,)
        return limits.output(folders, self.allowed) or limits.output((self.paths.compiled,), self.allowed)

    def watch(self, look: Look) -> Crossed | None:
        """The limits at one tick; the folders, which take longer to look through, twice a second."""
        if self._leaves and look.marks.started:
            self._leaves = False
            compiled.take(self.paths.compiled, self.paths.compiled_first)
        found = limits.crossed(self.allowed, look.usage, look.child.tree, look.child.inside)
        if found is None and time.monotonic() - self._looked >= FOLDER_SECONDS:
            self._looked = time.monotonic()
            found = self.too_large()
        return found

    def seal(self, training: Training, starved: bool, unbound: bool) -> None:
        """Decide how training ended; seal what it left if it ended well. Raises OSError."""
        spec, paths = self.spec, self.paths
        self.result = outcome.measured(self.result, training, spec.usual_startup_seconds, unbound)
        if _restore(paths.work, self._originals):
            self.result = self.result.model_copy(update={"flags": (*self.result.flags, "snapshot_restored")})
        # what it printed names its files as it saw them
        diagnosis = diagnose(training.log, training.exit_status, self.around.names.work, spec.editable, starved)
        if training.exit_status != 0:
            found = hint(training.log, spec, self.around.names.work, paths.work, self.around.lease.card is not None)
            diagnosis = told(diagnosis, found)
        bad = outcome.of_training(self.result, training, diagnosis)
        if bad is not None:
            self.result = bad
            return
        if is_printed_scorer(spec.score_command):
            hand_over(training.log, paths.out)
        sealed = seal(paths.out, paths.artifact, spec.budget.output_gb * limits.GIGABYTE)
        if not isinstance(sealed, Refused) and sealed.files == 0 and is_language_model_scorer(spec.score_command):
            words = "The run ended well but left no artifact: write model.safetensors into $AUTORESEARCH_OUT."
            sealed = Refused("no_artifact", words)
        if isinstance(sealed, Refused):
            self.result = outcome.refused(self.result, sealed, diagnosis.crash.excerpt)
            return
        if self.spec.compiled is not None:
            compiled.publish(paths.compiled_first, self.spec.compiled)
        self.result = self.result.model_copy(
            update={
                "state": RunState.RUNNING,
                "artifact_sha256": sealed.sha256,
                "artifact_bytes": sealed.size_bytes,
            }
        )

    def recall(self) -> None:
        """Refuse a sealed artifact that is not any more what was sealed, or another run's. Raises OSError."""
        foreign = self.result.order not in (None, self.around.spec.order)
        if self.scorable and (foreign or measure(self.paths.artifact).sha256 != self.result.artifact_sha256):
            words = "The sealed artifact changed since it was sealed, or is another run's. Run the experiment again."
            self.result = outcome.ended(self.result, RunState.REJECTED, "bad_output", words)

    # -- scoring -------------------------------------------------------------------------------------------------------

    def ask(self, warm: bool = False, on: tuple[int, ...] = ()) -> scorer.Asked:
        """Start its score command, unless it has been. Raises OSError."""
        self.asked = self.asked or scorer.Asked(self.around, self.allowed, warm, on)
        return self.asked

    def score(self, stop: Stop, progress: Callable[[float], None], failed_checks: tuple[str, ...] = ()) -> None:
        """Hear its score command out. Raises OSError."""
        answer = outcome.weighted(self.ask().answer(stop, progress), self.spec.weights, self.spec.metric)
        self.result = outcome.of_answer(self.result, answer, failed_checks, self.spec.usual_hosts)
        for name, command in self.spec.suite.items():
            if self.result.state is RunState.SCORED:
                self.result = outcome.of_suite(self.result, name, self._further(command, stop))

        if self.spec.watch is not None and self.result.state is RunState.SCORED:
            self.result = outcome.of_watch(self.result, self._further(self.spec.score_command, stop, self.spec.watch))

    def _further(self, command: tuple[str, ...], stop: Stop, watch: Watch | None = None) -> Answer | None:
        """What a further score command answers, or the same on a third draw. Raises OSError."""
        told: dict[str, object] = {"score_command": command}
        if watch is not None:
            environment = self.spec.scorer_environment | {"AUTORESEARCH_DRAW": watch.draw}
            told |= {"split": "watch", "secret": watch.secret, "scorer_environment": environment}
        around = replace(self.around, spec=self.spec.model_copy(update=told))
        asked = scorer.Asked(around, self.allowed)
        try:
            answer = asked.answer(stop, lambda fraction: None)
            return answer if watch is None else outcome.weighted(answer, self.spec.weights, self.spec.metric)
        finally:
            asked.end()

    def draw(self, stop: Stop) -> None:
        """Make its picture, where one is wanted and there is a score, which stays as it is whatever comes of this."""
        if self.spec.view and self.result.state is RunState.SCORED:
            name, said = making.make(self.around, self.allowed, stop)
            self.result = self.result.model_copy(update={"view": name, "view_words": said})

    # -- leaving -------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Leave nothing of its score command alive."""
        if self.asked is not None:
            self.asked.end()

    def clear(self) -> None:
        """Remove what nobody will read."""
        paths = self.paths
        compiling = (paths.compiled, paths.compiled_first)
        for folder in (paths.out, paths.units, paths.drawing, *compiling, self.around.scratch, self.around.scorer_home):
            with contextlib.suppress(OSError):
                remove(folder)


def _restore(work: Path, originals: dict[str, bytes]) -> bool:
    """Put the snapshot's editable files back if somebody changed them during the run; whether that was needed."""
    changed = False
    for name, content in originals.items():
        path = work / name
        if path.is_symlink() or not path.is_file() or path.read_bytes() != content:
            path.unlink(missing_ok=True)
            path.write_bytes(content)
            changed = True
    return changed
