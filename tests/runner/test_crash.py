"""Crashes, read from the end of a log."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.nouns.records import Budget, RunSpec
from mcp_server.runner.process.crash import diagnose, ended_by
from mcp_server.runner.process.unseen import hint


def crash_of(tmp_path: Path, text: str) -> tuple[str, int]:
    (tmp_path / "train.py").write_text(text)
    done = subprocess.run([sys.executable, tmp_path / "train.py"], capture_output=True, text=True, check=False)
    return done.stderr, done.returncode


def test_the_class_the_message_and_the_frames_inside_editable_files_are_found(tmp_path: Path) -> None:
    text = "import json\ndef loop():\n    json.loads('{')\n\nloop()\n"
    log, status = crash_of(tmp_path, text)
    found = diagnose(log, status, tmp_path, ("train.py",))
    assert found.reason == "nonzero_exit"
    assert found.crash.kind == "json.decoder.JSONDecodeError"
    assert found.crash.message.startswith("Expecting property name")
    assert found.crash.frames == ("train.py:5 in <module>: loop()", "train.py:3 in loop: json.loads('{')")


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    log, status = crash_of(tmp_path, "x = 1\nif x\n    pass\n")
    found = diagnose(log, status, tmp_path, ("train.py",))
    assert found.crash.kind == "SyntaxError"
    assert found.crash.frames == ("train.py:2: if x",)


def test_of_two_tracebacks_the_last_is_the_reason(tmp_path: Path) -> None:
    text = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise KeyError('spam')\n"
    log, status = crash_of(tmp_path, text)
    assert diagnose(log, status, tmp_path, ("train.py",)).crash.kind == "KeyError"


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ("MemoryError", "out_of_memory"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "out_of_memory"),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory.", "out_of_memory"),
        ("RuntimeError: CUDA error: out of memory", "out_of_memory"),
        ("RuntimeError: [enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory", "out_of_memory"),
        ("OSError: [Errno 27] File too large", "output_too_large"),
        ("OSError: [Errno 28] No space left on device", "disk_full"),
        ("ValueError: memory is a fine thing", "nonzero_exit"),
    ],
)
def test_limits_are_told_by_their_exceptions(last: str, reason: str) -> None:
    log = f'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n    x\n{last}\n'
    assert diagnose(log, 1, Path("/nowhere"), ()).reason == reason


def test_an_end_by_signal_is_told_with_and_without_a_sandbox_in_between() -> None:
    assert ended_by(-9) is ended_by(137) is signal.SIGKILL
    assert ended_by(1) is None
    found = diagnose("", 137, Path("/nowhere"), ())
    assert (found.reason, found.crash.kind) == ("killed", "SIGKILL")


def test_a_huge_log_gives_a_small_crash() -> None:
    log = "Traceback (most recent call last):\n" + '  File "/w/train.py", line 1, in f\n    f()\n' * 20_000
    for last in (f"ValueError: {'x' * 100_000}", "f" * 100_000, f"{'x.' * 50_000}Error: bad"):
        found = diagnose(f"{log}{last}\n", 1, Path("/w"), ("train.py",))
        assert len(found.crash.model_dump_json()) < 10_000


def test_a_kill_by_a_starving_kernel_is_told_from_any_other() -> None:
    assert diagnose("", 137, Path("/nowhere"), (), starved=True).reason == "out_of_memory"
    assert diagnose("", 1, Path("/nowhere"), (), starved=True).reason == "nonzero_exit"


@pytest.mark.parametrize(
    "complaint",
    [
        "FileNotFoundError: [Errno 2] No such file or directory: '/{name}'",
        "FileNotFoundError: [Errno 2] No such file or directory: '/home/researcher/{name}/{name}'",
        "PermissionError: [Errno 13] Permission denied: 'data/{name}/{name}'",
        "ModuleNotFoundError: No module named '{name}'",
        "sandbox: [Errno 2] No such file or directory: './{name}'",
        "bwrap: execvp /{name}: File name too long",
    ],
)
def test_a_name_that_no_disk_has_is_no_reason_to_lose_a_run(tmp_path: Path, complaint: str) -> None:
    """The looking for it raised as it does for a folder of another user's, and took the supervisor along."""
    spec = RunSpec(
        campaign="tag",
        experiment=1,
        run=1,
        ticket=1,
        queue=tmp_path,
        seed=1,
        run_command=("python", "train.py"),
        score_command=("python", "score.py"),
        budget=Budget(seconds=1),
        devices=("cpu",),
        editable=("train.py",),
        tree=tmp_path,
        score_seconds=1,
    )
    hint(complaint.format(name="n" * 300), spec, Path("/work"), tmp_path, card=False)
