"""The tiers, tried from inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from mcp_server.nouns.records import Tier
from mcp_server.runner.machine.leaving import with_own_package
from mcp_server.runner.sandbox import Confinement, confinement, probe, sharedmemory, wrap
from mcp_server.runner.sandbox.probe import BURGLAR

ROOT = Path(__file__).parents[2]


@cache
def has(tier: Tier) -> bool:
    """Whether this machine can offer a tier, found out in a process of its own."""
    code = "from mcp_server.runner.sandbox import probe; print(probe().tier)"
    env = {**os.environ, "AUTORESEARCH_TIER": tier.value}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=env
    ).stdout.strip() == str(tier)


WALLED = [
    pytest.param(
        tier, marks=pytest.mark.skipif(not has(tier), reason=f"this machine offers no {tier}: {probe().findings}")
    )
    for tier in (Tier.T2, Tier.T1)
]


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """inside/ may be read and written, given/ read, secret/ neither."""
    for name in ("inside", "given", "secret", "scratch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return tmp_path


def run(
    room: Path,
    tier: Tier,
    program: str,
    *,
    hide: tuple[Path, ...] = (),
    read: tuple[Path, ...] = (),
    shared_memory: bool = False,
    **env: str,
) -> subprocess.CompletedProcess[str]:
    where = Confinement(
        read=(room / "given", *read),
        write=(room / "inside",),
        cwd=room / "given",
        env=env,
        hide=hide,
        scratch=room / "scratch",
        shared_memory=shared_memory,
    )
    argv = wrap([sys.executable, "-c", f"import os, sys\nroom = {str(room)!r}\n{program}"], where, tier)
    return subprocess.run(argv, capture_output=True, text=True, check=False, env={"LEAK": "1"}, start_new_session=True)


def attempt(*acts: str) -> str:
    """A program that tries each statement and prints the names of the errors."""
    lines = ["import json", "errors = []"]
    for act in acts:
        lines += ["try:", f"    {act}", "    errors.append('done')"]
        lines += ["except OSError as error:", "    errors.append(type(error).__name__)"]
    return "\n".join([*lines, "print(json.dumps(errors))"])


@pytest.mark.parametrize("tier", WALLED)
def test_only_what_is_listed_can_be_read_and_written(room: Path, tier: Tier) -> None:
    done = run(
        room,
        tier,
        attempt(
            "open(room + '/given/file').read()",
            "open(room + '/inside/new', 'w').close()",
            "open(room + '/secret/file').read()",
            "open(room + '/given/file', 'w')",
            "os.unlink(room + '/given/file')",
            "os.mkdir(sys.prefix + '/burgled')",
            "open('/etc/shadow').read()",
        ),
    )
    errors = json.loads(done.stdout)
    assert errors[:2] == ["done", "done"]
    assert "done" not in errors[2:]
    assert (room / "inside" / "new").exists()
    assert (room / "given" / "file").read_text() == "given"


@pytest.mark.parametrize("tier", WALLED)
def test_what_is_hidden_is_hidden_inside_what_is_readable(room: Path, tier: Tier) -> None:
    done = run(
        room,
        tier,
        attempt(
            "open(room + '/secret/file').read()",
            "open(room + '/given/file').read()",
            "open(room + '/secret/deep/file').read()",
        ),
        hide=(room / "secret",),
        read=(room,),
    )
    errors = json.loads(done.stdout)
    assert errors[1] == "done"
    assert "done" not in (errors[0], errors[2])


@pytest.mark.parametrize("tier", WALLED)
def test_a_readable_folder_inside_a_hidden_one_stays_readable(room: Path, tier: Tier) -> None:
    (room / "secret" / "public").mkdir()
    (room / "secret" / "public" / "file").write_text("public")
    done = run(
        room,
        tier,
        attempt("open(room + '/secret/public/file').read()", "open(room + '/secret/file').read()"),
        hide=(room / "secret",),
        read=(room / "secret" / "public",),
    )
    errors = json.loads(done.stdout)
    assert errors[0] == "done"
    assert errors[1] != "done"


@pytest.mark.parametrize("tier", WALLED)
def test_the_network_is_shut(room: Path, tier: Tier) -> None:
    done = run(
        room,
        tier,
        "import socket\n"
        + attempt(
            "socket.create_connection(('127.0.0.1', 9), 1)",
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
            "socket.socket(socket.AF_UNIX).connect('\\0abstract')",
        )
        + "\na, b = socket.socketpair(); a.send(b'x'); b.recv(1)",
    )
    assert done.returncode == 0, done.stderr
    assert "done" not in json.loads(done.stdout)


@pytest.mark.parametrize("tier", WALLED)
def test_extended_attributes_cannot_carry_anything(room: Path, tier: Tier) -> None:
    done = run(
        room, tier, attempt("os.setxattr(sys.executable, 'user.loot', b'x')", "os.removexattr('/usr', 'user.x')")
    )
    assert "done" not in json.loads(done.stdout)
    with pytest.raises(OSError, match=r"No data|not supported"):
        os.getxattr(sys.executable, "user.loot")


@pytest.mark.parametrize("tier", WALLED)
def test_shared_memory_is_only_for_those_who_were_given_it(room: Path, tier: Tier) -> None:
    program = "import multiprocessing\ntry:\n    print(multiprocessing.Lock())\nexcept OSError: print('refused')"
    assert run(room, tier, program).stdout.startswith("refused" if tier is Tier.T1 else "<Lock")
    assert run(room, tier, program, shared_memory=True).stdout.startswith("<Lock")


def test_only_what_a_confined_command_left_in_shared_memory_is_swept(room: Path) -> None:
    before = sharedmemory.present()
    mine = sharedmemory.FOLDER / f"{room.parent.name}-{room.name}-a-persons-own"
    theirs = [str(sharedmemory.FOLDER / f"{room.parent.name}-{room.name}-{name}") for name in ("file", "folder")]
    try:
        mine.write_text("a person's")
        run(room, Tier.T0, f"open({theirs[0]!r}, 'w').close(); os.mkdir({theirs[1]!r})", shared_memory=True)
        assert all(os.path.exists(path) for path in theirs)
        sharedmemory.sweep(before)
        assert not any(os.path.exists(path) for path in theirs)
        assert mine.exists()
    finally:
        mine.unlink()


@pytest.mark.parametrize("tier", [*WALLED, Tier.T0])
def test_the_environment_is_only_what_was_given(room: Path, tier: Tier) -> None:
    done = run(room, tier, "print(sorted(os.environ))\nprint(os.getcwd(), os.environ['HOME'])", GIVEN="1")
    names, where = done.stdout.splitlines()
    assert "LEAK" not in names
    assert "GIVEN" in names
    assert where.startswith(str(room / "given"))
    assert where.endswith(confinement.PRIVATE_HOME if tier is Tier.T2 else str(room / "scratch"))


@pytest.mark.parametrize("tier", [*WALLED, Tier.T0])
def test_the_interpreter_finds_its_packages(room: Path, tier: Tier) -> None:
    done = run(
        room, tier, "import numpy, ssl, sqlite3, ctypes, tempfile; tempfile.TemporaryFile(); print(numpy.ones(2).sum())"
    )
    assert done.stdout.strip() == "2.0", done.stderr


@pytest.mark.skipif(not has(Tier.T2), reason="bubblewrap is missing or may not make namespaces here")
def test_a_process_outside_is_neither_seen_nor_signalled_nor_traced_at_t2(room: Path) -> None:
    done = run(room, Tier.T2, f"print(len([n for n in os.listdir('/proc') if n.isdigit()]))\nos.kill({os.getpid()}, 0)")
    assert int(done.stdout) <= 3
    assert "ProcessLookupError" in done.stderr


@pytest.mark.skipif(not has(Tier.T1), reason="this kernel has no Landlock")
def test_a_process_outside_is_not_traced_or_signalled_at_t1(room: Path) -> None:
    acts = attempt(
        f"open('/proc/{os.getpid()}/environ').read()",
        f"open('/proc/{os.getpid()}/mem', 'rb').read(1)",
        f"open('/proc/{os.getpid()}/root/etc/hostname').read()",
        f"os.kill({os.getpid()}, 0)",
    )
    assert "done" not in json.loads(run(room, Tier.T1, acts).stdout)


def test_a_wall_that_cannot_be_put_up_ends_the_launch(room: Path) -> None:
    where = Confinement(read=(room / "missing",), write=(), cwd=room, env={}, scratch=room / "scratch")
    done = subprocess.run(
        wrap(["/bin/true"], where, Tier.T1), capture_output=True, text=True, check=False, start_new_session=True
    )
    assert done.returncode == 126
    assert "missing" in done.stderr


def test_a_forced_tier_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTORESEARCH_TIER", "T0")
    probe.cache_clear()
    report = probe()
    probe.cache_clear()
    assert report.tier is Tier.T0
    assert any("AUTORESEARCH_TIER=T0" in finding for finding in report.findings)


def test_a_long_name_of_the_temporary_folder_changes_no_tier(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)  # a unix socket's name has room for 107 bytes
    folder.mkdir()
    code = "from mcp_server.runner.sandbox import probe; print(probe().tier)"
    env = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env)
    assert done.stdout.strip() == str(probe().tier), done.stderr


def test_without_walls_the_probes_burglar_gets_in(room: Path) -> None:
    """The control: what the probe tries does work where nothing stops it."""
    secret = room / "secret" / "file"
    done = subprocess.run(
        [sys.executable, "-c", BURGLAR, secret, "9", str(os.getpid()), "go", f'["{secret}"]', "[39]"],  # 39: getpid
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(json.loads(done.stdout)) >= {"read", "write", "set", "calls", "signal", "see"}


def test_a_relative_folder_of_libraries_lowers_no_tier_and_is_shown_to_nobody(tmp_path: Path) -> None:
    """As old set-ups have it, `LD_LIBRARY_PATH=.:lib`: wherever the server happened to be was mounted, or let in."""
    (tmp_path / "lib").mkdir()
    code = """
from pathlib import Path
from mcp_server.runner.sandbox import probe
from mcp_server.runner.sandbox.confinement import interpreter_paths, library_folders
assert all(path.is_absolute() for path in interpreter_paths()), interpreter_paths()
here = Path.cwd()
print(probe().tier, here in interpreter_paths() or here / "lib" in interpreter_paths())
print(*library_folders())
"""
    env = {**os.environ, "LD_LIBRARY_PATH": f".:lib::{tmp_path / 'absent'}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.stdout.split() == [str(probe().tier), "False", str(tmp_path / "absent")], done.stderr


def test_a_relative_folder_of_modules_is_not_the_labs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own scorer, which has no walls, stands in the lab's first commit: its random.py came before Python's."""
    (tmp_path / "random.py").write_text("raise SystemExit('imported')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((".", "", "lib", "/somewhere")))
    env = with_own_package({})
    assert env["PYTHONPATH"].split(os.pathsep)[1:] == ["/somewhere"]
    subprocess.run([sys.executable, "-c", "import random, mcp_server"], cwd=tmp_path, env=env, check=True)
