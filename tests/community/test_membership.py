"""Joining says what leaves the house, and nothing leaves before; trust, secrets, keys and periods."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcp_server.cli import cli
from mcp_server.community import beside, membership
from mcp_server.community.membership import Wishes
from mcp_server.community.pace import back_off, due_in, may_push, push_seconds, read_seconds
from mcp_server.community.secretscan import find_secrets, in_constants
from mcp_server.community.settings import Last, read_last, remote_of, without_password
from mcp_server.community.trust import Role, Trust, keys_in, lab_meant, labs_meant, read_trust
from mcp_server.community.wire.keys import BadSignature, own_key, signer, verify
from mcp_server.community.wire.store import LABS, make_bare
from mcp_server.nouns.errors import AutoresearchError, CommunityError, NotNow
from mcp_server.nouns.files import is_locked
from tests.community.past import Past
from tests.labs import TRAIN, attempt, begin, git, make_lab, until


def command(lab: Past, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["-C", str(lab.lab.paths.tree), "community", *words])
    return done.exit_code, done.output


def test_a_dry_run_says_what_would_leave_and_makes_nothing(tmp_path: Path) -> None:
    north = Past(tmp_path / "north")
    north.attempt("discarded", KNOB=7.0)
    code, said = command(north, "join", "--dry-run", "../journals")
    assert code == 0
    assert "train.py" in said
    assert "2 attempts" in said
    assert "never leaves" in said
    assert not (tmp_path / "journals").exists()
    assert not north.places.folder.exists()


def test_two_labs_and_a_folder_from_the_command_line(tmp_path: Path) -> None:
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    assert command(north, "join", "../journals", "--name", "north")[0] == 0
    assert command(south, "join", "../journals", "--name", "south")[0] == 0
    code, said = command(north, "sync", "--json")
    assert code == 0
    assert json.loads(said)["received"] == 1
    told = json.loads(command(north, "status", "--json")[1])
    assert [lab["name"] for lab in told["labs"]] == ["north", "south"]
    assert told["labs"][1]["role"] == "read"
    key = command(south, "key")[1].strip()
    assert key.startswith("ssh-ed25519 ")
    told = json.loads(command(north, "trust", key, "--role", "build", "--name", "the south", "--json")[1])
    assert told["labs"][1]["role"] == "build"
    assert told["labs"][1]["name"] == "the south"
    assert json.loads(command(north, "distrust", "the south", "--json")[1])["attempts"] == 1
    assert command(north, "leave")[0] == 0
    code, said = command(north, "sync")
    assert code == 1
    assert "joined no community" in said


def test_a_lab_that_is_distrusted_is_neither_fetched_nor_shown(tmp_path: Path) -> None:
    make_bare(tmp_path / "remote.git")
    north, south = Past(tmp_path / "north"), Past(tmp_path / "south")
    for lab in (north, south):
        lab.join(tmp_path / "remote.git")
        lab.exchange()
    north.exchange()
    who = membership.key_of(south.workspace)
    membership.distrust(north.workspace, who.lab[:8])
    south.attempt("discarded", KNOB=7.0)
    south.exchange()
    assert north.exchange().received == 0
    assert membership.status(north.workspace).attempts == 1
    membership.trust(north.workspace, who.lab, Role.READ, "")
    assert north.exchange().received == 1
    assert membership.status(north.workspace).attempts == 3


def test_a_secret_in_code_or_text_keeps_its_attempt_at_home_and_the_line_is_named(tmp_path: Path) -> None:
    make_bare(tmp_path / "remote.git")
    north = Past(tmp_path / "north")
    token = "ghp_" + "a1B2" * 9
    north.attempt("discarded", "with a token", source=TRAIN + f'TOKEN = "{token}"\n')
    north.attempt("discarded", "harmless", KNOB=7.0)
    north.attempt("discarded", f"a note that says {token}", KNOB=8.0)
    north.attempt("discarded", "a lesson", lesson=f"my key is {token}", KNOB=9.0)
    north.join(tmp_path / "remote.git")
    report = north.exchange()
    assert report.published == 2
    assert len(report.kept_home) == 3
    line = len(TRAIN.splitlines()) + 1
    assert any(f"train.py, line {line}, looks like a GitHub token" in said for said in report.kept_home)
    assert all(token not in said for said in report.kept_home)
    assert north.exchange().kept_home == []
    assert membership.status(north.workspace).problems == report.kept_home, "it is told for as long as one asks"
    assert token.encode() not in b"".join(
        subprocess.run(
            ["git", "-C", str(tmp_path / "remote.git"), "cat-file", "--batch-all-objects", "--batch"],
            capture_output=True,
            check=True,
        ).stdout.splitlines()
    )


@pytest.mark.parametrize(
    "line",
    [
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "key = 'AKIAIOSFODNN7EXAMPL3'",
        'os.environ["HF_TOKEN"] = "hf_' + "aB3" * 12 + '"',
        "client = Client('sk-ant-api03-" + "x1Y" * 12 + "')",
        "url = 'https://user:hunter22@example.org/x'",
        'WANDB_API_KEY = "0123456789abcdef0123456789abcdef01234567"',
        '{"password": "correct1horse2battery"}',
        'headers = {"Authorization": "Bearer abcdefghijklmnop"}',
    ],
)
def test_what_looks_like_a_secret_is_found(line: str) -> None:
    assert [one.line for one in find_secrets("train.py", f"x = 1\n{line}\n")] == [2]


@pytest.mark.parametrize(
    "line",
    [
        "token_embedding = nn.Embedding(vocab, 768)",
        "secret_sauce = 'a rotary embedding with a longer base'",
        "url = 'https://example.org/data/part-00001.parquet'",
        "API_KEY = os.environ['WANDB_API_KEY']",
        "password = 'your-password-here-1'",
        "sk = key.view(b, t, h, d)  # sk-ip the heads",
        "digest = '0123456789abcdef0123456789abcdef01234567'",
    ],
)
def test_ordinary_code_is_no_secret(line: str) -> None:
    assert find_secrets("train.py", line) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("wandb_api_key: 0123456789abcdef0123456789abcdef01234567", True),
        ("HF_ACCESS_TOKEN=a1b2c3d4e5f6g7h8i9j0  # mine", True),
        ("  - password: Tr0ub4dor-3-horses-97", True),
        ("export SERVICE_SECRET=a1b2c3d4e5f6g7h8i9j0", True),
        ("tokenizer: byte_pair_encoding_2", False),
        ("token_embedding: 0.0003", False),
        ("api_key: your-key-goes-here-1234", False),
        ("pad_token_id: 50256", False),
    ],
)
def test_a_file_of_settings_writes_secrets_without_quotes(line: str, found: bool) -> None:
    assert bool(find_secrets("conf/train.yaml", f"lr: 1\n{line}\n")) is found
    assert find_secrets("train.py", line) == []


@pytest.mark.parametrize(
    "value", ["0123456789abcdef01234567", "'0123456789abcdef01234567'", '"0123456789abcdef01234567"']
)
def test_a_constant_that_is_a_secret_is_found_as_python_writes_it(value: str) -> None:
    """Of records without code nothing else is looked at."""
    assert in_constants([("LR", "0.1"), ("WANDB_API_KEY", value)])


def test_what_reads_like_an_id_means_no_lab_that_calls_itself_so() -> None:
    """A friend's lab that is not known yet; somebody else gives itself its id for a name."""
    impostor = "ff" * 16
    with pytest.raises(CommunityError, match="no lab here"):
        lab_meant({impostor: "a1b2c3d4"}, "a1b2c3d4")
    assert lab_meant({impostor: "a1b2c3d4", "a1b2c3d4" * 4: ""}, "A1B2c3d4") == "a1b2c3d4" * 4
    assert lab_meant({impostor: "north"}, "north") == impostor


