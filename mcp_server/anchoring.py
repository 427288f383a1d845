"""Whether the incumbent has to be measured again before a verdict counts: the runs of both, brought before `anchor`.

Pure. Which older runs still speak for today's machine is said here as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean

from mcp_server.anchor import Conditions, needs_anchor, repeat_disagrees
from mcp_server.entries import Run
from mcp_server.noise import Noise
from mcp_server.records import RunResult
from mcp_server.referee import Decision, Verdict

LEAST_REPEATS = 3  # fewer do not say how far repeats usually lie apart
# The speed probe of a busy machine scatters by a few per cent; below this a change of speed says nothing.
SPEED_RESOLUTION = 0.05
REASONS = {
    "device_changed": "the candidate ran on another machine than the incumbent",
    "driver_changed": "the driver changed since the incumbent was measured",
    "speed_changed": "the machine's speed changed since the incumbent was measured",
    "steps_changed": "the number of steps alone could explain the gain",
    "repeat_disagrees": "the incumbent's own repeat disagrees with its earlier score",
}


def since_anchor(runs: Sequence[Run]) -> list[Run]:
    """The runs that speak for today's machine: all that count, or those since the incumbent was last re-anchored."""
    counting = [run for run in runs if run.counts and run.purpose != "exam"]
    anchors = [run.ticket for run in counting if run.purpose == "anchor"]
    return [run for run in counting if not anchors or run.ticket >= anchors[-1]]


def due(
    ours: Sequence[Run],
    theirs: Sequence[Run],
    comparable: Sequence[Run],
    verdict: Verdict,
    effect: float,
    repeats_without: Callable[[Run], Noise],
) -> str:
    """Why the incumbent must be measured again first, or ""; a candidate asks for it once.

    comparable: the incumbent's runs that the verdict stands on. effect: a typical improvement. repeats_without: the
    noise that all runs but one show.
    """
    anchored = any(run.purpose == "anchor" and run.ticket > ours[0].ticket for run in theirs)
    if anchored or not comparable or verdict.width is None:
        return ""
    now, then = _conditions(ours[0].result), _conditions(comparable[-1].result)
    if now.speed and then.speed and abs(now.speed / then.speed - 1) < SPEED_RESOLUTION:
        now, then = replace(now, speed=None), replace(then, speed=None)
    would_keep = verdict.decision is not Decision.DISCARD
    moved = needs_anchor(now, then, verdict.width, effect, would_keep, verdict.spare)
    return moved or ("repeat_disagrees" if _disagreeing(comparable, repeats_without) else "")


def _disagreeing(runs: Sequence[Run], repeats_without: Callable[[Run], Noise]) -> bool:
    """Whether the last run lies further from the earlier ones on its seed and machine than repeats do.

    How far repeats lie apart is asked of all others: the run in question would excuse itself.
    """
    *before, last = runs
    same = [run.score for run in before if (run.seed, run.machine) == (last.seed, last.machine)]
    earlier = [score for score in same if score is not None]
    if not earlier or last.score is None:
        return False
    noise = repeats_without(last)
    if noise.repeat_sd is None or noise.repeats < LEAST_REPEATS:
        return False
    return repeat_disagrees(fmean(earlier), last.score, noise.repeat_sd)


def _conditions(result: RunResult | None) -> Conditions:
    """Under what a run was taken. Under the cpu clock neither speed nor steps tell a machine from an idea."""
    if result is None or result.device is None:
        return Conditions()
    # cards of one model in one machine count as one; how much they differ is machine noise
    device = re.sub(r"\s*\(?(GPU|MIG)-[0-9a-fA-F-]{8,}\)?", "", result.device.identity)
    on_gpu = result.device.name.startswith("cuda")
    speed = result.device.speed if not on_gpu and result.wall_seconds == result.train_seconds else None
    return Conditions(device, result.device.driver, speed, result.steps if on_gpu else None)
