"""Everything that a trainer and a host can reach, counted from inside and compared with the list that is checked in.

Machines and Pythons differ in thousands of files, so places are compared by class: the interpreter, the system's
programs, the snapshot. A place, a socket, a setting or a call that is on no list fails here until somebody has thought
about it and written it down in `reachable/reachable.json`.
"""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mcp_server.nouns.paths import RunPaths
from mcp_server.nouns.records import RunSpec, Tier
from mcp_server.runner.environment import Surroundings, for_trainer
from mcp_server.runner.machine.devices import Lease
from mcp_server.runner.sandbox import Confinement, calls, probe, wrap
from mcp_server.runner.sandbox.confinement import ETC, PRIVATE_HOME, SYSFS, SYSTEM, interpreter_paths
from mcp_server.runner.sandbox.launch import PACKAGE
from mcp_server.scoring.remote import Setting
from tests.runner.test_sandbox import has
from tests.runs import RunFolder

HERE = Path(__file__).parent / "reachable"
LISTED: dict[str, Any] = json.loads((HERE / "reachable.json").read_text())
WHO = ("trainer", "host")
DEVICES = ("full", "null", "ptmx", "pts", "random", "tty", "urandom", "zero")
LIVING = ("proc", "tmp")  # folders of which only chosen places are tried


