"""Simulated campaigns: what the referee gains, claims and keeps wrongly, against simpler rules.

`python -m benchmarks.referee [--reps 2000] [--guess 2] [--json FILE]`. A campaign is 126 runs of proposals that help
(12 %, mean 0.0015), do nothing (28 %) or harm (60 %, mean 0.004); every run adds normal noise, on the same seed too, so
pairing is no help here. All rules see the same proposals and the same luck. The simple rules are vectorised over
campaigns; the referee is the real `judge`, called once per judgement with nothing but scores by seed, the noise and the
runs left. Does not show: what pairing gains (the less noise, the higher up the table) or how real proposals are
distributed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcp_server.anchor import Conditions, needs_anchor
from mcp_server.referee import Decision, KeepPolicy, Noise, Verdict, judge

LEVELS = (1e-4, 2e-4, 4e-4, 7e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2)
REFEREE = "referee"
NULL_NIGHT, SEED_ONLY = "260 unchanged, step", "40 seed-only edits"
STEP = -0.0016  # what one unchanged job of the reference once gained overnight
SPEED_PER_SCORE = 1 / 0.06  # one per cent more steps is 0.0006 bits per byte
Floats = NDArray[np.float64]
Judge = Callable[[Mapping[int, float], Mapping[int, float], Noise, KeepPolicy, int | None], Verdict]
# what to do with (candidate runs, their sum, incumbent runs, their sum): 0 discard, 1 keep, 2 run both again
Rule = Callable[[Floats, Floats, Floats, Floats], Floats]


@dataclass(frozen=True)
class World:
    """How proposals are distributed, in the score's unit."""

    improving: float = 0.12
    neutral: float = 0.28
    typical: float = 0.0015
    harm: float = 0.004
    runs: int = 126

    def proposals(self, draw: np.random.Generator, shape: tuple[int, int]) -> Floats:
        """True changes; negative is better."""
        kind, size = draw.random(shape), draw.exponential(1.0, shape)
        harm = np.where(kind < self.improving + self.neutral, 0.0, self.harm * size)
        return np.where(kind < self.improving, -self.typical * size, harm)


@dataclass(frozen=True)
class Luck:
    """Proposals (campaigns, runs) and the noise of every run in the order they are made (campaigns, 2 * runs + 8)."""

    proposals: Floats
    noise: Floats
    sd: float


def deal(world: World, sd: float, reps: int, seed: int) -> Luck:
    draw = np.random.default_rng([seed, round(sd * 1e7)])
    proposals = world.proposals(draw, (reps, world.runs))
    return Luck(proposals, draw.normal(0.0, sd, (reps, 2 * world.runs + 8)), sd)


@dataclass
class Outcome:
    """One entry per campaign; gains are positive when better, in the score's unit."""

    gain: Floats  # true score of the baseline minus that of the last incumbent
    claimed: Floats  # the same as recorded: mean of all runs of either
    believed: Floats  # what the verdicts believed, summed
    keeps: Floats
    false: Floats  # keeps that are truly no better than what they replaced
    doubted: Floats  # false keeps as the verdicts expected them
    confirmed: Floats
    confirmed_false: Floats
    extra: Floats  # runs beyond one per proposal

    @classmethod
    def empty(cls, reps: int) -> Outcome:
        return cls(*(np.zeros(reps) for _ in range(9)))

    def row(self) -> dict[str, float]:
        means = {name: float(np.mean(values)) for name, values in asdict(self).items()}
        means["excess"] = (means["claimed"] - means["gain"]) / means["gain"] if means["gain"] > 0 else float("nan")
        means["gain_error"] = float(np.std(self.gain) / np.sqrt(len(self.gain)))
        means["losing"] = float(np.mean(self.gain < 0))
        return means


# ---- the simple rules, all campaigns in lockstep ----


def greedy(margin: float = 0.0) -> Rule:
    return lambda n, total, m, other: (total / n < other / m - margin).astype(float)


def confirm_all(looks: int = 2) -> Rule:
    """Every lower score is run again beside the incumbent."""
    return lambda n, total, m, other: np.where(total / n >= other / m, 0.0, np.where(n < looks, 2.0, 1.0))


def repeat_all(looks: int = 3) -> Rule:
    return lambda n, total, m, other: np.where(n < looks, 2.0, (total / n < other / m).astype(float))


