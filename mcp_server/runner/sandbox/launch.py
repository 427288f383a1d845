"""The command line of `confine`, the launcher that does inside a sandbox what can only be done there."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_server.runner.sandbox import calls, confine, sharedmemory
from mcp_server.runner.sandbox.confinement import Confinement

PACKAGE = Path(__file__).resolve().parents[2]


def program(module: str) -> str:
    """Python code that runs a module of ours inside, from the package's own folder.

    `-m` would search folders that hold the package, and those need not be readable inside; and a snapshot may hold a
    folder named mcp_server of its own. Garbage is collected from when the module's own code asks for it: imports leave
    none, and to look for it while torch is imported takes an eighth of the start.
    """
    return f"""
import gc, importlib.util, runpy, sys
gc.disable()
spec = importlib.util.spec_from_file_location("mcp_server", {str(PACKAGE / "__init__.py")!r})
sys.modules["mcp_server"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Files:
    """What Landlock leaves: readable whole, listable (something inside is hidden), writable."""

    read: Sequence[Path]
    listed: Sequence[Path]
    write: Sequence[Path]


def inside(
    argv: Sequence[str],
    confinement: Confinement,
    env: Mapping[str, str],
    *,
    uid: int | None,
    tasks: int | None,
    folders: Sequence[str] = (),
    parent: int | None = None,
    files: Files | None = None,
    walls: bool = True,
) -> list[str]:
    """The launcher's command line for `argv`.

    uid: to become; None stays who it is. tasks: processes and threads that the user inside may have in all.
    folders: root's own until now, to be written in by `uid`. parent: die
    with this process, where no namespace sees to that. files: Landlock's rules. walls: False for T0, which has none.
    """
    filtered = calls.program(walls_of_namespaces=files is None) if walls else b""
    order = {
        "cwd": str(confinement.cwd),
        # a user who is in no list of users needs a name all the same: torch's compiler asks for one
        "env": {"USER": "researcher", "LOGNAME": "researcher", **env},
        "files": None
        if files is None
        else {
            "read": [str(path) for path in files.read],
            "list": [str(path) for path in files.listed],
            "write": [str(path) for path in files.write],
        },
        "folders": list(folders),
        "filter": filtered,
        "parent": parent,
        "tasks": tasks,
        "uid": uid,
        "umask": sharedmemory.UMASK if confinement.shared_memory and parent is not None else None,
    }
    # -I -S: the launcher is ready in 10 ms and reads nothing of the user's site-packages
    return [sys.executable, "-I", "-S", confine.__file__, confine.packed(order), *argv]
