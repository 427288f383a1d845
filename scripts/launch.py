"""Starts a module of autoresearch from a checkout or an installed plugin, in an environment of its own.

The environment is, in this order: the interpreter named by AUTORESEARCH_PYTHON; `.venv` beside this checkout, once
`make setup` has finished; else one in the plugin's data folder (or the user's), made at first use and brought up to
date when the plugin changed. Nothing is ever written into the plugin's own folder. Making it goes on in a process of
its own: a client that loses patience kills this one only, and its next start finds the environment ready.

Needs nothing but the standard library. Messages go to stderr: stdout belongs to the protocol.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from waiting_room import stay

ROOT = Path(__file__).resolve().parent.parent
PACKAGED = ("pyproject.toml", "hatch_build.py", "program.md", "prepare.py", "train.py")
PACKAGED_FOLDERS = ("mcp_server", "skills/autoresearch/styles", "arenas")
SERVER = "mcp_server"
NOT_READY = 75  # EX_TEMPFAIL: with AUTORESEARCH_INSTALL=never and no environment


def say(words: str) -> None:
    print(f"autoresearch: {words}", file=sys.stderr, flush=True)


def data_folder() -> Path:
    """Where this plugin may keep things: what the client says, else the user's own place."""
    for variable in ("CLAUDE_PLUGIN_DATA", "PLUGIN_DATA"):
        if os.environ.get(variable):
            return Path(os.environ[variable])
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "autoresearch"


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
    python = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=python, check=False)
    if done.returncode:
        say(f"{' '.join(command)} failed with exit code {done.returncode}; see above.")
    return done.returncode


def make(data: Path, wanted: str) -> int:
    """Make or renew the environment; one process at a time, the others wait and find it done."""
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
        # uv takes seconds where pip takes a minute; it has settings of its own, so pip has the last word
        uv = shutil.which("uv")
        quick = uv is not None and not run([uv, "pip", "install", "--quiet", "--upgrade", "--python", python, target])
        if not quick and run([python, "-m", "pip", "install", "--quiet", "--upgrade", target]):
            return 1
        (data / "installed.new").write_text(wanted)
        (data / "installed.new").replace(data / "installed")
        return 0


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
    data, wanted = data_folder(), fingerprint()
    return data / "venv" / "bin" / "python", "" if installed(data) == wanted else wanted


def begin_making() -> subprocess.Popen[bytes]:
    """Start to make the environment, in a session of its own: clients kill the whole group of a slow server."""
    data_folder().mkdir(parents=True, exist_ok=True)
    say(f"installing into {data_folder() / 'venv'}; this happens once and takes a minute or so.")
    command = [sys.executable, "-E", "-s", "-B", __file__, "--make"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)


def version() -> str:
    text = (ROOT / "mcp_server" / "__init__.py").read_text()
    return text.split('__version__ = "')[1].split('"')[0]


def main() -> None:
    """`launch.py MODULE [ARGUMENTS]` becomes that module; `launch.py --make` makes the environment."""
    if sys.argv[1] == "--make":
        sys.exit(make(data_folder(), fingerprint()))
    python, missing = environment()
    # -P: the folder we stand in is the user's, and what lies there is not ours to import
    command = [str(python), "-P", "-m", *sys.argv[1:]]
    if missing:
        if os.environ.get("AUTORESEARCH_INSTALL") == "never":
            sys.exit(NOT_READY)
        maker = begin_making()
        if sys.argv[1] == SERVER:
            sys.exit(stay(maker, command, version()))
        if maker.wait():
            sys.exit(maker.returncode)
    os.execv(python, command)


if __name__ == "__main__":
    main()