def sequential(sd: float, keep: float = 1.64, drop: float = 0.0, most: int = 6) -> Rule:
    """Run both until the difference is `keep` standard errors, or below `drop` (after Wald 1945)."""

    def rule(n: Floats, total: Floats, m: Floats, other: Floats) -> Floats:
        z = (other / m - total / n) / (sd * np.sqrt(1 / n + 1 / m))
        return np.where(z > keep, 1.0, np.where((z < drop) | (n >= most), 0.0, 2.0))

    return rule


def simple_rules(sd: float) -> dict[str, Rule]:
    return {
        "greedy": greedy(),
        "margin 0.0005": greedy(0.0005),
        "margin 1 sd": greedy(sd),
        "confirm all": confirm_all(),
        "triple all": repeat_all(),
        "sequential z": sequential(sd),
        "sequential z, eager": sequential(sd, keep=1.0, most=4),
    }


def lockstep(luck: Luck, rule: Rule) -> Outcome:
    """Every campaign under one simple rule; a candidate whose repeat cannot be afforded is dropped."""
    reps, runs = luck.proposals.shape
    every, done = np.arange(reps), Outcome.empty(reps)
    drawn, proposed = np.zeros(reps, int), np.zeros(reps, int)

    def noise(where: NDArray[np.bool_]) -> Floats:
        values = luck.noise[every, drawn]
        drawn[where] += 1
        return values

    open_ = np.ones(reps, bool)
    held = np.zeros(reps)  # true score of the incumbent; the baseline's is 0
    baseline = noise(open_)
    incumbent, m = baseline.copy(), np.ones(reps)
    left = np.full(reps, runs)
    fresh = open_.copy()
    true, total, n = np.zeros(reps), np.zeros(reps), np.ones(reps)
    while open_.any():
        true = np.where(fresh, held + luck.proposals[every, np.minimum(proposed, runs - 1)], true)
        total = np.where(fresh, true + noise(fresh), total)
        n = np.where(fresh, 1.0, n)
        proposed += fresh
        left = left - fresh
        action = rule(n, total, m, incumbent)
        again_both = (action == 2) & (n >= m)
        cost = np.where(action == 2, np.where(again_both, 2, 1), 0)
        action = np.where(cost > left, 0.0, action)
        again = open_ & (action == 2)
        both = again & again_both
        total, n = np.where(again, total + true + noise(again), total), n + again
        incumbent, m = np.where(both, incumbent + held + noise(both), incumbent), m + both
        left = left - again - both
        done.extra += again.astype(float) + both
        kept = open_ & (action == 1)
        done.keeps += kept
        done.false += kept & (true >= held)
        held, incumbent, m = np.where(kept, true, held), np.where(kept, total, incumbent), np.where(kept, n, m)
        fresh = open_ & ~again & (left > 0)
        open_ = again | fresh
    done.gain, done.claimed = -held, baseline - incumbent / m
    return done


# ---- the referee, one campaign at a time ----


def refereed(
    luck: Luck,
    noise: Noise | None = None,
    policy: KeepPolicy | None = None,
    decide: Judge = judge,
    progress: Callable[[], None] = lambda: None,
) -> Outcome:
    """Every campaign under the real `judge`; it runs what the verdicts ask for."""
    reps, runs = luck.proposals.shape
    done = Outcome.empty(reps)
    noise, policy = noise or Noise(sd=luck.sd, runs=runs), policy or KeepPolicy()
    for rep in range(reps):
        draw = iter(luck.noise[rep].tolist())
        held, left = 0.0, runs
        baseline = next(draw)
        incumbent = {0: baseline}
        for proposal in luck.proposals[rep].tolist():
            if left <= 0:
                break
            true = held + proposal
            candidate = {0: true + next(draw)}
            left -= 1
            while (verdict := decide(candidate, incumbent, noise, policy, left)).decision == Decision.CONFIRM:
                for seed in verdict.seeds:
                    for scores, score in ((candidate, true), (incumbent, held)):
                        if seed not in scores:
                            scores[seed] = score + next(draw)
                            left -= 1
                            done.extra[rep] += 1
            if verdict.decision == Decision.KEEP:
                false = true >= held
                done.keeps[rep] += 1
                done.false[rep] += false
                done.doubted[rep] += 1.0 - (verdict.probability or 0.0)
                done.believed[rep] -= verdict.expected or 0.0
                done.confirmed[rep] += verdict.label == "confirmed"
                done.confirmed_false[rep] += verdict.label == "confirmed" and false
                held, incumbent = true, candidate
        assert left >= 0, "a verdict spent more than was left"
        done.gain[rep] = -held
        done.claimed[rep] = baseline - sum(incumbent.values()) / len(incumbent)
        progress()
    return done


