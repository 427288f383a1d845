"""What a repository holds that an arena could be made of: language, tests, measuring commands, numbers. Reads only."""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from mcp_server.arena.metrics import COMPARED, Better, better_by_name, plain_name
from mcp_server.nouns.numbers import is_number

LANGUAGES = {
    ".py": "Python",
    ".rs": "Rust",
    ".go": "Go",
    ".js": "JavaScript",
    ".mjs": "JavaScript",
    ".ts": "TypeScript",
    ".c": "C",
    ".cc": "C++",
    ".cpp": "C++",
    ".java": "Java",
    ".jl": "Julia",
    ".r": "R",
    ".rb": "Ruby",
    ".sh": "shell",
}
RUNS = {".py": "python", ".js": "node", ".mjs": "node", ".jl": "julia", ".rb": "ruby", ".r": "Rscript", ".sh": "bash"}
TRAINERS = ("train", "fit", "solve", "optimize", "optimise", "search", "main", "run")
MEASURES = (
    "benchmark",
    "benchmarks",
    "bench",
    "evaluate",
    "evaluation",
    "eval",
    "score",
    "measure",
    "validate",
    "backtest",
)
JUDGES = {"test", "tests", "spec", "specs", "bench", "benches", "benchmarks"}
ASIDE = JUDGES | {"docs", "doc", "examples", "node_modules", "vendor", "target", "build"}
COUNTS = re.compile(
    # nll and ndcg are no counts, n and n_params are
    r"^(step|epoch|seed|iter|num_|count|batch|index|time_?stamp|total_time|params|date|(n|id)([^a-z]|$))",
    re.I,
)
OUTPUTS = (".json", ".jsonl", ".csv", ".tsv")
FOLDERS_OF_OUTPUT = {"", "results", "result", "output", "outputs", "metrics", "out", "runs", "logs", "reports"}
MOST_FILES, MOST_BYTES = 5_000, 200_000
LARGE_BYTES = 50_000_000  # of a file that no commit should take unasked
PRINTS = (
    r"""print\(\s*f?["'](?:METRIC\s+)?([A-Za-z]\w*)\s*[:=]\s*\{""",
    r"""print\(\s*["']([A-Za-z]\w*)\s*[:=]?["']\s*,""",
    r"""console\.log\(\s*[`"']([A-Za-z]\w*)\s*[:=]""",
    r"""(?:printf|println!|Printf|puts|fmt\.Println)\w*\(?\s*["']([A-Za-z]\w*)\s*[:=]""",
    r"""["']([A-Za-z]\w*)["']\s*:\s*(?:float\(|round\()?[a-z]""",
)
# a name before a value in what a Python program prints or logs: "step {} | val loss: {}", "acc %.3f"
SPOKEN = re.compile(
    r"((?:\b(?:train|val|valid|validation|test|eval|dev)[ _-])?\b[A-Za-z][\w/.-]{0,39})[\"']?\s*[:=]?\s*"
    r"(?:%[-+ #0]*[\d.]*[defg]|\{[^{}]*\})",
    re.I,
)
SPEAKERS = ("print", "echo", "write", "log", "debug", "info", "warning")
ON_TRAINING = re.compile(r"^tr(ain(ing)?)?([ _/.-]|$)", re.I)
OF_TIME = re.compile(r"(^|[ _/.-])(time|elapsed|duration|runtime|latency|ms|us|ns|s|sec|secs|seconds?)$", re.I)


@dataclass(frozen=True)
class Number:
    """A number that the repository already makes: its name, and the file it is in; "" where it is printed."""

    name: str
    file: str = ""
    asked: Better | None = None  # which way is better, from somebody who knows

    @property
    def metric(self) -> str:
        """The name as an arena may have it: begun with a letter, without spaces."""
        return re.sub(r"^[^A-Za-z]+", "", re.sub(r"[^\w./%-]+", "_", self.name).strip("_."))[:40] or "score"

    @property
    def direction(self) -> Better:
        return self.asked or better_by_name(self.name) or ("maximize" if _is_score(self.name) else "minimize")

    @property
    def why(self) -> str:
        """Where the direction is known from."""
        if self.asked:
            return "as asked"
        return "by its name" if better_by_name(self.name) else "a guess: --direction says otherwise"

    @property
    def telling(self) -> bool:
        """Whether the name says that it counts: which way is better, and not what was set, compared with or counted."""
        known = better_by_name(self.name) is not None or _is_score(self.name)
        return known and not COUNTS.match(self.name) and not COMPARED.search(plain_name(self.name))

    @property
    def aside(self) -> tuple[bool, bool]:
        """Whether it is rather told beside the one that counts: of the training's own data, or of its time."""
        return bool(ON_TRAINING.match(self.name)), bool(OF_TIME.search(self.name))


