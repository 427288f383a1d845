"""Starts a module of autoresearch from a checkout or an installed plugin, in an environment of its own.

The environment is, in this order: the interpreter named by AUTORESEARCH_PYTHON; `.venv` beside this checkout, once
`make setup` has finished; else one in the user's data folder, made at first use: one for each version of the plugin,
so that the server, the shell and every client share it. Nothing is ever written into the plugin's own folder. Making it
goes on in a process of its own: a client that loses patience kills this one only, and its next start finds it ready.

Needs nothing but the standard library. Messages go to stderr: stdout belongs to the protocol.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from installation import Installation, refused
from waiting_room import stay

ROOT = Path(__file__).resolve().parent.parent
PACKAGED = ("pyproject.toml", "hatch_build.py", "program.md", "prepare.py", "train.py")
PACKAGED_FOLDERS = ("mcp_server", "skills/autoresearch/styles", "arenas")
SERVER = "mcp_server"
OLD_AFTER_SECONDS = 30 * 24 * 3600.0
NOT_READY = 75  # EX_TEMPFAIL: with AUTORESEARCH_INSTALL=never and no environment


def say(words: str) -> None:
    print(f"autoresearch: {words}", file=sys.stderr, flush=True)


def data_folder(wanted: str) -> Path:
    """Where the environment of this version lies: in the user's data folder, which server and shell agree on.

    Only where that cannot be written, in what the client gives the plugin: a shell does not know that place.
    """
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    folder = home / "autoresearch" / wanted[:12]
    given = os.environ.get("CLAUDE_PLUGIN_DATA") or os.environ.get("PLUGIN_DATA")
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return Path(given) / wanted[:12] if given and not os.access(there, os.W_OK) else folder


def fingerprint() -> str:
    """Changes when anything that would be installed changed."""
    files = [ROOT / name for name in PACKAGED]
    for folder in PACKAGED_FOLDERS:
        files += (path for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts)
    digest = hashlib.sha256(f"{sys.version_info[:2]}{os.environ.get('AUTORESEARCH_EXTRAS', '')}".encode())
    for path in sorted(path for path in files if path.is_file()):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def run(command: list[str]) -> int:
    """Exit code of one step; what it says joins stderr."""
    # who has pip install into the home by default, as Debian's users do, cannot install into an environment
    given = {**os.environ, "PYTHON": sys.executable, "PIP_USER": "0"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=given, check=False)
    if done.returncode:
        say(f"{' '.join(command)} failed with exit code {done.returncode}; see above.")
    return done.returncode


def make(data: Path, wanted: str) -> int:
    """Make the environment; one process at a time, the others wait and find it done."""
    with (data / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed(data) == wanted:
            return 0
        environment = data / "venv"
        (data / "installed").unlink(missing_ok=True)
        extras = os.environ.get("AUTORESEARCH_EXTRAS", "")
        target = f"{ROOT}[{extras}]" if extras else str(ROOT)
        python = str(environment / "bin" / "python")
        if run([str(ROOT / "scripts" / "make_venv.sh"), str(environment)]):
            return 1
        builds = [target]
        if "train" in extras.split(","):
            ask = [python, "-B", str(ROOT / "scripts" / "torch_build.py")]
            torch = subprocess.run(ask, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
            if torch.returncode:
                return torch.returncode
            builds += torch.stdout.split()
        # uv takes seconds where pip takes a minute; it has settings of its own, so pip has the last word
        uv = shutil.which("uv")
        quick = uv is not None and not run([uv, "pip", "install", "--quiet", "--upgrade", "--python", python, *builds])
        if not quick and run([python, "-m", "pip", "install", "--upgrade", "--progress-bar", "off", *builds]):
            return 1
        if "train" in extras.split(","):
            # uv leaves compiling to whoever imports first, and no run may write: each would compile torch anew, which
            # takes twice as long as importing it
            run([python, "-P", "-c", "import mcp_server.scoring.host, tiktoken"])
        (data / "installed.new").write_text(wanted)
        (data / "installed.new").replace(data / "installed")
    forget_old(data)
    return 0


def forget_old(data: Path) -> None:
    """Remove environments of versions that nobody started for a month."""
    for other in data.parent.iterdir():
        marker = other / "installed"
        if other != data and marker.exists() and time.time() - marker.stat().st_mtime > OLD_AFTER_SECONDS:
            shutil.rmtree(other, ignore_errors=True)


def installed(data: Path) -> str:
    """The fingerprint of what the environment holds; empty while there is none."""
    try:
        return (data / "installed").read_text()
    except OSError:
        return ""


def environment() -> tuple[Path, str]:
    """(the interpreter to run with, the fingerprint it has yet to be brought to); the latter empty when it is ready."""
    own = os.environ.get("AUTORESEARCH_PYTHON")
    if own:
        return Path(own), ""
    checkout = ROOT / ".venv"
    if (checkout / ".installed").exists():
        return checkout / "bin" / "python", ""
    wanted = fingerprint()
    data = data_folder(wanted)
    ready = installed(data) == wanted
    if ready:
        with contextlib.suppress(OSError):
            os.utime(data / "installed")  # in use: not to be forgotten
    return data / "venv" / "bin" / "python", "" if ready else wanted


def begin_making(wanted: str) -> Installation:
    """Start to make the environment, in a session of its own: clients kill the whole group of a slow server."""
    data = data_folder(wanted)
    data.mkdir(parents=True, exist_ok=True)
    say(f"installing into {data / 'venv'}; this happens once and takes a minute or so.")
    log = data / "install.log"
    command = [sys.executable, "-E", "-s", "-B", __file__, "--make"]
    with log.open("wb") as words:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, start_new_session=True
        )
    return Installation(process, log)


def version() -> str:
    text = (ROOT / "mcp_server" / "__init__.py").read_text()
    return text.split('__version__ = "')[1].split('"')[0]


def main() -> None:
    """`launch.py MODULE [ARGUMENTS]` becomes that module; `launch.py --make` makes the environment."""
    if sys.argv[1] == "--make":
        wanted = fingerprint()
        sys.exit(make(data_folder(wanted), wanted))
    python, missing = environment()
    # -P: the folder we stand in is the user's, and what lies there is not ours to import
    command = [str(python), "-P", "-m", *sys.argv[1:]]
    if missing:
        if os.environ.get("AUTORESEARCH_INSTALL") == "never":
            sys.exit(NOT_READY)
        if sys.argv[1] == SERVER:
            sys.exit(stay(lambda: begin_making(missing), command, version()))
        try:
            making = begin_making(missing)
        except OSError as error:
            sys.exit(refused(error))
        if making.process.wait():
            say(making.why())
            sys.exit(making.process.returncode)
    os.execv(python, command)


if __name__ == "__main__":
    main()