# ---- a machine that drifts ----


@dataclass(frozen=True)
class Drift:
    """Means per campaign. `from_drift`: keeps that the same scores without the drift would not have been."""

    keeps: float
    false: float
    from_drift: float
    anchors: float
    extra: float  # anchors included
    gain: float
    quiet: float  # share of campaigns with no keep at all


def step_at(when: int, size: float = STEP) -> Callable[[int], float]:
    return lambda run: size if run >= when else 0.0


def slow_walk(runs: int, size: float = STEP) -> Callable[[int], float]:
    return lambda run: size * run / runs


def steady(run: int) -> float:
    return 0.0


def drifting(
    luck: Luck,
    drifts: Sequence[Callable[[int], float]],
    anchored: bool = True,
    witness: str = "speed",
    edits_speed: float = 0.0,
    touched: tuple[str, ...] = (),
    seed: int = 0,
) -> Drift:
    """Campaigns on a machine whose scores move by drifts[i](run), with the speed or the steps that explain it recorded.

    witness: `speed`, a probe that sees the machine alone, to 0.1 %; `steps`, which a candidate's own edit changes as
    well (edits_speed: the sd of that, as a share). An anchor runs the incumbent again, and its earlier runs
    no longer count, as in the lab. Every proposal is made, whatever the repeats cost.
    """
    reps, _ = luck.proposals.shape
    keeps, false, from_drift, anchors, extra, gain = (np.zeros(reps) for _ in range(6))
    noise, policy = Noise(sd=luck.sd, runs=luck.proposals.shape[1]), KeepPolicy()
    effect = policy.effects.typical
    wobble = np.random.default_rng([seed, 7])
    for rep in range(reps):
        draw = iter(np.concatenate([luck.noise[rep], wobble.normal(0.0, luck.sd, 400)]).tolist())
        drift, clock = drifts[rep % len(drifts)], 0
        held, own = 0.0, 1.0  # true score of the incumbent, and how its code changes the steps done

        def run(true: float, code: float) -> tuple[float, float, Conditions]:
            """(score, score without the drift, conditions) of the next run."""
            nonlocal clock
            moved = drift(clock)  # noqa: B023  # called within this iteration only
            clock += 1
            clean = true + next(draw)  # noqa: B023  # likewise
            fast = 1.0 - moved * SPEED_PER_SCORE
            seen = fast * (1.0 + wobble.normal(0.0, 0.001))
            here = (
                Conditions("gpu", speed=seen)
                if witness == "speed"
                else Conditions("gpu", steps=round(1e5 * fast * code))
            )
            return clean + moved, clean, here

        incumbent = {0: run(held, own)}
        for proposal in luck.proposals[rep].tolist():
            true = held + proposal
            code = 1.0 + (wobble.normal(0.0, edits_speed) if edits_speed else 0.0)
            candidate = {0: run(true, code)}
            asked = False
            while True:
                scores = ({s: r[0] for s, r in candidate.items()}, {s: r[0] for s, r in incumbent.items()})
                verdict = judge(*scores, noise, policy, None, touched=touched)
                now, then = candidate[min(candidate)][2], incumbent[max(incumbent, key=lambda s: s in candidate)][2]
                would_keep = verdict.decision != Decision.DISCARD
                assert verdict.width is not None
                moved = (verdict.width, effect, would_keep, verdict.spare)
                if anchored and not asked and needs_anchor(now, then, *moved):
                    asked = True
                    incumbent = {min(candidate): run(held, own)}
                    anchors[rep] += 1
                    extra[rep] += 1
                    continue
                if verdict.decision != Decision.CONFIRM:
                    break
                for number in verdict.seeds:
                    for runs, score, speed in ((candidate, true, code), (incumbent, held, own)):
                        if number not in runs:
                            runs[number] = run(score, speed)
                            extra[rep] += 1
            if verdict.decision == Decision.KEEP:
                keeps[rep] += 1
                clean = ({s: r[1] for s, r in candidate.items()}, {s: r[1] for s, r in incumbent.items()})
                false[rep] += true >= held
                from_drift[rep] += true >= held and judge(*clean, noise, policy, None).decision != Decision.KEEP
                held, own, incumbent = true, code, candidate
        gain[rep] = -held
    means = [float(np.mean(values)) for values in (keeps, false, from_drift, anchors, extra, gain, keeps == 0)]
    return Drift(*means)


