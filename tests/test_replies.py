"""Replies leave out what says nothing, and still fit the schema that clients check them against."""

from __future__ import annotations

import pytest

from mcp_server.nouns import replies
from mcp_server.nouns.replies import RecallReply, Reply

KINDS = [kind for kind in vars(replies).values() if isinstance(kind, type) and issubclass(kind, Reply)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_may_be_left_out_is_never_required(kind: type[Reply]) -> None:
    schema = kind.model_json_schema()
    for name in schema.get("required", []):
        assert schema["properties"][name].get("type") in ("string", "integer", "number"), name


def test_an_empty_list_is_left_out_and_a_zero_is_said() -> None:
    assert RecallReply(found=0).model_dump() == {"found": 0}
