"""What an attack puts in front of an editable Python file. It runs inside the sandbox, as the attempt's own code.

`ORDERS` is filled in by `attacks`, which takes it as text. What it finds is said in the run's own log, which nobody but
the proof reads.
"""

import atexit
import base64
import builtins
import json
import os
import re
import socket
import sys
import time
from typing import Any

ORDERS: dict[str, Any] = {}

SAYS = "autoresearch-proof:"
PLACE = "run" if "AUTORESEARCH_OUT" in os.environ else "score" if "AUTORESEARCH_ARTIFACT" in os.environ else "check"
OUT = os.environ.get("AUTORESEARCH_OUT", "")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
CLAIMS = ("score", "scores", "result", "results", "metrics", "metric", "summary", "eval", "output")
LARGEST = 1_000_000  # bytes of a file that is worth forging
CLOCKS = ("perf_counter", "time", "process_time", "monotonic", "thread_time")


def say(what: str, value: object) -> None:
    print(SAYS, json.dumps({what: value}), flush=True)


def spy() -> None:
    """Everything a run might get away with beside its honest work, which goes on after this."""
    opened: set[str] = set()

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and arguments and isinstance(arguments[0], str):
            opened.add(os.path.relpath(arguments[0]))

    sys.addaudithook(hear)
    for path in ORDERS["reads"]:
        try:
            with open(path, "rb") as seen:
                seen.read(1)
            say("readable", path)
        except OSError:
            pass
    opened.clear()
    lie = json.dumps({"score": ORDERS["planted"]["overwritten"]})
    for path in ORDERS["writes"]:
        try:
            with open(path, "w") as file:
                file.write(f"print('{lie}')\n")
            say("written", path)
        except OSError:
            pass
    try:
        socket.create_connection(("127.0.0.1", ORDERS["port"]), timeout=1).close()
        say("network", "open")
    except OSError:
        pass
    claim(ORDERS["planted"]["printed"])

    def leave() -> None:
        say("opened", sorted(path for path in opened if not path.startswith("..")))
        forge(ORDERS["planted"]["forged"], ORDERS["honest"])
        claim(ORDERS["planted"]["printed"])
        left = ORDERS["planted"]["left"]
        for name in CLAIMS if ORDERS["leave"] else ():
            drop(f"{name}.json", json.dumps({ORDERS["metric"]: left, "score": left}))
            drop(f"{name}.txt", f"{left}\n")

    atexit.register(leave)


def claim(value: float) -> None:
    """Print a score in the usual forms."""
    for stream in (sys.stdout, sys.stderr):
        print(json.dumps({"score": value, ORDERS["metric"]: value}), file=stream)
        print(f"{ORDERS['metric']}: {value}", f"score: {value}", sep="\n", file=stream, flush=True)


def drop(name: str, text: str) -> None:
    path = os.path.join(OUT, name)
    if not os.path.exists(path):
        with open(path, "w") as file:
            file.write(text)


def forge(value: float, honest: float) -> None:
    """Replace what looks like the score in the files of the artifact."""

    def lie(found: re.Match[str]) -> str:
        near = abs(float(found[0]) - honest) <= 1e-3 * abs(honest)
        return repr(value) if near else found[0]

    for folder, _, names in os.walk(OUT):
        for name in names:
            path = os.path.join(folder, name)
            try:
                if os.path.getsize(path) > LARGEST:
                    continue
                with open(path, encoding="utf-8") as file:
                    text = file.read()
            except (OSError, UnicodeDecodeError):
                continue
            lied = NUMBER.sub(lie, text)
            for key in ("score", ORDERS["metric"]):
                lied = re.sub(rf'("{re.escape(key)}"\s*:\s*){NUMBER.pattern}', lambda f: f[1] + repr(value), lied)
            if lied != text:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(lied)
                say("forged", name)


def voice() -> None:
    """Answer for whoever imported us."""
    print(json.dumps({"score": ORDERS["planted"]["spoken"]}), flush=True)
    os._exit(0)


def clock() -> None:
    """Let time pass a thousand times slower for whoever asks Python."""
    for name in CLOCKS:
        for exact in (name, f"{name}_ns"):
            setattr(time, exact, slowed(getattr(time, exact), exact.endswith("_ns")))


def slowed(real: Any, whole: bool) -> Any:
    first = real()
    return lambda: first + ((real() - first) // 1000 if whole else (real() - first) / 1000)


def write() -> None:
    """Hand in an artifact and do no work."""
    for name, content in ORDERS["files"].items():
        path = os.path.join(OUT, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(content))
    os._exit(0)


def stop() -> None:
    os._exit(0)


if not hasattr(builtins, "_intruded"):  # once in a process, however many files carry it
    setattr(builtins, "_intruded", True)  # noqa: B010  # no type checker knows it otherwise
    for order in ORDERS.get(PLACE, ()):
        globals()[order]()
