"""The lab at a glance and its memory, read from the ledger: what lab_status and recall say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mcp_server.arena.program import Arena, Program, load_program
from mcp_server.arena.styles import style_text
from mcp_server.campaign import progress
from mcp_server.campaign.attempt import Attempt, read_all
from mcp_server.campaign.beginning import contract
from mcp_server.campaign.beginning.amend import told
from mcp_server.campaign.beginning.baseline import of_campaign
from mcp_server.campaign.bench import Bench
from mcp_server.campaign.evidence import measured_noise
from mcp_server.campaign.exam import totals_of
from mcp_server.campaign.find import open_here
from mcp_server.campaign.imported import imported_of
from mcp_server.campaign.money.spending import of as money_of
from mcp_server.campaign.reins import gate, queue
from mcp_server.campaign.runs import ahead
from mcp_server.campaign.runs.dispatch import resolve_budget, resolve_devices
from mcp_server.campaign.runs.pairing import choice_of
from mcp_server.campaign.stop import ending, over_by_rule
from mcp_server.campaign.trees import company
from mcp_server.campaign.upkeep import disk
from mcp_server.campaign.upkeep.caught import CaughtUp
from mcp_server.edits import themes
from mcp_server.engines.ray.engine import roll
from mcp_server.judging import pairing
from mcp_server.judging.noise import Noise
from mcp_server.ledger import Ledger
from mcp_server.ledger.imported import PLACE
from mcp_server.memory import recall as ranking
from mcp_server.memory.admission import pieces_of
from mcp_server.memory.advice import DRY_SPELL, advice, plateau, predictions
from mcp_server.memory.advice import calibration as calibrated
from mcp_server.memory.wording import line
from mcp_server.nouns.errors import AutoresearchError, UnknownExperiment
from mcp_server.nouns.paths import LabPaths, device_locks_folder
from mcp_server.nouns.records import Kind, RunState
from mcp_server.nouns.replies import DeviceReply, NoiseReply, RecallReply, StatusReply
from mcp_server.nouns.rows import Campaign
from mcp_server.nouns.text import LEARNING_CHARACTERS, clean_block, clean_line
from mcp_server.programs.sealed import words_of
from mcp_server.repo.drawn import place_of
from mcp_server.runner.machine.devices import holder
from mcp_server.runner.sandbox import probe

LAST_SHOWN = 5
LOOKED_BACK = 60  # experiments that advice is drawn from
RANKED = 400  # of the newest experiments and learnings, besides the ones the word index names
MEMO_CHARACTERS = 6000
Hits = list[tuple[str, str, int, float]]  # (kind, campaign, key, nearness) of what a word index found


def recalled(
    ledger: Ledger,
    query: str,
    knobs: Sequence[str],
    limit: int,
    elsewhere: Callable[[str, Sequence[str]], tuple[list[Attempt], Hits]] = lambda query, names: ([], []),
) -> RecallReply:
    """What was tried and learned in all campaigns of the lab, and elsewhere, best match first."""
    hits = ledger.search(query, 100)
    keys = [(campaign, key) for kind, campaign, key, _ in hits if kind == "experiment"]
    names = [found.name.rstrip("*") for found in map(ranking.knob_query, knobs) if found is not None]
    candidates = ledger.candidates(keys, names, RANKED)
    others, theirs = elsewhere(query, names)
    told = ledger.imported_with([key for campaign, key in keys if campaign == PLACE], names, RANKED)
    tried = [*read_all(ledger, candidates, lessons=True), *others, *map(imported_of, told)]
    hits = [*hits, *theirs]
    learnings = ledger.learnings_with([key for kind, _, key, _ in hits if kind == "learning"], RANKED)
    found = ranking.recall(query, knobs, limit, tried, learnings, hits)
    return RecallReply(
        lines=[one.line for one in found],
        found=len(found),
        least_tried=[str(theme) for theme, _ in themes.least_tried([item.experiment.theme for item in tried])],
        next="Propose what was not tried, or a failed idea on another base." if found else "Nothing like it was tried.",
    )


def known_like(ledger: Ledger, text: str) -> list[str]:
    """Texts of the memory that a new lesson may repeat, oldest first."""
    pieces = pieces_of(clean_block(text, LEARNING_CHARACTERS))
    found = ledger.learnings() if pieces is None else ledger.learnings_sharing(pieces, LAST_SHOWN)
    return [one.text for one in found]


def whereabouts(bench: Bench, campaign: Campaign, program: Program, problem: str, caught: CaughtUp) -> StatusReply:
    """Where a campaign stands."""
    ledger, arena, tag = bench.ledger, program.arena, campaign.tag
    incumbent, chart = ledger.incumbent(tag), place_of(bench.paths, bench.paths.chart.name)
    undecided = ledger.undecided(tag)
    states = {one.number: one.status for one in read_all(ledger, undecided)}
    # nobody decides on a baseline: it is adopted, or replaced by the next attempt
    decidable = [one.number for one in undecided if one.kind != Kind.BASELINE]
    waiting = [number for number in decidable if not states[number].open]
    here = {one.number for one in open_here(bench, campaign)}
    due = [number for number in waiting if number in here]
    running = [number for number in decidable if states[number].open]
    last = read_all(ledger, ledger.experiments(tag, last=LOOKED_BACK))
    noise = measured_noise(ledger, arena, tag)
    over, baseline = over_by_rule(bench, campaign, arena), of_campaign(bench, campaign, arena)
    free = ahead.ahead(bench, campaign, arena) if incumbent is not None and not over else ahead.Ahead(1, 0, 0)
    reply = StatusReply(
        campaign=tag,
        branch=campaign.branch,
        experiments=ledger.count(tag),
        tried_elsewhere=ledger.imported_count() or None,
        waiting_for_decision=waiting,
        last=[line(item) for item in last[-LAST_SHOWN:]],
        learnings=[clean_line(one.text, 200) for one in ledger.learnings(last=LAST_SHOWN)],
        sessions=sessions_here(bench),
        noise=noise_reply(noise),
        totals=contract.since_first(bench, campaign, arena, totals_of(ledger, arena, campaign)),
        problems=[problem, *caught.problems] if problem else list(caught.problems),
        advice=_advice(last),
        stop=over,
        chart=str(chart) if chart.exists() else "",
        room=free.more or None,
        ideas=queue.first(bench, campaign),
        paused=gate.closed(bench, campaign),
        next=_next(over and ending(bench, campaign, over), baseline, due, running, plateau(last), free),
    )
    if not over and not baseline and not due and not running:
        reply.next = queue.next_step(bench, campaign, reply.next)
    money = money_of(bench, campaign, arena)
    reply.money = money if money.words or money.problems else None
    reply.problems += money.problems
    _say_rules(reply, bench, campaign, program)
    if incumbent is not None:
        reply.incumbent = progress.experiment_reply(ledger, bench.paths, incumbent, arena, bench.now())
        reply.incumbent.change = reply.incumbent.noise_widths = None
    reply.running = [
        progress.experiment_reply(ledger, bench.paths, one, arena, bench.now())
        for one in undecided
        if states[one.number].open
    ]
    out = [one for one in reply.running if one.phase == "pending"]
    if out and len(out) == len(reply.running) and not due and not over:
        soonest = min(one.eta_seconds or 0.0 for one in out)
        reply.next = progress.in_the_field([one.experiment for one in out], soonest)
    return reply


def noise_reply(noise: Noise) -> NoiseReply:
    """How far equal code was apart here."""
    return NoiseReply(
        sd=progress.rounded(noise.sd),
        paired_sd=progress.rounded(noise.paired_sd),
        repeat_sd=progress.rounded(noise.repeat_sd),
        runs=noise.runs,
    )


def _say_rules(reply: StatusReply, bench: Bench, campaign: Campaign, program: Program) -> None:
    """What is measured, on what, and under which rules."""
    ledger, arena, tier = bench.ledger, program.arena, probe()
    devices, on_nodes = resolve_devices(arena), arena.engine.name == "ray"
    budget = resolve_budget(arena, devices)
    clock = "processor" if budget.clock == "cpu" else "wall"
    reply.goal, reply.editable, reply.metric = arena.goal, list(arena.editable), _metric(arena)
    where = "nodes of a Ray cluster" if on_nodes else ", ".join(devices)
    reply.budget = f"{budget.seconds:g} s of {clock} time on {where}"
    reply.devices = node_replies(bench, arena) if on_nodes else device_replies(bench, devices)
    reply.python = words_of(bench.paths, campaign)
    reply.tier = tier.tier + ("" if tier.tier == "T2" else ": " + "; ".join(tier.findings)[:300])
    if on_nodes:
        reply.tier = "each node's own; `autoresearch doctor --engine` asks them"
        reply.problems += _out_of_reach(bench, arena)
    choice = choice_of(ledger, arena, campaign)
    reply.pairing = pairing.words(choice)
    reply.disk = disk.forecast(ledger, bench.paths, campaign, bool(choice.pairing)).words()
    reply.program, reply.rules = program.digest, [told(one) for one in ledger.amendments(campaign.tag)[-LAST_SHOWN:]]
    reply.style, reply.style_text = arena.style or "", style_text(arena.style, bench.paths.tree)
    reply.memo = clean_block(program.memo, MEMO_CHARACTERS)


def _metric(arena: Arena) -> str:
    metric = arena.metric
    unit = f", {metric.unit}" if metric.unit else ""
    return f"{metric.name}, {metric.direction}{unit}" + (", CLAIMED BY THE RUN" if arena.claimed else "")


def nowhere(paths: LabPaths, error: AutoresearchError | None, caught: CaughtUp) -> StatusReply:
    """What can be said where no campaign can be shown, and which step leads on. error: why not, if anything failed."""
    reply = StatusReply(problems=[*caught.problems, *([str(error)] if error else [])])
    try:
        arena = load_program(paths.program).arena
    except AutoresearchError as wrong:
        reply.problems.append(str(wrong))
        there = paths.program.exists()
        missing = "Write program.md (`autoresearch init` proposes one)"
        reply.next = "Mend program.md as `problems` says" if there else missing
        reply.next += ", then call lab_status again."
        return reply
    reply.goal, reply.editable = arena.goal, list(arena.editable)
    reply.metric = f"{arena.metric.name}, {arena.metric.direction}"
    if error is None or (isinstance(error, UnknownExperiment) and not caught.problems):
        # the error says which campaign there is to join, or that one may begin
        reply.next = str(error) if error else "No campaign yet: start_campaign(tag) begins one and runs the baseline."
        reply.problems = []
    else:
        reply.next = "Do what `problems` says; any verb then tries again, and lab_status shows how it went."
    return reply


def _advice(last: Sequence[Attempt]) -> str:
    said = [advice(last)]
    foretold = predictions(last)
    if len(foretold) >= 3:
        said.append(calibrated(foretold).words())
    return " ".join(part for part in said if part)


def dry_spell(ledger: Ledger, tag: str) -> str:
    """What a run of discards asks for; "" while things go well."""
    if ledger.since_keep(tag) < DRY_SPELL:
        return ""
    return plateau(read_all(ledger, ledger.experiments(tag, last=LOOKED_BACK)))


def _next(over: str, baseline: str, waiting: Sequence[int], running: Sequence[int], dry: str, free: ahead.Ahead) -> str:
    """over: the last words of a campaign. baseline: what to know while it is not measured; nothing is judged before."""
    if baseline and not over:
        return baseline
    if waiting:
        return f"commit_or_revert({waiting[0]}) decides on what is scored; `learned` takes the lesson."
    if over:
        return over
    if running and free.more:
        return (
            f"{ahead.words(free)}: propose {free.more} more from the incumbent's files, without waiting for those that "
            f"run; read_score({running[0]}) waits for the first."
        )
    if running:
        return f"read_score({running[0]}) waits for the score; the next idea can be prepared meanwhile."
    if dry:
        return f"{dry} Propose an experiment of another kind: recall, edit, run_experiment."
    return "Propose the next experiment: recall, edit, run_experiment."


def device_replies(bench: Bench, devices: Sequence[str]) -> list[DeviceReply]:
    """What each device of the arena does now: for this lab, or for another one of this machine and user."""
    busy: dict[str, str] = {}
    for run in bench.ledger.open_runs():
        now = progress.progress_of(bench.paths, run) if run.state is RunState.RUNNING else None
        if now is not None and now.device and now.phase != "waiting":
            busy[now.device] = f"{run.campaign}/{run.experiment}, {now.phase}"
    for device in devices:
        held = None if device in busy else holder(device_locks_folder(), device)
        if held is not None:
            left = (held.ends_at - bench.now().timestamp()) / 60
            soon = f", about {left:.0f} min left" if left >= 1 else ", nearly done" if left > -5 else ""
            busy[device] = clean_line(f"{held.run} of the lab in {near_home(held.lab)}{soon}", 200)
    return [
        DeviceReply(device=device, state="busy" if device in busy else "free", experiment=busy.get(device, ""))
        for device in devices
    ]


def node_replies(bench: Bench, arena: Arena) -> list[DeviceReply]:
    """Every node of the arena's cluster and what it does for this lab, as its courier last saw it."""
    seen = roll(bench.paths.state, arena.engine.address)
    busy: dict[str, str] = {}
    for run in bench.ledger.open_runs():
        now = progress.progress_of(bench.paths, run)
        if now is not None and now.node:
            busy[now.node] = f"{run.campaign}/{run.experiment}, {now.phase} on {now.device or 'no device yet'}"
    nodes = [] if seen is None else [one for one in seen.nodes if one.makes_runs]
    names = dict.fromkeys((*(clean_line(one.name, 80) for one in nodes), *busy))
    return [
        DeviceReply(device=name, state="busy" if name in busy else "free", experiment=clean_line(busy.get(name, "")))
        for name in names
    ]


def _out_of_reach(bench: Bench, arena: Arena) -> list[str]:
    seen = roll(bench.paths.state, arena.engine.address)
    trouble = "" if seen is None else seen.trouble
    return [clean_line(f"Runs wait for their cluster. {trouble}", 400)] if trouble else []


def sessions_here(bench: Bench) -> list[str]:
    """The sessions of this work tree, once there are several: each must know that it is not alone."""
    tree = str(bench.paths.tree)
    here = [one.words() for one in company.present(bench.paths.state).values() if one.tree == tree]
    return [clean_line(words, 120) for words in here] if len(here) > 1 else []


def near_home(folder: str) -> str:
    """A folder as its user would write it."""
    home = str(Path.home())
    return f"~{folder[len(home) :]}" if folder.startswith(f"{home}/") else folder
