"""karpathy/autoresearch and what was forked from it: three files, a summary block, results.tsv. Read, never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

from mcp_server.arena.metrics import Better, better_by_name, better_said
from mcp_server.histories.words import beside
from mcp_server.nouns.files import text_of
from mcp_server.setup.adopting.checkpoints import measured
from mcp_server.setup.adopting.constants import constants, data_folders
from mcp_server.setup.adopting.found import Found, Hint
from mcp_server.setup.proposing.looking import PRINTS

KIND = "karpathy/autoresearch"
TRAIN, PREPARE, MEMO = "train.py", "prepare.py", "program.md"
BITS = "bits/byte"
USUAL_SECONDS = 300.0
PLACES = {"save": 0, "save_file": 1, "savez": 0, "save_safetensors": 0, "open": 0}  # of the path among the arguments
DATA = ("data", "datasets", "dataset")  # folders that repositories usually ignore
SAYS: dict[Better, str] = {
    "minimize": "lowest|lower is better|minimi[sz]e",
    "maximize": "highest|higher is better|maximi[sz]e",
}
# how a memo names the one file that may change: "Only edit `x.py`", "`x.py` is the only file …", "the file you modify"
_FILE = r"`([\w./-]+\.\w+)`"
ONLY = re.compile(
    rf"\bonly (?:ever )?(?:edit|modify|change) (?:the file )?{_FILE}|{_FILE}[^.\n]{{0,40}}\bthe only file\b|"
    rf"{_FILE}[^.\n]{{0,40}}\b(?:is|the) (?:the )?file (?:that )?you (?:edit|modify|change)\b",
    re.IGNORECASE,
)
COMMAND = re.compile(r"((?:uv run (?:python3? )?|python3? ))([\w./-]+\.py)((?:[ \t]+[\w./=:-]+)*)[ \t]*(.*)")
NAME = re.compile(r"[A-Za-z][\w.]{0,39}")
COPY = 'cp -R . "$TMPDIR/tree" && cd "$TMPDIR/tree"'


def recognise(tree: Path, tracked: Callable[[str], bool], uv: bool, hint: Hint) -> Found | None:
    """The arena of a repository of the reference's shape; None for another one. `uv`: it can be started here."""
    texts = {name: text_of(tree / name) for name in (PREPARE, MEMO, "README.md", "pyproject.toml")}
    said = texts[MEMO] or texts["README.md"]
    train = _edited(texts[MEMO], tracked)
    if not train or not (texts[PREPARE] or texts[MEMO]):
        return None
    started = _started(texts[MEMO], train, tracked)
    if started is None:
        return None
    script, run = started
    texts[TRAIN] = text_of(tree / train)
    printing = text_of(tree / script) if script != train else texts[TRAIN]
    metric, where = _metric(printing, texts[MEMO], hint)
    direction, why = _direction(metric, said, hint)
    values = constants(printing, constants(texts[TRAIN], constants(texts[PREPARE])))
    own = values.get("TIME_BUDGET") or values.get("TIME_BUDGET_SECONDS")
    seconds = own if isinstance(own, float) and own > 0 else USUAL_SECONDS
    run, how = _run(run, said, texts["pyproject.toml"], tree, uv)
    left = written(printing)
    checkpoint = measured(texts[TRAIN], texts[PREPARE] if tracked(PREPARE) else "", left, values)
    if left:
        # behind a shell nobody gives uv its flags, and `python` is the same environment's
        run = re.sub(r"^uv run ", "python ", run)
        copied = "".join(f' && cp "{name}" "$AUTORESEARCH_OUT"' for name in left)
        run = f"bash -c '{COPY} && {run}{copied}'"
    readable = data_folders(values)
    readable += (
        ["~/.cache/huggingface"] if re.search(r"^\s*(from|import) (kernels|transformers)\b", texts[TRAIN], re.M) else []
    )
    readable += [name for name in DATA if (tree / name).is_dir() and not tracked(name)]
    goal = re.search(r"\*\*The goal is simple: (.+?)\*\*", said)
    frozen = (PREPARE if texts[PREPARE] else "", script)
    return Found(
        kind=KIND,
        goal=goal[1].rstrip(".") if goal else "",
        metric=metric,
        direction=direction,
        unit=BITS if metric == "val_bpb" else "",
        editable=(train,),
        frozen=tuple(dict.fromkeys(name for name in frozen if name and name != train and tracked(name))),
        run=run,
        memo=texts[MEMO],
        memo_from=MEMO,
        # the reference ends a run by hand at twice its time budget; a short one needs room for start-up and evaluation
        seconds=max(2 * seconds, seconds + 120),
        readable=tuple(readable),
        notes=tuple(filter(None, (where, why, how, f"their own time budget is {seconds:g} s", checkpoint.why_not))),
        numbers=tuple(_printed(printing)),
        measured=checkpoint.score,
    )


def _edited(memo: str, tracked: Callable[[str], bool]) -> str:
    """The file that the memo lets the agent edit, where it names one alone; else train.py, if that is there."""
    named: set[str] = {one for found in ONLY.findall(memo) for one in found if one and tracked(one)}
    if len(named) == 1:
        return named.pop()
    return TRAIN if tracked(TRAIN) else ""


