"""A lab server that is killed at any moment loses nothing it accepted and serves nothing half; another one goes on."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

from mcp_server.community.wire.store import LABS
from tests.hosting.served import serving
from tests.hosting.test_serving import pushed, refs, stranger
from tests.labs import git

ROUNDS = 4


def test_what_was_accepted_before_a_kill_is_served_by_the_next_and_nothing_half_of_the_rest(tmp_path: Path) -> None:
    one, folder, token, kept = stranger(tmp_path), tmp_path / "journals", "", ""
    ref, n, tip = f"{LABS}{one.lab}", 0, one.root()
    for turn in range(ROUNDS):
        with serving(folder) as server:
            token = token or server.token("writer")
            assert refs(server).get(ref, kept) in (kept, tip), "whole, as it was told, or as it was sent last"
            kept = refs(server).get(ref, "")
            tip = kept or tip
            killing = threading.Timer(0.15 + 0.07 * turn, server.end, [signal.SIGKILL])
            killing.start()
            said = ""
            while not said:
                n += 1
                tip = one.journal(one.record(n), on=tip)
                said = pushed(one, server.place(token), f"{tip}:{ref}")
                kept = kept if said else tip
            killing.join()
        git(folder, "fsck", "--strict", "--no-dangling")
        assert git(folder, "for-each-ref", "--format=%(objectname)", ref).strip() in (kept, tip)
    with serving(folder) as first, serving(folder) as second:
        tip = one.journal(one.record(n + 1), on=refs(first)[ref])
        assert pushed(one, first.place(token), f"{tip}:{ref}") == ""
        clone = tmp_path / "clone.git"
        git(tmp_path, "clone", "-q", "--bare", second.place(token), str(clone))
        git(clone, "fetch", "-q", second.place(token), f"{ref}:{ref}")
        assert git(clone, "rev-parse", ref).strip() == tip, "both serve one folder"
        assert len(list((folder / "autoresearch" / "incoming").iterdir())) == 2, "what the dead left is taken away"
    assert pushed(one, first.place(token), f"{tip}:{ref}") != ""


def test_one_that_is_told_to_end_finishes_what_it_has_begun(tmp_path: Path) -> None:
    with serving(tmp_path / "journals") as server:
        one, token = stranger(tmp_path), server.token("writer")
        code = one.code({"train.py": bytes(range(256)) * 4000})
        tip = one.journal(one.record(commit=code), brings=[code])
        said: list[str] = []
        pushing = threading.Thread(
            target=lambda: said.append(pushed(one, server.place(token), f"{tip}:{LABS}{one.lab}"))
        )
        pushing.start()
        incoming = tmp_path / "journals" / "autoresearch" / "incoming"
        while pushing.is_alive() and not list(incoming.glob("*/push-*")):
            time.sleep(0.001)
        assert server.end() in (0, -signal.SIGTERM)
        pushing.join()
        assert said == [""]
        assert refs(server) == {f"{LABS}{one.lab}": tip}
        assert not list(incoming.iterdir())


def test_it_serves_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)
    with serving(tmp_path / "journals", "--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        assert server.url.startswith("https://")
        one, token = stranger(tmp_path), server.token("writer")
        place = server.place(token)
        move = f"{one.journal(one.record())}:{LABS}{one.lab}"
        assert "certificate" in pushed(one, place, move)
        git(one.remote, "config", "http.sslCAInfo", str(certificate))
        assert pushed(one, place, move) == ""


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine, signed by itself, and its key."""
    import ipaddress
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lab server")]), datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    ends = now + timedelta(days=2)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, ends)
    made = made.add_extension(address, critical=False)
    found = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(key, hashes.SHA256())
    certificate, secret = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(found.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(*plain))
    return certificate, secret
