"""A requested run on a bench of its own: a clone of the lab with the base code, a fresh campaign, one paired attempt.

Nothing of it enters the lab's campaign, its journal or its work tree.
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from mcp_server.arena import frontmatter
from mcp_server.arena.program import parse_program
from mcp_server.arena.yamllines import read
from mcp_server.campaign import waiting
from mcp_server.lab import Lab
from mcp_server.nouns.decided import Decided
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.nouns.files import write_atomically
from mcp_server.nouns.rows import Draws
from mcp_server.repo.git import commit_in

CALIBRATE = 3  # repeats of the base, to know its noise


@dataclass(frozen=True)
class Trial:
    """Base and candidate as editable files, and what is other than in the claim's own campaign."""

    base: Mapping[str, bytes]
    candidate: Mapping[str, bytes]
    seed: int | None = None
    seconds: float | None = None  # budget of a run
    scorer: tuple[str, bytes] | None = None  # a program of the reviewer's that scores instead, by its path


def tried(lab: Lab, pinned: str, program: str, trial: Trial, folder: Path) -> Decided:
    """The verdict on the candidate over the base. program: the text of program.md. Raises AutoresearchError."""
    if folder.exists():  # of a review that was interrupted
        shutil.rmtree(folder)
    repository = lab.workspace.git
    repository.clone_at(folder, pinned)
    _lay(folder, trial.base)
    if trial.scorer is not None:
        _lay(folder, dict([trial.scorer]))
    scorer = trial.scorer[0] if trial.scorer is not None else ""
    write_atomically(folder / "program.md", changed_program(program, trial.seconds, scorer).encode())
    commit_in(folder, repository.settings(), "The base of a requested run", "--all")
    draws = None if trial.seed is None else Draws(trial.seed, secrets.token_hex(32))
    try:
        return _verdict(folder, draws, trial)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _verdict(folder: Path, draws: Draws | None, trial: Trial) -> Decided:
    with contextlib.closing(Lab(folder)) as bench:
        bench.start_campaign("review", calibrate=CALIBRATE, draws=draws)
        waiting.until_finished(bench, 1)
        waiting.until_decided(bench, 1, "auto")
        for gone in trial.base.keys() - trial.candidate.keys():
            (folder / gone).unlink(missing_ok=True)
        _lay(folder, trial.candidate)
        begun = bench.run_experiment("what the reviewer asked for", insist=True)
        waiting.until_finished(bench, begun.experiment)
        waiting.until_decided(bench, begun.experiment, "auto")
        with bench.reading() as (found, campaign, _):
            return found.ledger.experiment(campaign.tag, begun.experiment).verdict


def _lay(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)


def changed_program(text: str, seconds: float | None, scorer: str = "") -> str:
    """program.md with another budget, or another program that scores; as it is without either. Raises ArenaError."""
    if seconds is None and not scorer:
        return text
    found = frontmatter.split(text)
    _, arena = read(found.yaml, "program.md", found.first)
    if seconds is not None:
        budget = arena.get("budget")
        arena["budget"] = {**budget, "seconds": seconds} if isinstance(budget, dict) else {"seconds": seconds}
    if scorer:
        before = arena.get("frozen") or []
        arena["frozen"] = [*([before] if isinstance(before, str) else before), scorer]
        arena["score"] = f"python {shlex.quote(scorer)}"
    changed = f"---\n{yaml.safe_dump(arena, sort_keys=False, allow_unicode=True)}---\n{found.memo}\n"
    parse_program(changed)
    return changed


def failed(error: AutoresearchError) -> str:
    """Why nothing was measured, in one line."""
    return str(error).split("\n")[0][:200]
