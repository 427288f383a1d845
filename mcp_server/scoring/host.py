"""A host: the program inside a sandbox that runs the agent's model and answers questions about it with numbers.

It shares its process with the agent's code, so nothing it says is believed: it is convenience, not a guard. What guards
is what the evaluator shows to whom, and in which order (`audit`). A host speaks one socket; whatever the agent's code
prints goes elsewhere. It may start while training still runs: until it is handed the weights, it imports nothing but
torch and this package. Before it says READY it has built the model, loaded the sealed weights and answered questions
about random tokens, so that an honest mistake shows with its full traceback while there is nothing secret to leak.
Afterwards only the kind of an exception is passed on.

    python -m mcp_server.scoring.host --fd 5 --snapshot work ...
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import importlib.util
import inspect
import json
import math
import mmap
import os
import socket
import struct
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from mcp_server.scoring.protocol import (
    FILTER_BYTES,
    UNWATCHED,
    WATCHED,
    Gone,
    Kind,
    receive,
    send,
    send_text,
    split_filters,
)

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
WRAPPED = "_orig_mod."  # what torch.compile puts into a state dict's names
SECCOMP = {"x86_64": 317, "aarch64": 277, "riscv64": 277}
SECCOMP_SET_MODE_FILTER = 1
# with a listener, TSYNC must report its failure as an error (TSYNC_ESRCH)
SECCOMP_TSYNC, SECCOMP_SPEC_ALLOW, SECCOMP_NEW_LISTENER = 1, 4, 8 | 16
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "C64": torch.complex64,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
}  # of a safetensors file
ALIKE = 1e-4  # a shorter way to the same logits may move an honest float32 model's by this much


class BadOutput(Exception):
    """The model's answer has the wrong type, shape or dtype."""


def keep_memory() -> None:
    """Let the C library keep what torch frees: the same pages from the kernel, again and again, cost a fourth."""
    with contextlib.suppress(OSError, AttributeError):  # glibc's alone
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def take_weights(fd: int) -> dict[str, torch.Tensor]:
    """Wait for the descriptor of the sealed weights, and read them: no path of ours is known in here.

    With them come the filters that this process puts on itself before it runs anything of the agent's.
    """
    with socket.socket(fileno=os.dup(fd)) as evaluator:
        filters, weights, *_ = socket.recv_fds(evaluator, FILTER_BYTES, 1)
        if not weights:
            raise Gone
        tensors = views(mmap.mmap(weights[0], 0, access=mmap.ACCESS_COPY))
        os.close(weights[0])
        be_watched(evaluator, *split_filters(filters))
    return tensors


def views(content: mmap.mmap) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file where they lie. The library reads from a path, which a host has not, or copies
    all of it twice. Raises ValueError or LookupError for what is no such file."""
    begin = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:begin])
    header.pop("__metadata__", None)
    found = {}
    for name, told in header.items():
        dtype, shape, first = DTYPES[told["dtype"]], told["shape"], begin + told["data_offsets"][0]
        count = math.prod(shape)
        flat = (
            torch.frombuffer(content, dtype=dtype, count=count, offset=first) if count else torch.empty(0, dtype=dtype)
        )
        found[name] = flat.view(shape)
    return found


def be_watched(evaluator: socket.socket, counted: bytes, refused: bytes) -> None:
    """Have calls that leave a trace counted by the evaluator, whoever makes them in here; say so if that cannot be."""
    listener = put_on(counted, SECCOMP_NEW_LISTENER) if counted else -1
    if listener < 0:
        evaluator.send(UNWATCHED)
        return
    socket.send_fds(evaluator, [WATCHED], [listener])
    os.close(listener)
    if put_on(refused) < 0:
        raise OSError(ctypes.get_errno(), "the second filter was refused")


def put_on(program: bytes, more: int = 0) -> int:
    """A filter of system calls on every thread of this process; below 0 where the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    flags = SECCOMP_TSYNC | SECCOMP_SPEC_ALLOW | more
    return int(libc.syscall(SECCOMP[os.uname().machine], SECCOMP_SET_MODE_FILTER, flags, header))


