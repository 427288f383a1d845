"""Runs a score command's Python program and tells on stderr which files it opened and whether it started processes.

Copied next to the scorer in the throw-away lab: `python watcher.py score.py ARGUMENT` or `python watcher.py -m MODULE`.
"""

import atexit
import json
import os
import runpy
import sys

SAYS = "autoresearch-proof:"
STARTS = ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.fork", "os.system", "os.spawn")
opened: set[str] = set()
started: list[str] = []


def hear(event, arguments):  # type: ignore[no-untyped-def]  # the signature is Python's
    if event == "open" and arguments and isinstance(arguments[0], str):
        opened.add(os.path.abspath(arguments[0]))
    elif event in STARTS:
        started.append(event)


def leave() -> None:
    places = {"trusted": os.getcwd()}
    places |= {name.lower(): os.environ[f"AUTORESEARCH_{name}"] for name in ("SNAPSHOT", "ARTIFACT")}
    found = {
        place: sorted(os.path.relpath(path, folder) for path in opened if path.startswith(folder + os.sep))
        for place, folder in places.items()
    }
    print(SAYS, json.dumps({**found, "started": len(started)}), file=sys.stderr, flush=True)


if __name__ == "__main__":
    atexit.register(leave)
    program, sys.argv = sys.argv[1], sys.argv[1:]
    if program == "-m":
        sys.argv = sys.argv[1:]
        sys.path[0] = os.getcwd()
        sys.addaudithook(hear)
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(program))
        sys.addaudithook(hear)
        runpy.run_path(program, run_name="__main__")
