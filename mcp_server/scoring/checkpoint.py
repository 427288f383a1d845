"""A checkpoint measured by its repository's own measure: `python -m mcp_server.scoring.checkpoint FILE [NAME=NUMBER]`.

For repositories of karpathy/autoresearch's shape whose training saves its model: `evaluate_bpb` of the *committed*
prepare.py is called on what the run left, with the Python of the training. The model's code is the attempt's, so it
lives in a process of its own, which is shown tokens and answers logits: it cannot print the score, replace the measure
or see a target, for the loss is taken here. (Where a kernel has no Landlock it could print; `not_shut_in` says so.)
What this does not find is a model that looks ahead among the tokens it is shown; the built-in language-model scorer
(`mcp_server.scoring.lm`) audits that.

Standard library, and the torch of the training; nothing of this package can be imported in here.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import inspect
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

MEASURE = "evaluate_bpb"
BUILDERS = ("build_model", "create_model", "make_model", "get_model")
NESTED = ("model", "state_dict", "model_state_dict", "module")  # where a checkpoint of many things keeps the weights
WRAPPED = "_orig_mod."  # what torch.compile puts before each name
ANSWER_BYTES = 1 << 28  # of logits at a time
CHILD = "--model"
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
CREATE_RULESET, ADD_RULE, RESTRICT_SELF, VERSION = 444, 445, 446, 1  # Landlock's calls, on every architecture
MAKE_DEVICES, REFER = 1 << 6 | 1 << 11, 1 << 13
libc = ctypes.CDLL(None, use_errno=True)


class NoAnswer(Exception):
    """The model's process gave no usable answer."""


# --- the model's side: the attempt's own code, which nothing here believes --------------------------------------------


def can_shut_in() -> bool:
    """Whether `shut_in` works here: Linux 5.13 or later, not switched off at boot."""
    return int(libc.syscall(CREATE_RULESET, None, 0, VERSION)) > 0


def shut_in() -> None:
    """Let this process and its children look into no other one: whoever can, can write into the pipe of the answer.

    Any Landlock domain does that; this one forbids nothing else that a model would do: files move between folders, as
    Triton's do while it compiles, only where a domain says so, which it can from Linux 5.19 on.
    """
    refer = REFER if libc.syscall(CREATE_RULESET, None, 0, VERSION) >= 2 else 0
    rights = ctypes.c_uint64(MAKE_DEVICES | refer)
    rules = libc.syscall(CREATE_RULESET, ctypes.byref(rights), ctypes.sizeof(rights), 0)
    if rules >= 0:
        if refer:
            root = os.open("/", os.O_PATH)
            libc.syscall(ADD_RULE, rules, 1, struct.pack("=Qi", refer, root), 0)
            os.close(root)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.syscall(RESTRICT_SELF, rules, 0)
        os.close(rules)


