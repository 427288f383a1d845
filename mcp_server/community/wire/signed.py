"""A signed commit taken apart: who signed it, whether that is true, and whether a stranger's words belong in a note."""

from __future__ import annotations

import re

from mcp_server.community.wire.keys import BadSignature, signer, verify

# What has no place in a note about an experiment: text that speaks to a model about its instructions.
_ORDERS = re.compile(
    r"""(?ix)
      \b(?:ignore|disregard|forget|override)\b[^.]{0,24}\b(?:all|any|previous|prior|above|earlier|your|these|the)\b
        [^.]{0,24}\b(?:instructions?|prompts?|guidelines|rules)\b
    | \b(?:system\s+prompt|developer\s+message|jailbreak)\b
    | </?\s*(?:system|assistant|user|human|instructions?|tool\w*|function\w*|antml\w*|important)\b
    | \b(?:you\s+are\s+now|from\s+now\s+on,?\s+you|you\s+must\s+now|new\s+instructions)\b
    | \b(?:curl|wget)\b[^|]{0,120}\|\s*(?:ba|z)?sh\b
    | \brm\s+-rf?\b
    | \b(?:run|execute|paste)\s+(?:the\s+)?(?:following|this)\s+(?:shell\s+)?(?:command|script|code)\b
    """
)


class Refused(ValueError):
    """Why a journal, or what is new of it, or a lease, is not taken. Nothing of it is."""


def refuse_unsigned(body: bytes, lab: str) -> None:
    """Raises Refused for a commit that the lab did not sign."""
    payload, signature = apart(body)
    if not signature:
        raise Refused("it is not signed")
    try:
        verify(payload, signature, lab)
    except BadSignature as error:
        raise Refused(str(error)) from None


def lab_of(body: bytes) -> str | None:
    """Whose signature a commit carries, unchecked; None without one."""
    try:
        return signer(apart(body)[1]).lab
    except BadSignature:
        return None


def apart(body: bytes) -> tuple[bytes, bytes]:
    """A commit without its signature, and the signature: as git itself takes them apart."""
    head, blank, message = body.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] = []
    inside = False
    for line in head.split(b"\n"):
        if line.startswith(b"gpgsig "):
            if signature:
                raise Refused("it carries two signatures")
            signature.append(line.removeprefix(b"gpgsig "))
            inside = True
        elif inside and line.startswith(b" "):
            signature.append(line[1:])
        else:
            inside = False
            kept.append(line)
    return b"\n".join(kept) + blank + message, b"\n".join(signature) + b"\n" if signature else b""


def field_of(body: bytes, name: bytes) -> str:
    """The first field of a commit that is called so. Raises Refused where there is none."""
    for line in body.split(b"\n"):
        if line.startswith(name + b" "):
            return line[len(name) + 1 :].decode("ascii", "replace")
    raise Refused("a commit without a tree")


def gives_orders(text: str) -> bool:
    """Whether a stranger's text reads like instructions to an agent."""
    return _ORDERS.search(text) is not None
