"""The end of a campaign as commands: exam and prune."""

from __future__ import annotations

import time

import click

from mcp_server.campaign import waiting
from mcp_server.campaign.upkeep import disk
from mcp_server.commands import asking
from mcp_server.commands.names import Place
from mcp_server.faces import terminal
from mcp_server.judging.totals import prune_order
from mcp_server.lab import EXAM_SEEDS, Lab
from mcp_server.nouns.errors import NotNow
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.replies import ExamReply

POLL_SECONDS = 0.5


@click.command()
@click.option("--seeds", type=click.IntRange(2, 50), default=EXAM_SEEDS, show_default=True, help="Pairs of fresh runs.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Stay until it is done.")
@click.option("--again", is_flag=True, help="Begin another where the last came to nothing.")
@asking.replying
def exam(place: Place, seeds: int, wait: bool, again: bool, as_json: bool) -> None:
    """Measure the honest gain: baseline against incumbent, on fresh paired seeds and the untouched test split.

    The split was drawn with a secret when the campaign began and no decision has seen it. Ctrl-C stops the waiting; the
    runs go on, and the same command shows how far they are.

    \b
    Examples:
      autoresearch exam
      autoresearch exam --seeds 5 --no-wait
    """
    lab = asking.lab_at(place)
    reply = lab.exam(seeds, again)
    try:
        while wait and reply.status == "running":
            time.sleep(POLL_SECONDS)
            reply = lab.exam(seeds)
    except KeyboardInterrupt:
        click.echo("Stopped waiting; the exam goes on. `autoresearch exam` shows how far it is.", err=True)
        raise SystemExit(asking.INTERRUPTED) from None
    asking.answer(reply, as_json, terminal.facts(_facts(reply)), asking.hint(reply.next))


def _facts(reply: ExamReply) -> list[tuple[str, str]]:
    done = sum(run.state not in ("queued", "running", "pending") for run in reply.runs)
    facts = [
        ("compared", f"experiment {reply.incumbent} against the baseline"),
        ("runs", f"{done} of {len(reply.runs)} done, {reply.status}"),
    ]
    if reply.gain is not None and reply.interval:
        facts.append(
            (
                "honest gain",
                f"{_gain(reply.gain)}, 95 % interval {_gain(reply.interval[0])} to {_gain(reply.interval[1])}",
            )
        )
    if reply.claimed_gain is not None:
        facts.append(("claimed gain", _gain(reply.claimed_gain)))
    return facts


def _gain(value: float) -> str:
    return fixed(value, sign=True)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@asking.replying
def gc(place: Place, dry_run: bool, as_json: bool) -> None:
    """Remove what runs left on the disk and nothing needs any more: weights but the incumbent's, copies of code.

    Most goes by itself as soon as it can; this is for what an older version kept, or a kill left. Every score, log,
    commit and record stays, and whatever goes can be trained again from its commit and its seed. Harmless beside
    experiments that run, and when it is interrupted. `budget: {disk_gb: 50}` in program.md bounds what runs may hold.

    \b
    Examples:
      autoresearch gc --dry-run
      autoresearch gc
    """
    reply = disk.gc(asking.lab_at(place), dry_run)
    verb = "would go" if dry_run else "removed"
    rows = [(f"{one.campaign}/{one.experiment}/{one.run}", f"{one.what}, {one.gb:.3f} GB") for one in reply.removed]
    rows += [(verb, f"{reply.gb:.3f} GB"), ("kept", reply.kept), ("disk", reply.disk)]
    if reply.leftovers_gb:
        rows.append(("leftovers", f"{reply.leftovers_gb:.3f} GB that this ledger did not order; yours to remove"))
    asking.answer(reply, as_json, terminal.facts(rows), asking.hint(reply.next))


@click.command()
@click.option(
    "--most",
    type=click.IntRange(1, 1000),
    default=1000,
    help="Re-test at most this many keeps, the least probable ones.",
)
@click.pass_obj
def prune(place: Place, most: int) -> None:
    """Re-test provisional keeps, the last one first, and drop those that do not matter.

    Each is taken back alone and run beside the present code on the same seeds; unless it proves its worth again, the
    code without it is kept as a simplification. The editable files must be the incumbent's.
    """
    lab = asking.lab_at(place)
    numbers = _provisional(lab, most)
    if not numbers:
        click.echo("There is no provisional keep to re-test.")
    for number in numbers:
        try:
            opened = lab.run_without(number)
        except NotNow as error:
            click.echo(f"experiment {number}: {error}")
            continue
        with asking.waiting(opened.experiment, False) as tell:
            waiting.until_finished(lab, opened.experiment, tell)
            decided = waiting.until_decided(lab, opened.experiment, "auto", tell)
        outcome = "dropped" if decided.decision == "kept" else "stays"
        click.echo(f"experiment {number}: {outcome}. {decided.reason}")


def _provisional(lab: Lab, most: int) -> tuple[int, ...]:
    with lab.reading() as (bench, campaign, _):
        return prune_order(bench.ledger.kept(campaign.tag)[1:], most)