def _is_score(name: str) -> bool:
    return "score" in plain_name(name).split("_")


@dataclass(frozen=True)
class Seen:
    """What is there. Paths are relative to the tree; commands are for a shell."""

    language: str
    tests: str  # the command
    test_paths: tuple[str, ...]
    trainers: tuple[str, ...]  # files that make something
    measures: tuple[str, ...]  # files that measure it
    commands: tuple[str, ...]  # targets and scripts whose names say that they measure
    numbers: tuple[Number, ...]
    sources: tuple[str, ...]  # folders and files of the main language, the fullest first


def look(tree: Path, tracked: Sequence[str], run: str = "") -> Seen:
    """What a repository holds. tracked: what git knows, or what there is where git knows nothing.

    run: the command whose scripts print the number, where somebody knows it.
    """
    files = [name for name in tracked if not name.startswith(".")][:MOST_FILES]
    counted = Counter(PurePosixPath(one).suffix.lower() for one in files if not _aside(one))
    counted = Counter({suffix: count for suffix, count in counted.items() if suffix in LANGUAGES})
    suffix = counted.most_common(1)[0][0] if counted else ""
    trainers, measures = _scripts(files, TRAINERS), _scripts(files, MEASURES)
    commands = tuple(dict.fromkeys(_named_commands(tree, files)))
    named = paths_in(run)
    speaking = tuple(one for one in files if one in named) or (*measures, *trainers)
    return Seen(
        language=LANGUAGES.get(suffix, ""),
        tests=_tests(tree, files),
        test_paths=tuple(sorted({one for name in files if (one := _test_path(name))})),
        trainers=trainers,
        measures=measures,
        commands=commands,
        numbers=tuple(dict.fromkeys([*_numbers(tree, speaking), *_outputs(tree)])),
        sources=_sources(files, suffix),
    )


def lying(tree: Path) -> tuple[list[str], list[str]]:
    """(The files of a folder that git knows nothing of yet, as patterns what of it no commit should take.)

    The latter are other people's packages, what Python compiled, and large files. Hidden files are in neither.
    """
    files, others, large = [], set[str](), dict[str, list[str]]()
    for place, folders, names in os.walk(tree):
        inside = Path(place).relative_to(tree)
        packages = [one for one in folders if is_others(Path(place, one))]
        others |= {"__pycache__/" if one == "__pycache__" else f"/{(inside / one).as_posix()}/" for one in packages}
        folders[:] = sorted(one for one in folders if one not in packages and not one.startswith("."))
        for name in sorted(one for one in names if not one.startswith(".")):
            path = inside / name
            files.append(path.as_posix())
            if _size(tree / path) > LARGE_BYTES:
                alike = path.with_name(f"*{path.suffix}") if path.suffix else path
                large.setdefault(f"/{alike.as_posix()}", []).append(f"/{path.as_posix()}")
    patterns = [them[0] if len(them) == 1 else alike for alike, them in large.items()]
    return files, sorted(others) + sorted(patterns)


