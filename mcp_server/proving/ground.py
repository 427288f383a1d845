"""The ground an arena is proved on: a throw-away copy with a repository of its own, where anything may be run.

The user's folder is only read. Runs are the lab's own: the same folders, supervisor, sandbox, device locks and queue;
only the ledger is left out, for nothing here is kept. Leaving it cancels what still runs and removes everything.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.arena.corpus import prepared_corpus
from mcp_server.arena.program import Arena, EngineRule, load_program
from mcp_server.campaign.runs import dispatch
from mcp_server.engines.local import LOCAL
from mcp_server.nouns.errors import AutoresearchError, WorkspaceError
from mcp_server.nouns.files import remove, text_of
from mcp_server.nouns.paths import LabPaths, RunPaths
from mcp_server.nouns.records import Kind, Purpose, RunResult, RunSpec, RunState
from mcp_server.nouns.rows import Campaign, Experiment, Run
from mcp_server.programs.check import refuse_missing
from mcp_server.proving.evidence import Trial
from mcp_server.repo.command import GitCommand, last_words
from mcp_server.repo.git import Settings, begin_in, commit_in
from mcp_server.repo.workspace import Workspace

TAG = "proof"
EDITABLE_BYTES = 2_000_000
LOG_BYTES = 200_000
LOOK_SECONDS = 0.05
ENDS_AFTER = 30.0  # seconds that a cancelled supervisor gets beside its grace


@dataclass(frozen=True)
class Source:
    """An arena where it lies: its files by their paths, and those of them that git does not know yet."""

    folder: Path
    files: tuple[str, ...]
    untracked: tuple[str, ...]


@dataclass(frozen=True)
class Launched:
    """A run that was started."""

    name: str
    seed: int
    paths: RunPaths
    run: Run
    experiment: Experiment
    at: float


def read_source(folder: Path) -> Source:
    """The arena in `folder`: what git lists there, or every file where there is no git. Raises AutoresearchError."""
    folder = folder.resolve()
    if not (folder / "program.md").is_file():
        with contextlib.suppress(WorkspaceError):
            top = Workspace(folder).paths.tree
            if (top / "program.md").is_file():
                return read_source(top)
    load_program(folder / "program.md")
    git = GitCommand(folder, folder, folder, patience=2.0)
    listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."]
    answer = git.once(["-C", str(folder), *listed], where=())
    names = tuple(sorted({os.fsdecode(name) for name in answer.out.split(b"\0") if name}))
    if answer.code or "program.md" not in names:  # no git, or a folder that git was told to ignore
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".git" not in path.parts]
        names = tuple(path.relative_to(folder).as_posix() for path in paths if "__pycache__" not in path.parts)
        names = _without_environments(names, names)
        return Source(folder, names, names)
    others = git.once(["-C", str(folder), "ls-files", "-z", "--others", "--exclude-standard", "--", "."], where=())
    new = tuple(os.fsdecode(name) for name in others.out.split(b"\0") if name)
    return Source(folder, _without_environments(names, new), _without_environments(new, new))


def _without_environments(names: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    """Without the environments that nobody told git to ignore: gigabytes to copy, and runs use them where they lie."""
    places = tuple(name.removesuffix("pyvenv.cfg") for name in new if name.endswith("/pyvenv.cfg"))
    left_out = {name for name in new if name.startswith(places)} if places else set()
    return tuple(name for name in names if name not in left_out)


class Ground:
    """A copy of one arena, and its runs. `sources` are its editable files."""

    def __init__(self, source: Source, home: Path) -> None:
        self.source, self.tree = source, home / "lab"
        self.program = load_program(source.folder / "program.md")
        # an arena is proved on this machine, also where its campaigns run on a cluster
        self.arena: Arena = self.program.arena.model_copy(update={"engine": EngineRule()})
        _copy(source, self.tree)
        begin_in(self.tree)
        pinned = commit_in(self.tree, Settings(), "The arena to be proved", "--force", "--all", "--", ".")
        self.workspace = Workspace(self.tree)
        self.paths: LabPaths = self.workspace.paths
        corpus = prepared_corpus() if self.arena.scores_language_models else None
        self.campaign = Campaign(
            tag=TAG,
            pinned=pinned,
            began_at=_now(),
            seed=1,
            calibrate=0,
            corpus=str(corpus.folder) if corpus else None,
            fingerprint=corpus.fingerprint if corpus else None,
            secret=secrets.token_hex(32),
            program=self.program.digest,
            ready=True,
        )
        refuse_missing(self.arena, source.folder, source.folder, _among(source.files))
        self.sources = self.workspace.read_editable(self.arena.editable, pinned, EDITABLE_BYTES)
        self._number = 0
        self._launched: list[Launched] = []

    # -- runs ----------------------------------------------------------------------------------------------------------

    def launch(self, name: str, files: Mapping[str, bytes] | None = None, seed: int = 1) -> Launched:
        """Start one run of the arena with these editable files (its own by default). Raises AutoresearchError."""
        self._number += 1
        laid = dict(self.sources if files is None else files)
        snapshot = self.workspace.snapshot(self.arena.editable, self.campaign.pinned, name, _now(), files=laid)
        experiment = _experiment(self._number, name, snapshot.commit, self.campaign.program, self.tree)
        run = _run(self._number, seed)
        launched = Launched(name, seed, self.paths.run(TAG, self._number, 1), run, experiment, time.monotonic())
        self._launched.append(launched)
        self._dispatch(launched)
        return launched

    def _dispatch(self, launched: Launched, rescore: bool = False) -> None:
        what = self.arena, self.campaign, launched.experiment, launched.run
        plan = dispatch.Plan(*what, rescore=rescore, home=self.source.folder)
        dispatch.launch(LOCAL, self.workspace, self.paths, plan)

    def wait(self, launched: Launched, patience_seconds: float = 0.0) -> Trial:
        """The run's end. One that answers `pending` is asked again until patience is over."""
        patience_ends = time.monotonic() + patience_seconds
        while True:
            while LOCAL.alive(launched.paths):
                time.sleep(LOOK_SECONDS)
            result = _result(launched.paths)
            again = result.retry_after_seconds or 1.0
            if result.state is not RunState.PENDING or time.monotonic() + again > patience_ends:
                break
            time.sleep(again)
            for place in (launched.paths.begun, launched.paths.result):
                place.unlink(missing_ok=True)
            self._dispatch(launched, rescore=True)
        seconds = time.monotonic() - launched.at
        said = (text_of(path)[-LOG_BYTES:] for path in (launched.paths.log, launched.paths.score_log))
        return Trial(launched.name, launched.seed, result, seconds, *said)

    def rescored(self, launched: Launched, command: tuple[str, ...], extra: Mapping[str, bytes]) -> Trial:
        """The sealed run asked again by another score command, with more files beside the trusted ones."""
        self._number += 1
        paths = self.paths.run(TAG, self._number, 1)
        shutil.copytree(launched.paths.folder, paths.folder, ignore=shutil.ignore_patterns("result.json", "score.log"))
        for name, content in extra.items():
            (paths.trusted / name).write_bytes(content)
        spec: RunSpec = RunSpec.read(paths.spec)
        spec.model_copy(update={"score_command": command, "checks": (), "rescore": True, "ticket": self._number}).write(
            paths.spec
        )
        again = Launched("watched", launched.seed, paths, _run(self._number, launched.seed), launched.experiment, 0.0)
        self._launched.append(again)
        LOCAL.launch(paths, lambda: None)
        return self.wait(again)

    def applied(self, patch: Path) -> dict[str, bytes]:
        """The editable files with a patch applied by git. Raises WorkspaceError with git's words."""
        git = self.workspace.git
        answer = git.once(["apply", "--whitespace=nowarn", "--", str(patch.resolve())])
        if answer.code:
            raise WorkspaceError(f"{patch.name} does not apply: {last_words(answer.error)}. Make it with `git diff`.")
        try:
            return self.workspace.read_editable(self.arena.editable, self.campaign.pinned, EDITABLE_BYTES)
        finally:
            git.do("apply", "--reverse", "--whitespace=nowarn", "--", str(patch.resolve()))

    def leave(self) -> None:
        """End what still runs."""
        running = [one for one in self._launched if LOCAL.alive(one.paths)]
        for one in running:
            with contextlib.suppress(OSError):
                LOCAL.cancel(one.paths)
        for one in running:
            ends = time.monotonic() + ENDS_AFTER + self.arena.budget.grace_seconds
            while LOCAL.alive(one.paths) and time.monotonic() < ends:
                time.sleep(LOOK_SECONDS)


