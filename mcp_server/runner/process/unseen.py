"""What a failed command did not find or may not do, read from the end of its log, with what mends it. For people.

A run sees the commit, its environment and what the arena lets in; no network, no home, no card it was not given. Each
is told in the words in which programs complain of it. A lying log gains nothing: a crash stays a crash. What a log
names may be anything, a folder that we may not enter or a name that no disk has: `os.path` calls that absent, where
`Path.exists` raises.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from mcp_server.nouns.records import RunSpec
from mcp_server.programs.lacks import needs_cuda
from mcp_server.runner.process.logs import clean
from mcp_server.runner.sandbox.confinement import PRIVATE_HOME

TAIL_CHARACTERS = 20_000
NO_FILE = re.compile(
    r"(?:No such file or directory|Permission denied|does not exist|cannot open file|can't open file|[Uu]nable to open)"
    r"[^'\"\n]{0,80}['\"](?P<after>[^'\"\n]{1,400})['\"]"
    r"|can't open file ['\"](?P<before>[^'\"\n]{1,400})['\"]"
    r"|(?P<bare>[\w./~-]{1,400}): No such file or directory"
)
NOT_WRITABLE = re.compile(
    r"(?:Read-only file system|Permission denied)[^'\"\n]{0,40}['\"](?P<path>[^'\"\n]{1,400})['\"]"
)
NO_MODULE = re.compile(r"No module named ['\"]?(?P<name>[\w.]+)")
NOT_STARTED = re.compile(
    r"bwrap: execvp (?P<name>[^\n:]{1,400}): (?P<why>[^\n]{1,80})"
    r"|sandbox: \[Errno \d+\] (?P<why2>[^\n:]{1,80}): '(?P<name2>[^'\n]{1,400})'"
)
NO_CARD = re.compile(
    r"no NVIDIA driver|not compiled with CUDA|No CUDA GPUs are available|CUDA driver version is insufficient"
    r"|no CUDA-capable device|HIP GPUs are available|CUDA is not available|cuda.{0,20}not available"
    r"|requires a (?:CUDA )?GPU",
    re.IGNORECASE,
)
NO_METAL = re.compile(r"No module named ['\"]?mlx|libmlx|MLX.{0,40}(?:not supported|requires)|Metal is not available")
NO_NETWORK = re.compile(
    r"name resolution|Network is unreachable|getaddrinfo|Max retries exceeded|NewConnectionError|ConnectError"
    r"|LocalEntryNotFound|OfflineModeIsEnabled|Connection refused|couldn't connect to|urlopen error"
    r"|Could not resolve host|network was disabled|offline",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Hint:
    """A reason code, or "" to keep the one there is; and two sentences."""

    reason: str
    said: str


def hint(log: str, spec: RunSpec, seen: Path, work: Path, card: bool) -> Hint | None:
    """What the end of a failed command's log points at, and what this machine lacks besides; None if it is nothing.

    `card`: it had one. `seen`: the name under which the command saw its folder, `work`.
    """
    found = _hint(log, spec, seen, work, card)
    besides = [] if found is None else _besides(spec, work, card, found.said)
    return found if found is None or not besides else Hint(found.reason, f"{found.said} {' '.join(besides)}")


def _besides(spec: RunSpec, work: Path, card: bool, said: str) -> list[str]:
    """What the same run would fail on next."""
    lacking = []
    texts = [(work / name).read_text("utf-8", errors="replace") for name in spec.editable if (work / name).is_file()]
    text = "\n".join(texts)
    if not card and "GPU" not in said and needs_cuda(text):
        lacking.append("an NVIDIA GPU, which the code asks for")
    lacking += [f"{path}, which `readable` names" for path in spec.absent if path not in said]
    return [f"It lacks besides: {'; '.join(lacking)}."] if lacking else []


def _hint(log: str, spec: RunSpec, seen: Path, work: Path, card: bool) -> Hint | None:
    tail = log[-TAIL_CHARACTERS:].replace(f"{seen}/", "")
    found = _last(NOT_STARTED, tail)
    if found is not None:
        return _not_started(found["name"] or found["name2"], found["why"] or found["why2"], spec)
    if _last(NO_METAL, tail) is not None:
        return Hint(
            "", "This machine has no Apple GPU with MLX, which the code asks for. Run it on a Mac with its packages."
        )
    if _last(NO_CARD, tail) is not None:
        return Hint("", _card(spec, card))
    module = _last(NO_MODULE, tail)
    if module is not None:
        return _module(module["name"], spec, work)
    network = _last(NO_NETWORK, tail)
    for match in reversed(list(NO_FILE.finditer(tail))):
        path = match["after"] or match["before"] or match["bare"]
        told = _file(path, spec, work)
        if told is not None:
            return told
    written = _last(NOT_WRITABLE, tail)
    if written is not None:
        return Hint(
            "",
            f"A run may write into $AUTORESEARCH_OUT and its own HOME and TMPDIR only; {clean(written['path'])!r} is "
            "in none of them. Write it to os.environ['AUTORESEARCH_OUT'].",
        )
    if network is not None:
        return Hint(
            "",
            "A run has no network. Download what it needs beforehand and let the folder in, for example with "
            "readable: [~/.cache/huggingface]",
        )
    return None


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for match in pattern.finditer(text):
        found = match
    return found


def _whose(spec: RunSpec) -> str:
    return spec.environment.words() if spec.environment is not None else "the server's Python"


def _not_started(name: str, why: str, spec: RunSpec) -> Hint:
    place = Path(name)
    known = (place.is_absolute() or spec.tree is not None) and os.path.exists((spec.tree or place) / name)
    mend = (
        f"It lies on this machine, where a run cannot see it: let it in with readable: [{name}], or commit it."
        if known
        else "Correct `run`, or install it; `autoresearch doctor` looks again."
    )
    return Hint("no_program", f"The program {clean(name)!r} could not be started: {clean(why)}. {mend}")


def _card(spec: RunSpec, card: bool) -> str:
    devices = ", ".join(spec.devices)
    if not card and os.path.exists("/dev/nvidia0"):
        return f"The code asks for a GPU and this run was given {devices}. Set devices: auto, or cuda:0, in program.md."
    if card:
        return f"The code asks for a GPU, and the torch of {_whose(spec)} cannot use this one. Install a CUDA build."
    return (
        "This machine lacks a GPU that the code can use, and it asks for one. Run it on a machine with one, or change "
        "the code so that it takes the CPU."
    )


def _module(name: str, spec: RunSpec, work: Path) -> Hint:
    top = name.partition(".")[0]
    for place in (f"{top}.py", top):
        if spec.tree is not None and os.path.exists(spec.tree / place) and not os.path.exists(work / place):
            return Hint(
                "not_shown",
                f"{place} is in the work tree but not in the commit that runs are made from. Commit it "
                f"(git add {place}), then begin another campaign.",
            )
    where = _whose(spec)
    wanted = spec.tree is not None and (spec.tree / "pyproject.toml").is_file()
    own = spec.environment is not None and spec.environment.prefix is not None
    mend = (
        "Make the repository's environment with `uv sync`, then begin another campaign, which will use it."
        if wanted and not own
        else "Install it there."
    )
    return Hint("", f"This machine lacks the package {top!r} in {where}, which runs this arena. {mend}")


def _file(path: str, spec: RunSpec, work: Path) -> Hint | None:
    """What is known of a file that a run asked for and did not get."""
    place = Path(path)
    for home in (Path(PRIVATE_HOME), work.parent / "scratch", work.parent / "scorer"):
        if place.is_relative_to(home):
            return _in_home(place.relative_to(home))
    if not place.is_absolute():
        return _in_tree(place, spec, work)
    if spec.tree is not None and place.is_relative_to(spec.tree):
        return _in_tree(place.relative_to(spec.tree), spec, work)
    if os.path.exists(place) and not any(place.is_relative_to(one) for one in ("/proc", "/sys", "/dev")):
        key = place if os.path.isdir(place) or place.parent == _home() else place.parent
        return Hint(
            "not_shown",
            f"{clean(str(place))} lies on this machine, outside of what a run may read. Let it in with "
            f"readable: [{clean(str(key))}]",
        )
    return None


def _home() -> Path:
    """The user's, or "~" where the system knows of none."""
    return Path(os.path.expanduser("~"))


