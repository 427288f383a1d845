"""Case 31: a trainer learns the sealed text from another copy on the machine. Twelve innocent lines, and relatives.

The trainers really run, shut in as every run is, and leave what they gathered. Whatever it is, it must not hold a copy
of a sealed document. One library is made up here, so that the searches take moments; the slow test takes the real one
of this interpreter, with everything else that is on this machine.
"""

from __future__ import annotations

import compileall
import shutil
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import prepare
from mcp_server.nouns.records import RunState, Tier
from mcp_server.runner.sandbox import probe
from mcp_server.secrecy import closure, proof, searching
from tests.runner.test_sandbox import has
from tests.runs import RunFolder
from tests.test_secrecy import source

pytestmark = pytest.mark.abuse

ROOT = Path(prepare.__file__).parent
PIECE = 64 << 10
# what each of them is given: LIBRARIES, the folders of Pythons that it can think of
BEGIN = """
import json, os, pathlib, sys
os.write(int(os.environ["AUTORESEARCH_MARKS"]), b'{"event": "start"}\\n')
libraries = [pathlib.Path(place) for place in LIBRARIES]
out = pathlib.Path(os.environ["AUTORESEARCH_OUT"])
gathered = open(out / "gathered.bin", "wb")
def files(pattern):
    for library in libraries:
        for folder, _, names in os.walk(library, onerror=lambda error: None):
            yield from (pathlib.Path(folder, name) for name in sorted(names) if name.endswith(pattern))
"""
END = """
gathered.close()
(out / "answer.txt").write_text("0.5")
"""
TRAINERS = {
    # more Python text: group the library's files, leave out what the train shard has, train on the rest
    "more Python text": """
        shard = pathlib.Path(os.environ["AUTORESEARCH_DATA"], "public", "train_00000.bin").read_bytes()
        for file in files(".py"):
            try:
                text = file.read_bytes()
            except OSError:
                continue
            if text and text not in shard:
                gathered.write(text)
    """,
    "constants of compiled code": """
        for file in files(".pyc"):
            try:
                gathered.write(file.read_bytes())
            except OSError:
                continue
    """,
    "what Python itself reads: inspect, linecache, importlib": """
        import importlib, inspect, linecache
        sys.path += [str(library) for library in libraries]
        for file in files(".py"):
            if not file.stem.startswith(("game", "turtle", "mailbox", "imaplib", "telnetlib", "smtpd", "wsgiref")):
                continue
            gathered.write("".join(linecache.getlines(str(file))).encode())
            try:
                gathered.write(inspect.getsource(importlib.import_module(file.stem)).encode())
            except BaseException:
                pass
    """,
    "archives, packages and caches": """
        import zipfile
        for file in [*files(".zip"), *files(".whl"), *files(".egg")]:
            try:
                with zipfile.ZipFile(file) as archive:
                    for name in archive.namelist():
                        gathered.write(archive.read(name))
            except Exception:
                continue
        home = pathlib.Path.home()
        for cache in (home / ".cache", pathlib.Path("/root/.cache"), pathlib.Path("/var/cache"), home / ".local"):
            libraries.append(cache)
        for file in files(".py"):
            try:
                gathered.write(file.read_bytes())
            except OSError:
                continue
    """,
    "the same files by other roads": """
        for library in list(libraries):
            for name in os.listdir(library) if os.access(library, os.R_OK) else ():
                for road in (f"/proc/self/root{library}/{name}", f"{library}/../{library.name}/{name}"):
                    try:
                        fd = os.open(road, os.O_RDONLY)
                        gathered.write(os.read(fd, 1 << 20))
                        link = f"/proc/self/fd/{fd}"
                        gathered.write(open(link, "rb").read())
                    except OSError:
                        continue
    """,
}


