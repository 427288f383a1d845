"""Whether what a training saves can be measured again by the repository's own measure. Read, never run."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from mcp_server.scoring.checkpoint import BUILDERS, MEASURE
from mcp_server.setup.adopting.constants import Value

SCORER = "python -m mcp_server.scoring.checkpoint"
HARMLESS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


@dataclass(frozen=True)
class Measured:
    """A score command that measures the checkpoint; or, without one, why there is none ("" where nothing is saved)."""

    score: str = ""
    why_not: str = ""


def measured(train: str, prepare: str, left: list[str], values: Mapping[str, Value]) -> Measured:
    """How the checkpoint among the files `left` beside train.py would be measured.

    values: the constants of both files, from which the measure's further arguments are taken, once and for all: they
    are no attempt's to change.
    """
    try:
        training, preparing = ast.parse(train), ast.parse(prepare)
    except (SyntaxError, ValueError):
        return Measured()
    measure = next((one for one in preparing.body if isinstance(one, ast.FunctionDef) and one.name == MEASURE), None)
    saved = next((one for node in ast.walk(training) if (one := _saved(node, left)) is not None), None)
    if measure is None or saved is None:
        return Measured()
    file, whole = saved
    loud = next((one for one in training.body if not _harmless(one)), None)
    if loud is not None:
        return Measured(why_not=f"{file} cannot be measured: importing train.py trains (line {loud.lineno})")
    if not whole and not any(isinstance(one, ast.FunctionDef) and _buildable(one) for one in training.body):
        return Measured(why_not=f"{file} holds weights alone, and train.py has no build_model() that makes the model")
    words, missing = _arguments(measure, training, preparing, values)
    if missing:
        return Measured(why_not=f"{file} cannot be measured: what {MEASURE} takes as `{missing}` is not told")
    return Measured(" ".join([SCORER, file, *words]))


def _saved(node: ast.AST, left: list[str]) -> tuple[str, bool] | None:
    """(file, whether all of the model is in it) of a `torch.save` into one of the files."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "torch.save" or len(node.args) < 2:
        return None
    target, what = node.args[1], node.args[0]
    if not isinstance(target, ast.Constant) or target.value not in left:
        return None
    return str(target.value), isinstance(what, ast.Name | ast.Attribute)


def _harmless(statement: ast.stmt) -> bool:
    """Whether a statement at the top of a file may be run by whoever only wants what it defines."""
    if isinstance(statement, ast.If):
        return "__name__" in ast.unparse(statement.test)
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) or not _calls(statement, MEASURE, "save", "backward", "step")
    return isinstance(statement, HARMLESS) and not _calls(statement, MEASURE, "save", "backward", "step")


def _calls(statement: ast.stmt, *names: str) -> bool:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return False
    called = (ast.unparse(one.func).rpartition(".")[2] for one in ast.walk(statement) if isinstance(one, ast.Call))
    return any(one in names or one == "main" for one in called)


def _buildable(function: ast.FunctionDef) -> bool:
    given = function.args
    return function.name in BUILDERS and len(given.args) == len(given.defaults) and not given.posonlyargs


def _arguments(
    measure: ast.FunctionDef, training: ast.Module, preparing: ast.Module, values: Mapping[str, Value]
) -> tuple[list[str], str]:
    """(words for the scorer, the name of an argument that nobody tells) of what the measure takes beside the model."""
    call = next((one for one in ast.walk(training) if isinstance(one, ast.Call) and _is_measure(one.func)), None)
    names = [one.arg for one in measure.args.args]
    said = dict(zip(names, call.args, strict=False)) if call else {}
    said |= {one.arg: one.value for one in call.keywords if one.arg} if call else {}
    optional = set(names[len(names) - len(measure.args.defaults) :])
    has_tokenizer = any(isinstance(one, ast.ClassDef) and one.name == "Tokenizer" for one in preparing.body)
    words = []
    for name in names[1:]:
        value = said.get(name)
        number = value.value if isinstance(value, ast.Constant) else values.get(ast.unparse(value)) if value else None
        if isinstance(number, int | float):
            words.append(f"{name}={number:g}")
        elif not (name in optional and value is None) and not (name == "tokenizer" and has_tokenizer):
            return [], name
    return words, ""


def _is_measure(function: ast.expr) -> bool:
    return ast.unparse(function).rpartition(".")[2] == MEASURE
