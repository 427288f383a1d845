"""The fixed file: builds the corpus once, then gives train.py its data, its clock, its seed and its score by hand.

    python prepare.py                      # stdlib without a CUDA device, climbmix with one
    python prepare.py --corpus 'books/*.txt' --vocab-size 4096
    python prepare.py --help               # sizes and times

What is on disk afterwards, under the cache folder (AUTORESEARCH_CACHE moves it):

    current -> corpora/stdlib-0123456789ab      switched last, so a half-built corpus is never used
    corpora/stdlib-0123456789ab/
      public/  meta.json, tokenizer.json, train_00000.bin ...      all that a training run may see
      sealed/  val.bin, val.docs.npy, test_pool.bin, test_pool.docs.npy, token_bytes.npy

Token streams are uint16, little endian; every document is BOS and then its tokens. Documents are told apart by the hash
of their text: duplicates are dropped, and train, validation and test pool never share one. The fingerprint covers the
text, the split and the tokenizer's settings; scores of different fingerprints do not compare.

Two promises carry the comparisons. *Bytes are exact*: a token counts the bytes it stands for (many tokens are no valid
UTF-8 on their own), and every byte of a split is scored exactly once, whatever the vocabulary and the row length. *Runs
pair*: each parameter draws from its own stream, keyed by its name and the run's seed, and the order of the data depends
on the seed alone, so two versions of train.py differ by their change and by nothing else.

Nothing here is pickled, nothing is believed that a server says without its size and checksum, and importing this file
costs numpy and little more; torch is imported only where tensors are made.
"""

from __future__ import annotations

import argparse
import base64
import concurrent.futures
import contextlib
import ctypes
import fcntl
import functools
import glob
import hashlib
import http.client
import importlib.metadata
import json
import math
import multiprocessing
import os
import platform
import random
import shutil
import signal
import sys
import sysconfig
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import platformdirs
import rustbpe
import tiktoken

if TYPE_CHECKING:
    import torch

FORMAT = 2  # 1 sealed text of the standard library that every run could read
BOS = "<|bos|>"
# GPT-4's split with at most two digits together: a small vocabulary has better uses than numbers
SPLIT_PATTERN = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
TOKENIZER_BYTES = 256_000_000  # more text than this does not change the first thousands of merges
SHARD_TOKENS = 2**27  # a train shard is closed at the first document group beyond this many tokens
SPLITS = ("train", "val", "test_pool")
BORN = time.monotonic()


@dataclass(frozen=True)
class Preset:
    """What a corpus gets unless the command line says otherwise."""

    vocab_size: int
    sequence_length: int
    val_bytes: int  # of validation text, and as many of test pool; an exam draws half of the pool


# Rows are as long as the devices they are meant for can afford; validation is as large as keeps its evaluation short.
PRESETS = {
    "stdlib": Preset(2048, 1024, 600_000),
    "climbmix": Preset(8192, 2048, 16_000_000),
    "tinystories": Preset(4096, 512, 4_000_000),
    "path": Preset(2048, 1024, 600_000),
}

# ---------------------------------------------------------------------------------------------------------------------
# Reading what was prepared


@dataclass(frozen=True)
class Meta:
    """public/meta.json: what a training run may know about its corpus."""

    format: int
    corpus: str
    fingerprint: str
    interpreter: str  # of the stdlib corpus; "" for text that does not depend on one
    documents: int
    bytes: int
    vocab_size: int
    sequence_length: int
    bos_id: int
    splits: dict[str, dict[str, int]]  # tokens, bytes, documents of train, val, test_pool
    shards: list[str]  # train token streams, in public/


def cache_folder() -> Path:
    """Corpora and downloads; all of it can be made again."""
    return Path(os.environ.get("AUTORESEARCH_CACHE") or platformdirs.user_cache_dir("autoresearch"))


def data_folder() -> Path:
    """The prepared corpus in use: $AUTORESEARCH_DATA, else the one prepared last."""
    given = os.environ.get("AUTORESEARCH_DATA")
    folder = Path(given) if given else cache_folder() / "current"
    if not (folder / "public" / "meta.json").is_file():
        fail(f"no prepared corpus at {folder}", "Run `python prepare.py` once (half a minute without a GPU).")
    return folder.resolve()


@functools.cache
def read_meta(folder: Path) -> Meta:
    return Meta(**json.loads((folder / "public" / "meta.json").read_text()))


def meta() -> Meta:
    """The corpus in use: vocabulary size, row length and all."""
    return read_meta(data_folder())


def read_token_bytes(folder: Path) -> np.ndarray:
    """(vocab,) int32: how many bytes of text each token stands for; 0 for BOS."""
    return np.load(folder / "sealed" / "token_bytes.npy", allow_pickle=False)


def read_tokenizer(folder: Path) -> tiktoken.Encoding:
    """The tokenizer, from data alone: token i is the i-th entry, and a lower id was merged earlier."""
    stored = json.loads((folder / "public" / "tokenizer.json").read_text())
    ranks = {base64.b64decode(token): rank for rank, token in enumerate(stored["tokens"])}
    return tiktoken.Encoding(
        name="autoresearch", pat_str=stored["pattern"], mergeable_ranks=ranks, special_tokens=stored["special"]
    )


def fail(what: str, then: str) -> NoReturn:
    """Stop with two sentences for a person: what happened, and what to do next."""
    raise SystemExit(f"error: {what}. {then}")


# ---------------------------------------------------------------------------------------------------------------------
# What train.py asks for: device, seed, draws, rows


def device() -> str:
    """cpu, cuda or mps. The lab says which; by hand the best one that works."""
    given = os.environ.get("AUTORESEARCH_DEVICE")
    if given:
        return given.partition(":")[0]
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def threads() -> int:
    """Processor threads this run may keep busy."""
    return int(os.environ.get("AUTORESEARCH_THREADS") or min(8, os.cpu_count() or 1))


def keep_memory() -> None:
    """Let the C allocator keep what it got instead of handing every large tensor back to the kernel and faulting its
    pages in again: a third of the processor time of a small CPU run. Only glibc has this dial."""
    with contextlib.suppress(OSError, AttributeError):
        for dial in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            ctypes.CDLL(None).mallopt(dial, 1 << 30)


