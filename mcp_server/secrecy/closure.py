"""Which modules of the standard library a run may need: found by importing what trainers import, and reading on.

A trainer's usual modules are imported in a process of the interpreter that runs use. Whatever they loaded is needed; so
is every module that a loaded file could import later (an import statement anywhere in it), and what those import at
once. Whole top-level modules are counted, for a package is of no use in parts, and names that begin with an underscore
are always needed: the interpreter itself imports some of them, with no import statement to be seen.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mcp_server.nouns.errors import CorpusError

SECONDS = 300.0  # importing torch and its compiler from a cold disk
PACKAGES = (
    *("torch", "torch.utils.data", "torch._dynamo", "torch._inductor", "numpy", "safetensors.torch", "tiktoken"),
    *("platformdirs", "rustbpe", "pydantic", "rich", "pyarrow.parquet", "sklearn", "pandas", "scipy", "setuptools"),
    *("mcp_server.runner.run", "mcp_server.scoring.host", "mcp_server.scoring.lm"),
)
USUAL = (
    *("argparse", "asyncio", "bisect", "cProfile", "concurrent.futures", "configparser", "csv", "ctypes", "curses"),
    *("curses.panel", "dbm.dumb", "decimal", "difflib", "doctest", "email", "filecmp", "fileinput", "fractions"),
    *("getopt", "graphlib", "html.parser", "http.client", "http.server", "importlib.resources", "json.tool"),
    *("logging.config", "logging.handlers", "multiprocessing.managers", "multiprocessing.shared_memory", "netrc"),
    *("optparse", "pdb", "pickle", "pickletools", "plistlib", "pstats", "queue", "random", "runpy", "sched"),
    *("shelve", "sqlite3", "ssl", "statistics", "symtable", "tarfile", "tempfile", "timeit", "tomllib", "tracemalloc"),
    *("unittest.mock", "urllib.request", "uuid", "wave", "xml.etree.ElementTree", "zipfile", "zoneinfo", "zipapp"),
)
ALWAYS = frozenset({"encodings", "site-packages", "dist-packages", "lib-dynload", "__pycache__", "sitecustomize"})

LOAD = """
import json, sys
for name in json.loads(sys.argv[1]):
    try:
        __import__(name)
    except BaseException:
        pass
files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
print("\\n" + json.dumps({name: file for name, file in files.items() if isinstance(file, str | None)}))
"""
_NAMES = rb"[\w.]+(?:[ \t]+as[ \t]+\w+)?"
_IMPORT = rb"(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+(%s(?:[ \t]*,[ \t]*%s)*))" % (_NAMES, _NAMES)
_ANYWHERE, _AT_ONCE = re.compile(rb"^[ \t]*" + _IMPORT, re.M), re.compile(rb"^" + _IMPORT, re.M)


def needed(library: Path, *scripts: Path, python: str = sys.executable) -> frozenset[str]:
    """Top-level names of `library` that a run may need; `scripts` are files that it imports too. Raises CorpusError."""
    command = [python, "-c", LOAD, json.dumps([*PACKAGES, *USUAL])]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, stdin=subprocess.DEVNULL)
        loaded: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        raise CorpusError(
            f"It cannot be found out which modules a run needs ({type(error).__name__}). "
            f"Run `{python} -c 'import torch'` and mend what it says."
        ) from None
    files = modules(library)
    found = {name.partition(".")[0] for name in loaded} & set(files)
    readers = [Path(file) for file in loaded.values() if file and file.endswith(".py")]
    for reader in (*readers, *scripts):
        found |= set(imported(reader, _ANYWHERE)) & set(files)
    todo = list(found)
    while todo:
        more = {name for file in files[todo.pop()] for name in imported(file, _AT_ONCE)} & set(files) - found
        found |= more
        todo += more
    return frozenset(found | ALWAYS)


def may_go(name: str, needed_names: frozenset[str]) -> bool:
    """Whether a run can do without an entry of a library folder: a module, a package, a compiled module."""
    return not name.startswith("_") and name.partition(".")[0] not in needed_names


def modules(library: Path) -> dict[str, list[Path]]:
    """The source files of each top-level module or package, without those of its tests."""
    found: dict[str, list[Path]] = {}
    for entry in library.iterdir():
        if entry.name not in ALWAYS and entry.name != "test":
            if entry.is_dir():
                inside = [file for file in entry.rglob("*.py") if not {"test", "tests"} & set(file.parts)]
                found[entry.name] = inside
            elif entry.suffix == ".py":
                found[entry.stem] = [entry]
    return found


def imported(file: Path, pattern: re.Pattern[bytes]) -> Iterator[str]:
    """Top-level names that a file's import statements name; nothing where it cannot be read."""
    try:
        text = file.read_bytes()
    except OSError:
        return
    for whole, several in pattern.findall(text):
        for name in whole.split(b",") if whole else several.split(b","):
            yield name.split()[0].partition(b".")[0].decode("ascii", "replace")
