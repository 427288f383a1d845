"""A lab's own posts: checked when they are said, kept in an outbox, written into its journal by the next exchange.

So a post needs no network and no other lab. What would be held back elsewhere, and what looks like a secret, is refused
here, in words; how much a lab says in a day is bounded, for the others would hear no more of it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mcp_server.arena.program import Arena
from mcp_server.community.claims.hearing import own_lab
from mcp_server.community.contract import noted_contract
from mcp_server.community.outgoing import mark_of
from mcp_server.community.secretscan import find_secrets
from mcp_server.community.settings import Places, joined
from mcp_server.community.trust import lab_meant, read_trust
from mcp_server.community.wire.signed import gives_orders
from mcp_server.ledger import Ledger
from mcp_server.ledger import posts as rows
from mcp_server.ledger.foreign import Foreign
from mcp_server.nouns.errors import CommunityError, NotNow
from mcp_server.nouns.exchanged import MOST_CITED, MOST_POSTS_A_DAY, POST_CHARACTERS, SHORT, Post, Sort, stamp
from mcp_server.nouns.files import locked, private_folder, text_of, write_atomically
from mcp_server.nouns.records import Record
from mcp_server.nouns.replies import LearningReply
from mcp_server.nouns.rows import Campaign
from mcp_server.nouns.text import clean_line
from mcp_server.repo.workspace import Workspace

OWN = "own:"  # before the mark of an attempt of ours: it has no number among others yet
_CITED = re.compile(r"(?P<lab>[\w-]+)/(?P<n>[1-9]\d{0,7})")
_POST = re.compile(r"(?P<lab>[\w-]+)/p(?P<p>[1-9]\d{0,7})")
_MENTION = re.compile(r"(?<![\w/])@([\w-]{2,40})")


class Draft(Record):
    """A post as it waits for the next exchange. `about`: LAB/n, or the mark of an attempt of ours."""

    mark: str
    contract: str
    sort: Sort = "post"
    about: tuple[str, ...] = ()
    reply_to: str = ""
    to: tuple[str, ...] = ()
    at: str
    text: str


@dataclass(frozen=True)
class Said:
    """What somebody wants to say. about: LAB/n of others, or the number of an experiment of this campaign."""

    text: str
    about: Sequence[str] = ()
    reply_to: str = ""
    sort: Sort = "post"


@dataclass(frozen=True)
class Speaker:
    """A lab on the campaign it speaks from."""

    workspace: Workspace
    ledger: Ledger
    campaign: Campaign
    arena: Arena
    now: Callable[[], datetime]

    @property
    def places(self) -> Places:
        return Places.of(self.workspace.paths.state)


def say(speaker: Speaker, said: Said) -> Draft:
    """Put a post into the outbox. Raises NotNow or CommunityError; nothing is said then."""
    places = speaker.places
    joined(places)
    text = _checked(said.text)
    private_folder(places.folder)
    foreign = Foreign(places.records)
    try:
        names = read_trust(places.trust).called(foreign.labs())
        draft = Draft(
            mark=secrets.token_hex(8),
            contract=noted_contract(foreign, speaker.workspace, speaker.campaign, speaker.arena),
            sort=said.sort,
            about=tuple(dict.fromkeys(_cited(speaker, foreign, names, one) for one in said.about)),
            reply_to=_answered(foreign, names, said.reply_to) if said.reply_to else "",
            to=_meant(names, text),
            at=stamp(speaker.now()),
            text=text,
        )
        if not draft.about and not draft.reply_to:
            raise NotNow(
                "A post is about records: name one at least, LAB/n of another lab or the number of an experiment here, "
                "or the post that it replies to."
            )
        if len(draft.about) > MOST_CITED:
            raise NotNow(f"A post is about {MOST_CITED} records at most; this one names {len(draft.about)}.")
        with locked(places.outbox_lock):
            _put(places, foreign, draft)
    finally:
        foreign.close()
    return draft


def posted(speaker: Speaker, text: str, about: Sequence[str], reply_to: str, tags: Sequence[str]) -> LearningReply:
    """`say`, as `append_learnings` answers it. Raises NotNow or CommunityError."""
    sort: Sort = "question" if "question" in tags else "idea" if "idea" in tags else "post"
    draft = say(speaker, Said(text, about, reply_to, sort))
    cited = [one for one in (*about, reply_to) if one]
    return LearningReply(text=draft.text, about=cited, next="The next exchange carries it to the other labs.")


def _checked(text: str) -> str:
    cleaned = clean_line(text, 10 * POST_CHARACTERS)
    if not re.search(r"\w", cleaned):
        raise NotNow("The post is empty. Say in a few sentences what you found, ask, or offer.")
    if len(cleaned) > POST_CHARACTERS:
        raise NotNow(
            f"The post has {len(cleaned):,} characters; a record of the journal has room for {POST_CHARACTERS}. "
            "Shorten it, or say the rest in a reply."
        )
    found = find_secrets("", cleaned)
    if found:
        raise CommunityError(f"Nothing was said: {found[0].words()}. Take it out, and say it again.")
    if gives_orders(cleaned):
        raise CommunityError(
            "Other labs hold back what reads like instructions to an agent, so they would not hear this. Say what you "
            "found or ask, not what somebody must do."
        )
    return cleaned


def _cited(speaker: Speaker, foreign: Foreign, names: dict[str, str], given: str) -> str:
    """LAB/n in full of a record that is known here, or the mark of a decided attempt of ours."""
    told = given.strip().lstrip("#")
    if told.isdecimal() and len(told) < 9:
        experiment = speaker.ledger.experiment(speaker.campaign.tag, int(told))
        if experiment.decision is None:
            raise NotNow(f"Experiment {told} is not decided, so others know nothing of it. Decide first, then post.")
        return OWN + mark_of(speaker.ledger, speaker.campaign.tag, experiment.number)
    found = _CITED.fullmatch(told)
    if found is None:
        raise CommunityError(
            f"{clean_line(given, 40)!r} names no record. Say LAB/n as recall and lab_status do, or a number of your "
            "own."
        )
    lab = lab_meant(names, found["lab"])
    if foreign.attempt(lab, int(found["n"])) is None:
        raise CommunityError(f"Nobody told of {clean_line(told, 40)} here. `recall` shows what is known.")
    return f"{lab}/{int(found['n'])}"


def _answered(foreign: Foreign, names: dict[str, str], given: str) -> str:
    lab, p = post_meant(names, given)
    if rows.post(foreign, lab, p) is None:
        raise CommunityError(f"There is no post {clean_line(given, 40)}. `autoresearch community read` lists them.")
    return f"{lab}/p{p}"


def post_meant(names: dict[str, str], given: str) -> tuple[str, int]:
    """(lab, number) of LAB/pN. Raises CommunityError."""
    found = _POST.fullmatch(given.strip())
    if found is None:
        raise CommunityError(f"{clean_line(given, 40)!r} names no post. Say LAB/pN as `community read` does.")
    return lab_meant(names, found["lab"]), int(found["p"])


def _meant(names: dict[str, str], text: str) -> tuple[str, ...]:
    """Labs that a text names with an @; other words with an @ are words."""
    found = []
    for word in _MENTION.findall(text):
        labs = [lab for lab, name in names.items() if name == word or (len(word) >= SHORT and lab.startswith(word))]
        found += labs if len(labs) == 1 else []
    return tuple(dict.fromkeys(found))[:MOST_CITED]


def _put(places: Places, foreign: Foreign, draft: Draft) -> None:
    waiting = outbox(places)
    own = own_lab(foreign)
    told = [(one.post.at, one.post.text) for one in rows.posts(foreign) if one.lab == own] if own else []
    told += [(one.at, one.text) for one in waiting]
    if draft.text in [text for _, text in told]:
        raise NotNow("This lab has said that already. `autoresearch community read` shows it, with the replies.")
    if sum(at[:10] == draft.at[:10] for at, _ in told) >= MOST_POSTS_A_DAY:
        raise NotNow(
            f"This lab has said {MOST_POSTS_A_DAY} things today; other labs hear no more of one day. Go on tomorrow."
        )
    _write(places, [*waiting, draft])


def outbox(places: Places) -> list[Draft]:
    """Posts that no journal has yet, oldest first; a line that cannot be read is left out."""
    found = []
    for line in text_of(places.outbox).splitlines():
        try:
            found.append(Draft.model_validate_json(line))
        except ValueError:
            continue
    return found


def _write(places: Places, drafts: Sequence[Draft]) -> None:
    content = "".join(f"{one.model_dump_json()}\n" for one in drafts)
    write_atomically(places.outbox, content.encode(), mode=0o600)


def sent(places: Places, foreign: Foreign, own: str) -> list[Draft]:
    """Forget what the journal has by now; what still waits."""
    if not places.outbox.exists():
        return []
    with locked(places.outbox_lock):
        before, published = outbox(places), rows.published(foreign, own)
        waiting = [one for one in before if one.mark not in published]
        if len(waiting) < len(before):
            _write(places, waiting)
    return waiting


def ready(foreign: Foreign, own: str, drafts: Sequence[Draft]) -> list[Post]:
    """Drafts as posts with their numbers. What is about an attempt that the journal lacks waits for it."""
    marks = [one.removeprefix(OWN) for draft in drafts for one in draft.about if one.startswith(OWN)]
    numbers = {mark: one.n for mark, one in foreign.by_mark(own, marks).items()}
    last, found = rows.last(foreign, own), []
    for draft in drafts:
        cited = [
            f"{own}/{numbers[one.removeprefix(OWN)]}" if one.removeprefix(OWN) in numbers else one
            for one in draft.about
        ]
        if any(one.startswith(OWN) for one in cited):
            continue
        last += 1
        found.append(Post(p=last, **{**draft.model_dump(), "about": tuple(cited)}))
    return found
