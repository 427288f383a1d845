"""Two versions of an arena's code, measured as interleaved pairs in a throw-away copy: who is better, and how surely.

Each pair has a seed of its own that both share, and which comes first changes from pair to pair, so a machine that
slows down meanwhile favours neither. Nothing of it enters a lab.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_server.arena.frontmatter import has_front_matter
from mcp_server.arena.program import Arena, parse_program
from mcp_server.judging.student import examination
from mcp_server.nouns.errors import NotNow, WorkspaceError
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.text import table
from mcp_server.proving.ground import Ground, proving_ground, read_source
from mcp_server.repo.workspace import Workspace

PROGRAM = "program.md"
FEWEST, USUAL = 2, 5
Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Paired:
    """What the pairs showed. Gains are in the arena's unit, positive when the second version is better."""

    metric: str
    unit: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    gain: float
    low: float
    high: float

    @property
    def better(self) -> bool:
        """Whether the whole interval says so."""
        return self.low > 0

    def words(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        edges = f"{fixed(self.low, 4)} to {fixed(self.high, 4)}"
        return f"gain {fixed(self.gain, 4)}{unit} in {self.metric} (95 % interval {edges}, {len(self.after)} pairs)"

    def table(self) -> str:
        rows = enumerate(zip(self.before, self.after, strict=True), 1)
        head = ("pair", f"{self.metric} before", "after")
        return table(head, [(str(number), f"{old:.6g}", f"{new:.6g}") for number, (old, new) in rows])


def program_at(workspace: Workspace, commit: str, otherwise: str = "") -> str:
    """The text of program.md at a commit, else `otherwise`. Raises WorkspaceError where there is no arena."""
    entry = workspace.git.entry(commit, PROGRAM)
    text = workspace.git.blobs([entry.oid])[entry.oid].decode("utf-8", "replace") if entry is not None else ""
    text = text if has_front_matter(text) else otherwise
    if not text:
        raise WorkspaceError(
            f"There is no {PROGRAM} with an arena at {commit[:12]}, so nothing says how to measure it."
        )
    return text


def measure(
    workspace: Workspace, commit: str, program: str, before: Files, after: Files, pairs: int, say: Callable[[str], None]
) -> Paired:
    """Measure two versions of the editable files on one commit, whose frozen files judge both.

    program: the text of program.md that says how. Raises AutoresearchError.
    """
    arena = parse_program(program).arena
    with tempfile.TemporaryDirectory(prefix="autoresearch-pairs-") as place:
        folder = Path(place) / "base"
        workspace.git.clone_at(folder, commit)
        write_atomically(folder / PROGRAM, program.encode())
        with proving_ground(read_source(folder)) as ground:
            return _measured(ground, arena, before, after, max(FEWEST, pairs), say)


def _measured(
    ground: Ground, arena: Arena, before: Files, after: Files, pairs: int, say: Callable[[str], None]
) -> Paired:
    scores: dict[str, list[float]] = {"before": [], "after": []}
    versions = {"before": before, "after": after}
    for pair in range(pairs):
        seed = secrets.randbelow(2**31)
        for name in ("before", "after") if pair % 2 == 0 else ("after", "before"):
            trial = ground.wait(ground.launch(name, versions[name], seed))
            if trial.score is None:
                raise NotNow(
                    f"The version {name} the change has no score: {trial.ending}. {trial.result.detail} Nothing was "
                    "concluded; run it by hand to see why."
                )
            scores[name].append(trial.score)
        old, new = (fixed(scores[name][-1], 4) for name in versions)
        say(f"pair {pair + 1} of {pairs}: {old} before, {new} after")
    both = zip(scores["before"], scores["after"], strict=True)
    gains = [arena.loss(one) - arena.loss(other) for one, other in both]
    found = examination(gains)
    metric = arena.metric
    sides = tuple(scores["before"]), tuple(scores["after"])
    return Paired(metric.name, metric.unit, *sides, found.gain, found.low, found.high)