def load_model(snapshot: Path, weights: dict[str, torch.Tensor], device: torch.device) -> torch.nn.Module:
    """`build_model()` of the snapshot's train.py with the sealed weights in it."""
    sys.path.insert(0, str(snapshot))  # train.py imports prepare
    sys.argv = ["train.py"]
    spec = importlib.util.spec_from_file_location("train", snapshot / "train.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(snapshot / "train.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["train"] = module  # dataclasses and torch.compile look their module up
    spec.loader.exec_module(module)
    model: torch.nn.Module = module.build_model()
    fill(model, weights)
    return model.to(device).eval()


def fill(model: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Load tensors by name and shape, strictly; of tensors that share memory one name is enough."""
    slots = {name.replace(WRAPPED, ""): tensor for name, tensor in model.state_dict().items()}
    given = {name.replace(WRAPPED, ""): tensor for name, tensor in tensors.items()}
    filled = {slots[name].data_ptr() for name in given if name in slots}
    unknown = sorted(given.keys() - slots.keys())
    missing = sorted(
        name for name, slot in slots.items() if name not in given and slot.numel() and slot.data_ptr() not in filled
    )
    misshapen = sorted(
        f"{name} {tuple(given[name].shape)} for {tuple(slots[name].shape)}"
        for name in given.keys() & slots.keys()
        if given[name].shape != slots[name].shape
    )
    if unknown or missing or misshapen:
        words = f"missing {missing}, unknown {unknown}, wrong shape {misshapen}"
        raise ValueError(f"model.safetensors does not fit build_model(): {words}")
    with torch.no_grad():
        for name, tensor in given.items():
            slots[name].copy_(tensor)


def alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two logits differ by an honest float32 model's rounding at most."""
    return bool((one.float() - other.float()).abs().max() < ALIKE)


class Server:
    """One loaded model and the shapes it is asked for."""

    def __init__(self, model: torch.nn.Module, device: torch.device, vocab: int) -> None:
        self.model = model
        self.device = device
        self.vocab = vocab
        self.shape = (0, 0)  # (B, T) of the questions for claims
        self.selective = False  # forward takes `columns` and answers for one column per row only
        self.telling = False  # forward takes `targets` and answers with the log-probability of each only

    def ids(self, tokens: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(tokens.astype(np.int64)).to(self.device)

    def forward(self, tokens: np.ndarray) -> torch.Tensor:
        """Logits (B, T, V) of token ids (B, T). Raises BadOutput."""
        return self.checked(self.model(self.ids(tokens)), (*tokens.shape, self.vocab))

    def checked(self, logits: object, shape: tuple[int, ...]) -> torch.Tensor:
        """`logits` if that is what they are. Raises BadOutput."""
        if not isinstance(logits, torch.Tensor):
            raise BadOutput(f"forward returned {type(logits).__name__}, not a tensor of logits")
        if logits.shape != shape or not logits.is_floating_point():
            raise BadOutput(f"forward returned {logits.dtype} {tuple(logits.shape)}, not float logits {shape}")
        return logits

    def claims(self, tokens: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Log-probability of each target, (B, T). It is a claim however it was come by: the audit asks for logits."""
        wanted = self.ids(targets)
        if self.telling:
            return self.checked(self.model(self.ids(tokens), targets=wanted), tokens.shape).float().cpu().numpy()
        return self.told(self.forward(tokens), wanted)

    def told(self, logits: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
        """What logits (B, T, V) say of each target, (B, T)."""
        losses = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
        return (-losses).view(targets.shape).cpu().numpy()

    def answers(self, tokens: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Full logits at one column per row, (B, V)."""
        wanted = self.ids(columns)
        if self.selective and tokens.shape != self.shape:  # in the shape of the claims, computed as for the claims
            picked = self.checked(self.model(self.ids(tokens), columns=wanted), (len(tokens), self.vocab))
        else:
            picked = self.forward(tokens)[torch.arange(len(tokens), device=self.device), wanted]
        return picked.float().cpu().numpy()

    def rehearse(self, rows: int, width: int) -> dict[str, object]:
        """Answer questions about random tokens once; what was learned about the model, for READY."""
        self.shape = (rows, width)
        tokens = np.random.default_rng(0).integers(0, self.vocab, size=self.shape)
        full = self.forward(tokens)
        self.telling = self.can_tell(tokens, self.told(full, self.ids(tokens)))
        self.selective = self.can_select(tokens, full)
        narrow = self.can_cut(tokens, full)
        return {"precision": self.precision(full), "narrow": narrow, "selective": self.selective}

    def can_tell(self, tokens: np.ndarray, claimed: np.ndarray) -> bool:
        """Whether `forward(ids, targets=ids)` gives (B, T), what is claimed of each target: claims then cost less.

        Many models take `targets` and answer with a loss; they are asked for their logits.
        """
        if "targets" not in inspect.signature(self.model.forward).parameters:
            return False
        ids = self.ids(tokens)
        try:
            said = self.checked(self.model(ids, targets=ids), tokens.shape)
        except Exception:
            return False
        return bool(np.abs(said.float().cpu().numpy() - claimed).max() < ALIKE)

    def can_select(self, tokens: np.ndarray, full: torch.Tensor) -> bool:
        """Whether `forward(ids, columns)` gives (B, V), the logits at one column per row: an audit then costs less."""
        return "columns" in inspect.signature(self.model.forward).parameters and alike(*self.selected(tokens, full))

    def selected(self, tokens: np.ndarray, full: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the model says at columns near the end alone, (B, V), and what it said there among all of the row."""
        rows = torch.arange(len(tokens), device=self.device)
        columns = (tokens.shape[1] - 1 - 7 * rows) % tokens.shape[1]
        said = self.checked(self.model(self.ids(tokens), columns=columns), (len(tokens), self.vocab))
        return said, full[rows, columns]

    def can_cut(self, tokens: np.ndarray, full: torch.Tensor) -> bool:
        """Whether a row cut behind the wanted column is answered alike, and sooner: an audit then costs less."""
        width = tokens.shape[1]
        if width < 64 or self.precision(full) != "float32":  # coarser arithmetic rounds differently in other shapes
            return False
        if any(type(module).__name__ == "OptimizedModule" for module in self.model.modules()):
            return False  # torch.compile would compile again for each length
        quarter, half = width // 64 * 16, width // 32 * 16 + 16
        seconds: list[float] = []
        for cut in (quarter, quarter, half):
            short, began = tokens[:, :cut], time.perf_counter()
            try:
                both = self.selected(short, full) if self.selective else (self.forward(short), full[:, :cut])
            except Exception:  # a model may insist on its length; then it is asked at that length
                return False
            seconds.append(time.perf_counter() - began)
            if not alike(*both):
                return False
        # compiled parts take seconds for a new shape and nothing for one that they know; clocks are noisy
        new, known, other = seconds
        return max(new, other / 2) < 3 * known + 0.1

    def precision(self, logits: torch.Tensor) -> str:
        """The coarsest dtype the model is known to use."""
        dtypes = {logits.dtype} | {p.dtype for p in self.model.parameters()}
        for coarse in (torch.bfloat16, torch.float16):
            if coarse in dtypes:
                return str(coarse).removeprefix("torch.")
        return "float32"


def serve(server: Server, fd: int) -> None:
    """Answer questions until the evaluator hangs up."""
    while True:
        try:
            question = receive(fd)
        except Gone:
            return
        first, second = question.arrays
        if question.kind is Kind.CLAIMS:
            send(fd, Kind.CLAIMED, [server.claims(first, second)])
        else:
            send(fd, Kind.ANSWERED, [server.answers(first, second)])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--snapshot", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--vocab", type=int, required=True)
    options = parser.parse_args()
    gc.freeze()
    gc.enable()  # see launch.program; a model may leave cycles behind
    torch.set_num_threads(options.threads)
    keep_memory()
    device = torch.device(options.device)
    with torch.inference_mode():
        try:
            weights = take_weights(options.fd)
        except Gone:
            return 0  # the run left nothing to score
        try:
            with torch.inference_mode(False):
                model = load_model(options.snapshot, weights, device)
            del weights
            server = Server(model, device, options.vocab)
            known = server.rehearse(options.rows, options.width)
        except BaseException as error:
            kind = "bad_output" if isinstance(error, BadOutput) else "host_died"
            said = str(error) if isinstance(error, BadOutput) else traceback.format_exc()
            send_text(options.fd, Kind.FAILED, json.dumps({"reason": kind, "said": said[-2000:]}, ensure_ascii=False))
            return 1
        send_text(options.fd, Kind.READY, json.dumps(known))
        try:
            serve(server, options.fd)
        except BaseException as error:
            # no text of the agent's from here on: it could carry validation tokens out
            kind = "bad_output" if isinstance(error, BadOutput) else "host_died"
            send_text(options.fd, Kind.FAILED, json.dumps({"reason": kind, "said": type(error).__name__}))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