def is_others(folder: Path) -> bool:
    """Whether a folder holds what an installer or Python put there: an environment, packages, compiled code."""
    known = folder.name in ("node_modules", "__pycache__")
    return known or (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta").is_dir()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _aside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(ASIDE & set(parts[:-1])) or _is_test(parts[-1])


def _is_test(name: str) -> bool:
    return bool(re.match(r"(test_.*|.*_test|.*\.(test|spec)|conftest)\.\w+$", name))


def _test_path(name: str) -> str:
    """The folder of tests or benchmarks that a file lies in, or the file."""
    parts = PurePosixPath(name).parts
    at = next((place for place, part in enumerate(parts[:-1]) if part in JUDGES), None)
    if at is not None:
        return "/".join(parts[: at + 1]) + "/"
    return name if _is_test(parts[-1]) else ""


def _scripts(files: Sequence[str], stems: Sequence[str]) -> tuple[str, ...]:
    """Files near the top whose names say what they do, in the order of the names."""
    near = [PurePosixPath(one) for one in files if one.count("/") <= 1 and not _aside(one)]
    ranked = [
        (stems.index(path.stem.lower()), str(path).count("/"), str(path))
        for path in near
        if path.suffix.lower() in RUNS and path.stem.lower() in stems
    ]
    return tuple(name for _, _, name in sorted(ranked))


def _tests(tree: Path, files: Sequence[str]) -> str:
    has = set(files)
    if "package.json" in has and "test" in _package_scripts(tree):
        return "npm test --silent"
    if "Cargo.toml" in has:
        return "cargo test --quiet --offline"
    if "go.mod" in has:
        return "go test ./..."
    own = [name for name in files if name.endswith(".py") and _test_path(name)]
    if own:
        texts = "\n".join(_text(tree / name) for name in own[:20])
        settings = _text(tree / "pyproject.toml") + _text(tree / "setup.cfg") + _text(tree / "tox.ini")
        if (
            "pytest" in texts + settings
            or "pytest.ini" in has
            or not re.search(r"import unittest|from unittest", texts)
        ):
            return "python -m pytest -q"
        folder = next((one.rstrip("/") for name in own if (one := _test_path(name)).endswith("/")), ".")
        return f"python -m unittest discover -q -s {folder}"
    if "test" in _targets(tree):
        return "make test"
    return "make check" if "check" in _targets(tree) else ""


def _named_commands(tree: Path, files: Sequence[str]) -> Iterator[str]:
    wanted = (*MEASURES, *TRAINERS[:6])
    yield from (f"make {one}" for one in _targets(tree) if one in wanted)
    if "package.json" in files:
        yield from (f"npm run --silent {one}" for one in _package_scripts(tree) if one in wanted)
    if "Cargo.toml" in files and any(name.startswith("benches/") for name in files):
        yield "cargo bench --offline"
    if any(name.endswith("_test.go") and "func Benchmark" in _text(tree / name) for name in files):
        yield "go test -run '^$' -bench . ./..."


def _targets(tree: Path) -> list[str]:
    return re.findall(r"^([A-Za-z][\w-]*)\s*:(?!=)", _text(tree / "Makefile"), re.MULTILINE)


def _package_scripts(tree: Path) -> list[str]:
    try:
        found = json.loads(_text(tree / "package.json")).get("scripts", {})
    except (ValueError, AttributeError):
        return []
    return [str(name) for name in found] if isinstance(found, dict) else []


def _numbers(tree: Path, scripts: Sequence[str]) -> Iterator[Number]:
    """What the scripts print."""
    for script in scripts:
        text = _text(tree / script)
        names = [name for pattern in PRINTS for name in re.findall(pattern, text)] + list(_spoken(text))
        yield from (Number(name) for name in dict.fromkeys(names))


def _spoken(source: str) -> Iterator[str]:
    """The names before the values of what Python code prints or logs, wherever in a line they stand."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in SPEAKERS:
            for node in (node for argument in call.args for node in ast.walk(argument)):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
                    yield from SPOKEN.findall("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield from SPOKEN.findall(node.value)


def paths_in(command: str) -> set[str]:
    """The words of a command as paths of the tree; `-m pkg.train` names pkg/train.py."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quote that nobody closed
        words = command.split()
    modules = {f"{name.replace('.', '/')}.py" for before, name in pairwise(words) if before == "-m"}
    return {word.removeprefix("./") for word in words} | modules


def _outputs(tree: Path) -> Iterator[Number]:
    """What earlier runs left behind, whether git knows it or not."""
    for folder in sorted(FOLDERS_OF_OUTPUT):
        place = tree / folder
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.suffix in OUTPUTS and path.is_file() and path.name not in ("package.json", "tsconfig.json"):
                name = path.relative_to(tree).as_posix()
                yield from (Number(one, name) for one in columns(_text(path), path.suffix))


def columns(text: str, suffix: str) -> list[str]:
    """The names of the numbers in a file of results."""
    if suffix in (".csv", ".tsv"):
        try:
            rows = list(csv.reader(text.splitlines(), delimiter="\t" if suffix == ".tsv" else ","))
        except csv.Error:  # a field that is longer than any of a table
            return []
        heads, rows = rows[0] if rows else [], [row for row in rows[1:] if row]
        # the last row may be without some: loggers leave a cell empty where it has no such number
        last = {at: cell for row in rows for at, cell in enumerate(row) if cell.strip()}
        return [head.strip() for at, head in enumerate(heads) if is_number(last.get(at, ""))]
    try:
        found = json.loads(text if suffix == ".json" else (text.strip().splitlines() or ["null"])[-1])
    except ValueError:
        return []
    return _keys(found)


def _keys(value: object) -> list[str]:
    if isinstance(value, list):
        return _keys(value[-1]) if value else []
    if not isinstance(value, dict):
        return []
    own = [str(k) for k, v in value.items() if isinstance(v, int | float) and not isinstance(v, bool)]
    return own + [name for part in value.values() if isinstance(part, dict) for name in _keys(part)]


def _sources(files: Sequence[str], suffix: str) -> tuple[str, ...]:
    own = [name for name in files if PurePosixPath(name).suffix.lower() == suffix and not _aside(name)]
    folders = Counter(name.split("/")[0] + "/" for name in own if "/" in name)
    top = [name for name in own if "/" not in name and name != "setup.py"]
    return (*(name for name, _ in folders.most_common()), *top)


def _text(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(MOST_BYTES)
    except OSError:
        return ""