def seed() -> int:
    """The run's seed. The lab owns it, and gives candidate and incumbent the same one."""
    return int(os.environ.get("AUTORESEARCH_SEED") or 1)


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed()}:{name}".encode(), digest_size=8).digest(), "little") >> 1


def generator(name: str) -> torch.Generator:
    """A random stream of its own for each name: adding a draw moves nobody else's."""
    import torch

    return torch.Generator().manual_seed(_key(name))


def initialise(model: torch.nn.Module, deviation: Callable[[str, torch.Tensor], float | None]) -> None:
    """Fill each parameter with normal draws of its own stream. `deviation(name, tensor)` is the standard deviation;
    0 gives zeros, None leaves the parameter as it was built."""
    import torch

    with torch.no_grad():
        for name, tensor in model.named_parameters():
            spread = deviation(name, tensor)
            if spread is not None:
                draws = torch.randn(tensor.shape, generator=generator(name)) if spread else torch.zeros(tensor.shape)
                tensor.copy_(draws * spread)


def stretch(fold: int = 0, folds: int = 1) -> list[np.ndarray]:
    """The training text, or one of `folds` equal stretches of it, as token streams (uint16, memory-mapped).

    Documents lie in no meaningful order, so a model that learns how far to trust what it looked up in one stretch can
    practise on another and meets neither its own rows nor their documents.
    """
    folder = data_folder()
    shards = [np.memmap(folder / "public" / name, dtype="<u2", mode="r") for name in meta().shards]
    total = sum(len(shard) for shard in shards)
    begin, end, at, streams = fold * total // folds, (fold + 1) * total // folds, 0, []
    for shard in shards:
        part = shard[max(0, begin - at) : max(0, end - at)]
        at += len(shard)
        if len(part):
            streams.append(part)
    return streams


