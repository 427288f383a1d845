"""The one thing of the page that writes: a person's hand on the campaign, by POST, behind every guard there is.

The link's cookie says who it is; the page's own token, which no other origin can read, that the page asked; Origin and
Sec-Fetch-Site that no other site did; JSON alone is read, which a form of another site cannot send.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Literal

from anyio.to_thread import run_sync
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_server.campaign.reins.hands import Reins
from mcp_server.lab import Lab
from mcp_server.ledger.live.orders import IdeaState
from mcp_server.nouns.errors import AutoresearchError, NotNow, UnknownExperiment

HEADER = "x-autoresearch-page"
MOST_BYTES = 8_000


class Wish(BaseModel):
    """What the page asks for."""

    model_config = ConfigDict(extra="forbid")

    verb: Literal["pause", "resume", "cancel", "veto", "withdraw", "note", "idea", "pin", "park", "open", "drop"]
    text: str = Field(default="", max_length=2000)
    number: int | None = Field(default=None, ge=1, le=10**9)
    minutes: float | None = None
    priority: int | None = None


def page_token(token: str) -> str:
    """What the page shows that it is ours: made from the link's token, and of no use without the cookie."""
    return hmac.new(token.encode(), b"the page's own", hashlib.sha256).hexdigest()


def complaint(request: Request, token: str) -> str:
    """Why a request to act is not the page's own; "" when it is."""
    host = request.headers.get("host", "")
    if request.headers.get("origin") != f"http://{host}":
        return "It did not come from this page (Origin)."
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return "It did not come from this page (Sec-Fetch-Site)."
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return "It is not JSON."
    if not hmac.compare_digest(request.headers.get(HEADER, "").encode(), page_token(token).encode()):
        return "It lacks the page's own token. Load the page again."
    return ""


def routes(lab_of: Callable[[Request, str], Lab], token: str) -> list[Route]:
    """lab_of: the lab of a campaign, "" for the one of the work tree, where an address names it."""

    async def act(request: Request) -> Response:
        wrong = complaint(request, token)
        if wrong:
            return JSONResponse({"error": wrong}, 403)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return JSONResponse({"error": f"More than {MOST_BYTES} bytes."}, 413)
        try:
            wish = Wish.model_validate_json(body)
        except ValidationError as error:
            return JSONResponse({"error": f"Not understood: {error.errors()[0]['msg']}."}, 400)
        try:
            done = await run_sync(lambda: carry_out(lab_of(request, request.query_params.get("campaign", "")), wish))
        except UnknownExperiment as error:
            return JSONResponse({"error": str(error)}, 404)
        except AutoresearchError as error:
            return JSONResponse({"error": str(error)}, 409)
        return JSONResponse({"done": done})

    return [Route("/reins", act, methods=["POST"])]


def carry_out(lab: Lab, wish: Wish) -> str:
    """Do it; what was done, in words. Raises AutoresearchError."""
    reins = Reins(lab)
    plain: dict[str, Callable[[], Any]] = {
        "pause": lambda: reins.pause(wish.text, wish.minutes),
        "resume": reins.resume,
        "veto": lambda: reins.veto(wish.number, wish.text),
        "withdraw": reins.withdraw,
        "note": lambda: reins.note(wish.text),
        "idea": lambda: reins.add_idea(wish.text, wish.priority or 0),
    }
    if wish.verb in plain:
        return str(plain[wish.verb]().done)
    if wish.number is None:
        raise NotNow(f"`{wish.verb}` needs a number.")
    if wish.verb == "cancel":
        lab.cancel_experiment(wish.number)
        return f"Experiment {wish.number} is told to stop."
    states = {"pin": IdeaState.PINNED, "park": IdeaState.PARKED, "open": IdeaState.OPEN, "drop": IdeaState.DROPPED}
    return reins.move_idea(wish.number, states[wish.verb], wish.priority).done
