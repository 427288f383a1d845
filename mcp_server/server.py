"""Face: the verbs as MCP tools, resources and one prompt; nothing is decided here.

Only waiting is async, and giving it up never affects a run. What a session was told before is not told again, and every
byte of a schema is weighed: both stand in the conversation of a model.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
from anyio.from_thread import BlockingPortal
from anyio.to_thread import run_sync
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import Tool, ToolAnnotations

from mcp_server import __version__
from mcp_server.campaign.money.spending import tell
from mcp_server.campaign.trees.own import make_tree
from mcp_server.campaign.waiting import over, pause
from mcp_server.faces import arguments as given
from mcp_server.faces.open_labs import OpenLabs, caller_of, client_of, fresh, proposer_of, spent_by
from mcp_server.faces.refusing import PlainServer
from mcp_server.faces.resources import add_resources
from mcp_server.faces.speaking import call
from mcp_server.lab import CALIBRATE, Lab
from mcp_server.nouns.numbers import fixed
from mcp_server.nouns.replies import (
    CampaignReply,
    DecisionReply,
    ExperimentReply,
    LearningReply,
    RecallReply,
    ScoreReply,
    StatusReply,
)

log = logging.getLogger(__name__)

# measured: how long a client lets one tool call last (docs/clients.md)
WAIT_SECONDS = {"claude-code": 24 * 3600.0, "codex-mcp-client": 240.0}
UNKNOWN_CLIENT_WAIT_SECONDS = 45.0
FIELD_WAIT_SECONDS = 300.0
PROGRESS_SECONDS = 2.0

# which resources an edited file shows through
RESOURCES_OF = {
    "program.md": ("autoresearch://program",),
    "learnings.md": ("autoresearch://learnings",),
    "styles": ("autoresearch://program",),
}

INSTRUCTIONS = (
    "A lab runs experiments on the editable files named in program.md, each a fixed-budget run scored by a trusted "
    "process. lab_status says where the lab stands. One iteration is: edit, run_experiment (it waits and answers with "
    "the verdict), commit_or_revert with the lesson. Scores, verdicts and git are the server's: nothing printed by a "
    "run counts, and no tool takes a score. A call that stops waiting does not stop the run."
)

ACTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)
REPEATABLE = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
ALWAYS = {"anthropic/alwaysLoad": True}
# what run_experiment leaves out of a score: the caller's own words, and numbers that read_score has for who asks
DETAILS = ("campaign", "curve", "steps", "train_seconds", "memory_mb", "knobs", "incumbent", "elapsed_seconds")
Ctx = Context[OpenLabs, Any]
R = TypeVar("R", ScoreReply, ExperimentReply, DecisionReply, CampaignReply, LearningReply, RecallReply, StatusReply)


class Server(PlainServer[OpenLabs]):
    """The SDK's server without the titles that a schema repeats for each argument."""

    async def list_tools(self) -> list[Tool]:
        tools = await super().list_tools()
        return [
            tool.model_copy(
                update={
                    "description": " ".join((tool.description or "").split()),
                    "input_schema": _untitled(tool.input_schema),
                }
            )
            for tool in tools
        ]


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without the titles that repeat the names of its arguments."""
    properties = schema.get("properties", {})
    plain = {name: {key: one[key] for key in one if key != "title"} for name, one in properties.items()}
    return {**{key: value for key, value in schema.items() if key != "title"}, "properties": plain}


def wait_limit(ctx: Ctx, asked: float | None) -> float:
    """Seconds to wait: the argument, else AUTORESEARCH_WAIT_SECONDS, else what the client is known to bear."""
    if asked is not None:
        return asked
    if said := os.environ.get("AUTORESEARCH_WAIT_SECONDS"):
        # what is no number of seconds must not end a call whose run has begun
        with contextlib.suppress(ValueError):
            return min(given.LONGEST_WAIT_SECONDS, max(0.0, float(said)))
        log.warning("AUTORESEARCH_WAIT_SECONDS is %r, which is no number of seconds: it is passed over", said)
    return WAIT_SECONDS.get(client_of(ctx), UNKNOWN_CLIENT_WAIT_SECONDS)


async def until_finished(ctx: Ctx, lab: Lab, number: int | None, seconds: float, session: str) -> ScoreReply:
    """Wait for a score, telling progress; cancelling this stops only the wait."""
    began, told = time.monotonic(), 0.0
    ends = began + seconds
    reply = await call(lambda: lab.read_score(number, session))
    meant = reply.experiment  # the last one when the wait began, whatever is begun meanwhile
    # the world may answer in days: a call that waits for it keeps the agent from its next idea
    while not over(reply, FIELD_WAIT_SECONDS) and time.monotonic() < ends:
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            elapsed, left = reply.elapsed_seconds or 0.0, reply.eta_seconds or 0.0
            said = reply.phase + (f", training loss {fixed(reply.loss, 3)}" if reply.loss is not None else "")
            await ctx.report_progress(elapsed, elapsed + left, f"experiment {meant}: {said}")
        now = time.monotonic()
        await anyio.sleep(min(pause(now - began), max(0.0, ends - now)))
        reply = await call(lambda: lab.read_score(meant, session))
    return reply


def outcome(score: ScoreReply, said: str) -> ScoreReply:
    """A score as run_experiment answers it: the verdict and what went wrong, without what the caller just said."""
    dropped: dict[str, object] = {
        name: ScoreReply.model_fields[name].get_default(call_default_factory=True) for name in DETAILS
    }
    if score.description == said:
        dropped["description"] = ""
    return score.model_copy(update=dropped)


def build_server(tree: Path | None = None, campaign: str | None = None) -> Server:
    """The server with its eight tools, for any transport. `tree` fixes the project folder, `campaign` the campaign."""
    labs, subscribers = OpenLabs(tree, campaign), InMemorySubscriptionBus()

    @asynccontextmanager
    async def lifespan(_: MCPServer[OpenLabs]) -> AsyncIterator[OpenLabs]:
        async with BlockingPortal() as portal:  # edits are noticed in a thread, subscribers live in the event loop

            def tell(name: str) -> None:
                for uri in RESOURCES_OF.get(name.partition("/")[0], ()):
                    with contextlib.suppress(RuntimeError):  # the server is closing
                        portal.start_task_soon(subscribers.publish, ResourceUpdated(uri=uri))

            labs.tell = tell
            try:
                yield labs
            finally:
                await run_sync(labs.close)

    mcp = Server(
        "autoresearch",
        title="autoresearch",
        instructions=INSTRUCTIONS,
        version=__version__,
        lifespan=lifespan,
        subscriptions=subscribers,
        log_level="WARNING",
    )
    for tool, name, hints in TOOLS:
        mcp.add_tool(tool, title=name, annotations=hints, meta=ALWAYS)
    add_resources(mcp, labs)
    return mcp


async def _at_once(reply: R) -> R:
    """A reply that is there already, where one is awaited."""
    return reply


async def noted(ctx: Ctx, awaited: Awaitable[R]) -> R:
    """A reply with what people left for this agent before its `next`; they are told that it was delivered."""
    reply = await awaited
    notes = await call(lambda: labs_of(ctx).at(ctx).notes(client_of(ctx)))
    if notes:
        said = " ".join(f'A person left you a note: "{one}"' for one in notes)
        reply.next = f"{said} {reply.next}".rstrip()
    return reply


# --- the tools --------------------------------------------------------------------------------------------------------


def labs_of(ctx: Ctx) -> OpenLabs:
    """The labs that this server has open."""
    return ctx.request_context.lifespan_context


async def run_experiment(
    ctx: Ctx,
    description: given.Description = "",
    hypothesis: given.Hypothesis = "",
    expected_delta: given.Expected = None,
    wait_seconds: given.Wait = None,
    insist: given.Insist = False,
    source: given.Source = "",
) -> ScoreReply:
    """Snapshot the editable files, queue a fixed-budget run, wait a bounded time, return number, score and verdict.

    Code that was scored before is answered with the earlier result. The run goes on when the wait ends. While
    devices are free it answers at once: propose `room` more.
    """

    def begin() -> tuple[Lab, str, ExperimentReply]:
        lab = labs_of(ctx).at(ctx)
        session = labs_of(ctx).present(ctx, lab)
        proposer = proposer_of(ctx)
        reply = lab.run_experiment(description, hypothesis, expected_delta, session, insist, proposer, source)
        return lab, session, reply

    lab, session, begun = await call(begin)
    # where devices have nothing to do, the next idea is worth more than the wait
    seconds = 0.0 if wait_seconds is None and begun.room else wait_limit(ctx, wait_seconds)
    if seconds <= 0 or not begun.open:
        begun = await noted(ctx, _at_once(begun))
        return ScoreReply(**{name: getattr(begun, name) for name in ExperimentReply.model_fields})
    score = await noted(ctx, until_finished(ctx, lab, begun.experiment, seconds, session))
    score.warnings = list(dict.fromkeys(begun.warnings + score.warnings))
    return outcome(score, description)


async def read_score(ctx: Ctx, experiment: given.MaybeNumber = None, wait_seconds: given.Wait = None) -> ScoreReply:
    """Status, score, gain over the incumbent in units and noise widths, the verdict, and why a run failed.

    Waits a bounded time for a run that is not finished; giving up the wait never affects the run.
    """
    lab = await call(lambda: labs_of(ctx).at(ctx))
    seconds, session = wait_limit(ctx, wait_seconds), labs_of(ctx).guest(ctx).id
    return await noted(ctx, until_finished(ctx, lab, experiment, seconds, session))


async def commit_or_revert(
    ctx: Ctx,
    experiment: given.MaybeNumber = None,
    decision: given.Decision = "auto",
    learned: given.Learned = "",
) -> DecisionReply:
    """Decide on a scored experiment: a keep is a commit on the campaign's branch, a revert puts files back.

    The referee may ask for repeats first (decision "confirming"); call again when they are done. Idempotent.
    """
    session, spent = labs_of(ctx).guest(ctx).id, spent_by(ctx)

    def settle() -> DecisionReply:
        lab = labs_of(ctx).at(ctx)
        number = tell(lab, experiment, spent, session) or experiment
        return lab.commit_or_revert(number, decision, learned, session)

    return await noted(ctx, call(settle))


async def start_campaign(
    ctx: Ctx,
    tag: given.Tag,
    from_ref: given.FromRef = "HEAD",
    calibrate: given.Calibrate = CALIBRATE,
    tree: given.Tree = "",
) -> CampaignReply:
    """Begin a campaign (branch, baseline run, noise calibration), or join the one of that name."""

    def begin() -> CampaignReply:
        lab, guest = labs_of(ctx).at(ctx), labs_of(ctx).guest(ctx)
        if not tree:
            return lab.start_campaign(tag, from_ref, calibrate)
        before, guest.moved = guest.moved, make_tree(lab.workspace, tag, from_ref, tree)
        try:
            reply = labs_of(ctx).at(ctx).start_campaign(tag, from_ref, calibrate)
        except BaseException:
            guest.moved = before  # nothing began there; what is to be mended lies where the agent is
            raise
        reply.next = f"This session now works in {guest.moved}: edit the files there. {reply.next}"
        return reply

    return await noted(ctx, call(begin))


async def cancel_experiment(ctx: Ctx, experiment: given.Number) -> ExperimentReply:
    """Stop an experiment's runs; it is recorded as cancelled and can be run again."""
    return await noted(ctx, call(lambda: labs_of(ctx).at(ctx).cancel_experiment(experiment)))


