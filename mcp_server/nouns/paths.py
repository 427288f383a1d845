"""Every file on disk, named once."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from mcp_server.nouns.errors import WorkspaceError

BESIDE = "beside"  # below a run's folder: what the incumbent's half of a pair leaves


def cache_folder() -> Path:
    """Corpora and other things that can be made again. AUTORESEARCH_CACHE moves it."""
    return Path(os.environ.get("AUTORESEARCH_CACHE") or platformdirs.user_cache_dir("autoresearch"))


def labs_folder() -> Path | None:
    """Where it is noted which labs this user has on this machine; None where none is to be. AUTORESEARCH_LABS moves it.

    It survives reboots, as the labs do, and no lab depends on it.
    """
    given = os.environ.get("AUTORESEARCH_LABS")
    if given == "off":
        return None
    return Path(given) if given else Path(platformdirs.user_state_dir("autoresearch")) / "labs"


def device_locks_folder() -> Path:
    """One lock per device of this machine and user, shared by all labs. AUTORESEARCH_LOCKS moves it.

    All processes of a user must come to the same folder, whatever session they were started in, or two runs share a
    device. So TMPDIR has no say, and the session's runtime folder is not the first choice: it goes, with the locks in
    it, at the last logout, and a night's runs go on. It is where we go when somebody else has taken our name in /tmp.
    Raises WorkspaceError when there is no folder to trust.
    """
    given = os.environ.get("AUTORESEARCH_LOCKS")
    if given:
        return Path(given)
    usual = Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()) / f"autoresearch-{os.getuid()}"
    if _trusted(usual):
        return usual
    runtime = (f"/run/user/{os.getuid()}", os.environ.get("XDG_RUNTIME_DIR", ""))
    for place in runtime:
        if place and os.path.isdir(place) and os.lstat(place).st_uid == os.getuid():
            return Path(place) / "autoresearch"
    raise WorkspaceError(
        f"{usual} belongs to another user or is a link, so locks in it cannot be trusted. Remove it, or set "
        "AUTORESEARCH_LOCKS to a folder of your own for every server and terminal of yours."
    )


def _trusted(folder: Path) -> bool:
    """Whether a folder in /tmp is ours alone, or can still be made so."""
    try:
        state = os.lstat(folder)
    except FileNotFoundError:
        return True
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid()


@dataclass(frozen=True)
class RunPaths:
    """The folder of one run: `runs/<campaign>/<experiment>/<run>/`."""

    folder: Path

    @property
    def order(self) -> Path:
        """Whose folder this is: written first, so that what lies in it is known to be of one run."""
        return self.folder / "order.json"

    @property
    def spec(self) -> Path:
        return self.folder / "spec.json"

    @property
    def alive(self) -> Path:
        """Held (flock) by the supervisor for life; the launcher takes it first and hands it over."""
        return self.folder / "alive.lock"

    @property
    def begun(self) -> Path:
        """Exists once a supervisor has started: without it, a run with a free lock was never launched."""
        return self.folder / "begun"

    @property
    def remote(self) -> Path:
        """Where on a cluster the run is, as far as this machine has heard; none of it for a run that is made here."""
        return self.folder / "remote.json"

    @property
    def cancel(self) -> Path:
        """Its existence asks the supervisor to stop the run."""
        return self.folder / "cancel"

    @property
    def progress(self) -> Path:
        return self.folder / "progress.json"

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    @property
    def work(self) -> Path:
        """The snapshot: editable files of the experiment, everything else of the campaign's first commit."""
        return self.folder / "work"

    @property
    def trusted(self) -> Path:
        """The campaign's first commit, from which the score command and the checks run."""
        return self.folder / "trusted"

    def incumbent(self, experiment: int) -> Path:
        """The incumbent's snapshot, laid out like `work`, where the arena asks for it to be scored beside the run."""
        return self.folder / f"incumbent-{experiment}"

    def beside(self, experiment: int) -> BesidePaths:
        """The other half of a pair: the incumbent's, trained and scored in the same slot."""
        return BesidePaths(self.folder / BESIDE, self, experiment)

    @property
    def out(self) -> Path:
        """Where the trainer writes ($AUTORESEARCH_OUT); emptied into `artifact` by sealing."""
        return self.folder / "out"

    @property
    def compiled(self) -> Path:
        """What its compilers keep of their work, in the beginning a copy of what the unchanged code's had kept."""
        return self.folder / "compiled"

    @property
    def compiled_first(self) -> Path:
        """Of the unchanged code: what lay there when its budget began to count, until that has a good end."""
        return self.folder / "compiled-first"

    @property
    def units(self) -> Path:
        """Where a score command writes what examples contribute ($AUTORESEARCH_UNITS); read once, then removed."""
        return self.folder / "units"

    @property
    def drawing(self) -> Path:
        """Where the view command leaves its picture ($AUTORESEARCH_VIEW); read once, then removed."""
        return self.folder / "drawing"

    def picture(self, name: str) -> Path:
        """A cleaned picture of the attempt, view.svg or view.png."""
        return self.folder / name

    @property
    def artifact(self) -> Path:
        """Sealed: hashed, read-only, the only thing a scorer looks at."""
        return self.folder / "artifact"

    @property
    def sealed(self) -> Path:
        """What was measured up to the seal; a later question to the scorer begins from it."""
        return self.folder / "sealed.json"

    @property
    def interrupted(self) -> Path:
        """How often a supervisor died after the seal; the scorer is asked again a bounded number of times."""
        return self.folder / "interrupted"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def score_log(self) -> Path:
        return self.folder / "score.log"

    @property
    def supervisor_log(self) -> Path:
        return self.folder / "supervisor.log"


@dataclass(frozen=True)
class BesidePaths(RunPaths):
    """The incumbent's half of a pair, below the folder of the candidate's run; laid out like a run of its own."""

    run: RunPaths
    experiment: int

    @property
    def work(self) -> Path:
        return self.run.incumbent(self.experiment)

    @property
    def trusted(self) -> Path:
        return self.run.trusted


@dataclass(frozen=True)
class LabPaths:
    """`<git common dir>/autoresearch/` and the views in one work tree."""

    common: Path  # git common dir
    tree: Path  # work tree

    @property
    def state(self) -> Path:
        return self.common / "autoresearch"

    @property
    def ledger(self) -> Path:
        return self.state / "lab.db"

    @property
    def lock(self) -> Path:
        """Held by one verb for its few milliseconds."""
        return self.state / "lab.lock"

    @property
    def events(self) -> Path:
        """One line for each thing that happened, for programs that follow a file."""
        return self.state / "events.jsonl"

    @property
    def queue(self) -> Path:
        return self.state / "queue"

    @property
    def leftovers(self) -> Path:
        """Folders of runs that this ledger did not order, moved out of the way; nothing reads them."""
        return self.state / "leftovers"

    def handover(self, name: str) -> Path:
        """Where a score command meets the world: orders out, outcomes in. No run sees it."""
        return self.state / "handover" / name

    def compiled(self, campaign: str) -> Path:
        """What the campaign's unchanged code compiled before its budget began; every later run gets a copy."""
        return self.state / "compiled" / campaign

    @property
    def program(self) -> Path:
        return self.tree / "program.md"

    @property
    def results(self) -> Path:
        return self.tree / "results.tsv"

    @property
    def learnings(self) -> Path:
        return self.tree / "learnings.md"

    @property
    def chart(self) -> Path:
        return self.tree / "progress.png"

    def run(self, campaign: str, experiment: int, run: int) -> RunPaths:
        return RunPaths(self.state / "runs" / campaign / str(experiment) / str(run))
