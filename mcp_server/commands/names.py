"""What the commands are called, one line about each, and how the server's words read for somebody who types them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One line of `autoresearch --help`, and the module of `commands/` that holds the rest, as a path."""

    section: str
    module: str
    words: str


COMMANDS = {
    "new": Entry("Begin", "beginnings", "Write a lab from a template: program.md and the files it names."),
    "adopt": Entry("Begin", "adopting", "Run another lab's attempt, or take over a repository of another tool."),
    "import": Entry("Begin", "research/histories", "Take the log of another tool into the memory, as tried elsewhere."),
    "audit": Entry("Look", "research/histories", "How far a run can be believed, from its log alone."),
    "prepare": Entry("Begin", "beginnings", "Build the corpus of a language-model lab."),
    "doctor": Entry("Begin", "beginnings", "Check this machine and say how to fix what is missing."),
    "check-arena": Entry("Begin", "proofs", "Prove an arena before any loop: runs, cheats, harms, a verdict."),
    "readiness": Entry("Begin", "maps", "Place work processes on the map of what is ripe for research."),
    "init": Entry("Begin", "first/beginning", "Look at any repository and propose an arena for it."),
    "demo": Entry("Begin", "first/demo", "Watch a campaign of real training with a built-in researcher."),
    "serve": Entry("Begin", "beginnings", "Serve the lab to an agent over MCP (stdio)."),
    "start": Entry("Work", "verbs", "Begin a campaign, or join it: branch, baseline, calibration."),
    "run": Entry("Work", "verbs", "Run an experiment on the editable files as they are now."),
    "score": Entry("Work", "verbs", "Read the score and the verdict of an experiment."),
    "decide": Entry("Work", "verbs", "Keep or revert, as the referee says."),
    "keep": Entry("Work", "verbs", "Keep an experiment; the referee is not overruled."),
    "revert": Entry("Work", "verbs", "Put the files back as the incumbent has them."),
    "cancel": Entry("Work", "verbs", "Stop the runs of an experiment."),
    "pause": Entry("Steer", "live/reins", "Let nothing new begin; what runs goes on to its end."),
    "resume": Entry("Steer", "live/reins", "Let it go on."),
    "veto": Entry("Steer", "live/reins", "Have the next keep, or one experiment's, reverted instead."),
    "note": Entry("Steer", "live/reins", "Leave the agent a note, which it gets with its next reply."),
    "ideas": Entry("Steer", "live/reins", "The queue of ideas: add, pin, park, drop."),
    "learn": Entry("Work", "verbs", "Write down what was learned."),
    "combine": Entry("Work", "claims/verbs", "Run the union of two edits, other labs' or own."),
    "replicate": Entry("Work", "claims/verbs", "Repeat what other labs claim, and decide on it."),
    "ralph": Entry("Work", "looping", "Restart a fresh agent for every iteration, until the target is reached."),
    "slurm": Entry("Work", "machines/slurm", "Write a batch script: an allocation of Slurm as a lab that goes on."),
    "tournament": Entry("Work", "research/tournaments", "Play programs, styles and agents against each other."),
    "recall": Entry("Look", "verbs", "What was tried and learned, best match first."),
    "suggest": Entry("Look", "research/suggesting", "What a classical optimiser would try next."),
    "status": Entry("Look", "views", "Where the lab stands, on one screen."),
    "watch": Entry("Look", "views", "The same, live."),
    "money": Entry("Look", "live/money", "What the campaign has cost, what it may; and tell what an experiment took."),
    "wait": Entry("Look", "live/news", "Wait until something happens: a keep, a crash, an idle lab; one JSON line."),
    "notify": Entry("Look", "live/news", "Who is told what happens, as your own configuration says; or try it."),
    "compare": Entry("Look", "research/comparing", "Compare programs, styles and agents over whole campaigns."),
    "replay": Entry("Look", "research/replaying", "What other rules would have kept, and what of it is refuted."),
    "history": Entry("Look", "views", "All experiments in a table."),
    "dashboard": Entry("Look", "reports", "Serve the live page: chart, table, running experiment."),
    "community": Entry("Work", "community", "Learn from other labs, and let them learn: join, sync, trust."),
    "amend": Entry("Work", "amend", "Put an edit of program.md in force while a campaign runs."),
    "exam": Entry("End", "closings", "Measure the honest gain on fresh seeds and the untouched split."),
    "report": Entry("End", "reports", "Write the campaign's report: Markdown, HTML, PDF."),
    "paper": Entry("End", "research/papers", "Write a paper from the ledger alone, sealed; or check one."),
    "review": Entry("Work", "research/reviews", "Review a paper: run what is asked for, work the verdicts out."),
    "finalize": Entry("End", "pulls/finalizing", "Turn the campaign into commits to review."),
    "pairs": Entry("Look", "pulls/pairing", "Measure two commits, or kept gains once more, as interleaved pairs."),
    "export": Entry("End", "research/exporting", "Bring the attempts into other tools: files, pandas, trackers."),
    "gc": Entry("End", "closings", "Remove weights and copies that nothing needs any more."),
    "prune": Entry("End", "closings", "Re-test provisional keeps and drop those that do not matter."),
    "show": Entry("Look", "views", "One experiment: diff, curve, verdict, crash, learnings."),
}
# what the tools of the server are called, where the command line has a shorter word
TOOL_NAMES = {
    "start-campaign": "start",
    "run-experiment": "run",
    "read-score": "score",
    "commit-or-revert": "decide",
    "append-learnings": "learn",
    "lab-status": "status",
    "cancel-experiment": "cancel",
}
# what their arguments are called there, by name; and the second of those that stand without one
OPTIONS: dict[str | int, str] = {"from_ref": "--from", "tree": "--tree", "decision": "--decision", 1: "--decision"}


def commands_in(words: str) -> str:
    """The server's words for a person at a terminal, who types commands, not tools: `read_score(3)` is `score 3`."""
    for tool, command in TOOL_NAMES.items():
        called = rf"`?\b{tool.replace('-', '_')}\b(?:\(([^()]*)\))?`?"
        words = re.sub(called, partial(_typed, command), words)
    words = words.replace("`learned` takes the lesson", "`--learned` takes the lesson")
    # the tool waits by itself, the command when it is told to
    return re.sub(r"`(score\b[^`]*)` waits", r"`\1 --wait` waits", words)


def _typed(command: str, found: re.Match[str]) -> str:
    words = [command]
    for place, one in enumerate(part.strip() for part in (found[1] or "").split(",") if part.strip()):
        name, equals, value = one.rpartition("=")
        option = OPTIONS.get(name or place, "") if equals or place else ""
        words += [*([option] if option else []), shlex.quote(value.strip("'\""))]
    return f"`{' '.join(words)}`"


@dataclass(frozen=True)
class Place:
    """Where a command acts: a folder of the lab, and the campaign if it is named."""

    folder: Path
    campaign: str | None = None
