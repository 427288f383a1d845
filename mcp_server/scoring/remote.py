"""A host as the evaluator sees it: a sandboxed process that is asked questions and given deadlines.

Whatever a host does, a question ends in an answer of the right shape or in `HostFailed` with a reason code; it never
hangs and nothing of the host's is interpreted. What the process prints is kept, bounded, until the first validation
token is sent, and thrown away from then on.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcp_server.nouns.errors import SandboxError
from mcp_server.nouns.records import HostUse, Tier
from mcp_server.runner.machine import descendants, shares
from mcp_server.runner.sandbox import Confinement, traces, wrap
from mcp_server.runner.sandbox.confinement import library_folders
from mcp_server.runner.sandbox.launch import PACKAGE, program
from mcp_server.scoring.corpus import Tokens
from mcp_server.scoring.protocol import (
    Form,
    Gone,
    Kind,
    Malformed,
    Message,
    Stalled,
    join_filters,
    receive,
    send,
)
from mcp_server.scoring.watch import Watch
from mcp_server.secrecy.hidden import hidden_copies

PRINTED_BYTES = 65_536
LEAVE_SECONDS = 5.0  # for the kernel to take processes down that were killed
LOOK_SECONDS = 1.0  # between two looks at a host's use of the processors; one takes milliseconds
KNOWN_ERRORS = frozenset(name for name in vars(builtins) if name.endswith("Error")) | {"OutOfMemoryError"}


class HostFailed(Exception):
    """A host died, stalled or answered with something else; `reason` is a reason code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Setting:
    """What every host of one scoring is told: the same for all, so that an honest model answers alike."""

    snapshot: Path
    weights: Path
    data: Path
    device: str
    threads: int
    rows: int  # B, of every full question
    width: int  # T
    vocab: int
    start_seconds: float  # from the start of a host to READY
    reply_seconds: float  # from a question to its answer
    tier: Tier
    tokens: int = 0  # of the whole split
    usual: HostUse | None = None  # what hosts need in this campaign; None: not known, so not limited
    gpus: tuple[int, ...] = ()
    shown_as: Path | None = None  # the snapshot's name inside the sandbox, if it is another than its own
    log: Path | None = None  # where a host's own words are kept, up to the first validation token

    def argv(self, fd: int) -> list[str]:
        shape = ["--rows", str(self.rows), "--width", str(self.width), "--vocab", str(self.vocab)]
        place = ["--snapshot", str(self.shown_as or self.snapshot), "--device", self.device]
        return [
            *(sys.executable, "-P", "-c", program("mcp_server.scoring.host"), "--fd", str(fd)),
            *(*place, "--threads", str(self.threads), *shape),
        ]

    def confinement(self, fd: int, scratch: Path) -> Confinement:
        """The snapshot to read and what describes the data; no text of any split, and nothing to write.

        A host that could read training text could go on learning where no budget counts. Weights come as a descriptor.
        """
        inherited = ("PATH", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LANG", "LC_ALL")
        env = {name: os.environ[name] for name in inherited if name in os.environ}
        env |= {"LD_LIBRARY_PATH": ":".join(library_folders())} if library_folders() else {}
        env |= {
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": str(self.threads),
            # Threads wait actively for a few microseconds, then sleep: a pair of them is twice as quick as when they
            # sleep at once, and a busy machine does not feel it.
            "OMP_WAIT_POLICY": "passive",
            "GOMP_SPINCOUNT": "2000",
            "AUTORESEARCH_DATA": str(self.data),
            "AUTORESEARCH_DEVICE": self.device,
            "AUTORESEARCH_THREADS": str(self.threads),
            "AUTORESEARCH_SEED": "0",
        }
        name = self.shown_as or self.snapshot
        return Confinement(
            write=(),
            read=(name, *descriptions(self.data), PACKAGE),
            hide=(self.data, *hidden_copies(self.data)),
            cwd=name,
            places={name: self.snapshot},
            env=env,
            fds=(fd,),
            gpus=self.gpus,
            scratch=scratch,
        )


def descriptions(data: Path) -> tuple[Path, ...]:
    """The files of a corpus that say what it is like (meta.json, tokenizer.json), and none that holds its text."""
    return tuple(sorted(path for path in (data / "public").iterdir() if path.suffix == ".json"))


class Host:
    """One running host. Close it: nothing of it outlives `close`.

    It may be started before there are weights: it takes them from the first call of `load` on. Until then nothing of
    the agent's runs in it.
    """

    def __init__(self, name: str, setting: Setting) -> None:
        self.name = name
        self.setting = setting
        self.precision = "float32"
        self.narrow = False  # rows may be cut behind the column that is asked about
        self.selective = False  # one column per row costs less than all
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._socket = ours
        # below T2 a host needs a folder for temporary files; it is its own and goes when the host goes
        self._scratch = tempfile.TemporaryDirectory(prefix="autoresearch-host-", ignore_cleanup_errors=True)
        confinement = setting.confinement(theirs.fileno(), Path(self._scratch.name))
        with theirs:
            try:
                self._process = subprocess.Popen(
                    wrap(setting.argv(theirs.fileno()), confinement, setting.tier),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=confinement.fds,
                    start_new_session=True,
                    env={},
                )
            except OSError as error:
                raise SandboxError(
                    f"The {setting.tier} sandbox does not start: {error}. Try `autoresearch doctor`."
                ) from error
        self._meter = descendants.Meter(self._process.pid)
        self._looked = 0.0  # CLOCK_MONOTONIC of the latest look at the meter
        self._ready_seconds = self._answer_seconds = 0.0  # of the processors
        self._asked = 0  # tokens so far
        self._read_before, self._read_since = 0, 0  # bytes from the disk: until it was ready, and since
        self._watch: Watch | None = None
        self.survived = False  # something of it, its end
        self._traces_ready = self._traces = 0  # calls until it was ready, and since
        self._printed = bytearray()
        self._listening = True
        threading.Thread(target=self._drain, daemon=True).start()
        self._start_deadline: float | None = None

    @property
    def pid(self) -> int:
        """Of the sandbox's outermost process."""
        return self._process.pid

    @property
    def printed(self) -> str:
        """What the process printed before it was shown a validation token."""
        return self._printed.decode("utf-8", "replace")

    def load(self) -> None:
        """Hand over the sealed weights; returns at once. Raises OSError when there are none."""
        self._start_deadline = time.monotonic() + self.setting.start_seconds
        walls = self.setting.tier is not Tier.T0
        filters = join_filters(traces.counted(), traces.refused()) if walls else join_filters(b"", b"")
        with self.setting.weights.open("rb") as weights, contextlib.suppress(ConnectionError):
            socket.send_fds(self._socket, [filters], [weights.fileno()])
        self._watch = Watch(self._socket, self._start_deadline)

    def wait_until_ready(self) -> None:
        """Return once the model is loaded and rehearsed. Raises HostFailed with the traceback's end."""
        if self._start_deadline is None:
            self.load()
        assert self._watch is not None
        self._watch.heard()
        message = self._receive((), self._start_deadline)
        known = _json(message.text)
        self._ready_seconds = self._meter.read()
        self._traces_ready = self._watch.calls
        self._read_before = descendants.read_bytes(self._process.pid)
        if self._ready_seconds > shares.most_to_get_ready(self.setting.usual):
            raise HostFailed("host_overspent", self._spent("to get ready", self._ready_seconds))
        self.narrow = known.get("narrow") is True
        self.selective = known.get("selective") is True
        self.precision = str(known["precision"]) if known.get("precision") in ("bfloat16", "float16") else "float32"

    @property
    def use(self) -> HostUse:
        """What it has used of the processors. Raises HostFailed when that is more than any model needs."""
        self._look()
        return HostUse(
            ready_seconds=round(self._ready_seconds, 2),
            answer_seconds=round(self._answer_seconds, 2),
            read_mb=round(self._read_since / 1e6, 1),
            traces=self._traces if self._watch is not None and self._watch.counts else None,
        )

    def _look(self) -> None:
        """See that it only answers: what else it computes would be learning that no budget counts."""
        self._looked = time.monotonic()
        self._answer_seconds = max(0.0, self._meter.read() - self._ready_seconds)
        self._read_since = max(self._read_since, descendants.read_bytes(self._process.pid) - self._read_before)
        if self._watch is not None:
            self._traces = self._watch.calls - self._traces_ready
        share = self._asked / self.setting.tokens if self.setting.tokens else 1.0
        if self._answer_seconds > shares.most_to_answer(self.setting.usual, share):
            raise HostFailed("host_overspent", self._spent("to answer", self._answer_seconds))

    def _spent(self, what: str, seconds: float) -> str:
        return f"Host {self.name} used {seconds:.1f} processor seconds {what}, many times what is usual here."

    def mute(self) -> None:
        """From here on, nothing the host prints or says is kept: it is about to see validation tokens."""
        if self._listening and self.setting.log is not None and self._printed:
            with contextlib.suppress(OSError), self.setting.log.open("a", encoding="utf-8") as file:
                file.write(f"-- host {self.name}\n{_clean(self.printed)}\n")
        self._listening = False

    def claims(self, inputs: Tokens, targets: Tokens) -> NDArray[np.float32]:
        """Log-probability of each target, (B, T). Raises HostFailed."""
        return self._ask(Kind.CLAIMS, inputs, targets, Form(Kind.CLAIMED, np.dtype("<f4"), inputs.shape))

    def logits(self, tokens: Tokens, columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Full logits (B, V) at one column per row. Raises HostFailed."""
        form = Form(Kind.ANSWERED, np.dtype("<f4"), (len(tokens), self.setting.vocab))
        return self._ask(Kind.LOGITS, tokens, columns, form)

    def freeze(self) -> None:
        """Stop every process of the host: while it sleeps it cannot watch another host work. Raises HostFailed."""
        self.mute()
        stopped: set[int] = set()
        # a process may fork while we look; one that is stopped cannot, so this ends
        while new := descendants.tree(self._process.pid) - stopped:
            descendants.send(new, signal.SIGSTOP)
            stopped |= new
        # a process that runs on another processor stops a moment later
        ends = time.monotonic() + self.setting.reply_seconds
        while not descendants.stand_still(stopped):
            if time.monotonic() > ends:
                raise self._stalled()
            time.sleep(0.0005)

    def thaw(self) -> None:
        """Let a frozen host go on."""
        descendants.send(descendants.tree(self._process.pid), signal.SIGCONT)

    def close(self) -> None:
        """Kill the process group (with bubblewrap: the namespace) and wait for it. Harmless to repeat.

        Below T2 a process may have left the group: `survived` says so.
        """
        self.mute()
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._watch is not None:
            self.survived = self._watch.counts and not self._watch.ended(LEAVE_SECONDS)
            self._watch.close()
        self._socket.close()
        self._scratch.cleanup()

    def _ask(self, kind: Kind, tokens: Tokens, second: NDArray[np.generic], form: Form) -> NDArray[np.float32]:
        self.mute()
        deadline = time.monotonic() + self.setting.reply_seconds
        try:
            send(self._socket.fileno(), kind, [tokens, second], deadline)
        except Gone:
            pass  # it may have said why before it went
        except Stalled:
            raise self._stalled() from None
        answer: NDArray[np.float32] = self._receive((form,), deadline).arrays[0].astype(np.float32, copy=False)
        self._asked += tokens.size
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._look()
        return answer

    def _receive(self, forms: Sequence[Form], deadline: float | None) -> Message:
        ready = Form(Kind.READY, np.dtype("u1"), (0,))
        try:
            message = receive(self._socket.fileno(), forms or (ready,), deadline)
        except Gone:
            raise HostFailed("host_died", f"Host {self.name} ended{self._how()}.{self._excerpt()}") from None
        except Stalled:
            raise self._stalled() from None
        except Malformed as error:
            words = str(error) if self._listening else "something else than the array that was asked for"
            raise HostFailed("bad_output", f"Host {self.name} sent {words}.") from None
        if message.kind is Kind.FAILED:
            raise self._failure(_json(message.text))
        if forms and message.kind is Kind.READY:
            raise HostFailed("bad_output", f"Host {self.name} said READY where an answer was due.")
        return message

    def _failure(self, said: Mapping[str, object]) -> HostFailed:
        reason = "bad_output" if said.get("reason") == "bad_output" else "host_died"
        text = str(said.get("said", ""))
        if self._listening:
            return HostFailed(reason, f"{_clean(text)[-2000:].strip()}{self._excerpt()}")
        # the host knows validation tokens: of its text only the name of an exception that is not its own may pass
        named = text if text in KNOWN_ERRORS else "an exception"
        return HostFailed(reason, f"Host {self.name} stopped with {named} while predicting validation text.")

    def _stalled(self) -> HostFailed:
        return HostFailed("host_stalled", f"Host {self.name} did not answer in time.{self._excerpt()}")

    def _how(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=1)  # the socket is closed: the process is about to end
            return f" on {signal.Signals(-code).name}" if code < 0 else f" with exit code {code}"
        return ""

    def _excerpt(self) -> str:
        printed = _clean(self.printed).strip()
        return f" It printed: {printed[-1000:]}" if self._listening and printed else ""

    def _drain(self) -> None:
        # to the end even when nobody listens: a full pipe would stop an honest model that prints
        pipe = self._process.stdout
        assert pipe is not None
        with pipe:
            while chunk := os.read(pipe.fileno(), 65_536):
                if self._listening:
                    self._printed += chunk
                    del self._printed[:-PRINTED_BYTES]


def _json(text: str) -> Mapping[str, object]:
    """A host's word as a flat mapping; what is none is kept as text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {"said": text}
    return value if isinstance(value, dict) else {"said": text}


def _clean(text: str) -> str:
    """Without control characters: this goes to a terminal and to an agent."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")