@contextlib.contextmanager
def proving_ground(source: Source) -> Iterator[Ground]:
    """A ground for the time of a proof. Raises AutoresearchError."""
    home = Path(tempfile.mkdtemp(prefix="autoresearch-proof-"))
    ground: Ground | None = None
    try:
        ground = Ground(source, home)
        yield ground
    except OSError as error:
        raise AutoresearchError(f"The disk refused: {error}. Free some space and prove again.") from None
    finally:
        if ground is not None:
            ground.leave()
        with contextlib.suppress(OSError):
            remove(home)


# -- the copy ----------------------------------------------------------------------------------------------------------


def _copy(source: Source, tree: Path) -> None:
    """Links stay links. But in a folder that is no repository of its own, one of many arenas, a link out of it is to
    a file that they share, and a lab made from it gets the file.
    """
    tree.mkdir(parents=True)
    shares = not (source.folder / ".git").exists()
    for name in source.files:
        origin, place = source.folder / name, tree / name
        if not origin.is_file() and not origin.is_symlink():
            continue  # deleted, or a submodule
        place.parent.mkdir(parents=True, exist_ok=True)
        shared = shares and origin.is_symlink() and not origin.resolve().is_relative_to(source.folder)
        shutil.copy2(origin, place, follow_symlinks=shared)


def _among(files: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path is one of these files, or a folder that holds some."""
    return lambda path: path in files or any(name.startswith(f"{path.rstrip('/')}/") for name in files)


# -- small records -----------------------------------------------------------------------------------------------------


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _experiment(number: int, name: str, snapshot: str, program: str, tree: Path) -> Experiment:
    return Experiment(
        campaign=TAG, number=number, kind=Kind.ATTEMPT, description=name, hypothesis="", expected_delta=None,
        snapshot=snapshot, base=None, fingerprint="", edit="", nodes=0, knobs=(), protocol=(), theme="",
        program=program, style=None, opened_at=_now(), tree=str(tree),
    )  # fmt: skip


def _run(number: int, seed: int) -> Run:
    return Run(
        ticket=number, campaign=TAG, experiment=number, run=1, seed=seed, purpose=Purpose.PROOF, state=RunState.QUEUED,
        opened_at=_now(), closed_at=None, score=None, tainted="", machine="", ask_again_at=None, result=None,
    )  # fmt: skip


def _result(paths: RunPaths) -> RunResult:
    try:
        result: RunResult = RunResult.read(paths.result)
    except (OSError, ValueError):
        said = text_of(paths.supervisor_log).strip().splitlines()[-1:] or ["it said nothing"]
        return RunResult(state=RunState.LOST, reason="supervisor_lost", detail=f"The supervisor ended: {said[0][:300]}")
    return result
