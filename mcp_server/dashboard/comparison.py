"""The page that compares campaigns: arms as its address names them, else every campaign of the newest contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from mcp_server.lab import Lab
from mcp_server.nouns.errors import AutoresearchError
from mcp_server.views.comparison.compare import CompareReply, arms_of, compare, default_arms
from mcp_server.views.comparison.courses import all_courses
from mcp_server.views.comparison.picture import svg

MOST_ARMS = 12


def compared(lab: Lab, arms: Sequence[str]) -> tuple[CompareReply | None, str]:
    """The comparison and a sentence about it; without one the sentence says why."""
    try:
        courses = all_courses(lab)
        if not courses:
            return None, "No campaign has begun here, so there is nothing to compare."
        chosen = arms_of(arms[:MOST_ARMS], courses) if arms else default_arms(courses)[-MOST_ARMS:]
        reply = compare(chosen)
    except AutoresearchError as error:
        return None, str(error)
    words = f"Best gain of {reply.metric}. Arms are chosen by the address: /compare?arm=NAME=TAG,TAG&arm=style:bold."
    return reply, words


def picture(lab: Lab, arms: Sequence[str]) -> str:
    """The curves as SVG; "" where nothing can be compared."""
    reply, _ = compared(lab, arms)
    return svg(reply) if reply else ""


def routes(lab: Callable[[Request], Lab], templates: Jinja2Templates) -> list[Route]:
    """The page and its picture. lab: the one that an address is about."""

    async def page(request: Request) -> Response:
        arms = request.query_params.getlist("arm")
        reply, words = await run_sync(lambda: compared(lab(request), arms))
        told = {"reply": reply, "words": words, "query": urlencode([("arm", arm) for arm in arms])}
        return templates.TemplateResponse(request, "compare.html", told)

    async def curves(request: Request) -> Response:
        drawn = await run_sync(lambda: picture(lab(request), request.query_params.getlist("arm")))
        return Response(drawn, 200 if drawn else 404, media_type="image/svg+xml")

    return [Route("/compare", page, methods=["GET"]), Route("/compare.svg", curves, methods=["GET"])]
