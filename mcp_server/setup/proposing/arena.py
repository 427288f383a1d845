"""The arena that fits what was seen in a repository: in words, and as the files that `init` writes. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mcp_server.arena.metrics import Better
from mcp_server.nouns.errors import NotNow
from mcp_server.setup.adopting.found import Found, program
from mcp_server.setup.proposing.looking import RUNS, Number, Seen, paths_in

MEASURE = "measure.py"
CPU_SECONDS = "cpu_seconds"
REPEATS = 3  # of a command that is timed
SECONDS = 300.0  # of a run, until its person says better
LAUNCHER = re.compile(r"(?<![\w/.-])(?:uv|poetry|pipenv|pdm|hatch|pixi|rye) run (?:-- )?(?=[^-\s])([\w./-]+\.py\b)?")
MEMO = """\
What you are after: {goal}.

`{measure}` runs `{command}` in a copy of the tree and reports `{name}`. Leave it and the tests alone: they are frozen.
Write here what you know about the problem, what was tried before, and what must not change.
"""


@dataclass(frozen=True)
class Proposed:
    """A proposal: why, and the files, of which none is there yet."""

    words: tuple[str, ...]
    files: dict[str, str]


def propose(
    seen: Seen, metric: str = "", direction: Better | None = None, memo: str = "", run: str = ""
) -> Proposed | None:
    """The arena that what was seen suggests; None where nothing in it could be measured. Raises NotNow.

    metric, direction, run: from somebody who knows which number counts, which way it is better and which command makes
    it. memo: what stands in program.md; the arena comes above it.
    """
    command, number = _measured(seen, metric, direction, without_launcher(run))
    if not command:
        return None
    editable = _editable(seen, command)
    if not editable:
        return None
    judges = [name for name in (*seen.measures, *seen.test_paths) if name not in editable]
    timed = number.name == CPU_SECONDS
    goal = f"{'least processor time of' if timed else _wanted(number)}{f' {command}' if timed else ''}"
    found = Found(
        kind="this repository",
        goal=goal,
        metric=number.metric,
        direction=number.direction,
        unit="s" if timed else "",
        editable=editable,
        frozen=(MEASURE, *judges),
        run=f"python {MEASURE}",
        checks=(f"bash -c {shlex.quote(_copied(seen.tests))}",) if seen.tests and seen.tests != command else (),
        seconds=SECONDS,
        memo=memo or MEMO.format(goal=goal, measure=MEASURE, command=command, name=number.metric),
        memo_from=MEASURE,
    )
    return Proposed(
        _words(seen, command, number, editable), {"program.md": program(found), MEASURE: _measure(command, number)}
    )


def _copied(command: str) -> str:
    """A run may not write into the tree, and most tests do."""
    return f'cp -R . "$TMPDIR/tree" && cd "$TMPDIR/tree" && {command}'


def _measured(seen: Seen, metric: str, direction: Better | None, run: str) -> tuple[str, Number]:
    """The command whose number counts: one that was printed or written before, else the time it takes."""
    command = run or _command(seen)
    if metric:
        found = next((one for one in seen.numbers if metric in (one.name, one.metric)), Number(metric))
        if direction is None and not found.telling:
            raise NotNow(
                f"Nothing says which way {metric} is better. Say it: autoresearch init "
                f"{f'--run {shlex.quote(run)} ' if run else ''}--metric {shlex.quote(metric)} --direction minimize, or "
                "--direction maximize"
            )
        return command or seen.tests, replace(found, asked=direction)
    telling = sorted((one for one in seen.numbers if one.telling), key=lambda one: one.aside)
    printed = next((one for one in telling if not one.file), None)
    number = printed or next(iter(telling), None)
    if command and number is not None:
        return command, replace(number, asked=direction)
    timed = run or next((one for one in seen.commands if re.search("bench", one)), "") or command or seen.tests
    return timed, Number(CPU_SECONDS)


def _command(seen: Seen) -> str:
    """What makes and what measures, one after the other."""
    if seen.commands and not (seen.trainers and seen.measures):
        return seen.commands[0]
    scripts = [*seen.trainers[:1], *seen.measures[:1]]
    return " && ".join(f"{RUNS[PurePosixPath(one).suffix.lower()]} {shlex.quote(one)}" for one in scripts)


def without_launcher(command: str) -> str:
    """The command behind `uv run` and the like: runs have no network, and their environment is the lab's to choose."""
    return LAUNCHER.sub(lambda found: f"python {found[1]}" if found[1] else "", command)


def _editable(seen: Seen, command: str) -> tuple[str, ...]:
    """The file that makes, else where most of the code lies."""
    named = paths_in(command)
    if seen.trainers and seen.trainers[0] in named:
        return seen.trainers[:1]
    aside = set(seen.measures)
    found = [one for one in seen.sources if one not in aside]
    started = [one for one in found if one in named or (one.endswith("/") and any(n.startswith(one) for n in named))]
    return tuple(started or found)[:1]


def _wanted(number: Number) -> str:
    return f"{'lowest' if number.direction == 'minimize' else 'highest'} {number.name}"


def _words(seen: Seen, command: str, number: Number, editable: tuple[str, ...]) -> tuple[str, ...]:
    way = "lower is better" if number.direction == "minimize" else "higher is better"
    if number.name == CPU_SECONDS:
        read = f"the processor time of `{command}`, the least of {REPEATS}: no number was found that it makes"
    else:
        read = f"{number.name} ({way}, {number.why}), from {number.file or 'what is printed'}, after `{command}`"
    return (
        f"{seen.language or 'No language that is known'} here; tests: {seen.tests or 'none found'}.",
        f"Measured is {read}.",
        f"The agent may change {', '.join(editable)}; {MEASURE}, measuring scripts and tests are frozen.",
        "The number comes out of the attempt's own process, so it is CLAIMED BY THE RUN; docs/arenas.md shows scorers "
        "that need not believe it.",
    )


def _measure(command: str, number: Number) -> str:
    text = Path(__file__).with_name(MEASURE).read_text("utf-8")
    repeats = REPEATS if number.name == CPU_SECONDS else 1
    constants: dict[str, str | int] = {
        "COMMAND": command,
        "NAME": number.name,
        "METRIC": number.metric,
        "FILE": number.file,
        "REPEATS": repeats,
    }
    for name, value in constants.items():
        before, _, after = text.partition(f"\n{name} = ")
        old = re.match(r'"[^"]*"|\d+', after)
        assert old is not None, f"{MEASURE} has no constant {name}"
        text = f"{before}\n{name} = {_literal(value)}{after[old.end() :]}"
    return text


def _literal(value: str | int) -> str:
    shown = repr(value)
    return f'"{shown[1:-1]}"' if shown.startswith("'") and '"' not in shown else shown