# ---- the table ----


def compare_rules(
    sd: float,
    reps: int,
    seed: int = 1,
    world: World | None = None,
    progress: Callable[[], None] = lambda: None,
    guess: float = 1.0,
) -> dict[str, Outcome]:
    """All rules on the same campaigns; keys are the names of the rules. guess: the referee is told so many times the
    noise there is."""
    luck = deal(world or World(), sd, reps, seed)
    found = {name: lockstep(luck, rule) for name, rule in simple_rules(sd).items()}
    found[REFEREE] = refereed(luck, Noise(sd=sd * guess, runs=luck.proposals.shape[1]), progress=progress)
    return found


def goals(table: Mapping[float, Mapping[str, Mapping[str, float]]]) -> list[tuple[str, bool, str]]:
    """(what was promised, whether it holds, the numbers) for the levels in the table."""
    said = []
    for sd, rows in table.items():
        ours, best = rows[REFEREE], max((row["gain"], name) for name, row in rows.items() if name != REFEREE)
        if sd <= 7.01e-4:
            share = ours["gain"] / best[0]
            said.append((f"gain at {sd:.0e} at least 0.95 of the best", share >= 0.95, f"{share:.3f} of {best[1]}"))
        if abs(sd - 2e-3) < 1e-9:
            share = ours["gain"] / rows["greedy"]["gain"]
            said.append(("gain at 2e-03 at least 1.15 of greedy", share >= 1.15, f"{share:.3f}"))
        said.append((f"gain at {sd:.0e} never negative", ours["gain"] >= 0, f"{ours['gain']:.5f}"))
        wrong = ours["confirmed_false"]
        said.append((f"confirmed but false at {sd:.0e} under 0.3", wrong < 0.3, f"{wrong:.3f}"))
        if ours["gain"] > 0.005:
            excess, kind = ours["excess"], f"{ours['excess']:+.3f}"
            said.append((f"claimed at {sd:.0e} within 10 % of the true gain", excess < 0.10, kind))
    return said


def drift_goals(found: Mapping[str, Drift]) -> list[tuple[str, bool, str]]:
    """The same for a machine that moves and for nights in which nothing helps."""
    said = []
    for name, row in found.items():
        if name.endswith(("step", "slow walk")) and name.startswith("sd "):
            said.append((f"no false keep comes from drift ({name})", row.from_drift == 0, f"{row.from_drift:.3f}"))
        if name == NULL_NIGHT:
            said.append((f"{name}: no keep in 99 of 100 campaigns", row.quiet >= 0.99, f"{row.quiet:.3f} without"))
            said.append((f"{name}: at most 2 extra runs", row.extra <= 2, f"{row.extra:.2f}"))
        if name == SEED_ONLY:
            said.append((f"{name}: at most 1 keep", row.keeps <= 1, f"{row.keeps:.2f}"))
    return said


def show(table: Mapping[float, Mapping[str, Mapping[str, float]]]) -> None:
    head = f"{'rule':20s} {'gain':>7s} {'±':>5s} {'claims':>7s} {'excess':>7s} {'believed':>8s} {'keeps':>6s} "
    head += f"{'false':>6s} {'said':>6s} {'conf.':>6s} {'c.false':>7s} {'extra':>6s} {'losing':>6s}"
    for sd, rows in table.items():
        print(f"\nnoise sd {sd:.0e}; gains in 1e-3 per campaign\n{head}")
        for name, row in sorted(rows.items(), key=lambda item: -item[1]["gain"]):
            ours = name == REFEREE
            believed = f"{1e3 * row['believed']:8.2f}" if ours else f"{'':8s}"
            doubted = f"{row['doubted']:6.2f}" if ours else f"{'':6s}"
            labels = f"{row['confirmed']:6.2f} {row['confirmed_false']:7.3f}" if ours else f"{'':14s}"
            print(
                f"{name:20s} {1e3 * row['gain']:7.2f} {1e3 * row['gain_error']:5.2f} {1e3 * row['claimed']:7.2f} "
                f"{row['excess']:+7.3f} {believed} {row['keeps']:6.2f} {row['false']:6.2f} {doubted} {labels} "
                f"{row['extra']:6.1f} {row['losing']:6.3f}"
            )


