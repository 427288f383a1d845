"""The verbs of the lab as commands: start, run, score, decide, keep, revert, cancel, learn, recall."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

import click

from mcp_server import __version__
from mcp_server.campaign import waiting
from mcp_server.campaign.intake import DESCRIPTION_LIMIT
from mcp_server.campaign.trees.own import make_tree
from mcp_server.commands import asking
from mcp_server.commands.live.money import spent_given
from mcp_server.commands.names import Place
from mcp_server.commands.screens import pages
from mcp_server.faces import terminal
from mcp_server.lab import CALIBRATE, HYPOTHESIS_LIMIT, Lab
from mcp_server.nouns.errors import NotNow, StillRunning
from mcp_server.nouns.replies import ExperimentReply
from mcp_server.nouns.rows import Proposer
from mcp_server.nouns.text import complaint, tag_complaint

WAIT = click.option("--wait/--no-wait", default=False, show_default=True, help="Stay until it is finished.")
NUMBER = click.argument("number", type=click.IntRange(min=1), required=False, metavar="[N]")


def by_terminal() -> Proposer:
    """Who asks at a terminal: this program, and the model that the environment names where an agent types."""
    return Proposer.of("cli", __version__, os.environ.get("AUTORESEARCH_MODEL", ""))


def _plain(name: str, text: str, limit: int, lines: bool = False) -> str:
    """Text as a tool would accept it. Raises NotNow with what is wrong."""
    wrong = complaint(name, text, limit, lines)
    if wrong:
        raise NotNow(wrong)
    return text


@click.command()
@click.argument("tag")
@click.option(
    "--from", "from_ref", default="HEAD", metavar="REF", show_default=True, help="Commit or branch to begin from."
)
@click.option(
    "--calibrate",
    type=click.IntRange(0, 20),
    default=CALIBRATE,
    show_default=True,
    metavar="N",
    help="Extra runs of the baseline, which measure the noise.",
)
@click.option("--no-calibrate", is_flag=True, help="The same as --calibrate 0.")
@click.option(
    "--tree", metavar="DIR", help="In a work tree of its own beside this one, such as ../second; made if new."
)
@WAIT
@asking.replying
def start(
    place: Place,
    tag: str,
    from_ref: str,
    calibrate: int,
    no_calibrate: bool,
    tree: str | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Begin a campaign, or join the one called TAG.

    Makes branch autoresearch/TAG, checks it out, and runs the unchanged code as experiment 1: once to have a score to
    beat, and again to learn how large the noise is.

    \b
    Examples:
      autoresearch start first
      autoresearch start nov22 --from v1.2 --calibrate 4 --wait
      autoresearch start nov22 --tree ../second           for another agent: start it in that folder
    """
    wrong = tag_complaint(tag)
    if wrong:
        raise NotNow(wrong)
    if no_calibrate:
        asking.refuse("contradicted by --no-calibrate: give one of them.", "calibrate")
    lab = asking.lab_at(place)
    if tree is not None:
        folder = make_tree(lab.workspace, tag, from_ref, _plain("--tree", tree, 1000))
        lab = asking.lab_at(Place(folder, place.campaign))
    reply = lab.start_campaign(tag, _plain("--from", from_ref, 200), 0 if no_calibrate else calibrate)
    if wait:
        told_score(lab, reply.baseline, True, as_json, reply.warnings)
        return
    asking.answer(
        reply,
        as_json,
        terminal.facts([("campaign", reply.campaign), ("branch", reply.branch), ("baseline", reply.status)]),
        asking.problems(reply.warnings),
        asking.hint(f"{reply.next} `autoresearch watch` shows the lab."),
    )


