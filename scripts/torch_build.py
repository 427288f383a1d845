"""Which build of PyTorch an installation would fetch here, asked of the index before gigabytes are.

    PYTHON scripts/torch_build.py         prints a requirement for pip ("torch==2.13.0+cpu"), or nothing; 3: CUDA alone
    PYTHON scripts/torch_build.py --ask   asks the person instead, and goes on where nobody can be asked

On Linux, PyPI's torch requires CUDA libraries, about 3 GB, on every machine; PyPI has no CPU build for x86-64.
A version with "+cpu" comes from another index; at equal versions pip prefers it once it is told of one. Only metadata
is read. Standard library only, and the pip of the interpreter that runs this.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
CUDA_ALONE = 3
NVIDIA = (Path("/dev/nvidiactl"), Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))
WORDS = """\
No NVIDIA device here, and the index has PyTorch only with its CUDA libraries, about 3 GB: PyPI has no CPU build.
The CPU build is a tenth of it, from PyTorch's own index:
    {command}
To fetch the 3 GB all the same, set AUTORESEARCH_TORCH=cuda."""
CPU_INDEX = "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu"


def brings_cuda(required: Sequence[str], machine: str) -> bool:
    """Whether these requirements of a torch build ask for CUDA libraries on a Linux machine of this architecture."""
    asked = [one for one in required if re.match(r"(nvidia|cuda)-", one)]
    return any("x86_64" not in one or machine == "x86_64" for one in asked)


def wanted() -> str:
    """What the extra `train` says of torch."""
    extras = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    return next(str(one) for one in extras["train"] if re.match(r"torch\b", one))


def found(requirement: str) -> tuple[str, list[str]]:
    """(version, requirements) of the build that pip would take; two empty values when pip cannot tell."""
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed"]
    command = [*pip, "--only-binary", ":all:", "--report", "-", requirement]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        metadata = json.loads(done.stdout)["install"][0]["metadata"]
    except (ValueError, LookupError):
        return "", []
    return metadata["version"], metadata.get("requires_dist", [])


def agreed() -> bool:
    """Whether the person wants the 3 GB. Where nobody can be asked the installation that was asked for goes on."""
    if not sys.stdin.isatty():
        return True
    print("Fetch the CUDA build now? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def main(asks: bool) -> int:
    chosen = os.environ.get("AUTORESEARCH_TORCH") == "cuda"
    if platform.system() != "Linux" or chosen or any(path.exists() for path in NVIDIA):
        return 0
    version, required = found(wanted())
    if not brings_cuda(required, platform.machine()):
        print(f"torch=={version}" if "+" in version else "")
        return 0
    command = f"make distclean && {CPU_INDEX} make setup" if asks else f"{CPU_INDEX} in the client's environment"
    print(WORDS.format(command=command), file=sys.stderr, flush=True)
    return 0 if asks and agreed() else CUDA_ALONE


if __name__ == "__main__":
    sys.exit(main("--ask" in sys.argv[1:]))
