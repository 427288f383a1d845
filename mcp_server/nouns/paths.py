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
    given = os.path.expanduser(os.environ.get("AUTORESEARCH_LOCKS", ""))  # a client's settings are no shell's
    if given:
        if not os.path.isabs(given):
            raise WorkspaceError(
                f"AUTORESEARCH_LOCKS is {given!r}, which is another folder for every process: no device would be "
                "locked for another run. Give the whole path, from / on."
            )
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


class Place:
    """A file or folder below what its owner calls `of`; a name may hold what the owner knows: {self.address}."""

    def __init__(self, *names: str, of: str = "folder") -> None:
        self._names, self._of = names, of

    def __get__(self, owner: object, kind: type) -> Path:
        return Path(getattr(owner, self._of), *(name.format(self=owner) for name in self._names))


@dataclass(frozen=True)
class RunPaths:
    """The folder of one run: `runs/<campaign>/<experiment>/<run>/`."""

    folder: Path

    # whose folder this is: written first, so that what lies in it is known to be of one run
    order = Place("order.json")
    spec = Place("spec.json")
    # held (flock) by the supervisor for life; the launcher takes it first and hands it over
    alive = Place("alive.lock")
    # exists once a supervisor has started: without it, a run with a free lock was never launched
    begun = Place("begun")
    # where on a cluster the run is, as far as this machine has heard; none of it for a run that is made here
    remote = Place("remote.json")
    cancel = Place("cancel")  # its existence asks the supervisor to stop the run
    progress = Place("progress.json")
    result = Place("result.json")

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

    out = Place("out")  # where the trainer writes ($AUTORESEARCH_OUT); emptied into `artifact` by sealing
    # what its compilers keep of their work, in the beginning a copy of what the unchanged code's had kept
    compiled = Place("compiled")
    # of the unchanged code: what lay there when its budget began to count, until that has a good end
    compiled_first = Place("compiled-first")
    # where a score command writes what examples contribute ($AUTORESEARCH_UNITS); read once, then removed
    units = Place("units")
    # where the view command leaves its picture ($AUTORESEARCH_VIEW); read once, then removed
    drawing = Place("drawing")

    def picture(self, name: str) -> Path:
        """A cleaned picture of the attempt, view.svg or view.png."""
        return self.folder / name

    artifact = Place("artifact")  # sealed: hashed, read-only, the only thing a scorer looks at
    sealed = Place("sealed.json")  # what was measured up to the seal; a later question to the scorer begins from it
    # how often a supervisor died after the seal; the scorer is asked again a bounded number of times
    interrupted = Place("interrupted")
    log = Place("log.txt")
    score_log = Place("score.log")
    supervisor_log = Place("supervisor.log")


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

    state = Place("autoresearch", of="common")
    ledger = Place("lab.db", of="state")
    lock = Place("lab.lock", of="state")  # held by one verb for its few milliseconds
    events = Place("events.jsonl", of="state")  # one line for each thing that happened, for programs that follow a file
    queue = Place("queue", of="state")
    # folders of runs that this ledger did not order, moved out of the way; nothing reads them
    leftovers = Place("leftovers", of="state")

    def handover(self, name: str) -> Path:
        """Where a score command meets the world: orders out, outcomes in. No run sees it."""
        return self.state / "handover" / name

    def compiled(self, campaign: str) -> Path:
        """What the campaign's unchanged code compiled before its budget began; every later run gets a copy."""
        return self.state / "compiled" / campaign

    program = Place("program.md", of="tree")
    results = Place("results.tsv", of="tree")
    learnings = Place("learnings.md", of="tree")
    chart = Place("progress.png", of="tree")

    def run(self, campaign: str, experiment: int, run: int) -> RunPaths:
        return RunPaths(self.state / "runs" / campaign / str(experiment) / str(run))
