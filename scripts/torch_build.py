"""Which build of PyTorch an installation would fetch here, asked of the index before gigabytes are.

    PYTHON scripts/torch_build.py         prints what an installer is given beside the project, or nothing
    PYTHON scripts/torch_build.py --ask   asks a person at a terminal before it ends with 3

On Linux, PyPI's torch requires CUDA libraries, about 3 GB, on every machine; PyPI has no CPU build for x86-64. So where
no NVIDIA device is and nobody chose another index, the CPU build of PyTorch's own index is named, a tenth of the size.
Where that cannot be had this ends with 3 and says what to do: gigabytes are never fetched unasked. Only metadata is
read. Standard library only, and the pip of the interpreter that runs this.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
CUDA_ALONE = 3
NVIDIA = (Path("/dev/nvidiactl"), Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))
WORDS = """\
No NVIDIA device here, and the index has PyTorch only with its CUDA libraries, about 3 GB: PyPI has no CPU build.
Nothing was fetched. The CPU build is a tenth of it, from PyTorch's own index:
    {command}
To fetch the 3 GB all the same, set AUTORESEARCH_TORCH=cuda."""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_FIRST = f"PIP_EXTRA_INDEX_URL={CPU_INDEX}"


@dataclass(frozen=True)
class Build:
    """A build that pip would take; `version` is empty where pip found none."""

    version: str = ""
    requires: tuple[str, ...] = ()
    address: str = ""  # with its hash, as an installer takes it

    def brings_cuda(self, machine: str) -> bool:
        """Whether it asks for CUDA libraries on a Linux machine of this architecture."""
        asked = [one for one in self.requires if re.match(r"(nvidia|cuda)-", one)]
        return any("x86_64" not in one or machine == "x86_64" for one in asked)


class Choice(Enum):
    AS_IT_COMES = "the installer chooses"
    NAMED = "the build that the index has"
    FROM_PYTORCH = "the CPU build of PyTorch's own index"
    ASK = "a person is asked whether to fetch CUDA"
    STOP = "nothing is fetched, and the words say why"


def choice(usual: Build, of_pytorch: Build, machine: str, can_ask: bool) -> Choice:
    """What to do on a Linux machine without an NVIDIA device.

    usual: what the person's own indexes lead to. of_pytorch: what PyTorch's index adds, empty where it was not asked.
    """
    if not usual.brings_cuda(machine):
        return Choice.NAMED if "+" in usual.version else Choice.AS_IT_COMES
    if of_pytorch.address and not of_pytorch.brings_cuda(machine):
        return Choice.FROM_PYTORCH
    return Choice.ASK if can_ask else Choice.STOP


def wanted() -> str:
    """What the extra `train` says of torch."""
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    return next(str(one) for one in extras["train"] if re.match(r"torch\b", one))


def found(requirement: str, *options: str) -> Build:
    """The build that pip would take; empty when pip cannot tell."""
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed"]
    command = [*pip, "--only-binary", ":all:", "--report", "-", *options, requirement]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        one = json.loads(done.stdout)["install"][0]
        metadata, came = one["metadata"], one["download_info"]
        digest = came.get("archive_info", {}).get("hashes", {}).get("sha256", "")
        address = came["url"] + (f"#sha256={digest}" if digest else "")
        return Build(metadata["version"], tuple(metadata.get("requires_dist", [])), address)
    except (ValueError, LookupError):
        return Build()


def chose_an_index() -> bool:
    """Whether the person told pip where to look: a company's mirror is not gone round."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    told = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
    return re.search(r"\.(index-url|no-index)=", told) is not None


def agreed() -> bool:
    """Whether the person at the terminal wants the 3 GB."""
    print("Fetch the CUDA build now? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def main(asks: bool) -> int:
    chosen = os.environ.get("AUTORESEARCH_TORCH") == "cuda"
    if platform.system() != "Linux" or chosen or any(path.exists() for path in NVIDIA):
        return 0
    machine, usual, of_pytorch = platform.machine(), found(wanted()), Build()
    if usual.brings_cuda(machine) and not chose_an_index():
        of_pytorch = found(wanted(), "--extra-index-url", CPU_INDEX, "--timeout", "15", "--retries", "1")
    what = choice(usual, of_pytorch, machine, asks and sys.stdin.isatty())
    if what is Choice.NAMED:
        print(f"torch=={usual.version}")
    elif what is Choice.FROM_PYTORCH:
        print(f"torch@{of_pytorch.address}")
        print(f"No NVIDIA device here: PyTorch {of_pytorch.version} comes from {CPU_INDEX}.", file=sys.stderr)
    elif what is not Choice.AS_IT_COMES:
        command = f"make distclean && {CPU_FIRST} make setup" if asks else f"{CPU_FIRST} in the client's environment"
        print(WORDS.format(command=command), file=sys.stderr, flush=True)
        return 0 if what is Choice.ASK and agreed() else CUDA_ALONE
    return 0


if __name__ == "__main__":
    sys.exit(main("--ask" in sys.argv[1:]))