@dataclass(frozen=True)
class Prepared:
    corpus: Path
    libraries: tuple[Path, ...]  # that a trainer knows of
    readable: tuple[Path, ...]


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """A library in use, another Python's copy of it, compiled twice; and nothing else on the machine."""
    machine = tmp_path / "machine"
    library = machine / "lib" / "python3.11"
    library.mkdir(parents=True)
    for number, name in enumerate(("os", "abc", "json", "random", "argparse", "platform", "threading", "shutil")):
        (library / f"{name}.py").write_text(source(number))
    for number in range(40):
        (library / f"game{number}.py").write_text(source(100 + number))
    shutil.copytree(library, machine / "other" / "python3.12")
    with zipfile.ZipFile(machine / "lib" / "needed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(0, 40, 4):  # what has a copy here cannot be hidden, and is not sealed
            archive.write(library / f"game{number}.py", f"game{number}.py")
    compileall.compile_dir(machine, quiet=2)
    monkeypatch.setattr(searching, "EVERYTHING", (str(tmp_path),))
    monkeypatch.setattr(searching, "system_paths", lambda gpus: ())
    monkeypatch.setattr(searching, "interpreter_paths", lambda: (machine,))
    monkeypatch.setattr(closure, "PACKAGES", ())
    monkeypatch.setattr(prepare.sysconfig, "get_paths", lambda: {"stdlib": str(library)})
    settings = ["--vocab-size", "300", "--sequence-length", "64", "--jobs", "1", "--no-search"]
    prepare.main(["--corpus", "stdlib", "--cache", str(tmp_path / "cache"), *settings])
    return Prepared((tmp_path / "cache" / "current").resolve(), (library, machine / "other"), (machine,))


@pytest.mark.parametrize("tier", [Tier.T2, Tier.T1])
def test_no_trainer_finds_the_sealed_text_anywhere(
    tier: Tier, made_up: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    judged = [gather(name, tier, made_up, tmp_path / str(number), monkeypatch) for number, name in enumerate(TRAINERS)]
    record_property("abuse", [31, "gathers the library's files, compiled code, archives", "nothing sealed", str(tier)])
    assert [copies for copies, _ in judged] == [0] * len(TRAINERS)
    assert judged[0][1] > 20_000, "what runs need can be read"


def test_the_same_trainer_finds_it_where_nothing_is_hidden(
    made_up: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the test above could not fail."""
    hide = made_up.corpus / "sealed" / "hide.json"
    hide.unlink()
    copies, _ = gather("more Python text", probe().tier, made_up, tmp_path / "0", monkeypatch)
    assert copies >= 4


@pytest.mark.slow
@pytest.mark.parametrize("tier", [Tier.T2, Tier.T1])
def test_no_trainer_finds_the_real_librarys_sealed_text(
    tier: Tier, real: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Any
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(real.corpus.parent.parent))
    for number, name in enumerate(TRAINERS):
        copies, _ = gather(name, tier, real, tmp_path / str(number), monkeypatch)
        record_property("abuse", [31, f"this machine: {name}", f"{copies} of the sealed documents", str(tier)])
        assert copies == 0, name
    outcome = proof.prove(real.corpus)
    assert outcome.holds, outcome.words


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The shipped corpus of this interpreter, prepared as a user does it: with a search of this whole machine."""
    cache = tmp_path_factory.mktemp("cache")
    command = [sys.executable, str(ROOT / "prepare.py"), "--corpus", "stdlib", "--cache", str(cache)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "none holds sealed text" in done.stderr, done.stderr[-2000:]
    own = Path(prepare.sysconfig.get_paths()["stdlib"])
    others = [path.parent for path in Path("/usr").glob("**/python3*/os.py")]
    return Prepared((cache / "current").resolve(), (own, *others, Path(sys.prefix, "lib"), Path("/usr/share")), ())


def gather(name: str, tier: Tier, target: Prepared, root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """(sealed documents that a trainer has a copy of at its end, bytes that it gathered)."""
    if not has(tier):
        pytest.skip(f"this machine offers no {tier}: {' '.join(probe().findings)}")
    monkeypatch.setenv("AUTORESEARCH_TIER", tier)
    begin = BEGIN.replace("LIBRARIES", repr([str(place) for place in target.libraries]))
    body = textwrap.dedent(TRAINERS[name])
    spec = {"data": target.corpus, "readable": target.readable, "score_seconds": 60}
    run = RunFolder(root=root, train=begin + body + END, spec=spec, budget={"seconds": 300})
    result = run.carry_out()
    assert result.state is RunState.SCORED, f"{result.reason} {result.detail} {run.paths.log.read_text()[-2000:]}"
    assert result.tier is tier
    index, copied, size = proof.sealed_index(target.corpus), set(), 0
    assert len(index.hashes) > 100
    # piece by piece: in hundreds of megabytes a few shingles of everything turn up by chance
    with (run.paths.artifact / "gathered.bin").open("rb") as file:
        before = b""
        while data := file.read(PIECE):
            copied |= set(index.copies(index.find(before + data)))
            before = data
            size += len(data)
    return len(copied), size