def _in_home(inside: Path) -> Hint | None:
    real = _home() / inside
    if inside == Path("."):
        return None
    if not os.path.exists(real):
        return Hint(
            "not_shown",
            f"This machine lacks ~/{clean(str(inside))}, where the code looks for its data or models. Make it, as "
            "the repository says (in the reference project: `uv run prepare.py`), and let it in with readable.",
        )
    key = inside if os.path.isdir(real) or len(inside.parts) == 1 else inside.parent
    return Hint(
        "not_shown",
        f"~/{clean(str(inside))} lies in your home, and a run has an empty one of its own. Let it in with "
        f"readable: [~/{clean(str(key))}]",
    )


def _in_tree(inside: Path, spec: RunSpec, work: Path) -> Hint | None:
    if spec.tree is None or ".." in inside.parts or os.path.exists(work / inside):
        return None
    if not os.path.exists(spec.tree / inside):
        return None
    top = next(
        (Path(*inside.parts[:depth]) for depth in range(1, len(inside.parts) + 1)
         if not os.path.exists(work / Path(*inside.parts[:depth]))),
        inside,
    )  # fmt: skip
    return Hint(
        "not_shown",
        f"{clean(str(inside))} is in the work tree but not in the commit that runs are made from. Let it in with "
        f"readable: [{clean(str(top))}], or commit it.",
    )