async def append_learnings(
    ctx: Ctx,
    text: given.Lesson,
    experiment: given.About = None,
    tags: given.Tags = [],  # noqa: B006  # the SDK makes a schema of it; nobody changes it
    about: given.Cited = [],  # noqa: B006  # as above
    reply_to: given.ReplyTo = "",
) -> LearningReply:
    """Add one lesson to the lab's memory (tag idea: to its queue of ideas); with about or reply_to tell other labs."""
    return await noted(
        ctx, call(lambda: labs_of(ctx).at(ctx).append_learnings(text, experiment, tags, about, reply_to))
    )


async def recall(
    ctx: Ctx,
    query: given.Query = "",
    knobs: given.Knobs = [],  # noqa: B006  # the SDK makes a schema of it; nobody changes it
    limit: given.Limit = 10,
) -> RecallReply:
    """What was tried and learned: by words, by constant changed, by nearness to a draft idea; best match first."""
    return await noted(ctx, call(lambda: labs_of(ctx).at(ctx).recall(query, knobs, limit)))


async def lab_status(ctx: Ctx) -> StatusReply:
    """Where the lab stands: goal, campaign, incumbent, queue, noise, last results, decisions, style, memo."""
    guest = labs_of(ctx).guest(ctx)
    status = fresh(guest, await call(lambda: labs_of(ctx).at(ctx).lab_status(caller_of(ctx))))
    return await noted(ctx, _at_once(status))


# Whoever looks first lets in what happened meanwhile: results enter, due runs start, git follows what was decided. So
# none of them is read-only, and none destroys anything: the vault holds every attempt.
TOOLS = (
    (run_experiment, "Run experiment", ACTS),
    (read_score, "Read score", REPEATABLE),
    (commit_or_revert, "Commit or revert", REPEATABLE),
    (start_campaign, "Start campaign", REPEATABLE),
    (cancel_experiment, "Cancel experiment", REPEATABLE),
    (append_learnings, "Append learnings", ACTS),
    (recall, "Recall", REPEATABLE),
    (lab_status, "Lab status", REPEATABLE),
)


def main() -> None:
    """Serve on stdio. Logs go to stderr; stdout belongs to the protocol."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    build_server().run("stdio")


if __name__ == "__main__":
    main()