@click.command()
@click.argument("description")
@click.option("--hypothesis", default="", metavar="TEXT", help="Why it should help.")
@click.option(
    "--expect", type=asking.Finite(), metavar="GAIN", help="Expected gain in the metric's unit; positive is better."
)
@click.option("--anyway", is_flag=True, help="Also where it takes back what was kept.")
@click.option(
    "--cost", type=asking.Finite(), metavar="USD", help="What proposing it cost; `autoresearch money` tells it later."
)
@click.option("--tokens", type=int, metavar="TOKENS", help="What proposing it took.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Stay until it is scored.")
@asking.replying
def run(
    place: Place,
    description: str,
    hypothesis: str,
    expect: float | None,
    anyway: bool,
    cost: float | None,
    tokens: int | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Run an experiment on the editable files as they are now.

    They are stored as a commit in the vault first, so you may go on editing at once. DESCRIPTION says in one line what
    was changed. Ctrl-C ends the wait, never the run. Code that was scored before is answered from memory.

    \b
    Examples:
      autoresearch run "twice the matrix rate"
      autoresearch run "cool-down 0.6 -> 0.4" --hypothesis "more steps at full rate" --expect 0.005
      autoresearch run "four layers" --no-wait
    """
    lab = asking.lab_at(place)
    reply = lab.run_experiment(
        _plain("description", description, DESCRIPTION_LIMIT),
        _plain("--hypothesis", hypothesis, HYPOTHESIS_LIMIT, lines=True),
        expect,
        insist=anyway,
        proposer=by_terminal().after(spent_given(cost, tokens)),
    )
    told_start(lab, reply, wait, as_json)


@click.command()
@NUMBER
@WAIT
@asking.replying
def score(place: Place, number: int | None, wait: bool, as_json: bool) -> None:
    """Score and verdict of experiment N (the last one by default).

    \b
    Examples:
      autoresearch score
      autoresearch score 12 --wait
      autoresearch score --json | jq .score
    """
    told_score(asking.lab_at(place), number, wait, as_json)


def told_start(lab: Lab, reply: ExperimentReply, wait: bool, as_json: bool) -> None:
    """What was begun, and what came of it where the command stays."""
    if not (wait and reply.open):
        asking.answer(reply, as_json, *pages.brief(reply))
        return
    told_score(lab, reply.experiment, True, as_json, reply.warnings)


def told_score(lab: Lab, number: int | None, wait: bool, as_json: bool, warned: Sequence[str] = ()) -> None:
    """Show a score, after a wait where one is wanted. warned: what was said when it was begun."""
    if warned and not as_json:
        terminal.show(terminal.screen(stderr=True), asking.problems(warned))
    reply = lab.read_score(number)
    if wait and reply.open:
        with asking.waiting(reply.experiment, as_json) as tell:
            reply = waiting.until_finished(lab, reply.experiment, tell)
    if as_json:
        reply.warnings = list(dict.fromkeys([*warned, *reply.warnings]))
    asking.answer(reply, as_json, *pages.score(reply))


@click.command()
@NUMBER
@click.option("--decision", type=click.Choice(["auto", "keep", "revert"]), default="auto", show_default=True)
@click.option("--learned", default="", metavar="TEXT", help="The lesson of it, remembered once it is decided.")
@WAIT
@asking.replying
def decide(place: Place, number: int | None, decision: str, learned: str, wait: bool, as_json: bool) -> None:
    """Keep or revert experiment N (the last one by default), as the referee says.

    A keep becomes a commit on the campaign's branch; a revert puts the editable files back. Where the noise does not
    allow a verdict the referee asks for repeats: with --wait this command waits for them and asks again.

    \b
    Examples:
      autoresearch decide
      autoresearch decide 12 --wait --learned "Twice the rate diverges after 300 steps."
    """
    lesson = _plain("--learned", learned, 2000, lines=True) if learned else ""
    _decide(asking.lab_at(place), number, decision, wait, as_json, lesson)


@click.command()
@NUMBER
@WAIT
@asking.replying
def keep(place: Place, number: int | None, wait: bool, as_json: bool) -> None:
    """Keep experiment N (the last one by default) if the referee agrees.

    The score decides, not the wish: against the verdict this is refused, with the reason.
    """
    _decide(asking.lab_at(place), number, "keep", wait, as_json)


@click.command()
@NUMBER
@asking.replying
def revert(place: Place, number: int | None, as_json: bool) -> None:
    """Put the editable files back as the incumbent has them; always allowed.

    Files that were edited since the experiment's snapshot are left alone and named. The attempt stays in the vault.
    """
    _decide(asking.lab_at(place), number, "revert", False, as_json)


def _decide(lab: Lab, number: int | None, decision: str, wait: bool, as_json: bool, learned: str = "") -> None:
    reply = None
    with contextlib.suppress(*([StillRunning] if wait else [])):
        reply = lab.commit_or_revert(number, decision, learned)
    if reply is None or (wait and reply.decision in ("confirming", "rebased")):
        learned = "" if reply is not None and reply.carried_on else learned
        number = (reply.carried_on or reply.experiment) if reply else number or lab.read_score().experiment
        with asking.waiting(number, as_json) as tell:
            reply = waiting.until_decided(lab, number, decision, tell, learned)
    asking.answer(reply, as_json, *pages.decision(reply))


@click.command()
@click.argument("number", type=click.IntRange(min=1), metavar="N")
@asking.replying
def cancel(place: Place, number: int, as_json: bool) -> None:
    """Stop the runs of experiment N. It is recorded as cancelled and may be run again."""
    reply = asking.lab_at(place).cancel_experiment(number)
    asking.answer(reply, as_json, *pages.brief(reply))


@click.command()
@click.argument("text")
@click.option("--experiment", type=click.IntRange(min=1), metavar="N", help="The experiment it is about.")
@click.option("--tag", "tags", multiple=True, metavar="WORD", help="A short word to find it by; may be given again.")
@asking.replying
def learn(place: Place, text: str, experiment: int | None, tags: tuple[str, ...], as_json: bool) -> None:
    """Add a lesson to the memory that all agents of this lab share.

    \b
    Examples:
      autoresearch learn "Half the rows: twice the steps, but noisier and worse." --experiment 4 --tag batch
    """
    reply = asking.lab_at(place).append_learnings(_plain("TEXT", text, 2000, lines=True), experiment, tags)
    asking.answer(
        reply,
        as_json,
        terminal.facts([("learning", f"{reply.learning}: {reply.text}")]),
        asking.problems([reply.note] if reply.note else []),
    )


@click.command()
@click.argument("query", default="")
@click.option("--knob", "knobs", multiple=True, metavar="NAME", help='A constant: MATRIX_LR, ADAM*, "DEPTH 2..4".')
@click.option("--limit", type=click.IntRange(1, 50), default=10, show_default=True)
@asking.replying
def recall(place: Place, query: str, knobs: tuple[str, ...], limit: int, as_json: bool) -> None:
    """What was tried and learned, best match first.

    \b
    Examples:
      autoresearch recall "larger batch"
      autoresearch recall --knob MATRIX_LR
      autoresearch recall crashed --limit 30
    """
    reply = asking.lab_at(place).recall(_plain("QUERY", query, 2000, lines=True), knobs, limit)
    rare = f"least tried so far: {', '.join(reply.least_tried)}" if reply.least_tried else ""
    asking.answer(reply, as_json, *pages.lines(reply.lines or ["Nothing like it was tried."]), asking.hint(rare))
