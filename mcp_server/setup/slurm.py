"""A batch script for Slurm: one long allocation is a lab that goes on in the next one. Pure; it submits nothing.

The lab lies on a file system that the next allocation sees too, and everything that matters is in it, so "going on" is
starting the same loop again. What the script adds is the end: the loop begins no turn that could not end in time,
Slurm's signal before the limit stops what still runs with everything settled, and the next allocation is in the queue
from when this one has come up, so that a node that dies breaks no chain. A loop that ends by itself takes it out again.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.errors import NotNow

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<first>\d+)(?::(?P<second>\d\d))?(?::(?P<third>\d\d))?")
LEAST_STOP_SECONDS = 60  # Slurm sends its signal up to a minute late
RAY_PORT = 6379


@dataclass(frozen=True)
class Allocation:
    """What is asked of Slurm and of the loop. Seconds; `turn_seconds`: the longest that one turn may take.

    stop_seconds: before the limit Slurm's signal comes. agents: loops at once, each in a work tree of its own.
    """

    lab: Path
    script: Path
    command: tuple[str, ...]
    time: str
    turn_seconds: float
    stop_seconds: int
    tag: str
    agents: int = 1
    nodes: int = 1
    gpus: int = 0
    cpus: int = 0
    memory: str = ""
    options: tuple[str, ...] = ()  # further lines for sbatch
    community: str = ""
    minutes: float = 30.0
    autoresearch: tuple[str, ...] = ("autoresearch",)

    @property
    def seconds(self) -> int:
        return seconds_of(self.time)


def seconds_of(time: str) -> int:
    """Of Slurm's `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours[:minutes[:seconds]]`."""
    match = _TIME.fullmatch(time)
    if match is None:
        raise NotNow(f"The time {time!r} is none of Slurm's forms. Write 24:00:00, 90 (minutes) or 2-12:00:00.")
    first, second, third = (int(match[name] or 0) for name in ("first", "second", "third"))
    if match["days"] is not None:
        return int(match["days"]) * 86_400 + first * 3600 + second * 60 + third
    if match["third"] is not None:
        return first * 3600 + second * 60 + third
    return first * 60 + second


def complaint(asked: Allocation) -> str:
    """Why no lab could live in this allocation; "" where one can."""
    needed = asked.turn_seconds + asked.stop_seconds
    if asked.seconds <= needed + 60:
        return (
            f"An allocation of {asked.time} leaves no room for a turn: one may take {asked.turn_seconds / 60:.0f} min, "
            f"and {asked.stop_seconds} s are for the end. Ask for more time, or for shorter turns (--minutes)."
        )
    if asked.stop_seconds < LEAST_STOP_SECONDS:
        return (
            f"Slurm sends its signal up to a minute late. Leave at least {LEAST_STOP_SECONDS} s for the end (--stop)."
        )
    if asked.nodes > 1 and asked.agents < 2:
        return (
            "One agent that waits for each of its runs keeps one node busy. Ask for as many agents as nodes "
            "(--agents), and let program.md say `engine: {name: ray, address: auto}`."
        )
    return ""


def script(asked: Allocation) -> str:
    """The text of the batch script. Everything of the user's is quoted for the shell."""
    parts = (_asked_of_slurm(asked), _BEGIN, _places(asked), _cluster() if asked.nodes > 1 else "", _LOOPS, _END)
    return "\n".join(part for part in parts if part)


def _asked_of_slurm(asked: Allocation) -> str:
    lines = [
        f"--job-name=autoresearch-{asked.tag}",
        f"--time={asked.time}",
        f"--nodes={asked.nodes}",
        "--ntasks-per-node=1",
        f"--signal=B:USR1@{asked.stop_seconds}",
        "--open-mode=append",
        "--no-requeue",  # the script looks after its successor itself
        *([f"--gpus-per-node={asked.gpus}"] if asked.gpus else []),
        *([f"--cpus-per-task={asked.cpus}"] if asked.cpus else []),
        *([f"--mem={asked.memory}"] if asked.memory else []),
        *asked.options,
    ]
    told = "# Written by `autoresearch slurm`; edit freely. Submit it with: sbatch " + shlex.quote(str(asked.script))
    return "\n".join(["#!/usr/bin/env bash", *(f"#SBATCH {line}" for line in lines), told])


_BEGIN = """\
set -uo pipefail
"""