def drift_table(reps: int, seed: int = 1) -> dict[str, Drift]:
    """Campaigns on a machine that steps or walks, null campaigns, and seed-only edits."""
    found: dict[str, Drift] = {}
    world, null = World(), World(improving=0.0, neutral=1.0, runs=260)
    steps = [step_at(when) for when in range(6, 120, 6)]
    for sd in (1.1e-4, 4e-4):
        luck = deal(world, sd, reps, seed)
        found[f"sd {sd:.1e}, steady"] = drifting(luck, [steady])
        found[f"sd {sd:.1e}, step, not anchored"] = drifting(luck, steps, anchored=False)
        found[f"sd {sd:.1e}, step"] = drifting(luck, steps)
        found[f"sd {sd:.1e}, step, seen in steps only"] = drifting(luck, steps, witness="steps", edits_speed=0.02)
        found[f"sd {sd:.1e}, slow walk"] = drifting(luck, [slow_walk(world.runs)])
    luck = deal(null, 1.1e-4, reps, seed)
    walks = [slow_walk(null.runs)]
    found[NULL_NIGHT] = drifting(luck, [step_at(when) for when in range(10, 250, 12)], witness="steps")
    found["260 unchanged, slow walk"] = drifting(luck, walks, witness="steps")
    luck = deal(replace(null, runs=40), 7e-4, reps, seed)
    found[SEED_ONLY] = drifting(luck, [steady], touched=("seeding",))
    found["40 lucky scores, not recognised"] = drifting(luck, [steady])
    return found


def show_drift(found: Mapping[str, Drift]) -> None:
    columns = ("keeps", "false", "by drift", "anchors", "extra", "gain", "quiet")
    print(f"\n{'machine and edits':42s} " + " ".join(f"{name:>8s}" for name in columns))
    for name, row in found.items():
        values = (row.keeps, row.false, row.from_drift, row.anchors, row.extra, 1e3 * row.gain, row.quiet)
        print(f"{name:42s} " + " ".join(f"{value:8.2f}" for value in values))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reps", type=int, default=2000, help="campaigns per noise level")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--levels", type=float, nargs="+", default=list(LEVELS), help="noise of one run")
    parser.add_argument("--guess", type=float, default=1.0, help="the noise the referee is told, in true ones")
    parser.add_argument("--drift-reps", type=int, default=100, help="campaigns per kind of drift; 0 leaves them out")
    parser.add_argument("--json", type=Path, help="write every number here as well")
    asked = parser.parse_args(arguments)
    table: dict[float, dict[str, dict[str, float]]] = {}
    began, finished = time.monotonic(), 0

    def progress() -> None:
        nonlocal finished
        finished += 1
        if finished % 50 == 0 or finished == asked.reps * len(asked.levels):
            share = finished / (asked.reps * len(asked.levels))
            print(
                f"\r{share:4.0%} of the campaigns, {time.monotonic() - began:.0f} s",
                end="",
                file=sys.stderr,
                flush=True,
            )

    for sd in asked.levels:
        found = compare_rules(sd, asked.reps, asked.seed, progress=progress, guess=asked.guess)
        table[sd] = {name: outcome.row() for name, outcome in found.items()}
    print(file=sys.stderr)
    show(table)
    drifts = drift_table(asked.drift_reps, asked.seed) if asked.drift_reps else {}
    if drifts:
        show_drift(drifts)
    said = goals(table) + drift_goals(drifts)
    print()
    for what, holds, numbers in said:
        print(f"{'holds ' if holds else 'MISSED'}  {what}: {numbers}")
    if asked.json:
        answer = {
            "reps": asked.reps,
            "seed": asked.seed,
            "guess": asked.guess,
            "levels": {f"{sd:g}": rows for sd, rows in table.items()},
            "drift": {name: asdict(row) for name, row in drifts.items()},
            "goals": [{"goal": what, "holds": holds, "found": numbers} for what, holds, numbers in said],
        }
        asked.json.write_text(json.dumps(answer, indent=1))
    return 0 if all(holds for _, holds, _ in said) else 1


if __name__ == "__main__":
    sys.exit(main())
