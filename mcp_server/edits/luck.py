"""Edits that change how luck is dealt instead of how the model learns: seeding, the order of the data, the budget, and
what is done before it begins (`edits.early`).

A score from such an edit says little about the idea, so the referee never keeps it for its score alone. Two sources are
compared by syntax tree: only what was there before and differs now, or came, is named. A learning rate, a batch size, a
new layer with its own random stream, or a schedule that reads the budget's progress is not touching. What this does not
see: code in strings, names looked up at run time; pairing on the harness's seeds answers those.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping

from mcp_server.edits.early import LOADER, early_work
from mcp_server.edits.renaming import only_renamed
from mcp_server.edits.syntax import Source, Sources, canonical, dotted, flat, heading, imported, named, tree_of

SEED, ORDER, BUDGET = "seeding", "data order", "budget"
SHOWN_CHARACTERS = 90

# Calls that set a random state: any difference counts, since the harness seeds and nobody else needs to.
_SEEDERS = frozenset(
    {
        *("manual_seed", "manual_seed_all", "seed", "seed_all", "seed_everything", "set_seed"),
        *("set_rng_state", "set_rng_state_all", "setstate", "set_state", "fork_rng", "initial_seed"),
        *("RandomState", "default_rng", "SeedSequence", "PRNGKey", "Random"),
    }
)
# Calls that hand out a stream by name: a new one with a new tensor is fine, another name for an old one is not.
_STREAMS = frozenset({"generator", "Generator", "stream", "rng", "generator_for"})
_DRAWS = frozenset(
    {"rand", "randn", "randint", "randperm", "random", "normal", "rand_like", "randn_like", "shuffle", "getrandbits"}
)
_ORDERING = frozenset({"randperm", "permutation", "shuffle", "random_split", "sample", "RandomSampler", "islice"})
_INITIALISER = re.compile(r"initiali[sz]e")
_ORDER_WORDS = re.compile(r"seed|shuffle|skip|start|offset|order|rank|world|generator|split|epoch|sampler|rng|resume")
_SEED_NAME = re.compile(r"(^|_)seeds?$", re.IGNORECASE)
_BUDGET_NAME = re.compile(
    r"(^|_)(budget|time_limit|max_seconds|train_seconds|training_seconds)(_?seconds)?$", re.IGNORECASE
)
_OWNED = re.compile(r"AUTORESEARCH_(SEED|BUDGET|CLOCK|MARKS)")
_KEPT_MODULES = frozenset({"prepare", "time", "random"})
_TEXT_LINE = re.compile(r"\b(seed|shuffle|budget)\b", re.IGNORECASE)
_Seen = tuple[str, str]  # kind, how it reads


def protocol_changes(before: Sources, after: Sources) -> tuple[str, ...]:
    """What an edit touched of the experiment's rules, as `seeding: torch.manual_seed(42) → torch.manual_seed(137)`."""
    old, new = named(before), named(after)
    found: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        found += _in_file(name, old.get(name, ""), new.get(name, ""))
    return tuple(dict.fromkeys(found))


def _in_file(name: str, before: Source, after: Source) -> Iterator[str]:
    old, new = tree_of(name, before), tree_of(name, after)
    if old is None or new is None:
        yield from _in_text(flat(before), flat(after))
        return
    if canonical(old) == canonical(new):
        return
    if only_renamed(old, new):
        yield f"{SEED}: only names changed, and the parameters' random streams follow their names"
        return
    here, there = imported(old), imported(new)
    yield from _differences(_anywhere(old, here), _anywhere(new, there))
    yield from _swaps(_in_place(old, here), _in_place(new, there))
    yield from early_work(old, new, here, there)
    for kind, pattern in ((ORDER, LOADER), (SEED, _INITIALISER)):
        if (name := _from_prepare(old, pattern, here)) and not _from_prepare(new, pattern, there):
            yield f"{kind}: {name} is no longer used"


def _in_text(before: str, after: str) -> Iterator[str]:
    old = Counter(line.strip() for line in before.split("\n") if _TEXT_LINE.search(line))
    new = Counter(line.strip() for line in after.split("\n") if _TEXT_LINE.search(line))
    for line in (*(old - new), *(new - old)):
        yield f"{BUDGET if 'budget' in line.lower() else SEED}: {_short(line)}"


def _differences(old: Counter[_Seen], new: Counter[_Seen]) -> Iterator[str]:
    """Every sighting that went or came; one of each of a kind reads as a change from one to the other."""
    gone, come = defaultdict(list), defaultdict(list)
    for kind, text in (old - new).elements():
        gone[kind].append(text)
    for kind, text in (new - old).elements():
        come[kind].append(text)
    for kind in dict.fromkeys((*gone, *come)):
        was, now = gone[kind], come[kind]
        if len(was) == len(now) == 1:
            yield f"{kind}: {_short(was[0])} → {_short(now[0])}"
            continue
        yield from (f"{kind}: removed {_short(text)}" for text in was)
        yield from (f"{kind}: added {_short(text)}" for text in now)


def _swaps(old: Mapping[_Seen, Counter[str]], new: Mapping[_Seen, Counter[str]]) -> Iterator[str]:
    """Sightings whose surroundings are the same and whose own content is not; new surroundings are no swap."""
    for place in old.keys() & new.keys():
        was, now = old[place] - new[place], new[place] - old[place]
        for a, b in zip(was.elements(), now.elements(), strict=False):
            yield f"{place[0]}: {_short(a or 'nothing')} → {_short(b or 'nothing')}"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