class Scene:
    """A run of a lab, with everything beside it that must not be reached."""

    def __init__(self, root: Path, tier: Tier) -> None:
        corpus = root / "cache" / "corpora" / "tiny"
        run = RunFolder(root=root, spec={"data": corpus})
        self.paths: RunPaths = run.lay_out()
        self.tier = tier
        state = root / "lab" / ".git" / "autoresearch"
        texts = (
            corpus / "public" / "meta.json",
            corpus / "public" / "train_00000.bin",
            corpus / "sealed" / "val.bin",
            corpus / "sealed" / "test_pool.bin",
        )
        others = (
            state / "lab.db",
            root / "lab" / ".git" / "config",
            root / "lab" / "program.md",
            root / "home" / "key",
        )
        another = state / "runs" / "tag" / "2" / "1" / "artifact" / "model.safetensors"
        for path in (*texts, *others, another, self.paths.artifact / "model.safetensors"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
        for folder in (self.paths.out, root / "scratch"):
            folder.mkdir(exist_ok=True)
        self.root, self.corpus, self.scratch = root, corpus, root / "scratch"

    def confinement(self, who: str) -> Confinement:
        """What the supervisor gives a trainer, the evaluator a host."""
        if who == "trainer":
            spec = RunSpec.read(self.paths.spec)
            around = Surroundings(self.paths, spec, Lease("cpu", -1), self.tier)
            around.renew_scratch()
            return for_trainer(around, marks_fd=1, tasks=64)
        setting = Setting(
            snapshot=self.paths.work,
            weights=self.paths.artifact / "model.safetensors",
            data=self.corpus,
            device="cpu",
            threads=1,
            rows=1,
            width=1,
            vocab=2,
            start_seconds=1,
            reply_seconds=1,
            tier=self.tier,
        )
        return setting.confinement(0, self.scratch)

    def explore(self, who: str) -> dict[str, Any]:
        """The explorer's findings, with places as classes."""
        confinement = self.confinement(who)
        limited = {name: call.numbers for name, call in calls.limited(self.tier is Tier.T2).items()}
        refused = {name: numbers for name, numbers, _ in calls.refused(self.tier is Tier.T2)}
        # the machine's own numbers
        column = calls.MACHINES[os.uname().machine][1]
        order = {
            "paths": self.candidates(),
            "refused": {name: numbers[column] for name, numbers in refused.items() if numbers[column] is not None},
            "limited": {name: numbers[column] for name, numbers in limited.items() if numbers[column] is not None},
        }
        program = (HERE / "explorer.py").read_text()
        done = subprocess.run(
            wrap([sys.executable, "-I", "-c", program], confinement, self.tier),
            input=json.dumps(order),
            capture_output=True,
            text=True,
            env={},
            start_new_session=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        for key in ("readable", "writable"):
            found[key] = sorted({self.classed(path) for path in found[key]})
        return found

    def candidates(self) -> list[str]:
        """Two levels of the whole machine, all of /etc and of this scene; what a link leads to, not the link."""
        folders = [Path("/"), *(path for path in Path("/").iterdir() if path.is_dir() and path.name not in LIVING)]
        found = [path for folder in folders for path in _children(folder)]
        found += [path for path in _children(Path("/proc")) if not path.name.isdigit() and "self" not in path.name]
        found += [*Path("/etc").rglob("*"), *self.root.rglob("*"), Path.home(), Path(PRIVATE_HOME), Path("/tmp")]
        found += [Path(place) for place in ("/dev/shm", "/var/tmp", "/sys/fs/cgroup", "/sys/devices/system")]
        return sorted({real for path in found if not re.match(r"/proc/\d", real := os.path.realpath(path))})

    def classed(self, path: str) -> str:
        """The class of a place: what it is for, not where this machine has it."""
        place, at_t2 = Path(path), self.tier is Tier.T2
        known = {
            "<the snapshot>": (self.paths.work,),
            "<what the corpus is like>": (self.corpus / "public" / "meta.json",),
            "<the training data>": (self.corpus / "public" / "train_00000.bin",),
            "<the output folder>": (self.paths.out,),
            "<scratch>": (self.scratch, self.paths.folder / "scratch"),
            "<private memory>": tuple(map(Path, ("/tmp", "/var/tmp", "/dev/shm", PRIVATE_HOME))) if at_t2 else (),
            "<folders on the way to what is given>": (
                *self.paths.out.parents,
                self.corpus / "public",
                *self.corpus.parents,
                self.corpus,
            ),
            "<the system's programs and libraries>": tuple(map(Path, SYSTEM)),
            "<facts about processors>": tuple(map(Path, SYSFS)),
            "<whatever /proc tells this user>": () if at_t2 else (Path("/proc"),),
            "<a short list of /etc>": tuple(map(Path, ETC)),
            "<the interpreter and its packages>": (*interpreter_paths(), PACKAGE),
            "<a harmless device>": tuple(Path("/dev") / name for name in DEVICES),
        }
        if at_t2 and path.startswith("/tmp/") and place in known["<folders on the way to what is given>"]:
            return "<private memory>"  # made in the sandbox's own /tmp
        for name, places in known.items():
            exact = name in ("<folders on the way to what is given>", "<private memory>")
            if any(place == one or (not exact and one in place.parents) for one in places):
                return name
        if any(place in one.parents for one in (*interpreter_paths(), *map(Path, (*SYSFS, *ETC, PRIVATE_HOME)))):
            return "<folders on the way to what is given>"
        return path


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("tier", [Tier.T2, Tier.T1])
def test_nothing_can_be_reached_that_is_not_on_the_list(tier: Tier, who: str, tmp_path: Path) -> None:
    if not has(tier):
        pytest.skip(f"this machine offers no {tier}: {' '.join(probe().findings)}")
    found = Scene(tmp_path, tier).explore(who)
    listed = LISTED[tier.value][who]
    for key in ("readable", "writable", "settings", "sockets"):
        assert sorted(set(found[key]) - set(listed[key])) == [], f"{key} and on no list"
        # the list is not longer than the world: what every machine has was really reached
        assert sorted(set(listed["surely"][key]) - set(found[key])) == [], f"{key} and not found"
    assert found["capabilities"] in (0, 1 << 2)  # none, or what root's stand-in has: to read
    assert found["uid"] != 0
    if tier is Tier.T2:
        assert found["processes"] <= 2  # the sandbox's first process and the explorer
    assert set(found["fds"]) <= {"0", "1", "2", "3"}  # the last is the listing's own
    wanted = {name: error for name, _, error in calls.refused(tier is Tier.T2)}
    assert found["refused"] == {name: _said(wanted[name]) for name in found["refused"]}
    assert set(found["special"].values()) <= {"EACCES", "EOPNOTSUPP", "ENOTSUP"}, found["special"]


def _said(error: int) -> str:
    return {0: "succeeds", 13: "EACCES", 38: "ENOSYS"}[error]


# -- the filter itself, for processors that this machine does not have -------------------------------------------------


def verdict(program: bytes, number: int, architecture: int, arguments: tuple[int, ...] = (0,) * 6) -> int:
    """What the kernel would do: the filter run line by line, as include/uapi/linux/bpf_common.h says."""
    lines = list(struct.iter_unpack("=HBBI", program))
    data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments)
    line, value = 0, 0
    while True:
        code, if_so, if_not, operand = lines[line]
        line += 1
        match code:
            case 0x20:
                (value,) = struct.unpack_from("=I", data, operand)
            case 0x06:
                return int(operand)
            case 0x15:
                line += if_so if value == operand else if_not
            case 0x25:
                line += if_so if value > operand else if_not
            case 0x35:
                line += if_so if value >= operand else if_not
            case 0x45:
                line += if_so if value & operand else if_not
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


def ranges(numbers: list[int]) -> str:
    """[0, 1, 2, 5] as "0-2 5"."""
    words: list[list[int]] = []
    for number in numbers:
        if words and words[-1][-1] == number - 1:
            words[-1][1:] = [number]
        else:
            words.append([number])
    return " ".join("-".join(map(str, word)) for word in words)


@pytest.mark.parametrize("tier", [Tier.T2, Tier.T1])
@pytest.mark.parametrize("machine", sorted(calls.MACHINES))
def test_every_call_that_is_allowed_is_on_the_list(machine: str, tier: Tier) -> None:
    program = calls.program(tier is Tier.T2, machine)
    architecture, column = calls.MACHINES[machine]
    in_part = {call.numbers[column] for call in calls.limited(tier is Tier.T2).values()}
    allowed = [
        number
        for number in range(2048)
        if number not in in_part and verdict(program, number, architecture) == 0x7FFF0000
    ]
    kind = "x86_64" if machine == "x86_64" else "generic"
    assert ranges(allowed) == LISTED[tier.value]["calls"][kind]
    # no other way to the same calls: programs of 32 bits are killed, x32 has no calls
    others = {verdict(program, number, 0x40000003) for number in range(512)}
    assert others == {0x80000000}
    if machine == "x86_64":
        assert {verdict(program, 0x40000000 | number, architecture) for number in range(600)} == {0x00050000 | 38}


@pytest.mark.parametrize(
    ("name", "arguments", "allowed"),
    [
        ("clone", (0x00003D0F00,), True),  # a thread
        ("clone", (17,), True),  # a fork
        ("clone", (0x10000000,), False),  # a user namespace
        ("clone", (0x7E020000,), False),
        ("socket", (1, 1, 0), True),
        ("socket", (2, 1, 6), True),
        ("socket", (2 | 1 << 40, 1, 6), True),  # the kernel reads 32 bits of it, and so does the filter
        ("socket", (40, 1, 0), False),
        ("socket", (40 | 1 << 32, 1, 0), False),
        ("socket", (2, 3, 1), False),
        ("socket", (16, 3, 0), True),
        ("socket", (16, 3, 12), False),
        ("socketpair", (1, 1, 0), True),
        ("socketpair", (30, 1, 0), False),
        ("fcntl", (3, 1030, 0), True),
        ("fcntl", (3, 1024, 0), False),
        ("fcntl", (3, 1026 | 1 << 33, 0), False),
        ("madvise", (0, 4096, 4), True),
        ("madvise", (0, 4096, 21), False),
        ("preadv2", (3, 0, 1, 0, 0, 0), True),
        ("preadv2", (3, 0, 1, 0, 0, 8), False),
        ("fchmod", (3, 0o755), True),
        ("fchmod", (3, 0o4755), False),
    ],
)
@pytest.mark.parametrize("machine", sorted(calls.MACHINES))
def test_a_call_that_is_allowed_in_part_depends_on_its_arguments(
    machine: str, name: str, arguments: tuple[int, ...], allowed: bool
) -> None:
    architecture, column = calls.MACHINES[machine]
    number = calls.limited(True)[name].numbers[column]
    assert number is not None
    found = verdict(calls.program(True, machine), number, architecture, (*arguments, *(0,) * (6 - len(arguments))))
    assert (found == 0x7FFF0000) is allowed


@pytest.mark.parametrize("machine", sorted(calls.MACHINES))
@pytest.mark.parametrize(
    ("kind", "allowed"), [(1, True), (1 | 0x80800, True), (5, True), (2, False), (2 | 0x800, False), (3, False)]
)
def test_a_pair_of_sockets_at_t1_is_none_that_could_turn_to_others(machine: str, kind: int, allowed: bool) -> None:
    """Streams and seqpackets stay with each other; datagrams can be connected again, to whatever has a name."""
    architecture, column = calls.MACHINES[machine]
    number = calls.limited(False)["socketpair"].numbers[column]
    assert number is not None
    found = verdict(calls.program(False, machine), number, architecture, (1, kind, 0, 0, 0, 0))
    assert (found == 0x7FFF0000) is allowed
