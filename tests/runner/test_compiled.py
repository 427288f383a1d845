"""What compilers keep of their work: from the unchanged code to later runs, and from no run to another."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from mcp_server.campaign.runs import dispatch
from mcp_server.campaign.upkeep.recovery import usual
from mcp_server.nouns.paths import LabPaths
from mcp_server.nouns.records import RunResult, RunState
from mcp_server.runner.process import compiled
from tests.labs import SEQUENTIAL, TRAIN, begin, edit, finish, make_lab
from tests.runs import HONEST, RunFolder

# keeps one thing before its budget begins and one after, and says what it found
COMPILES = (
    """
import os, pathlib, time
kept = pathlib.Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR", "/nowhere"))
for name in ("early", "late"):
    print(name, "was", (kept / "x" / name).read_text() if (kept / "x" / name).exists() else "absent")
(kept / "x").mkdir(exist_ok=True)
(kept / "x" / "early").write_text(WORDS)
(kept / "link").symlink_to("/etc/passwd")
"""
    + HONEST
    + """
time.sleep(0.3)  # the supervisor looks twenty times a second
(kept / "x" / "early").write_text("learnt")
(kept / "x" / "late").write_text("learnt")
"""
)


def run(root: Path, number: int, words: str, unchanged: bool) -> tuple[RunResult, str]:
    """A run of the campaign, and what it printed."""
    shared = LabPaths(root / "lab" / ".git", root / "lab").compiled("tag")
    train = f"WORDS = {words!r}\n{COMPILES}"
    one = RunFolder(root, train=train, number=number, spec={"compiled": shared, "compiles": unchanged})
    result = one.carry_out()
    assert not one.paths.compiled.exists()
    assert not one.paths.compiled_first.exists()
    return result, one.paths.log.read_text()


def test_every_run_finds_what_the_unchanged_code_had_compiled_before_its_budget_and_nothing_of_another(
    tmp_path: Path,
) -> None:
    first, said = run(tmp_path, 1, "compiled", unchanged=True)
    assert (first.state, first.compiled_before) == (RunState.SCORED, False)
    assert said.split() == ["early", "was", "absent", "late", "was", "absent"]
    for number in (2, 3):
        later, said = run(tmp_path, number, "poison", unchanged=False)
        assert (later.state, later.compiled_before) == (RunState.SCORED, True)
        assert said.split() == ["early", "was", "compiled", "late", "was", "absent"]
    again, _ = run(tmp_path, 4, "poison", unchanged=True)
    assert again.compiled_before
    shared = LabPaths(tmp_path / "lab" / ".git", tmp_path / "lab").compiled("tag")
    assert {path.name for path in shared.rglob("*")} == {"x", "early"}, "no link, and nothing from within a budget"
    assert (shared / "x" / "early").read_text() == "compiled"


def test_an_edit_leaves_nothing_where_there_was_nothing(tmp_path: Path) -> None:
    result, said = run(tmp_path, 1, "poison", unchanged=False)
    assert result.state is RunState.CRASHED  # this trainer cannot do without the folder, which was not there
    assert "early was absent" in said
    assert not LabPaths(tmp_path / "lab" / ".git", tmp_path / "lab").compiled("tag").exists()


def test_neither_links_nor_pipes_nor_too_much_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, into = tmp_path / "own", tmp_path / "into"
    (own / "deep").mkdir(parents=True)
    (own / "deep" / "kernel.so").write_bytes(b"code")
    (own / "outside").symlink_to(tmp_path)
    (own / "link").symlink_to("/etc/passwd")
    os.mkfifo(own / "pipe")
    os.link(own / "deep" / "kernel.so", tmp_path / "elsewhere")
    (own / "library.so").write_bytes(b"library")
    (own / "library.so").chmod(0o4755)
    compiled.take(own, into)
    assert {str(path.relative_to(into)) for path in into.rglob("*")} == {"deep", "library.so"}
    assert stat.S_IMODE((into / "library.so").stat().st_mode) == 0o755
    for most in ({"MOST_BYTES": 6}, {"MOST_ENTRIES": 5}, {"MOST_DEPTH": 0}, {"MOST_SECONDS": 0}):
        shutil.rmtree(into, ignore_errors=True)
        with monkeypatch.context() as patch:
            for name, value in most.items():
                patch.setattr(compiled, name, value)
            compiled.take(own, into)
        assert not into.exists(), most


@pytest.mark.parametrize("leaves", [True, False])
def test_what_somebody_removes_while_it_is_copied_is_compiled_anew(leaves: bool, tmp_path: Path) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    (shared / "kept").write_text("compiled")
    (shared / "removed").symlink_to("nowhere")  # listed, and not there
    assert compiled.lay(shared, own, leaves) is False
    assert own.exists() is leaves
    assert not (own / "kept").exists()


@pytest.mark.parametrize("depth", [16, 1000])
def test_a_folder_that_cannot_be_copied_ends_no_run(depth: int, tmp_path: Path) -> None:
    own, into = tmp_path / "own", tmp_path / "into"
    own.mkdir()
    (own / "file").write_text("compiled")
    at = os.open(own, os.O_RDONLY)
    for _ in range(depth):  # paths longer than the kernel takes, deeper than the interpreter recurses
        os.mkdir("x" * 250, dir_fd=at)
        below = os.open("x" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("y" * 250, os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    compiled.take(own, into)
    assert not into.exists()
    compiled.publish(into, tmp_path / "shared")
    assert not (tmp_path / "shared").exists()
    # pytest cannot remove it
    subprocess.run(["rm", "-rf", own], check=True)


def test_only_the_campaigns_unchanged_code_leaves_what_it_compiled_and_no_edit_beside_it(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    try:
        begin(lab)
        edit(lab, KNOB=2.0)
        number = lab.run_experiment("another knob").experiment
        finish(lab, number)
        with lab.reading() as (bench, campaign, arena):
            baseline, edited = (bench.ledger.experiment(campaign.tag, one) for one in (1, number))
            run = bench.ledger.runs(campaign.tag, 1)[0]
            leaves = [
                dispatch._spec(bench.paths, dispatch.Plan(arena, campaign, one, run, incumbent=beside), tmp_path, ())
                for one, beside in ((baseline, None), (baseline, baseline), (baseline, edited), (edited, baseline))
            ]
        assert [spec.compiles for spec in leaves] == [True, True, False, False]
    finally:
        lab.close()


def test_what_a_run_writes_for_its_compiler_counts_as_output(tmp_path: Path) -> None:
    flood = HONEST + 'import time\nopen(os.environ["TORCHINDUCTOR_CACHE_DIR"] + "/x", "wb").write(bytes(2**21))\n'
    shared = {"compiled": tmp_path / "compiled", "compiles": True}
    one = RunFolder(tmp_path, train=flood + "time.sleep(60)\n", spec=shared, budget={"output_gb": 0.001})
    assert one.carry_out().reason == "output_too_large"


COMPILING = TRAIN.replace(
    "out = pathlib",
    'kept = pathlib.Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]) / "graph"\n'
    "while not kept.exists() and time.process_time() < 0.5:\n    pass  # compiling\n"
    "kept.touch()\n"
    'os.write(int(os.environ["AUTORESEARCH_MARKS"]), b\'{"event": "start"}\\n\')\ntime.sleep(0.2)\nout = pathlib',
)


def test_edits_start_warm_and_may_still_compile_as_much_as_the_unchanged_code_had_to(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab", train=COMPILING, more=SEQUENTIAL)
    try:
        begin(lab, calibrate=1)
        edit(lab, KNOB=2.0)
        number = lab.run_experiment("another knob").experiment
        finish(lab, number)
        with lab.reading() as (bench, campaign, _):
            runs = [*bench.ledger.runs(campaign.tag, 1), *bench.ledger.runs(campaign.tag, number)]
            needed = usual(bench.ledger, campaign.tag)
        results = [run.result for run in runs if run.result is not None]
        [first] = [result for result in results if not result.compiled_before]  # whichever went first
        assert len(results) == 3
        assert all((warm.startup_spent_seconds or 0.0) < 0.4 for warm in results if warm is not first)
        assert needed.spent_seconds == first.startup_spent_seconds
        assert (needed.spent_seconds or 0.0) > 0.4
    finally:
        lab.close()


# a function of two matrices, compiled for this processor before the budget begins
TORCH = """
import torch
torch.set_num_threads(1)
def f(x): return ((x @ x).relu() ** 2).sum()
torch.compile(f, dynamic=False)(torch.ones(64, 64, requires_grad=True)).backward()
found = torch._dynamo.utils.counters["inductor"]
print("hits", found["fxgraph_cache_hit"], "misses", found["fxgraph_cache_miss"])
"""


@pytest.mark.slow
def test_torch_finds_what_it_compiled_in_a_run_of_other_folders(tmp_path: Path) -> None:
    said = []
    for number in (1, 2):
        spec = {"compiled": tmp_path / "compiled", "compiles": number == 1}
        one = RunFolder(tmp_path, train=TORCH + HONEST + "import time\ntime.sleep(0.3)\n", number=number, spec=spec)
        assert one.carry_out().state is RunState.SCORED, one.paths.log.read_text()
        said.append(one.paths.log.read_text().split())
    assert [words[1] for words in said] == ["0", "2"]
    assert [words[3] for words in said] == ["2", "0"]
