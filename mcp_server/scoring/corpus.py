"""The sealed splits, as the evaluator reads them: which tokens, which targets, how many true bytes.

Only the evaluator opens the sealed half of a corpus. The layout is fixed here and by nothing the agent can change: the
stream is cut into rows of T tokens, and the target of each column is the next token of the stream, so every byte of the
split is scored exactly once. A target that is BOS stands for no bytes and counts nothing.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcp_server.nouns.errors import CorpusError
from mcp_server.nouns.refusals import first

Tokens = NDArray[np.uint16]
FILLER_TOKENS = 1 << 20  # enough training text for every replaced suffix of an audit


class Meta(BaseModel):
    """What the evaluator needs of `public/meta.json`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: Literal[1, 2]  # 1: made before anybody looked for readable copies of the sealed text
    fingerprint: str
    vocab_size: int = Field(gt=1, le=65_536)
    sequence_length: int = Field(gt=1, le=65_535)
    bos_id: int = Field(ge=0, le=65_535)
    shards: tuple[str, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Split:
    """One split laid out for evaluation: R rows of T tokens."""

    inputs: Tokens  # (R, T)
    targets: Tokens  # (R, T)
    counted: NDArray[np.bool_]  # (R, T): neither BOS nor padding
    byte_count: int  # true bytes of all counted targets
    vocab_size: int
    documents: NDArray[np.int64]  # (R, T): which document a target belongs to
    filler: Tokens  # (F,) training tokens, which a model has seen anyway: what replaces a suffix in an audit

    @property
    def rows(self) -> int:
        return int(self.inputs.shape[0])

    @property
    def width(self) -> int:
        """T, the sequence length."""
        return int(self.inputs.shape[1])


def read_split(folder: Path, split: Literal["val", "test", "watch"], secret: str | None = None) -> Split:
    """A split of the prepared corpus in `folder`; `test` is drawn from its pool with `secret`, and `watch` is what of
    the pool `test` leaves. Raises CorpusError.
    """
    meta = read_meta(folder)
    sealed = folder / "sealed"
    try:
        if split == "val":
            stream: Tokens = np.fromfile(sealed / "val.bin", "<u2")
        else:
            pool, starts = np.fromfile(sealed / "test_pool.bin", "<u2"), np.load(sealed / "test_pool.docs.npy")
            stream = draw_documents(pool, starts, secret, rest=split == "watch")
        token_bytes = np.load(sealed / "token_bytes.npy").astype(np.int64)
        filler: Tokens = np.fromfile(folder / "public" / meta.shards[0], "<u2", count=FILLER_TOKENS)
    except (OSError, ValueError) as error:
        raise CorpusError(f"The sealed {split} split cannot be read ({error}). Run prepare.py again.") from error
    if len(token_bytes) != meta.vocab_size or len(stream) < 2 or len(filler) <= meta.sequence_length:
        raise CorpusError(f"The corpus in {folder} is incomplete. Run prepare.py again.")
    if int(stream.max()) >= meta.vocab_size or int(filler.max()) >= meta.vocab_size:
        raise CorpusError(f"The corpus in {folder} holds tokens beyond its vocabulary. Run prepare.py again.")
    return lay_out(stream, token_bytes, filler, meta)


def read_meta(folder: Path) -> Meta:
    """The public description of the corpus in `folder`. Raises CorpusError."""
    try:
        return Meta.model_validate_json((folder / "public" / "meta.json").read_bytes())
    except (OSError, ValidationError) as error:
        why = first(error) if isinstance(error, ValidationError) else error
        raise CorpusError(f"{folder} holds no prepared corpus ({why}). Run prepare.py first.") from error


def draw_documents(pool: Tokens, starts: NDArray[np.int64], secret: str | None, rest: bool = False) -> Tokens:
    """The documents of the test pool that `secret` picks: about half, each by HMAC-SHA256(secret, its index); or the
    rest of them."""
    if not secret:
        raise CorpusError(
            "The test split is drawn with a campaign's secret, and none was given. Use `autoresearch exam`."
        )
    drawn = [hmac.digest(secret.encode(), struct.pack("<Q", i), "sha256")[0] & 1 for i in range(len(starts) - 1)]
    picked = [i for i, chosen in enumerate(drawn) if bool(chosen) != rest]
    if not picked:
        raise CorpusError("The test pool has too few documents to draw a split from. Prepare a larger corpus.")
    return np.concatenate([pool[starts[i] : starts[i + 1]] for i in picked])


def lay_out(stream: Tokens, token_bytes: NDArray[np.int64], filler: Tokens, meta: Meta) -> Split:
    """Rows of a token stream s: row r has inputs s[rT : rT+T] and targets s[rT+1 : rT+T+1]; BOS pads the last."""
    width = meta.sequence_length
    rows = -(-(len(stream) - 1) // width)
    padded = np.full(rows * width + 1, meta.bos_id, np.uint16)
    padded[: len(stream)] = stream
    targets = padded[1:].reshape(rows, width)
    counted = (targets != meta.bos_id) & (token_bytes[targets] > 0)  # the padding is BOS too
    return Split(
        inputs=padded[:-1].reshape(rows, width),
        targets=targets,
        counted=counted,
        byte_count=int(token_bytes[targets[counted]].sum()),
        vocab_size=meta.vocab_size,
        documents=np.cumsum(padded[:-1] == meta.bos_id).reshape(rows, width),
        filler=filler,
    )