# --- sightings that count wherever they stand -----------------------------------------------------------------------


def _anywhere(tree: ast.Module, aliases: Mapping[str, str]) -> Counter[_Seen]:
    found: Counter[_Seen] = Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            found.update(_of_statement(node, aliases))
        if isinstance(node, ast.Call):
            last = dotted(node.func, aliases).rpartition(".")[2]
            if (last in _SEEDERS and not _is_read(node, aliases)) or _sets_seeded_generator(node):
                found[SEED, ast.unparse(node)] += 1
            elif last in _ORDERING:
                found[ORDER, ast.unparse(node)] += 1
    return found


def _from_prepare(tree: ast.Module, pattern: re.Pattern[str], aliases: Mapping[str, str]) -> str:
    """The first call of the fixed file's functions of this kind: its loader, or what fills the parameters."""
    names = (dotted(node.func, aliases) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return next((name for name in names if name.startswith("prepare.") and pattern.search(name)), "")


def _is_read(node: ast.Call, aliases: Mapping[str, str]) -> bool:
    """`prepare.seed()` hands out the harness's seed; reading it is no seeding, using it otherwise shows elsewhere."""
    return not node.args and not node.keywords and dotted(node.func, aliases).startswith("prepare.")


def _sets_seeded_generator(node: ast.Call) -> bool:
    """`torch.Generator().manual_seed(7)`, whose name chain goes through a call."""
    return isinstance(node.func, ast.Attribute) and node.func.attr in _SEEDERS and dotted(node.func) == node.func.attr


def _of_statement(node: ast.stmt, aliases: Mapping[str, str]) -> Iterator[_Seen]:
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            name = dotted(target, aliases)
            last = name.rpartition(".")[2]
            if _SEED_NAME.search(last):
                yield SEED, ast.unparse(node)
            elif _BUDGET_NAME.search(last) or "budget" in name.lower().split(".")[:-1]:
                yield BUDGET, ast.unparse(node)
            elif isinstance(target, ast.Attribute) and name.partition(".")[0] in _KEPT_MODULES:
                yield BUDGET if name.startswith("time.") else SEED, ast.unparse(node)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        last = dotted(node.value.func, aliases).rpartition(".")[2]
        if last in _DRAWS - _ORDERING:
            yield SEED, f"{ast.unparse(node)}, thrown away"
        elif last == "next":
            yield ORDER, f"{ast.unparse(node)}, thrown away"
        elif last == "setattr" and node.value.args and dotted(node.value.args[0], aliases) in _KEPT_MODULES:
            yield SEED, ast.unparse(node)
    if not hasattr(node, "body"):
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and (owned := _OWNED.search(part.value)):
                yield SEED if owned[1] == "SEED" else BUDGET, ast.unparse(node)


# --- sightings that count by comparison with the same place ---------------------------------------------------------


def _in_place(tree: ast.Module, aliases: Mapping[str, str]) -> dict[_Seen, Counter[str]]:
    """For each kind and each place (the statement with the sighting blanked): what stood there."""
    found: defaultdict[_Seen, Counter[str]] = defaultdict(Counter)
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.stmt):
            continue
        for node in _own_calls(statement):
            for kind, blank in _blankers(node, aliases):
                content, place = _blanked(statement, node, blank)
                found[kind, place][content] += 1
    return found


def _own_calls(statement: ast.stmt) -> Iterator[ast.Call]:
    """The calls in a statement's own expressions; those of nested statements belong to them."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call):
            yield node
        waiting += [
            child
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, ast.stmt | ast.excepthandler | ast.match_case)
        ]


_Blank = Callable[[ast.Call], str]


def _blankers(node: ast.Call, aliases: Mapping[str, str]) -> Iterator[tuple[str, _Blank]]:
    name = dotted(node.func, aliases)
    last = name.rpartition(".")[2] or (node.func.attr if isinstance(node.func, ast.Attribute) else "")
    if last in _STREAMS:
        yield SEED, _blank_everything
    elif LOADER.search(last):
        yield ORDER, _blank_order
    elif last.lower() == "budget":
        yield BUDGET, _blank_everything
    elif any(word.arg and _SEED_NAME.search(word.arg) for word in node.keywords):
        yield SEED, _blank_seeds


def _blank_everything(node: ast.Call) -> str:
    text = ast.unparse(node)
    node.args, node.keywords = [], []
    return text


def _blank_order(node: ast.Call) -> str:
    """Of a loader's arguments those that say which data comes when; its sizes are the agent's to choose."""
    texts = [repr(a.value) for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    texts += [ast.unparse(word) for word in node.keywords if word.arg is None or _ORDER_WORDS.search(word.arg)]
    callee = ast.unparse(node.func)
    node.args, node.keywords = [], []
    return f"{callee}({', '.join([*texts, '…'])})"


def _blank_seeds(node: ast.Call) -> str:
    seeds = [word for word in node.keywords if word.arg and _SEED_NAME.search(word.arg)]
    node.keywords = [word for word in node.keywords if word not in seeds]
    return ", ".join(ast.unparse(word) for word in seeds)


def _blanked(statement: ast.stmt, node: ast.Call, blank: _Blank) -> tuple[str, str]:
    """What the sighting says and the statement's own line without it. The tree itself is left as it was."""
    args, keywords = node.args, node.keywords
    try:
        content = blank(node)
        return content, canonical(heading(statement))
    finally:
        node.args, node.keywords = args, keywords