def blocks(length: int | None = None, fold: int = 0, folds: int = 1) -> Iterator[np.ndarray]:
    """Endless training rows of a stretch, (length + 1,) uint16: inputs and, shifted by one, targets.

    Each epoch cuts the text at a random phase and visits every row once in random order. Both depend on the seed and
    the row length alone: a larger batch takes more of the same sequence. A row starts anywhere in a document, as the
    rows of the evaluation do.
    """
    length, streams, epoch = length or meta().sequence_length, stretch(fold, folds), 0
    if max(map(len, streams), default=0) < 2 * length:
        fail(f"no training text is long enough for rows of {length} tokens", "Prepare more text, or shorter rows.")
    while True:
        rng = np.random.default_rng([_key("data order"), epoch, fold])
        phase = int(rng.integers(length))
        counts = np.array([max(0, (len(stream) - 1 - phase) // length) for stream in streams])
        ends = np.cumsum(counts)
        for row in rng.permutation(ends[-1]):
            which = int(np.searchsorted(ends, row, side="right"))
            start = phase + int(row - (ends[which] - counts[which])) * length
            yield streams[which][start : start + length + 1]
        epoch += 1


def batches(
    rows: int, length: int | None = None, on: str = "cpu", folds: int = 1
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless (inputs, targets), each (rows, length) int64 on device `on`; row i comes from stretch i % folds.

    On CUDA the next batch is already under way while this one trains: it is staged in one of two pinned buffers, and a
    buffer is filled again only after the event behind its last copy. With a single one, a copy still in flight would be
    overwritten.
    """
    import torch

    length = length or meta().sequence_length
    sources = [blocks(length, fold, folds) for fold in range(folds)]

    def stage(out: np.ndarray) -> None:
        for row in range(rows):
            out[row] = next(sources[row % folds])

    if on != "cuda":
        while True:
            both = torch.empty(rows, length + 1, dtype=torch.int64)
            stage(both.numpy())
            both = both.to(on)
            yield both[:, :-1], both[:, 1:]
    staged = [torch.empty(rows, length + 1, dtype=torch.int64, pin_memory=True) for _ in range(2)]
    copied = [torch.cuda.Event(), torch.cuda.Event()]
    side, turn = torch.cuda.Stream(), 0

    def send() -> torch.Tensor:
        nonlocal turn
        copied[turn].synchronize()  # an event never recorded does not wait
        stage(staged[turn].numpy())
        with torch.cuda.stream(side):
            sent = staged[turn].to(on, non_blocking=True)
            copied[turn].record(side)
        turn = 1 - turn
        return sent

    coming = send()
    while True:
        torch.cuda.current_stream().wait_stream(side)
        both = coming
        both.record_stream(torch.cuda.current_stream())  # made on the side stream, used on this one
        coming = send()
        yield both[:, :-1], both[:, 1:]


# ---------------------------------------------------------------------------------------------------------------------
# The clock of a run, and its end


class Budget:
    """How much of the run's budget is used. Schedules ask for `fraction()`; the loop ends when it reaches 1.

    The lab holds the real clock, outside this process; this one only lets a run end by itself in time. `cpu` counts
    processor seconds of this process (all threads) and of children it has waited for, so busy neighbours cost nothing.
    """

    def __init__(self, on: str) -> None:
        self.seconds = float(os.environ.get("AUTORESEARCH_BUDGET_SECONDS") or (60 if on == "cpu" else 300))
        self.clock = os.environ.get("AUTORESEARCH_CLOCK") or ("cpu" if on == "cpu" else "wall")
        self.steps = 0
        self.tokens = 0
        self._marks = int(os.environ.get("AUTORESEARCH_MARKS") or -1)
        self._told = -math.inf
        self._losses: float | torch.Tensor = 0.0  # of the steps since
        self._untold = 0
        self._printed = -math.inf
        self._stopped = False
        self._began = math.nan
        self._reserve = 0.0

    def _now(self) -> float:
        if self.clock == "wall":
            return time.monotonic()
        children = os.times()
        return time.process_time() + children.children_user + children.children_system

    def start(self, model: torch.nn.Module) -> None:
        """Training proper begins: the budget counts from here. SIGTERM from now on means stop and seal."""
        size = sum(tensor.nbytes for tensor in model.state_dict().values())
        # sealing and leaving count too: 0.3 s for the interpreter and 1 s per 500 MB of weights
        self._reserve = min(0.3 + size / 500e6, 0.1 * self.seconds)
        with contextlib.suppress(ValueError):  # only a main thread may set handlers
            signal.signal(signal.SIGTERM, self._stop)
        if self._marks >= 0:
            os.set_blocking(self._marks, False)  # a supervisor that does not read must not hold up training
        # The lab counts a start-up beyond what the unchanged code needs as training, and so does this.
        before = self._now() - (BORN if self.clock == "wall" else 0.0)
        free = float(os.environ.get("AUTORESEARCH_STARTUP_FREE") or math.inf)
        self._began = self._now() - max(0.0, before - free)
        self._tell({"event": "start"})

    def _stop(self, *_: object) -> None:
        self._stopped = True

    def spent(self) -> float:
        """Seconds since start(), by the budget's clock."""
        return self._now() - self._began

    def fraction(self) -> float:
        """0 at the start, 1 when it is time to seal."""
        return 1.0 if self._stopped else min(1.0, self.spent() / (self.seconds - self._reserve))

    def step(self, tokens: int, loss: float | torch.Tensor) -> None:
        """Count one optimizer step of `tokens` tokens; a few times a second report it to the supervisor.

        Reported is the mean loss since the last report: that of one batch says little.
        """
        self.steps += 1
        self.tokens += tokens
        self._losses += loss if isinstance(loss, float | int) else loss.detach()
        self._untold += 1
        now = time.monotonic()
        if now - self._told >= 0.25:  # float(loss) waits for the device, so not at every step
            mean = float(self._losses) / self._untold
            self._told, self._losses, self._untold = now, 0.0, 0
            self._tell({"event": "step", "step": self.steps, "tokens": self.tokens, "loss": mean})
        if now - self._printed >= 2:
            self._printed = now
            rate = self.tokens / max(self.spent(), 1e-3)
            done = f"step {self.steps:5d} | {100 * self.fraction():5.1f} %"
            print(f"{done} | loss {float(loss):.4f} | {rate:,.0f} tokens/s", flush=True)

    def _tell(self, mark: Mapping[str, object]) -> None:
        if self._marks >= 0:
            with contextlib.suppress(OSError):  # full or closed: marks are informational
                os.write(self._marks, json.dumps(mark).encode() + b"\n")


def seal(model: torch.nn.Module, folder: Path, summary: Mapping[str, object]) -> None:
    """Write model.safetensors (whole or absent) and summary.json. Tied tensors are stored under each of their names."""
    import safetensors.torch

    kept: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in getattr(model, "_orig_mod", model).state_dict().items():  # a compiled model wraps the real one
        tensor = tensor.detach().cpu().contiguous()
        at = tensor.untyped_storage().data_ptr()
        kept[name] = tensor.clone() if at in seen or tensor.untyped_storage().nbytes() > tensor.nbytes else tensor
        seen.add(at)
    temporary = folder / ".model.safetensors"
    safetensors.torch.save_file(kept, temporary)
    _sync(temporary)
    os.replace(temporary, folder / "model.safetensors")
    write(folder / "summary.json", json.dumps(summary, indent=1).encode())


def finish(model: torch.nn.Module, budget: Budget, depth: int, flops_per_token: float) -> None:
    """The end of a run. In a lab: seal the weights, nothing else. By hand: evaluate, and print the summary block."""
    import torch

    on = next(model.parameters()).device.type
    trained = max(budget.spent(), 1e-6)
    summary: dict[str, float | int] = {
        "training_seconds": trained,
        "total_seconds": time.monotonic() - BORN,
        "peak_vram_mb": torch.cuda.max_memory_allocated() / 2**20 if on == "cuda" else 0.0,
        "mfu_percent": 100 * flops_per_token * budget.tokens / trained / peak_flops(on),
        "total_tokens_M": budget.tokens / 1e6,
        "num_steps": budget.steps,
        "num_params_M": sum(p.numel() for p in model.parameters()) / 1e6,
        "depth": depth,
    }
    out = os.environ.get("AUTORESEARCH_OUT")
    if out:
        seal(model, Path(out), summary)
        return
    summary = {"val_bpb": evaluate(model), **summary, "total_seconds": time.monotonic() - BORN}
    shapes = {"val_bpb": ".6f", "mfu_percent": ".2f", "num_steps": "d", "depth": "d"}
    print("---")
    for name, value in summary.items():
        print(f"{name + ':':<17} {value:{shapes.get(name, '.1f')}}")


def peak_flops(on: str) -> float:
    """What the device could do, in operations per second: by its data sheet (dense bf16), else 1e12 as a yardstick."""
    import torch

    name = torch.cuda.get_device_name() if on == "cuda" else ""
    sheet = {"B200": 2250e12, "H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
    return next((peak for card, peak in sheet.items() if card in name), 1e12)


def evaluate(model: torch.nn.Module, split: str = "val", length: int | None = None, rows: int = 16) -> float:
    """Bits per byte of a split, for use by hand; the lab scores by a program of its own and believes none of this.

    The stream is cut into rows of `length` inputs whose targets are the next tokens, so every token but the first (a
    BOS) is a target exactly once. Targets that are BOS have no bytes and count nothing.
    """
    import torch

    folder = data_folder()
    if not (folder / "sealed").is_dir():
        fail("the validation text is not visible here", "Evaluate outside the sandbox, or let the lab score the run.")
    length, bos = length or meta().sequence_length, meta().bos_id
    stream = np.fromfile(folder / "sealed" / f"{split}.bin", dtype="<u2")
    token_bytes = torch.from_numpy(read_token_bytes(folder))
    on = next(model.parameters()).device
    count = -(-(len(stream) - 1) // length)
    padded = np.full(count * length + 1, bos, dtype=np.int64)
    padded[: len(stream)] = stream
    inputs = torch.from_numpy(padded[:-1].reshape(count, length))
    targets = torch.from_numpy(padded[1:].reshape(count, length))
    nats, text = 0.0, 0
    model.eval()
    with torch.no_grad():
        for x, y in zip(inputs.split(rows), targets.split(rows), strict=True):
            logits = model(x.to(on)).float()
            losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten().to(on), reduction="none")
            nats += float((losses.cpu().double() * (y.flatten() != bos)).sum())
            text += int(token_bytes[y].sum())
    return nats / math.log(2) / text


# ---------------------------------------------------------------------------------------------------------------------
# Where text comes from. A source is a unit of parallel work that can be read again: always the same documents in order.

# Not text somebody wrote, or not on every installation: Debian, for one, ships no test folders.
STDLIB_LEFT_OUT = {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test", "encodings"}
GROUP_BYTES = 1_000_000  # small files are grouped to sources of this size
PARQUET_BYTES = 100_000_000  # a larger parquet file is shared out by its row groups
LONG_FILE = 1_000_000  # a text file beyond this is cut into documents at blank lines ...
PIECE = 64_000  # ... of about this many characters


@dataclass(frozen=True)
class Source:
    """Some files, or for one parquet file some of its row groups."""

    files: tuple[Path, ...]
    row_groups: range = range(0)

    def documents(self) -> Iterator[str]:
        """The documents in order. Files that are empty or no UTF-8, or cannot be read, are left out."""
        for file in self.files:
            if self.row_groups:
                table = open_parquet(file)
                for group in self.row_groups:
                    texts = table.read_row_group(group, columns=["text"])["text"].to_pylist()
                    yield from (text for text in texts if text)
                continue
            yield from texts_of(file)


def texts_of(file: Path) -> list[str]:
    """The documents of a text file: itself or, if it is long, its pieces; none if it has no text that can be used."""
    text = read_text(file)
    if not isinstance(text, str) or not text:
        return []
    return [text] if len(text) <= LONG_FILE else list(pieces(text))


def read_text(file: Path) -> str | Exception:
    """A file's text, or why it has none that can be used."""
    try:
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        return error


def open_parquet(file: Path) -> Any:
    try:
        import pyarrow  # here: 0.3 s and 60 MB that only parquet corpora need
        import pyarrow.parquet as parquet
    except ImportError:
        fail(f"{file} is a parquet file, and pyarrow is not installed", "Run `pip install pyarrow`.")
    try:
        table = parquet.ParquetFile(file)
    except (OSError, pyarrow.ArrowException) as error:
        fail(f"{file} cannot be read as parquet: {error}", "Give another file, or fetch this one again.")
    names = table.schema_arrow.names
    if "text" not in names:
        fail(f"{file} has no column `text` but {names}", "Rename the column that holds the text.")
    kind = table.schema_arrow.field("text").type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        fail(f"the column `text` of {file} holds {kind}, not text", "Write that column as strings.")
    return table


def pieces(text: str) -> Iterator[str]:
    """A long text cut after blank lines: pieces of at least PIECE characters but the last, the text when joined."""
    start = 0
    while start < len(text):
        cut = text.find("\n\n", start + PIECE)
        end = len(text) if cut < 0 else cut + 2
        yield text[start:end]
        start = end


def grouped(files: Sequence[Path]) -> list[Source]:
    """Sources of about GROUP_BYTES of text files and of PARQUET_BYTES of parquet, in the order of `files`."""
    sources: list[Source] = []
    group: list[Path] = []
    filled = 0

    def close_group() -> None:
        nonlocal group, filled
        if group:
            sources.append(Source(tuple(group)))
        group, filled = [], 0

    for file in files:
        size = file.stat().st_size
        if file.suffix == ".parquet":
            close_group()
            groups = range(open_parquet(file).num_row_groups)
            parts = min(len(groups), 1 + size // PARQUET_BYTES)
            sources += [
                Source((file,), groups[len(groups) * i // parts : len(groups) * (i + 1) // parts]) for i in range(parts)
            ]
            continue
        if filled + size > GROUP_BYTES:
            close_group()
        group.append(file)
        filled += size
    close_group()
    return sources


def usable(files: Sequence[Path]) -> list[Path]:
    """The files that have text, in their order; what is left out is said, once for each reason. Stops if none is left.

    Reading everything an extra time costs seconds, and a corpus without half of one's files costs a night.
    """
    kept: list[Path] = []
    left_out: dict[str, list[Path]] = {}
    for file in files:
        text = "parquet" if file.suffix == ".parquet" else read_text(file)
        if isinstance(text, str) and text:
            kept.append(file)
        else:
            left_out.setdefault(why_unusable(text), []).append(file)
    for why, of_these in left_out.items():
        say(f"left out, {why}: {len(of_these)} of {len(files)} files, such as {str(of_these[0])!a}")
    if not kept:
        fail("none of the files holds UTF-8 text that can be read", "The lines above say why; give other files.")
    return kept


def why_unusable(text: str | Exception) -> str:
    if isinstance(text, OSError):
        return f"cannot be read ({text.strerror})"
    return "not UTF-8" if isinstance(text, UnicodeDecodeError) else "empty"


def stdlib_files() -> list[Path]:
    """The running interpreter's standard library. `_sysconfigdata` describes one machine's build."""
    top = Path(sysconfig.get_paths()["stdlib"])
    found = (file.relative_to(top) for file in files_below(top) if file.suffix == ".py")
    kept = [file for file in found if not file.name.startswith("_sysconfigdata")]
    if not kept:
        fail(
            f"the standard library of {sys.executable} has no source files in {top}; it may be a zip file",
            "Use a Python that has them, or text of your own: `python prepare.py --corpus 'books/*.txt'`.",
        )
    return [top / file for file in shuffled(file for file in kept if not STDLIB_LEFT_OUT & set(file.parts))]


def files_below(top: Path) -> Iterator[Path]:
    """Regular files in a folder and its subfolders. Links to folders are not followed: they may lead in circles."""
    for folder, _, names in os.walk(top):
        yield from (file for name in names if is_file(file := Path(folder, name)))


def is_file(path: Path) -> bool:
    """Whether it is a regular file or a link to one; False also where nobody may look."""
    try:
        return path.is_file()
    except OSError:
        return False


def shuffled(files: Iterable[Path]) -> list[Path]:
    """Always the same order, in which neighbours have nothing in common: by the hash of the path."""
    return sorted(files, key=lambda file: hashlib.sha256(os.fsencode(file.as_posix())).digest())


def path_files(pattern: str) -> list[Path]:
    """Every file that a path or a glob names, each once, whatever links lead to it."""
    found = sorted(matches(os.path.expanduser(pattern)))
    files = [file for path in found for file in (files_below(path) if path.is_dir() else [path]) if is_file(file)]
    if not files:
        fail(f"no file matches --corpus {pattern!r}", "Give stdlib, climbmix, tinystories, or a path or glob of text.")
    return shuffled({os.path.realpath(file): file for file in reversed(files)}.values())


def matches(pattern: str) -> list[Path]:
    """What a glob matches. `**` is walked here, for glob's own follows links to folders, round and round."""
    parts = Path(pattern).parts
    if "**" not in parts:
        return [Path(name) for name in glob.glob(pattern)]
    at = parts.index("**")
    tops = glob.glob(os.path.join(*parts[:at])) if at else ["."]
    places = [place for top in tops for place, _, _ in os.walk(top)]
    shown = [place for place in places if not any(part.startswith(".") for part in Path(place).parts[at:])]
    wanted = parts[at + 1 :] or ("*",)
    return [path for place in shown for path in matches(os.path.join(glob.escape(place), *wanted))]


def remote_files(corpus: str, shards: int) -> list[str]:
    """The dataset's files, as addresses below the hub."""
    if corpus == "tinystories":
        return ["datasets/karpathy/tinystories-gpt4-clean/resolve/main/tinystories_gpt4_clean.parquet"]
    return [f"datasets/karpathy/climbmix-400b-shuffle/resolve/main/shard_{i:05d}.parquet" for i in range(shards)]


# ---------------------------------------------------------------------------------------------------------------------
# Downloads: resumed where they broke off, believed only with the right size and checksum

HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co")  # the hub's own variable for mirrors
ATTEMPTS = 5
CHUNK = 1 << 20


class Broken(Exception):
    """A download that did not arrive whole; another attempt may."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True)
class Expected:
    """What the server says of a file."""

    size: int
    sha256: str | None  # only large files have one


def ask(url: str) -> Expected:
    """Size and checksum from the headers. The hub redirects large files to its storage and tells both on the way
    (X-Linked-Size, X-Linked-Etag), so the redirect itself is read, not followed."""
    request = urllib.request.Request(url, method="HEAD", headers={"Accept-Encoding": "identity"})
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=30) as reply:
            headers = reply.headers
    except urllib.error.HTTPError as answer:
        answer.close()
        if answer.code not in (301, 302, 303, 307, 308):
            raise
        headers = answer.headers
        if "X-Linked-Size" not in headers:  # a plain redirect: its target knows
            return ask(urllib.parse.urljoin(url, headers["Location"]))
    size = headers.get("X-Linked-Size") or headers.get("Content-Length")
    if size is None:
        raise Broken("the server does not say how large the file is")
    tag = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
    is_sha256 = len(tag) == 64 and set(tag) <= set("0123456789abcdef")
    return Expected(int(size), tag if is_sha256 else None)


class Progress:
    """One line on stderr for all that is under way: redrawn on a terminal, elsewhere repeated every ten seconds."""

    def __init__(self, what: str, unit: str, scale: float, total: float = 0.0) -> None:
        self.what, self.unit, self.scale, self.total, self.done = what, unit, scale, total, 0.0
        self._lock, self._drawn, self._every = threading.Lock(), 0.0, 0.1 if sys.stderr.isatty() else 10.0

    def add(self, done: float, total: float = 0.0) -> None:
        with self._lock:
            self.done, self.total = self.done + done, self.total + total
            if time.monotonic() - self._drawn >= self._every:
                self._draw("\r" if sys.stderr.isatty() else "\n")

    def close(self) -> None:
        with self._lock:
            self._draw("\n")

    def _draw(self, end: str) -> None:
        self._drawn = time.monotonic()
        bar = "#" * round(30 * min(1.0, self.done / self.total)) if self.total else ""
        of = f"/{self.total / self.scale:,.1f}" if self.total else ""
        print(f"{self.what:<12} [{bar:<30}] {self.done / self.scale:,.1f}{of} {self.unit}", end=end, file=sys.stderr)


def fetch(url: str, part: Path, expected: Expected, progress: Progress) -> None:
    """One attempt to complete `part`, going on where the last one stopped. Raises Broken or OSError."""
    have = part.stat().st_size if part.exists() else 0
    if have > expected.size:
        part.unlink()
        have = 0
    if have < expected.size:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as reply:
            resumed = reply.status == 206 and reply.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            have = have if resumed else 0
            with part.open("ab" if resumed else "wb") as file:
                while chunk := reply.read(CHUNK):
                    file.write(chunk)
                    progress.add(len(chunk))
                    have += len(chunk)
                file.flush()
                os.fsync(file.fileno())
    if have != expected.size:
        raise Broken(f"{have:,} of {expected.size:,} bytes arrived")
    if expected.sha256 is not None:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected.sha256:
            part.unlink()  # going on from wrong bytes would never end well
            raise Broken(f"the checksum is {found[:12]}..., expected {expected.sha256[:12]}...")


def download(url: str, path: Path, progress: Progress, pause: Callable[[float], None] = time.sleep) -> None:
    """Have `url` at `path`, whole and checked, or stop with a message. What is there was checked when it came."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    trouble: Exception | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            pause(2.0**attempt * random.uniform(0.5, 1.0))  # apart from each other, or all retry at once
        try:
            expected = ask(url)
            if attempt == 0:
                progress.add(part.stat().st_size if part.exists() else 0, expected.size)
            fetch(url, part, expected, progress)
            os.replace(part, path)
            return
        except urllib.error.HTTPError as error:
            error.close()
            trouble = error
            if error.code in (401, 403, 404, 410):
                break  # asking again will not change the answer
        except (Broken, OSError, http.client.HTTPException) as error:
            trouble = error
    fail(
        f"cannot download {url}: {trouble}",
        "Run the same command again to go on where it stopped, or stay offline with "
        "`python prepare.py --corpus stdlib`, which needs no network.",
    )


def downloaded(corpus: str, shards: int, cache: Path, jobs: int) -> list[Path]:
    """All files of a remote corpus, fetching those that are missing, a few at a time."""
    addresses = remote_files(corpus, shards)
    paths = [cache / "downloads" / corpus / Path(address).name for address in addresses]
    if all(path.exists() for path in paths):
        return paths
    progress = Progress("downloading", "MB", 1e6)
    download(f"{HUB}/{addresses[0]}", paths[0], progress)  # alone: without a network one message is enough
    with concurrent.futures.ThreadPoolExecutor(min(4, jobs)) as pool:
        tasks = [pool.submit(download, f"{HUB}/{a}", p, progress) for a, p in zip(addresses, paths, strict=True)]
        for task in tasks:
            task.result()
    progress.close()
    return paths


# ---------------------------------------------------------------------------------------------------------------------
# Building a corpus: index, deal, train the tokenizer, encode, rename

DUPLICATE = len(SPLITS)  # the fourth pile


def index(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64, sizes in bytes int64) of a source's documents."""
    pairs = [(hashlib.blake2b(data, digest_size=8).digest(), len(data)) for data in map(str.encode, source.documents())]
    hashes = np.frombuffer(b"".join(digest for digest, _ in pairs), dtype="<u8")
    return hashes, np.array([size for _, size in pairs], dtype=np.int64)


def deal(hashes: np.ndarray, sizes: np.ndarray, val_bytes: int, sealable: Sequence[int] | None = None) -> np.ndarray:
    """The pile of each document: 0 train, 1 val, 2 test pool, 3 duplicate of an earlier one.

    In the order of their hashes documents go to validation until it is full, then to the test pool. A document that
    would be more than a quarter of it trains instead: the score is not to hang on one file. With `sealable` only these
    documents can be set apart, and a fifth of their text is left to train, for it is unlike the rest.
    """
    piles = np.full(len(hashes), DUPLICATE, dtype=np.uint8)
    _, first = np.unique(hashes, return_index=True)  # sorted by hash
    piles[first] = 0
    wanted = min(val_bytes, int(sizes[first].sum()) // 10)
    chosen = first if sealable is None else first[np.isin(first, sealable)]
    typical = int(np.median(sizes[chosen])) if len(chosen) else 0
    limit = max(wanted // 4, typical)
    while sealable is not None:  # a smaller validation admits only smaller documents
        most = int(sizes[chosen[sizes[chosen] <= limit]].sum()) * 2 // 5
        if wanted <= most:
            break
        wanted = most
        limit = max(wanted // 4, typical)
    filled, pile = 0, 1
    for document in chosen[sizes[chosen] <= limit]:
        piles[document] = pile
        filled += int(sizes[document])
        if filled >= wanted:
            filled, pile = 0, pile + 1
            if pile == DUPLICATE:
                return piles
    if sealable is not None:
        fail(
            f"only {len(chosen)} files of the standard library can be kept from runs, too few for validation and test",
            "Use text of your own: `python prepare.py --corpus 'books/*.txt'`, or a Python with its whole library.",
        )
    fail("there is too little text to set validation and test apart", "Give at least three different documents.")


def train_tokenizer(texts: Iterator[str], vocab_size: int) -> dict[str, Any]:
    """Byte-pair merges by frequency, as data: the split pattern, the tokens in order of merging, the special tokens."""
    trainer = rustbpe.Tokenizer()
    trainer.train_from_iterator(texts, vocab_size - 1, pattern=SPLIT_PATTERN)  # the last id is BOS
    tokens = [bytes(token) for token, _ in sorted(trainer.get_mergeable_ranks(), key=lambda pair: pair[1])]
    return {
        "format": FORMAT,
        "pattern": SPLIT_PATTERN,
        "tokens": [base64.b64encode(token).decode() for token in tokens],
        "special": {BOS: len(tokens)},
    }


def encode(source: Source, piles: np.ndarray, corpus: Path, number: int) -> dict[str, list[int]]:
    """Tokenise a source; write one stream per split to `corpus/parts`. Returns the documents' lengths in tokens."""
    tokenizer, lengths_of_tokens = read_tokenizer(corpus), read_token_bytes(corpus)
    bos = np.array([tokenizer.encode_single_token(BOS)])
    streams: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}
    for pile, text in zip(piles, source.documents(), strict=True):
        if pile == DUPLICATE:
            continue
        tokens = np.array(tokenizer.encode_ordinary(text), dtype=np.int64)
        if int(lengths_of_tokens[tokens].sum()) != len(text.encode()):
            raise AssertionError("token bytes do not add up to the text; bits per byte would be wrong")
        streams[SPLITS[pile]].append(np.concatenate([bos, tokens]).astype("<u2"))
    for split, documents in streams.items():
        np.concatenate([np.empty(0, "<u2"), *documents]).tofile(corpus / "parts" / f"{split}-{number}.bin")
    return {split: [len(document) for document in documents] for split, documents in streams.items()}


@dataclass(frozen=True)
class Recipe:
    """All that a corpus is made of."""

    name: str
    sources: Sequence[Source]
    preset: Preset
    interpreter: str = ""
    library: Path | None = None  # the folder of the standard library, whose files every run could read

    def fingerprint(self, hashes: np.ndarray, piles: np.ndarray) -> str:
        """Of everything that decides what a score means: text, split, tokenizer and row length."""
        settings = {
            "format": FORMAT,
            "corpus": self.name,
            "interpreter": self.interpreter,
            "vocab_size": self.preset.vocab_size,
            "sequence_length": self.preset.sequence_length,
            "pattern": SPLIT_PATTERN,
            "trainer": importlib.metadata.version("rustbpe"),
        }
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        digest.update(hashes.tobytes() + piles.tobytes())
        return digest.hexdigest()


def secrecy() -> Any:
    """The part of autoresearch that keeps sealed text from runs; train.py, which imports this file, never needs it."""
    try:
        from mcp_server.secrecy import making
    except ImportError as error:
        fail(f"{sys.executable} does not have autoresearch ({error})", "Use the Python that it is installed in.")
    return making


def origins(recipe: Recipe) -> tuple[list[Path], list[bytes]]:
    """(the file, the text) of each document."""
    found = [(file, text.encode()) for source in recipe.sources for file in source.files for text in texts_of(file)]
    return [file for file, _ in found], [text for _, text in found]


def without_near_duplicates(sources: Sequence[Source], piles: np.ndarray) -> np.ndarray:
    """The piles, with training documents put aside that say nearly the same as a sealed one."""
    sealed = (piles == 1) | (piles == 2)

    def texts() -> Iterator[bytes]:
        return (text.encode() for source in sources for text in source.documents())

    near = secrecy().near_duplicates(
        [text for text, held in zip(texts(), sealed, strict=True) if held],
        (text for text, pile in zip(texts(), piles, strict=True) if pile == 0),
    )
    piles = piles.copy()
    piles[np.flatnonzero(piles == 0)[near]] = DUPLICATE
    if near:
        say(f"left out, nearly the same as sealed text: {len(near)} documents")
    return piles


Each = Callable[..., Iterator[Any]]  # map(function, arguments...), in order, perhaps in other processes


def build(recipe: Recipe, cache: Path, force: bool = False, jobs: int = 1) -> tuple[Path, str]:
    """The corpus folder of a recipe, made only if it is not there yet; `current` points to it afterwards.

    Also the name of the search that its documents were chosen by, or nothing.
    """
    corpora = cache / "corpora"
    corpora.mkdir(parents=True, exist_ok=True)
    with workers(jobs, len(recipe.sources)) as each, locked(corpora / ".lock"):
        say(f"indexing {len(recipe.sources)} groups of documents")
        indexed = list(each(index, recipe.sources))
        hashes = np.concatenate([found for found, _ in indexed])
        sizes = np.concatenate([size for _, size in indexed])
        choice = (
            None
            if recipe.library is None
            else secrecy().choose_again(recipe.library, *origins(recipe), Path(__file__), force)
        )
        piles = deal(hashes, sizes, recipe.preset.val_bytes, None if choice is None else choice.eligible)
        if recipe.name in ("stdlib", "path"):
            piles = without_near_duplicates(recipe.sources, piles)
        identity = recipe.fingerprint(hashes, piles)
        corpus = corpora / f"{recipe.name}-{identity[:12]}"
        if force or not (corpus / "public" / "meta.json").is_file():
            clear(corpora)
            building = corpora / f".building-{os.getpid()}"
            per_source = np.split(piles, np.cumsum([len(found) for found, _ in indexed])[:-1])
            fill(building, recipe, identity, per_source, sizes, each)
            if choice is not None:
                hidden = choice.hide(np.flatnonzero((piles == 1) | (piles == 2)).tolist())
                write(
                    building / "sealed" / "hide.json", json.dumps({"paths": hidden, "needed": choice.needed}).encode()
                )
            if corpus.exists():
                os.replace(corpus, corpora / f".building-old-{os.getpid()}")
            os.replace(building, corpus)
            clear(corpora)
        link = cache / f".current-{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(corpus.relative_to(cache))
        os.replace(link, cache / "current")
    return corpus, "" if choice is None else choice.searched


def fill(
    corpus: Path, recipe: Recipe, identity: str, piles: Sequence[np.ndarray], sizes: np.ndarray, each: Each
) -> None:
    """Write the whole content of a corpus folder. `piles` is given per source, `sizes` for all documents."""
    public, sealed, parts = corpus / "public", corpus / "sealed", corpus / "parts"
    for folder in (public, sealed, parts):
        folder.mkdir(parents=True)
    for folder in (sealed, parts):
        folder.chmod(0o700)  # what scores is nobody else's to read

    say(f"training a tokenizer of {recipe.preset.vocab_size} tokens")
    tokenizer = train_tokenizer(training_texts(recipe.sources, piles), recipe.preset.vocab_size)
    write(public / "tokenizer.json", json.dumps(tokenizer).encode())
    lengths = [len(base64.b64decode(token)) for token in tokenizer["tokens"]]
    np.save(sealed / "token_bytes.npy", np.array([*lengths, 0], dtype=np.int32))  # the last is BOS

    progress = Progress("tokenising", "groups", 1, len(recipe.sources))
    numbers, folders = range(len(recipe.sources)), [corpus] * len(recipe.sources)
    documents: dict[str, list[int]] = {split: [] for split in SPLITS}
    for lengths_of in each(encode, recipe.sources, piles, folders, numbers):
        progress.add(1)
        for split in SPLITS:
            documents[split] += lengths_of[split]
    progress.close()

    shards: list[str] = []
    for number in numbers:
        part = parts / f"train-{number}.bin"
        if not shards or (public / shards[-1]).stat().st_size > 2 * SHARD_TOKENS:
            shards.append(f"train_{len(shards):05d}.bin")
        append(public / shards[-1], part)
        for split in SPLITS[1:]:
            append(sealed / f"{split}.bin", parts / f"{split}-{number}.bin")
    for split in SPLITS[1:]:
        np.save(sealed / f"{split}.docs.npy", np.cumsum([0, *documents[split]], dtype=np.int64))
    shutil.rmtree(parts)
    length = recipe.preset.sequence_length
    if max((public / name).stat().st_size // 2 for name in shards) < 2 * length + 1:
        fail(f"the training text is too short for rows of {length} tokens", "Give more text, or --sequence-length.")

    pile_of_each = np.concatenate(piles)
    splits = {
        split: {
            "tokens": sum(documents[split]),
            "bytes": int(sizes[pile_of_each == pile].sum()),
            "documents": len(documents[split]),
        }
        for pile, split in enumerate(SPLITS)
    }
    stored = Meta(
        format=FORMAT,
        corpus=recipe.name,
        fingerprint=identity,
        interpreter=recipe.interpreter,
        documents=sum(part["documents"] for part in splits.values()),
        bytes=sum(part["bytes"] for part in splits.values()),
        vocab_size=len(lengths) + 1,
        sequence_length=recipe.preset.sequence_length,
        bos_id=len(lengths),
        splits=splits,
        shards=shards,
    )
    write(public / "meta.json", json.dumps(asdict(stored), indent=1).encode())  # last: its presence says "complete"
    for file in sealed.iterdir():
        file.chmod(0o600)
    for file in [*public.iterdir(), *sealed.iterdir()]:
        _sync(file)


def training_texts(sources: Sequence[Source], piles: Sequence[np.ndarray]) -> Iterator[str]:
    """Training documents only: the tokenizer must not have read the validation text either."""
    used = 0
    for source, of_source in zip(sources, piles, strict=True):
        for text, pile in zip(source.documents(), of_source, strict=True):
            if pile == 0:
                yield text
                used += len(text)
        if used >= TOKENIZER_BYTES:
            return


@contextlib.contextmanager
def workers(jobs: int, tasks: int) -> Iterator[Each]:
    """A map over fresh processes: a fork would inherit the tokenizer trainer's threads in an unknown state."""
    if min(jobs, tasks) <= 1:
        yield map
        return
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(min(jobs, tasks), mp_context=spawn) as pool:
        yield pool.map


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One builder at a time in a cache. A held lock cannot outlive its process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def clear(corpora: Path) -> None:
    """Remove what a builder left that was killed; nobody else builds while we hold the lock."""
    for left_behind in corpora.glob(".building-*"):
        shutil.rmtree(left_behind)


def append(path: Path, part: Path) -> None:
    with path.open("ab") as to, part.open("rb") as source:
        shutil.copyfileobj(source, to, CHUNK)


def write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    _sync(temporary)
    os.replace(temporary, path)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------------------------------------
# Command line

HELP = """\
corpora:
  stdlib       the standard library of the Python that runs this: 9 to 11 MB of source text, no download. About 15 s on
               2 cores, 7 MB on disk. Rows of 1024 tokens, vocabulary 2048. What is sealed comes from modules that no
               run needs (idlelib, turtle, mailbox ...); runs find those modules empty or refused.
  climbmix     general web text, the public 400-billion-token shuffle. A shard is 90 MB to download and 250 MB of text;
               10 shards (the default) make about 600 million tokens: 1 GB to download, 1.3 GB of tokens, a few minutes
               on 16 cores. Rows of 2048 tokens, vocabulary 8192.
  tinystories  short children's stories, one file of 650 MB. Rows of 512 tokens, vocabulary 4096.
  PATH         your own text: a file, a folder or a quoted glob of UTF-8 or parquet files (column `text`). A file is a
               document; one beyond 1 MB is cut at blank lines.

A tenth of the text at most, and no more than --val-bytes each, is set apart for validation and for the test pool.
Asking again for what is there already changes nothing but `current`. An interrupted download goes on where it stopped.
At the end everything that a run can read on this machine is searched for copies of the sealed text: a minute or so for
10 GB, seconds when asked again. Where a copy turned up since, other modules of the standard library are sealed.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.py",
        description="Build the corpus that train.py trains on: documents, split, tokenizer, token shards.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--corpus", help="stdlib, climbmix, tinystories, or a path or glob (default: by device)")
    parser.add_argument("--vocab-size", type=int, help="tokens of the vocabulary, 257 to 65536")
    parser.add_argument("--sequence-length", type=int, help="tokens in a row, in training and in evaluation")
    parser.add_argument("--val-bytes", type=int, help="bytes of validation text; the test pool gets as many")
    parser.add_argument("--shards", type=int, default=10, help="climbmix files to use, 1 to 6543 (default 10)")
    parser.add_argument("--cache", type=Path, help=f"folder for downloads and corpora (default {cache_folder()})")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--force", action="store_true", help="choose and build again what is there already")
    parser.add_argument("--no-search", action="store_true", help="leave the search for copies to the campaign's start")
    options = parser.parse_args(arguments)

    # by the driver's own files: asking torch would cost seconds, and this script needs no torch
    corpus = options.corpus or ("climbmix" if Path("/proc/driver/nvidia/version").exists() else "stdlib")
    own = corpus not in PRESETS or corpus == "path"
    preset = PRESETS["path" if own else corpus]
    preset = Preset(
        options.vocab_size or preset.vocab_size,
        options.sequence_length or preset.sequence_length,
        options.val_bytes or preset.val_bytes,
    )
    if not 257 <= preset.vocab_size <= 65536:
        parser.error("--vocab-size must be 257 to 65536: 256 bytes and BOS are always there, and a token has 16 bits")
    if preset.sequence_length < 2 or preset.val_bytes < 1 or options.jobs < 1 or not 1 <= options.shards <= 6543:
        parser.error("--sequence-length must be at least 2, --val-bytes and --jobs at least 1, --shards 1 to 6543")
    cache = (options.cache or cache_folder()).expanduser().resolve()
    os.environ["AUTORESEARCH_CACHE"] = str(cache)  # what a search found is remembered there too
    began = time.monotonic()
    try:
        if corpus == "stdlib":
            files = usable(stdlib_files())
        elif own:
            files = usable(path_files(corpus))
        else:
            files = downloaded(corpus, options.shards, cache, options.jobs)
        interpreter = f"{platform.python_implementation()} {platform.python_version()}" if corpus == "stdlib" else ""
        library = Path(sysconfig.get_paths()["stdlib"]) if corpus == "stdlib" else None
        recipe = Recipe("path" if own else corpus, grouped(files), preset, interpreter, library)
        folder, searched = build(recipe, cache, options.force, options.jobs)
        words, lies_open = ("", False) if options.no_search else secrecy().proof_of(folder, searched)
        if lies_open and library is not None and not options.force:
            # a package that was installed since brought a copy; other modules can be sealed in its place
            say(f"{words}\nOther text is sealed instead; scores on the two do not compare.")
            folder, searched = build(recipe, cache, True, options.jobs)
            words, _ = secrecy().proof_of(folder, searched)
    except OSError as error:
        fail(f"cannot write the corpus: {error}", "Free some space or choose another folder with --cache.")
    stored = read_meta(folder)
    print(
        f"{stored.corpus}: {stored.documents:,} documents, {stored.bytes:,} bytes, vocabulary {stored.vocab_size}, "
        f"rows of {stored.sequence_length}; train {stored.splits['train']['tokens']:,} tokens, "
        f"validation {stored.splits['val']['bytes']:,} bytes\n{folder} ({time.monotonic() - began:.1f} s)",
        flush=True,
    )
    if words:
        say(words)


if __name__ == "__main__":
    main()