def test_a_key_that_the_user_names_signs_and_names_the_lab(tmp_path: Path) -> None:
    make_bare(tmp_path / "remote.git")
    mine = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@home", "-f", str(mine)], check=True)
    north = Past(tmp_path / "north")
    north.join(tmp_path / "remote.git", key=mine)
    north.exchange()
    key = own_key(north.places.folder, mine)
    assert git(tmp_path / "remote.git", "for-each-ref", "--format=%(refname)").split() == [LABS + key.lab]
    assert not (north.places.folder / "key").exists()
    allowed = tmp_path / "allowed"
    allowed.write_text(f"lab {key.public.line}\n")
    told = ("-c", f"gpg.ssh.allowedSignersFile={allowed}", "log", "--format=%G?", "--first-parent", LABS + key.lab)
    assert set(git(tmp_path / "remote.git", *told).split()) == {"G"}, "git itself verifies every commit of a journal"


def test_a_key_that_is_no_ed25519_is_refused_in_words(tmp_path: Path) -> None:
    rsa = tmp_path / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(rsa)], check=True)
    for named in (rsa, tmp_path / "nothing"):
        with pytest.raises(CommunityError, match="cannot be a lab's key"):
            own_key(tmp_path / "folder", named)


def test_the_labs_own_key_is_private_and_tells_no_name(tmp_path: Path) -> None:
    key = own_key(tmp_path / "folder")
    assert own_key(tmp_path / "folder").lab == key.lab
    assert key.path.stat().st_mode & 0o077 == 0
    assert key.path.with_suffix(".pub").read_text().split()[2:] == ["autoresearch"]
    with pytest.raises(BadSignature):
        signer(b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n")
    with pytest.raises(BadSignature):
        verify(b"payload", b"", key.lab)


def test_places_to_exchange_with_are_understood_or_refused(tmp_path: Path) -> None:
    (tmp_path / "x.bundle").write_bytes(b"")
    assert remote_of("../there", tmp_path / "lab") == (str(tmp_path / "there"), "folder")
    assert remote_of("x.bundle", tmp_path)[1] == "bundle"
    for host in ("https://example.org/x.git", "git@example.org:team/x.git", "ssh://me@host:22/x", "git://host/x"):
        assert remote_of(host, tmp_path) == (host, "host")
    for wrong in ("ext::sh -c true", "-oProxyCommand=x", "foo://bar", "a\nb", "missing.bundle", "--upload-pack=x"):
        with pytest.raises(CommunityError):
            remote_of(wrong, tmp_path)
    assert without_password("https://me:secret@host/x") == "https://me:***@host/x"
    assert without_password("https://ghp_a1b2c3@host/x") == "https://***@host/x"
    assert without_password("ssh://git@host/x") == "ssh://git@host/x"


def test_joining_refuses_the_labs_own_repository_and_a_folder_of_other_things(tmp_path: Path) -> None:
    north = Past(tmp_path / "north")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").write_text("mine")
    for wrong in (".", "../full", "../no/such"):
        with pytest.raises(CommunityError):
            membership.join(north.workspace, Wishes(wrong), north.lab.paths.tree)
    assert not north.places.settings.exists()
    membership.join(north.workspace, Wishes("../one"), north.lab.paths.tree)
    with pytest.raises(NotNow, match="leave"):
        membership.join(north.workspace, Wishes("../two"), north.lab.paths.tree)


def test_leaving_forgets_only_what_it_is_told_to(tmp_path: Path) -> None:
    north = Past(tmp_path / "north")
    membership.join(north.workspace, Wishes("../one"), north.lab.paths.tree)
    key = membership.key_of(north.workspace).lab
    membership.leave(north.workspace, False, False)
    assert north.places.records.exists()
    membership.leave(north.workspace, True, False)
    assert not north.places.records.exists()
    assert membership.key_of(north.workspace).lab == key
    membership.leave(north.workspace, False, True)
    assert membership.key_of(north.workspace).lab != key


def test_an_address_book_takes_keys_files_and_labs(tmp_path: Path) -> None:
    keys = [own_key(tmp_path / name) for name in ("a", "b")]
    lines = "\n".join(["# the team", *(f"{key.public.line} somebody@somewhere" for key in keys)])
    (tmp_path / "keys.txt").write_text(lines)
    assert [lab for lab, _ in keys_in(str(tmp_path / "keys.txt"))] == [key.lab for key in keys]
    assert keys_in(keys[0].public.line)[0][0] == keys[0].lab
    for wrong in ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB", "ssh-ed25519 AAAA", str(tmp_path / "none")):
        with pytest.raises(CommunityError):
            keys_in(wrong)
    known = {keys[0].lab: "north", keys[1].lab: ""}
    assert lab_meant(known, "north") == keys[0].lab
    assert lab_meant(known, keys[1].lab[:6]) == keys[1].lab
    for nobody in ("", "~nobody_is_called_so", "x" * 300):
        with pytest.raises(CommunityError):
            labs_meant(known, nobody)
    north = Past(tmp_path / "north")
    for nowhere in ("~nobody_is_called_so/journals", "x" * 300):
        with pytest.raises(CommunityError):
            membership.join(north.workspace, Wishes(nowhere), tmp_path)
    membership.distrust(north.workspace, str(tmp_path / "keys.txt"))
    assert set(read_trust(north.places.trust).roles.values()) == {Role.NONE}
    assert set(read_trust(north.places.trust).roles) == {key.lab for key in keys}
    book = Trust(strangers=Role.NONE).named(keys[0].lab, Role.BUILD)
    assert book.role(keys[0].lab).allows(Role.REPLICATE)
    assert not book.role(keys[1].lab).allows(Role.READ)


def test_the_period_follows_the_number_of_labs_and_what_a_host_bears() -> None:
    for labs in (1, 8, 32, 500):
        assert labs * 60 / push_seconds(labs, "host") <= 6
        assert labs / read_seconds(labs, "host") <= 15
    assert push_seconds(8, "folder") == push_seconds(500, "folder")
    waits = [back_off(failures, 0.5) for failures in range(20)]
    assert waits == sorted(waits)
    assert waits[0] == 0
    assert waits[-1] <= 3600 * 1.25
    assert due_in(Last(read_at=1000, tried_at=1000), "folder", 1001) > 0
    assert due_in(Last(read_at=1000, tried_at=1000), "folder", 2000) == 0
    assert due_in(Last(tried_at=1000, failures=4), "folder", 1030) > 0
    assert due_in(Last(read_at=9e9, tried_at=9e9), "folder", 1000) == 0, "a clock that was set back makes nobody wait"
    assert not may_push(Last(pushed_at=1000, labs=8), "host", 1010)
    assert may_push(Last(pushed_at=1000, labs=8), "host", 1200)


def test_an_exchange_happens_by_itself_beside_a_running_experiment(tmp_path: Path) -> None:
    """Real runs: the verb that starts one wakes the exchange, which ends once nothing runs."""
    lab = make_lab(tmp_path / "lab")
    begin(lab)
    membership.join(lab.workspace, Wishes("../journals"), lab.paths.tree)
    places = membership.Places.of(lab.paths.state)
    places.last.unlink()
    attempt(lab, "raise it", KNOB=2.0)
    ref = LABS + membership.key_of(lab.workspace).lab

    def told() -> bool:
        lab.lab_status()
        pages = git(tmp_path / "journals", "log", "--first-parent", "--format=%T", ref).split()
        return any(
            "raise it" in git(tmp_path / "journals", "cat-file", "-p", f"{page}:records.jsonl") for page in pages
        )

    until(told)
    until(lambda: not is_locked(places.beside))
    lab.close()


def test_a_host_that_hangs_delays_no_verb(tmp_path: Path) -> None:
    """A server that takes the connection and says nothing: the lab answers as fast as without."""
    import socket

    north = Past(tmp_path / "north")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        north.join(f"git://127.0.0.1:{silent.getsockname()[1]}/x.git", "host")
        assert beside.wake(north.lab.paths.state, north.lab.paths.tree)
        until(lambda: is_locked(north.places.lock))
        north.lab.lab_status()
        north.lab.recall("knob")
        assert is_locked(north.places.lock), "the exchange still waits for the host"
        assert membership.status(north.workspace).exchange == "at work"
        north.places.settings.unlink()
    until(lambda: not is_locked(north.places.beside))


def test_by_itself_nothing_happens_where_nobody_joined_or_it_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    north = Past(tmp_path / "north")
    assert not beside.wake(north.lab.paths.state, north.lab.paths.tree)
    north.join(tmp_path / "nowhere")
    monkeypatch.setenv("AUTORESEARCH_COMMUNITY", "off")
    assert not beside.wake(north.lab.paths.state, north.lab.paths.tree)
    assert read_last(north.places) == Last()
    with pytest.raises(AutoresearchError):
        membership.sync(north.workspace, str(tmp_path), tmp_path)
