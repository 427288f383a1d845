"""The channels that news goes out on: a command, a webhook, ntfy, and whatever Apprise knows; as `notify:` names them.

    notify:
      - {ntfy: https://ntfy.sh/my-topic, for: [keep, crash, stop]}
      - {webhook: https://example.org/hook, headers: {Authorization: Bearer ...}}
      - {command: notify-send autoresearch "{words}"}
      - {apprise: tgram://bottoken/ChatID, for: [stop], labs: [~/work/night]}

Sending raises OSError with what went wrong, and is nobody's affair but the sender's.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shlex
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mcp_server.ledger.live.events import Event, EventKind
from mcp_server.nouns.errors import ArenaError
from mcp_server.nouns.refusals import sentence
from mcp_server.personal.file import personal_file, read_section

SEND_SECONDS = 15.0
USUAL = (EventKind.KEEP, EventKind.CRASH, EventKind.STOP)
EMOJI = {EventKind.KEEP: "white_check_mark", EventKind.CRASH: "boom", EventKind.STOP: "checkered_flag"}  # ntfy's names
WAYS = ("command", "webhook", "ntfy", "apprise")


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("must be an address that begins with https:// or http://")
    return text


class Channel(BaseModel):
    """One way news goes out; exactly one of the four is given."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    command: str | None = Field(default=None, min_length=1)
    webhook: Annotated[str, AfterValidator(_url)] | None = None
    ntfy: Annotated[str, AfterValidator(_url)] | None = None
    apprise: str | None = Field(default=None, min_length=3)
    headers: dict[str, str] = {}
    kinds: tuple[EventKind, ...] = Field(default=USUAL, alias="for", min_length=1)
    labs: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one(self) -> Channel:
        if sum(getattr(self, way) is not None for way in WAYS) != 1:
            raise ValueError(f"give exactly one of {', '.join(WAYS)}")
        if self.command is not None:
            shlex.split(self.command)
        return self

    @property
    def way(self) -> str:
        return next(way for way in WAYS if getattr(self, way) is not None)

    @property
    def key(self) -> str:
        """By what a lab remembers how far this channel has been told: another address is another channel."""
        return hashlib.sha256(f"{self.way} {getattr(self, self.way)}".encode()).hexdigest()[:16]

    def words(self) -> str:
        """For people, without what may be secret in an address."""
        said = str(getattr(self, self.way))
        if self.way != "command":
            scheme, _, rest = said.partition("://")
            said = f"{scheme}://{rest.rpartition('@')[2].partition('/')[0]}/…"
        return f"{self.way} {said}"

    def send(self, event: Event) -> None:
        """Raises OSError, whatever it was: also for a library's own error, or an answer that is no HTTP."""
        way = {"command": self._run, "webhook": self._post, "ntfy": self._ntfy, "apprise": self._apprise}[self.way]
        try:
            way(event)
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    def _run(self, event: Event) -> None:
        """No shell reads it: `{words}` stands for one argument, whatever an agent wrote; all of it comes on stdin."""
        given = {"words": event.words, "kind": str(event.kind), "campaign": event.campaign}
        command = [_filled(word, given) for word in shlex.split(self.command or "")]
        try:
            done = subprocess.run(
                command, input=event.line().encode(), cwd=Path.home(), timeout=SEND_SECONDS,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
        except subprocess.SubprocessError:
            raise OSError(f"it took longer than {SEND_SECONDS:.0f} s") from None
        if done.returncode:
            raise OSError(f"it ended with status {done.returncode}: {done.stderr[-200:].decode(errors='replace')}")

    def _post(self, event: Event) -> None:
        _request(self.webhook or "", event.line().encode(), {"Content-Type": "application/json", **self.headers})

    def _ntfy(self, event: Event) -> None:
        told = {"Title": f"autoresearch {event.campaign}: {event.kind}", "Tags": EMOJI.get(event.kind, "microscope")}
        _request(self.ntfy or "", event.words.encode(), {**told, **self.headers})

    def _apprise(self, event: Event) -> None:
        try:
            library: Any = importlib.import_module("apprise")
        except ImportError:
            raise OSError("Apprise is not installed here: `pip install apprise` into autoresearch's Python") from None
        sender = library.Apprise()
        if not sender.add(self.apprise):
            raise OSError("Apprise does not know this address")
        if not sender.notify(title=f"autoresearch {event.campaign}: {event.kind}", body=event.words):
            raise OSError("Apprise could not deliver it")


def _filled(word: str, given: Mapping[str, str]) -> str:
    for name, value in given.items():
        word = word.replace(f"{{{name}}}", value)
    return word


class _Staying(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: what is sent on is asked without its body, with the headers that the user gave for here."""

    def redirect_request(self, *_: Any) -> None:
        return None


_STRAIGHT = urllib.request.build_opener(_Staying)


def _request(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    request = urllib.request.Request(url, data=body, headers={"User-Agent": "autoresearch", **headers}, method="POST")
    try:
        with _STRAIGHT.open(request, timeout=SEND_SECONDS) as answer:
            answer.read1(1000)  # a piece: it may have no end
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"it answered {error.code}") from None


def channels_of(*repository: Path) -> list[Channel]:
    """The channels of the user's file. Raises ArenaError with what to mend."""
    found = read_section("notify", *repository)
    if found is None:
        return []
    if not isinstance(found, list):
        found = [found]
    channels = []
    for place, one in enumerate(found, 1):
        try:
            channels.append(Channel.model_validate(one))
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            where = ".".join(str(step) for step in problem["loc"])
            said = f"{personal_file()}: notify {place}{f', `{where}`' if where else ''}: {sentence(problem)}"
            raise ArenaError(f"{said}. A channel is {json.dumps({'ntfy': 'https://…', 'for': ['keep']})}.") from None
    return channels