def _started(memo: str, train: str, tracked: Callable[[str], bool]) -> tuple[str, str] | None:
    """(the script that is started, the command as the memo writes it); None where it names none but train.py's."""
    found: list[tuple[int, str, str]] = []
    for line in memo.splitlines():
        for one in COMMAND.finditer(line):
            launcher, script, words, rest = one.groups()
            kept = re.search(r"(?:^|\s)>>?\s*[\w./]", rest) is not None
            whole = re.match(r"$|[`&|>]|2>", rest)  # else it goes on with what a person fills in
            told = train != TRAIN and re.search(r"\b(?:run|launch|start)\b", line[: one.start()], re.IGNORECASE)
            # what they keep in run.log is the run; other commands look at it, or make the data
            rank = 2 * (not kept) + (script != train) if kept or script == train else 3
            if tracked(script) and script != PREPARE and (rank < 3 or told):
                found.append((rank, script, f"{launcher}{script}{words if whole else ''}"))
    if found:
        return min(found, key=lambda one: one[0])[1:]
    return (train, f"python {train}") if train == TRAIN else None


def _printed(source: str) -> list[str]:
    """The numbers that a script prints by name, without those that stand beside a score."""
    names = [name for pattern in PRINTS[:2] for name in re.findall(pattern, source)]
    return [name for name in dict.fromkeys(names) if NAME.fullmatch(name) and not beside(name)]


def _metric(printing: str, memo: str, hint: Hint) -> tuple[str, str]:
    """The name of the number that is printed, and where that was read; "" where nothing tells."""
    printed = _printed(printing)
    asked = [one for line in re.findall(r"""grep [^\n]*""", memo) for one in re.findall(r"\^([A-Za-z_]\w*):", line)]
    known = [one for one in printed if better_by_name(one)]
    for name, where in (
        (hint.metric, "what was asked for"),
        ("val_bpb" if "val_bpb" in printed else "", "train.py's summary block"),
        (next((one for one in (*printed, *asked) if _says(one, memo)), ""), "program.md's words of what is better"),
        (next(iter(asked), ""), "program.md's grep"),
        (hint.logged if hint.logged in printing else "", "the log of what was tried"),
        (known[0] if len(known) == 1 else "", "what a run prints"),
        (printed[0] if len(printed) == 1 else "", "the only number that a run prints"),
    ):
        if NAME.fullmatch(name):
            return name, f"{name} is read from {where}"
    return "", ""


def _direction(metric: str, said: str, hint: Hint) -> tuple[str, str]:
    if hint.direction:
        return hint.direction, f"{hint.direction}, as asked"
    told = _says(metric, said) if metric else None
    if told is not None:
        return told, f"{told}: program.md says so"
    named = better_by_name(metric)
    if named is not None:
        return named, f"{named}: from the metric's name, correct it if it is wrong"
    if metric and metric == hint.logged:
        return hint.kept, f"{hint.kept}: what was kept before runs so"
    generally = _generally(said) if metric else None
    return (generally, f"{generally}: program.md says so, of no name") if generally else ("", "")


def _says(metric: str, said: str) -> Better | None:
    """Which way a memo says that a metric is better, where it says one more often than the other."""
    name = rf"\b{re.escape(metric)}\b"
    least, most = (
        len(re.findall(rf"(?:{words})[^.\n]{{0,60}}{name}|{name}[^.\n]{{0,60}}(?:{words})", said, re.IGNORECASE))
        for words in SAYS.values()
    )
    return None if least == most else "minimize" if least > most else "maximize"


def _generally(said: str) -> Better | None:
    """Which way a memo says that something is better, without its name, where it says only the one."""
    ways = {better_said(one) for one in re.findall(r"\b(higher|lower) is better\b", said, re.IGNORECASE)}
    return ways.pop() if len(ways) == 1 else None


def _run(run: str, said: str, project: str, tree: Path, uv: bool) -> tuple[str, str]:
    """How they start it, as far as it can be started here."""
    plain = re.sub(r"^(uv run (python3? )?|python3? )", "", run)
    asks = run.startswith("uv ") or f"uv run {plain}" in said or (tree / "uv.lock").exists() or "[project]" in project
    if asks and uv:
        return f"uv run {plain}", "started as they do, with uv, without network and without sync"
    more = ": there is neither uv nor a .venv here" if asks else ""
    return f"python {plain}", f"started with python{more}"


def written(source: str) -> list[str]:
    """Files that train.py writes beside itself, by the names it gives them: a run may not, so they go elsewhere."""
    found: dict[str, None] = {}
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        last = name.rpartition(".")[2]
        place = 1 if name == "torch.save" else PLACES.get(last)
        mode = ast.unparse(node.args[1]) if last == "open" and len(node.args) > 1 else ""
        if place is None or len(node.args) <= place or (last == "open" and not any(one in mode for one in "wax")):
            continue
        target = node.args[place]
        if (
            isinstance(target, ast.Constant)
            and isinstance(target.value, str)
            and re.fullmatch(r"[\w.-]+", target.value)
        ):
            found[target.value] = None
    return list(found)
