"""karpathy/autoresearch and what was forked from it: three files, a summary block, results.tsv. Read, never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from mcp_server.arena.metrics import Better, better_by_name
from mcp_server.setup.adopting.checkpoints import measured
from mcp_server.setup.adopting.constants import constants, data_folders
from mcp_server.setup.adopting.found import Found

KIND = "karpathy/autoresearch"
TRAIN, PREPARE, MEMO = "train.py", "prepare.py", "program.md"
BITS = "bits/byte"
USUAL_SECONDS = 300.0
PLACES = {"save": 0, "save_file": 1, "savez": 0, "save_safetensors": 0, "open": 0}  # of the path among the arguments
DATA = ("data", "datasets", "dataset")  # folders that repositories usually ignore
HUB = re.compile(r"^\s*(?:from|import) (?:kernels|transformers|datasets|huggingface_hub)\b", re.MULTILINE)
SAYS: dict[Better, str] = {
    "minimize": "lowest|lower is better|minimi[sz]e",
    "maximize": "highest|higher is better|maximi[sz]e",
}
COPY = 'cp -R . "$TMPDIR/tree" && cd "$TMPDIR/tree"'


def recognise(tree: Path, tracked: Callable[[str], bool], uv: bool) -> Found | None:
    """The arena of a repository of the reference's shape; None for another one. `uv`: it can be started here."""
    texts = {name: _text(tree / name) for name in (TRAIN, PREPARE, MEMO, "README.md", "pyproject.toml")}
    if not texts[TRAIN] or not (texts[PREPARE] or texts[MEMO]) or not tracked(TRAIN):
        return None
    said = texts[MEMO] or texts["README.md"]
    metric, where = _metric(tree, texts)
    direction, why = _direction(metric, said)
    values = constants(texts[TRAIN], constants(texts[PREPARE]))
    own = values.get("TIME_BUDGET") or values.get("TIME_BUDGET_SECONDS")
    seconds = own if isinstance(own, float) and own > 0 else USUAL_SECONDS
    run, how = _run(said, texts, tree, uv)
    left = written(texts[TRAIN])
    checkpoint = measured(texts[TRAIN], texts[PREPARE] if tracked(PREPARE) else "", left, values)
    if left:
        # behind a shell nobody gives uv its flags, and `python` is the same environment's
        run = run.replace("uv run train.py", "python train.py")
        copied = "".join(f' && cp "{name}" "$AUTORESEARCH_OUT"' for name in left)
        run = f"bash -c '{COPY} && {run}{copied}'"
    readable = data_folders(values)
    readable += (
        ["~/.cache/huggingface"] if re.search(r"^\s*(from|import) (kernels|transformers)\b", texts[TRAIN], re.M) else []
    )
    readable += [name for name in DATA if (tree / name).is_dir() and not tracked(name)]
    goal = re.search(r"\*\*The goal is simple: (.+?)\*\*", said)
    return Found(
        kind=KIND,
        goal=(goal[1].rstrip(".") if goal else f"{'lowest' if direction == 'minimize' else 'highest'} {metric}"),
        metric=metric,
        direction=direction,
        unit=BITS if metric == "val_bpb" else "",
        editable=(TRAIN,),
        frozen=(PREPARE,) if texts[PREPARE] and tracked(PREPARE) else (),
        run=run,
        memo=texts[MEMO],
        memo_from=MEMO,
        # the reference ends a run by hand at twice its time budget; a short one needs room for start-up and evaluation
        seconds=max(2 * seconds, seconds + 120),
        readable=tuple(readable),
        notes=tuple(filter(None, (where, why, how, f"their own time budget is {seconds:g} s", checkpoint.why_not))),
        measured=checkpoint.score,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _metric(tree: Path, texts: Mapping[str, str]) -> tuple[str, str]:
    """The name of the number that is printed, and where that was read."""
    printed = re.findall(r"""print\(\s*f?["']([A-Za-z_]\w*):\s*\{""", texts[TRAIN])
    asked = re.search(r"""grep ["']\^([A-Za-z_]\w*):""", texts[MEMO])
    header = _text(tree / "results.tsv").partition("\n")[0].split("\t")
    for name, where in (
        ("val_bpb" if "val_bpb" in printed else "", "train.py's summary block"),
        (next((one for one in printed if _says(one, texts[MEMO])), ""), "program.md's words of what is better"),
        (asked[1] if asked else "", "program.md's grep"),
        (header[1] if len(header) > 2 else "", "results.tsv's second column"),
        (printed[0] if printed else "", "the first line of train.py's summary block"),
    ):
        if re.fullmatch(r"[A-Za-z]\w{0,39}", name):
            return name, f"{name} is read from {where}"
    return "val_bpb", "val_bpb is taken to be the metric: train.py names none"


def _direction(metric: str, said: str) -> tuple[Better, str]:
    told = _says(metric, said)
    if told is not None:
        return told, f"{told}: program.md says so"
    if metric == "val_bpb" or (named := better_by_name(metric)) is None:
        named = "minimize"
    return named, f"{named}: from the metric's name, correct it if it is wrong"


def _says(metric: str, said: str) -> Better | None:
    """Which way a memo says that a metric is better, where it says one more often than the other."""
    name = rf"\b{re.escape(metric)}\b"
    least, most = (
        len(re.findall(rf"(?:{words})[^.\n]{{0,60}}{name}|{name}[^.\n]{{0,60}}(?:{words})", said, re.IGNORECASE))
        for words in SAYS.values()
    )
    return None if least == most else "minimize" if least > most else "maximize"


def _run(said: str, texts: Mapping[str, str], tree: Path, uv: bool) -> tuple[str, str]:
    """How they start it, as far as it can be started here."""
    asks = "uv run train.py" in said or (tree / "uv.lock").exists() or "[project]" in texts["pyproject.toml"]
    if asks and uv:
        return "uv run train.py", "started as they do, with uv, without network and without sync"
    more = ": there is neither uv nor a .venv here" if asks else ""
    return "python train.py", f"started with python{more}"


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
