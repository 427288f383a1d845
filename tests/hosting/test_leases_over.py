"""Leases end by the server's own clock, and what counts for nothing is taken away."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from mcp_server.community.leases import wire
from mcp_server.community.leases.terms import SPARE_SECONDS, Ours
from mcp_server.community.wire.keys import own_key
from mcp_server.community.wire.store import LEASES
from mcp_server.hosting.audit import Audit
from mcp_server.hosting.door.tokens import Tokens
from mcp_server.hosting.leases import Leases
from mcp_server.hosting.premises import Premises
from mcp_server.hosting.receiving import Receiver


def test_a_lease_holds_for_its_time_and_is_taken_away_a_while_after(tmp_path: Path) -> None:
    premises, key, clock = Premises.at(tmp_path / "journals"), own_key(tmp_path / "key"), [1e9]
    store, ref, junk = premises.store, f"{LEASES}{'ab' * 16}", f"{LEASES}{'cd' * 16}"
    ours = Ours(
        key="ab" * 16, ref=ref, oid="", mark="1" * 16, contract="ef" * 16, seconds=300, takes=60, claimed=0, told=0
    )
    store.move_ref(ref, wire.write(store, key, ours, clock[0]), store.zero)
    store.move_ref(junk, store.write_attempts([({"a.py": b""}, None, 0, "no lease")])[0], store.zero)
    leases, audit = Leases(lambda: clock[0]), Audit(premises.audit, lambda: datetime.now(UTC))
    receiver = Receiver(premises, tmp_path, Tokens(premises), audit, leases)
    assert receiver.sweep(receiver.refs()) == []
    assert "holds it for 300 s" in leases.against(ref, "f" * 32)
    assert leases.against(ref, key.lab) == leases.against(junk, "f" * 32) == ""
    clock[0] += 299
    assert [one.key for one in leases.live()] == ["ab" * 16]
    clock[0] += 2
    assert leases.live() == []
    assert leases.against(ref, "f" * 32) == "", "whoever wants it may take it over"
    assert receiver.sweep(receiver.refs()) == [junk]
    clock[0] += SPARE_SECONDS
    assert receiver.sweep(receiver.refs()) == [ref]
    assert receiver.refs() == {}
    assert [line["what"] for line in audit.tail(10)] == ["lease over", "lease over"]
