"""Which build of PyTorch would be fetched is asked of a real pip with a real index, before anything large is."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.e2e.clients import ROOT
from tests.e2e.repositories import lay_release

SCRIPT = ROOT / "scripts" / "torch_build.py"
CUDA = ('nvidia-cudnn-cu13==9.20; platform_system == "Linux"', 'cuda-bindings>=13; platform_system == "Linux"')
pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or Path("/dev/nvidiactl").exists(), reason="asked on Linux without an NVIDIA device"
)


def offer(index: Path, version: str, *requires: str) -> None:
    """Put a build of torch that holds nothing into a folder of wheels."""
    index.mkdir(exist_ok=True)
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


def test_whoever_chose_cuda_and_whoever_cannot_be_asked_at_setup_gets_it(tmp_path: Path) -> None:
    offer(tmp_path, "2.13.0", *CUDA)
    chosen = asked(tmp_path, AUTORESEARCH_TORCH="cuda")
    assert (chosen.returncode, chosen.stdout, chosen.stderr) == (0, "", "")
    setup = asked(tmp_path, "--ask")
    assert setup.returncode == 0
    assert "make distclean && PIP_EXTRA_INDEX_URL=" in setup.stderr


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
