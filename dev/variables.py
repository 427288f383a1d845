"""Every environment variable of ours: who sets it, what it means. `docs/reference/variables.md` is written from here.

A test compares this table with the source, so that none goes without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Audience(StrEnum):
    """For whom a variable is; the headings of the page."""

    PERSON = "You set it, for the server, the command line or the hooks"
    INSTALL = "You set it, for how the plugin installs and starts"
    RUN = "The lab sets it for your code: `run`, `score` and `checks`"
    INSIDE = "Between our own processes; nothing to set"


@dataclass(frozen=True)
class Variable:
    """One variable. `words` say what it does, with its default where it has one."""

    audience: Audience
    words: str


_PERSON, _INSTALL, _RUN, _INSIDE = Audience.PERSON, Audience.INSTALL, Audience.RUN, Audience.INSIDE

VARIABLES: dict[str, Variable] = {
    "AUTORESEARCH_ALLOW": Variable(
        _PERSON, "`off`: the plugin's hook lets nothing through unasked, not even our own tools and the editable files."
    ),
    "AUTORESEARCH_CACHE": Variable(_PERSON, "Folder of corpora and calibrations. Default: the user's cache folder."),
    "AUTORESEARCH_CHART": Variable(_PERSON, "`off` draws no progress.png (a second of a processor each time)."),
    "AUTORESEARCH_COMMUNITY": Variable(
        _PERSON, "`off`: no exchange with other labs by itself; `autoresearch community sync` still does."
    ),
    "AUTORESEARCH_CLUSTER_PATIENCE": Variable(
        _PERSON, "Seconds that runs wait for a Ray cluster out of reach before they are lost. Default: 600."
    ),
    "AUTORESEARCH_DASHBOARD": Variable(_PERSON, "`off` serves no live page beside `autoresearch serve`."),
    "AUTORESEARCH_DEBUG": Variable(
        _PERSON, "Any value lets the hooks show their own errors instead of staying silent."
    ),
    "AUTORESEARCH_GUARD": Variable(_PERSON, "`off` lets edits of protected files through the hooks; you edit then."),
    "AUTORESEARCH_LABS": Variable(
        _PERSON,
        "Folder in which your labs are noted for the page of all labs; `off`: none is. Default: your state folder.",
    ),
    "AUTORESEARCH_LOCKS": Variable(_PERSON, "Folder of the machine's device locks, for all labs of a user."),
    "AUTORESEARCH_LOOP": Variable(_PERSON, "N: the Stop hook asks for up to N more turns where a client has no /loop."),
    "AUTORESEARCH_MODEL": Variable(
        _PERSON, "The model an agent runs on, for the record, where its client does not tell."
    ),
    "AUTORESEARCH_PROJECT": Variable(_PERSON, "The lab's folder for a server that was started elsewhere."),
    "AUTORESEARCH_SHARED_TREE": Variable(
        _PERSON, "`1`: two sessions may mix their edits in one work tree, and are only warned."
    ),
    "AUTORESEARCH_THREADS": Variable(
        _PERSON, "Threads of a run; the run finds the number it got in the same variable."
    ),
    "AUTORESEARCH_TIER": Variable(
        _PERSON, "`T1` or `T0` forces a weaker sandbox, which every record says; a scorer finds the run's tier in it."
    ),
    "AUTORESEARCH_WAIT_SECONDS": Variable(
        _PERSON, "How long a tool call waits where neither argument nor client tells."
    ),
    "AUTORESEARCH_EXTRAS": Variable(_INSTALL, "`train` installs PyTorch beside the server."),
    "AUTORESEARCH_TORCH": Variable(
        _INSTALL, "`cuda`: fetches PyTorch with its CUDA libraries even where no NVIDIA device is."
    ),
    "AUTORESEARCH_INSTALL": Variable(_INSTALL, "`never`: exit status 75 instead of an installation."),
    "AUTORESEARCH_PYTHON": Variable(_INSTALL, "An interpreter that has autoresearch; nothing is installed then."),
    "AUTORESEARCH_ARTIFACT": Variable(_RUN, "`score`, `view`: the sealed output of the run, read-only."),
    "AUTORESEARCH_BUDGET_SECONDS": Variable(_RUN, "`run`: the seconds it has, on the clock of AUTORESEARCH_CLOCK."),
    "AUTORESEARCH_CLOCK": Variable(_RUN, "`run`: `cpu` (processor seconds of the whole process tree) or `wall`."),
    "AUTORESEARCH_DATA": Variable(_RUN, "The prepared corpus; a run finds its public half only."),
    "AUTORESEARCH_DEVICE": Variable(_RUN, "`cpu` or `cuda`: what was leased."),
    "AUTORESEARCH_DRAW": Variable(
        _RUN, "`score`: hexadecimal, what hidden choices are drawn from; equal for equal seeds, unknown to runs."
    ),
    "AUTORESEARCH_UNITS": Variable(
        _RUN, "`score`: a folder that it alone may write: a file of `units`, where they are too many for one line."
    ),
    "AUTORESEARCH_VIEW": Variable(
        _RUN, "`view`: the one folder it may write; it leaves `view.svg`, `view.png` or `view.txt` there."
    ),
    "AUTORESEARCH_HANDOVER": Variable(_RUN, "`score`: the folder that it alone may write, where the arena names one."),
    "AUTORESEARCH_INCUMBENT": Variable(_RUN, "`score`: the incumbent's code, where the arena sets `score_incumbent`."),
    "AUTORESEARCH_OUT": Variable(_RUN, "`run`: the one folder it may write; what lies there is sealed and scored."),
    "AUTORESEARCH_RUN": Variable(_RUN, "`score` with a hand-over: the name by which the world knows this run."),
    "AUTORESEARCH_SEED": Variable(_RUN, "The seed of this run; the lab owns it."),
    "AUTORESEARCH_SNAPSHOT": Variable(_RUN, "`score`, `view`: the experiment's code, read-only."),
    "AUTORESEARCH_SPLIT": Variable(_RUN, "`score`: `val`, `test` in the closing exam, `watch` on a draw for people."),
    "AUTORESEARCH_ALIVE_FD": Variable(_INSIDE, "Launcher to supervisor: the descriptor that holds the run's lock."),
    "AUTORESEARCH_AUDIT_POSITIONS": Variable(_INSIDE, "Supervisor to our scorer: places audited by the second host."),
    "AUTORESEARCH_HOST_REPLY_SECONDS": Variable(_INSIDE, "Tests of our scorer: how long a host may take to answer."),
    "AUTORESEARCH_HOST_START_SECONDS": Variable(_INSIDE, "Tests of our scorer: how long a host may take to begin."),
    "AUTORESEARCH_CARDS": Variable(_INSIDE, "Supervisor to our scorer: numbers of the cards that its hosts may see."),
    "AUTORESEARCH_HOSTS_USUAL": Variable(_INSIDE, "Supervisor to our scorer: what the baseline's hosts used."),
    "AUTORESEARCH_ITERATION": Variable(_INSIDE, "`autoresearch ralph` to its agent: the number of the iteration."),
    "AUTORESEARCH_KEEPER_FD": Variable(
        _INSIDE, "A node's agent to supervisor: a pipe that ends the run with the agent."
    ),
    "AUTORESEARCH_MARKS": Variable(_INSIDE, "Supervisor to the run: the descriptor for start, steps and losses."),
    "AUTORESEARCH_RALPH": Variable(_INSIDE, "Marks every process of a `ralph` loop, so that all of them can be ended."),
    "AUTORESEARCH_SCORE_LOG": Variable(_INSIDE, "Supervisor to our scorer: where its own messages go."),
    "AUTORESEARCH_SECRET": Variable(_INSIDE, "Supervisor to the exam's scorer alone: draws the test split."),
    "AUTORESEARCH_SNAPSHOT_AS": Variable(
        _INSIDE, "Supervisor to our scorer: the name under which a half's code is shown, so that it cannot tell which."
    ),
    "AUTORESEARCH_STARTUP_FREE": Variable(
        _INSIDE,
        "Supervisor to the run: seconds of start-up that do not count; what is beyond is charged to the budget.",
    ),
    "AUTORESEARCH_SUSPECT_BELOW": Variable(_INSIDE, "Lab to our scorer: scores below it are audited in full."),
    "AUTORESEARCH_TOLERANCES": Variable(_INSIDE, "Lab to our scorer: this lab's own calibration of the audit."),
    "AUTORESEARCH_WARM": Variable(_INSIDE, "Supervisor to our scorer: get ready while training runs."),
}
