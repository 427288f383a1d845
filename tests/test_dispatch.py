"""What a supervisor is told, where it is not plain from the arena."""

from __future__ import annotations

import fcntl
import os
import select
import signal
from pathlib import Path

import pytest

from mcp_server.campaign.runs.dispatch import last_words
from mcp_server.nouns.files import open_lock
from mcp_server.nouns.paths import RunPaths, device_locks_folder
from mcp_server.nouns.records import RunProgress
from mcp_server.runner.machine.devices import lock_path
from tests.labs import begin, edit, finish, git, make_lab, until


@pytest.mark.parametrize("pattern", ["src/", "src", "src/**/*.py"])
def test_editable_files_named_by_a_folder_or_a_pattern_are_run(tmp_path: Path, pattern: str) -> None:
    lab = make_lab(tmp_path / "lab")
    tree = lab.paths.tree
    (tree / "src").mkdir()
    git(tree, "mv", "train.py", "src/train.py")
    program = (tree / "program.md").read_text()
    program = program.replace("editable: [train.py]", f'editable: ["{pattern}"]')
    (tree / "program.md").write_text(program.replace("python train.py", "python src/train.py"))
    git(tree, "commit", "-q", "-a", "-m", "move")
    assert begin(lab).score == 4.0  # the supervisor took the pattern for a file and died
    (tree / "src" / "train.py").write_text((tree / "src" / "train.py").read_text().replace("KNOB = 1.0", "KNOB = 2.0"))
    assert finish(lab, lab.run_experiment("KNOB 1 -> 2").experiment).score == 1.0
    lab.close()


RAISED = """\
2026-12-01 10:00:00,000 the run begins
Traceback (most recent call last):
  File "run.py", line 64, in carry_out
    found = wait(spec)
"""


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (f"{RAISED}PermissionError: [Errno 13] no: '/data'\n", "PermissionError: [Errno 13] no: '/data'"),
        (f"{RAISED}KeyboardInterrupt\n", "KeyboardInterrupt"),
        (f"{RAISED}OSError: x\n2026-12-01 10:05:00,000 asked again\n", ""),  # and then it was killed
        (f"{RAISED}{'x.' * 500}Error: \x1b[31m\n", "x." * 149 + "x…"),
        ("2026-12-01 10:00:00,000 told to end, and nobody cancelled this run\n", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_supervisor_that_dies_of_something_is_quoted(tmp_path: Path, log: str | None, said: str) -> None:
    if log is not None:
        RunPaths(tmp_path).supervisor_log.write_text(log)
    assert last_words(RunPaths(tmp_path)) == said


def test_a_lost_run_says_what_its_supervisor_died_of(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begin(lab)
    edit(lab, KNOB=2.0, SECONDS=60.0)
    number = lab.run_experiment("dies").experiment
    folder = lab.paths.run("first", number, 1)
    until(lambda: folder.progress.exists() and RunProgress.read(folder.progress).phase == "training")
    with open(folder.supervisor_log, "a") as log:
        log.write(f"{RAISED}PermissionError: [Errno 13] Permission denied: '/data'\n")
    os.kill(RunProgress.read(folder.progress).pid, signal.SIGKILL)
    assert finish(lab, number).detail.startswith("Its supervisor died: PermissionError: [Errno 13] Permission denied")
    lab.close()


def test_a_run_that_waited_when_the_machine_was_shut_down_is_started_again(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    begin(lab)
    device = open_lock(lock_path(device_locks_folder(), "cpu"))
    fcntl.flock(device, fcntl.LOCK_EX)
    edit(lab, KNOB=2.0)
    number = lab.run_experiment("waits").experiment
    folder = lab.paths.run("first", number, 1)
    until(lambda: folder.progress.exists() and RunProgress.read(folder.progress).phase == "waiting")
    assert lab.read_score(number).open  # and the ledger says that it has begun
    pid = RunProgress.read(folder.progress).pid
    life = os.pidfd_open(pid)
    os.kill(pid, signal.SIGTERM)
    select.select([life], [], [])
    os.close(life)
    os.close(device)
    assert finish(lab, number).score == 1.0
    lab.close()
