"""Which build of PyTorch would be fetched is asked of a real pip with a real index, before anything large is."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.e2e.clients import ROOT
from tests.e2e.repositories import lay_release

SCRIPT = ROOT / "scripts" / "torch_build.py"
CUDA = ('nvidia-cudnn-cu13==9.20; platform_system == "Linux"', 'cuda-bindings>=13; platform_system == "Linux"')
pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or Path("/dev/nvidiactl").exists(), reason="asked on Linux without an NVIDIA device"
)


@pytest.fixture
def torch_build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("torch_build")


def offer(index: Path, version: str, *requires: str) -> None:
    """Put a build of torch that holds nothing into a folder of wheels."""
    index.mkdir(exist_ok=True, parents=True)
    required = "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n{required}",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(index / f"torch-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(f"torch-{version}.dist-info/{name}", text)


def environment(index: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "AUTORESEARCH"))}
    alone = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    return kept | alone | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"} | more


def asked(index: Path, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", str(SCRIPT), *options]
    return subprocess.run(
        command, env=environment(index, **more), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_a_build_that_only_comes_with_cuda_is_said_with_the_one_line_that_avoids_it(tmp_path: Path) -> None:
    offer(tmp_path, "2.13.0", *CUDA)
    answer = asked(tmp_path)
    assert (answer.returncode, answer.stdout) == (3, "")
    assert "about 3 GB" in answer.stderr
    assert "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu" in answer.stderr


def test_whoever_chose_cuda_gets_it_and_an_unattended_setup_stops_before_it(tmp_path: Path) -> None:
    offer(tmp_path, "2.13.0", *CUDA)
    chosen = asked(tmp_path, AUTORESEARCH_TORCH="cuda")
    assert (chosen.returncode, chosen.stdout, chosen.stderr) == (0, "", "")
    setup = asked(tmp_path, "--ask")
    assert (setup.returncode, setup.stdout) == (3, "")
    assert "Nothing was fetched" in setup.stderr
    assert "make distclean && PIP_EXTRA_INDEX_URL=" in setup.stderr


def test_where_nobody_chose_an_index_the_cpu_build_of_pytorch_is_taken_unattended_too(
    tmp_path: Path, torch_build: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    offer(tmp_path / "usual", "2.13.0", *CUDA)
    offer(tmp_path / "cpu" / "torch", "2.13.0+cpu")
    wheel = next((tmp_path / "cpu" / "torch").iterdir())
    (wheel.parent / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    for name, value in environment(tmp_path / "usual").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AUTORESEARCH_TORCH", raising=False)
    monkeypatch.delenv("PIP_NO_INDEX")
    usual = f"file://{tmp_path}/nothing"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    for chosen in (True, False):
        (tmp_path / "pip.conf").write_text(f"[global]\n{'' if chosen else 'extra-'}index-url = {usual}\n")
        monkeypatch.setattr(torch_build, "CPU_INDEX", (tmp_path / "cpu").as_uri())
        code, said = torch_build.main(asks=False), capfd.readouterr()
        assert (code, said.out == "") == ((3, True) if chosen else (0, False))
        (tmp_path / "pip.conf").unlink()
    # an older pip tells no hash of a file that it was not asked to build
    assert said.out.strip().partition("#sha256=")[0] == f"torch@{wheel.as_uri().replace('+', '%2B')}"
    assert "PyTorch 2.13.0+cpu comes from" in said.err
    # and it is what an installer takes
    target = ["install", "--quiet", "--no-deps", "--target", str(tmp_path / "there"), said.out.strip()]
    subprocess.run([sys.executable, "-m", "pip", *target], check=True)
    assert (tmp_path / "there" / "torch-2.13.0+cpu.dist-info").is_dir()


def test_every_case_of_the_choice(torch_build: ModuleType) -> None:
    build, choice, what = torch_build.Build, torch_build.choice, torch_build.Choice
    cuda, cpu = build("2.13.0", CUDA, "https://one"), build("2.13.0+cpu", ("filelock",), "https://two")
    plain, none = build("2.13.0", ("filelock",), "https://three"), build()
    table = [
        (none, none, False, what.AS_IT_COMES),  # no index answers: the installer will say so
        (plain, none, False, what.AS_IT_COMES),
        (cpu, none, False, what.NAMED),
        (cuda, cpu, False, what.FROM_PYTORCH),
        (cuda, cpu, True, what.FROM_PYTORCH),
        (cuda, none, False, what.STOP),
        (cuda, none, True, what.ASK),
        (cuda, cuda, False, what.STOP),  # PyTorch's index did not answer
    ]
    for usual, of_pytorch, can_ask, wanted in table:
        assert choice(usual, of_pytorch, "x86_64", can_ask) is wanted
    only_there = build("2.13.0", ('nvidia-cublas; platform_machine == "x86_64"',), "https://one")
    assert choice(only_there, none, "aarch64", False) is what.AS_IT_COMES
    assert choice(only_there, none, "x86_64", False) is what.STOP


def test_a_cpu_build_is_named_where_the_index_offers_one_so_that_every_installer_takes_it(tmp_path: Path) -> None:
    offer(tmp_path, "2.13.0", *CUDA)
    offer(tmp_path, "2.13.0+cpu")
    answer = asked(tmp_path)
    assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, "torch==2.13.0+cpu", "")


def test_a_build_without_cuda_and_an_index_that_does_not_answer_need_no_words(tmp_path: Path) -> None:
    offer(tmp_path / "plain", "2.13.0", "filelock")
    (tmp_path / "empty").mkdir()
    for index in ("plain", "empty"):
        answer = asked(tmp_path / index)
        assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, "", "")


def test_the_launcher_stops_before_it_fetches_them_and_says_what_to_do(tmp_path: Path) -> None:
    index, release = tmp_path / "index", lay_release(tmp_path / "plugin")
    offer(index, "2.13.0", *CUDA)
    more = {"AUTORESEARCH_EXTRAS": "train", "XDG_DATA_HOME": str(tmp_path / "data")}
    done = subprocess.run(
        [str(release / "bin" / "autoresearch"), "--version"],
        env=environment(index, **more),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode != 0
    assert "no NVIDIA device here" in done.stderr
    assert "PIP_EXTRA_INDEX_URL=" in done.stderr
    assert "AUTORESEARCH_TORCH=cuda" in done.stderr
