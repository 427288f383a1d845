"""A lease as it travels: an empty commit that its holder signed, with one line of text. Reading one trusts nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from mcp_server.community.leases.terms import LONGEST_SECONDS, Held, Ours
from mcp_server.community.trust import Role, Trust
from mcp_server.community.wire.keys import LabKey
from mcp_server.community.wire.signed import Refused, apart, field_of, gives_orders, lab_of, refuse_unsigned
from mcp_server.community.wire.store import Store, key_of_ref
from mcp_server.nouns.exchanged import LINE_BYTES, Lease, Newer, read_lease, stamp

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
COMMIT_BYTES = LINE_BYTES + 2048  # its signature and names beside the line


def write(store: Store, key: LabKey, ours: Ours, now: float) -> str:
    """The object that tells of a lease of ours. Raises GitError where the key cannot sign."""
    told = Lease(
        key=ours.key,
        mark=ours.mark,
        contract=ours.contract,
        turn=ours.turn,
        seconds=ours.seconds,
        takes=ours.takes,
        knobs=ours.knobs,
        at=stamp(datetime.fromtimestamp(now, UTC)),
    )
    return store.sign_commit(store.put("tree", b""), [], told.line().decode(), int(now), key)


def read(store: Store, ref: str, oid: str, trust: Trust, now: float, before: Held | None) -> Held:
    """What a lease says, once it is here. before: what this ref said earlier. Raises Refused, GitError."""
    found = store.sizes([oid])[0]
    if found is None or found[0] != "commit" or found[1] > COMMIT_BYTES:
        raise Refused(f"it is no commit of at most {COMMIT_BYTES:,} bytes")
    body = store.blobs([oid])[oid]
    if field_of(body, b"tree") != EMPTY_TREE or b"\nparent " in body.partition(b"\n\n")[0]:
        raise Refused("it brings files or a history")
    lab = lab_of(body)
    if lab is None:
        raise Refused("it is not signed")
    if trust.role(lab) is Role.NONE:
        raise Refused(f"lab {lab[:8]} is not trusted")
    refuse_unsigned(body, lab)
    try:
        told = read_lease(apart(body)[0].partition(b"\n\n")[2].rstrip(b"\n"))
    except Newer as error:
        raise Refused(f"it is of a later version: {error}") from None
    except ValueError as error:
        raise Refused(str(error)) from None
    if told.key != key_of_ref(ref):
        raise Refused("it is of something else than its name says")
    if gives_orders(" ".join(word for move in told.knobs for word in move)):
        raise Refused("its text reads like instructions to an agent")
    goes_on = before is not None and (before.lab, before.mark) == (lab, told.mark)
    return Held(
        key=told.key,
        ref=ref,
        oid=oid,
        lab=lab,
        mark=told.mark,
        contract=told.contract,
        seconds=min(float(told.seconds), LONGEST_SECONDS),
        takes=min(float(told.takes), LONGEST_SECONDS),
        knobs=told.knobs,
        since=before.since if goes_on and before is not None else now,
        seen=now,
    )