def load_model(snapshot: Path, file: Path) -> Any:
    """The model with its trained weights, from the attempt's train.py and the file that it left."""
    import torch

    spec = importlib.util.spec_from_file_location("train", snapshot / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # a pickled model names its class by the module that was run
    sys.modules["train"] = sys.modules["__main__"] = module
    spec.loader.exec_module(module)
    found = torch.load(file, map_location="cpu", weights_only=False)
    if not isinstance(found, torch.nn.Module):
        weights = next((found[key] for key in NESTED if isinstance(found.get(key), dict)), found)
        found = next(getattr(module, name) for name in BUILDERS if hasattr(module, name))()
        found.load_state_dict({name.replace(WRAPPED, ""): one for name, one in weights.items()})
    return found.to(os.environ.get("AUTORESEARCH_DEVICE", "cpu")).eval()


def answer_questions(snapshot: Path, file: Path) -> None:
    """Answer rows of tokens with logits, over standard input and descriptor 3, until nobody asks any more."""
    import numpy as np
    import torch

    questions, answers = sys.stdin.buffer, os.fdopen(3, "wb")
    model = load_model(snapshot, file)
    device = next(model.parameters()).device
    while header := questions.readline():
        rows, width = json.loads(header)
        tokens = np.frombuffer(questions.read(rows * width * 8), np.int64).reshape(rows, width)
        with torch.no_grad():
            logits = model(torch.from_numpy(tokens.copy()).to(device))
        logits = logits[0] if isinstance(logits, tuple) else logits
        content = logits.detach().float().cpu().numpy()
        answers.write(json.dumps(content.shape).encode() + b"\n" + content.tobytes())
        answers.flush()


# --- our side: the measure and the loss -------------------------------------------------------------------------------


class Model:
    """What the repository's measure takes for a model."""

    training = False

    def __init__(self, questions: IO[bytes], answers: IO[bytes]) -> None:
        self._questions, self._answers, self._rows = questions, answers, 1

    def __call__(self, idx: Any, targets: Any = None, reduction: str = "mean", **_: Any) -> Any:
        """Logits (B, T, vocab) float32; with targets (B, T) their cross-entropy in nats, `none` flat, -1 left out."""
        import torch
        from torch.nn import functional

        tokens, said, first = idx.to("cpu", torch.int64), [], 0
        while first < len(tokens):
            last = first + self._rows
            logits = self._ask(tokens[first:last]).to(idx.device)
            self._rows = max(1, ANSWER_BYTES // (logits[0].numel() * 4))
            if targets is not None:
                wanted = targets[first:last].reshape(-1)
                flat = functional.cross_entropy(logits.flatten(0, 1), wanted, ignore_index=-1, reduction="none")
                logits = flat.view(len(logits), -1)
            said.append(logits)
            first = last
        found = torch.cat(said)
        if targets is None or reduction == "none":
            return found if targets is None else found.reshape(-1)
        return found.sum() / ((targets != -1).sum() if reduction == "mean" else 1)

    def _ask(self, tokens: Any) -> Any:
        import numpy as np
        import torch

        rows, width = tokens.shape
        try:
            self._questions.write(json.dumps([rows, width]).encode() + b"\n" + tokens.numpy().tobytes())
            self._questions.flush()
            shape = json.loads(self._answers.readline(200))
            if len(shape) != 3 or shape[:2] != [rows, width] or not 0 < shape[2] * rows * width * 4 <= 2 * ANSWER_BYTES:
                raise NoAnswer(f"The model answers logits of shape {shape} for tokens of shape {[rows, width]}.")
            content = self._answers.read(rows * width * shape[2] * 4)
            logits = torch.from_numpy(np.frombuffer(content, np.float32).reshape(shape).copy())
        except (OSError, ValueError, TypeError, IndexError):
            raise NoAnswer("The model's process ended before it had answered; its own words are in the log.") from None
        if not bool(torch.isfinite(logits).all()):
            raise NoAnswer("The model answers logits that are not finite.")
        return logits

    def eval(self) -> Model:
        return self

    def train(self, mode: bool = True) -> Model:
        return self

    def to(self, *_: Any, **__: Any) -> Model:
        return self

    def parameters(self) -> Iterator[Any]:
        import torch

        yield torch.empty(0, device=self.get_device())

    def get_device(self) -> Any:
        import torch

        return torch.device(os.environ.get("AUTORESEARCH_DEVICE", "cpu"))


def arguments(measure: Any, prepare: Any, given: dict[str, float]) -> dict[str, Any]:
    """What the measure wants beside the model. Raises LookupError with the name that nobody knows."""
    found: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(measure).parameters.items())[1:]:
        if name in given:
            found[name] = given[name]
        elif name == "tokenizer":
            found[name] = prepare.Tokenizer.from_directory()
        elif parameter.default is parameter.empty:
            raise LookupError(name)
    return found


def answer(file: str, given: dict[str, float]) -> dict[str, object]:
    """The answer of the score command. Raises whatever the repository's own measure raises."""
    checkpoint = Path(os.environ["AUTORESEARCH_ARTIFACT"]) / file
    if not checkpoint.is_file():
        return {"rejected": "no_checkpoint", "detail": f"The run ended well but left no {file}."}
    sys.path.insert(0, os.getcwd())  # the campaign's first version, where the measure is
    prepare = importlib.import_module("prepare")
    measure = getattr(prepare, MEASURE)
    kept, telling = os.pipe()
    command = [sys.executable, "-P", __file__, CHILD, os.environ["AUTORESEARCH_SNAPSHOT"], str(checkpoint)]
    # descriptor 3 is its way out; its standard output is no score's
    shell = ["sh", "-c", f'exec "$@" 3>&{telling} >&2', "sh", *command]
    with subprocess.Popen(shell, stdin=subprocess.PIPE, pass_fds=[telling], cwd=os.getcwd()) as child:
        os.close(telling)
        assert child.stdin is not None
        try:
            with os.fdopen(kept, "rb") as answers, contextlib.redirect_stdout(sys.stderr):
                score = float(measure(Model(child.stdin, answers), **arguments(measure, prepare, given)))
        except NoAnswer as error:
            return {"rejected": "bad_output", "detail": str(error)}
        finally:
            child.kill()
    return {"score": score} if can_shut_in() else {"score": score, "secondary": {"not_shut_in": 1.0}}


def main(argv: list[str]) -> int:
    """Read $AUTORESEARCH_ARTIFACT and $AUTORESEARCH_SNAPSHOT, print the answer."""
    if argv[1:2] == [CHILD]:
        shut_in()
        sys.path.insert(0, os.getcwd())
        answer_questions(Path(argv[2]), Path(argv[3]))
        return 0
    if len(argv) < 2:
        print("usage: python -m mcp_server.scoring.checkpoint FILE [NAME=NUMBER...]", file=sys.stderr)
        return 2
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # no process of this user looks into this one
    given = {name: json.loads(value) for name, _, value in (word.partition("=") for word in argv[2:])}
    print(json.dumps(answer(argv[1], given)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