def _places(asked: Allocation) -> str:
    end = asked.turn_seconds + asked.stop_seconds
    words = " ".join(map(shlex.quote, asked.command))
    return f"""\
lab={shlex.quote(str(asked.lab))}
script={shlex.quote(str(asked.script))}
tag={shlex.quote(asked.tag)}
community={shlex.quote(asked.community)}
agents={asked.agents}
minutes={asked.minutes:g}  # for one turn of an agent
agent=({words})
autoresearch=({" ".join(map(shlex.quote, asked.autoresearch))})
# the end of this allocation, as Slurm says it; an older one does not, so it follows from the time asked for
ends=${{SLURM_JOB_END_TIME:-$(( $(date +%s) + {asked.seconds} ))}}
last_turn={end:.0f}  # seconds before it from which on no turn is begun: one turn and the end
cd "$lab" || exit 1
"""


def _cluster() -> str:
    return f"""\
# --- a Ray cluster inside the allocation: the head here, every other node joins it; both need the same token
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="${{RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}}"
export RAY_worker_niceness=0  # by itself Ray puts runs behind every other program of a node
if [ ! -s "$RAY_AUTH_TOKEN_PATH" ]; then
    mkdir -p "$(dirname "$RAY_AUTH_TOKEN_PATH")"
    (umask 077 && python3 -c 'import secrets; print(secrets.token_hex(32))' > "$RAY_AUTH_TOKEN_PATH")
fi
head=$(hostname)
ray start --head --port={RAY_PORT} || exit 1
others=$((SLURM_JOB_NUM_NODES - 1))
srun --nodes="$others" --ntasks="$others" --exclude="$head" ray start --address="$head:{RAY_PORT}" --block &
cluster=$!
"""


_LOOPS = """\
# --- how it ends
loops=()
stopping= cancelled=
stop() {  # Slurm's signal before the limit, or scancel's: every loop ends its agent and its run, and is settled
    stopping=1
    [ ${#loops[@]} -eq 0 ] || kill -TERM "${loops[@]}" 2>/dev/null
}
trap stop USR1
trap 'cancelled=1; stop' TERM
settle() {  # wait for the loops, through every signal; the worst of their exit statuses
    local worst=0 status loop
    for loop in "${loops[@]}"; do
        while :; do
            wait "$loop"; status=$?
            kill -0 "$loop" 2>/dev/null || break
        done
        [ "$status" -le "$worst" ] || worst=$status
    done
    return "$worst"
}

# --- the lab
"${autoresearch[@]}" doctor || { echo "This node cannot run the lab; no successor is submitted." >&2; exit 1; }
if [ -n "$community" ]; then
    "${autoresearch[@]}" community join "$community" || echo "Not joined; the lab goes on alone." >&2
fi
"${autoresearch[@]}" start "$tag" || exit 1
over=$(( ends - last_turn ))  # from here on no turn is begun
left=$(( over - $(date +%s) ))
if [ "$left" -le 0 ]; then echo "Too little of the allocation is left for one turn." >&2; exit 1; fi
hours=$(printf '%d.%04d' $((left / 3600)) $((left % 3600 * 10000 / 3600)))  # awk writes a comma in some languages

# the next allocation waits for this one to end, however it ends
next=
if [ -n "${SLURM_JOB_ID:-}" ]; then
    next=$(sbatch --parsable --dependency="afterany:$SLURM_JOB_ID" "$script") || next=
    if [ -n "$next" ]; then echo "Goes on in job $next."; else echo "No successor could be submitted." >&2; fi
fi
for number in $(seq "$agents"); do
    tree=$lab
    if [ "$number" -gt 1 ]; then
        tree="$lab-$number"
        [ -e "$tree" ] || "${autoresearch[@]}" start "$tag" --tree "$tree" || continue
    fi
    [ -z "$stopping" ] || break
    "${autoresearch[@]}" -C "$tree" ralph --plain --tag "$tag" --hours "$hours" --minutes "$minutes" \\
        --iterations 1000000 --stall 1000000 -- "${agent[@]}" &
    loops+=($!)
done
settle; worst=$?
"""

_END = """\
# --- settled: tell the others, and say whether there is more to do
if [ -n "$community" ]; then "${autoresearch[@]}" community sync || true; fi
"${autoresearch[@]}" status || true
if [ -n "${cluster:-}" ]; then ray stop; kill "$cluster" 2>/dev/null; fi
if { [ -z "$stopping" ] || [ -n "$cancelled" ]; } && [ "$(date +%s)" -lt "$over" ]; then
    # ended by themselves (the target, the arena's stop rule, what would only happen again) or by somebody's scancel
    echo "Over before the allocation was (status $worst); nothing goes on." >&2
    if [ -n "$next" ]; then scancel "${next%%;*}"; fi
    exit "$worst"
fi
exit 0
"""
