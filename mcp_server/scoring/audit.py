"""The arithmetic of the audit: where to look, in which order to ask, what the answers mean. Pure.

Host A has claimed a log-probability for every target. Host B is asked for full logits at a few secret positions and
sees nothing that lies behind them; the log-softmax is done here, in double precision. Because B never knows the answer
to a question before it has answered, what it says is what an honest use of the weights gives, and A must agree with it.

Two rules keep the answer from B. A position is asked about before any question shows B the token that stands there
(`rounds`), and what stands behind an audited column is training text, never validation text (`questions`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcp_server.scoring.corpus import Split, Tokens

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

WIDTH_STEP = 8  # rows are cut at multiples of this: even shapes, little waste
SIGNIFICANT = 4.0  # standard errors; an honest model passes 16,000 runs between two false alarms
CONFIDENT = 1.96  # the reported interval covers 95 %


@dataclass(frozen=True)
class Positions:
    """Audited places in a split, n of them."""

    rows: Indices
    columns: Indices

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Indices | NDArray[np.bool_]) -> Positions:
        return Positions(self.rows[index], self.columns[index])


@dataclass(frozen=True)
class Tolerance:
    """How far an honest model's answers are apart on one backend and dtype, in nats."""

    largest: float  # at any one position
    mean: float  # on average


@dataclass(frozen=True)
class Estimate:
    """What claims and audit say together. `largest` is in nats, the rest in bits per byte."""

    score: float
    claimed: float  # what the claims alone come to
    correction: float  # what the audit added to the claimed score; 0 for an honest model
    sd: float  # standard error of the correction
    largest: float
    positions: int
    significant: bool  # the correction is more than chance and more than an honest model's rounding
    interval: tuple[float, float]  # 95 % of the corrected score, as far as the audit can tell


def draw(counted: NDArray[np.bool_], count: int, random: np.random.Generator) -> Positions:
    """`count` different places among the counted targets, each equally likely."""
    places = np.flatnonzero(counted)
    picked = np.sort(random.choice(places, size=min(count, len(places)), replace=False))
    rows, columns = np.divmod(picked, counted.shape[1])
    return Positions(rows.astype(np.int64), columns.astype(np.int64))


def rounds(positions: Positions, width: int) -> Indices:
    """The round in which each position may be asked, so that no earlier or simultaneous question shows its answer.

    A question at (row, column) shows the row up to that column. It gives away the answers of the row's smaller columns,
    and, since rows are one stream, the answer at the last column of the row before.
    """
    order = np.lexsort((positions.columns, positions.rows))
    result = np.zeros(len(positions), np.int64)
    previous_row, previous_column, previous_round = -2, -1, 0
    for index in order:
        row, column = int(positions.rows[index]), int(positions.columns[index])
        follows = row == previous_row or (row == previous_row + 1 and previous_column == width - 1)
        previous_round = previous_round + 1 if follows else 0
        result[index] = previous_round
        previous_row, previous_column = row, column
    return result


def batches(
    positions: Positions, width: int, rows: int, narrow: bool, random: np.random.Generator
) -> list[tuple[Indices, int]]:
    """Questions that are asked together, as (indices, width of the rows).

    Rows of a batch come from all over the split. `narrow` cuts rows behind the audited column, so neighbours in a batch
    are positions with columns alike; a batch then holds about as many tokens as one of `rows` full rows.
    """
    order = random.permutation(len(positions))
    if not narrow:
        return [(order[i : i + rows], width) for i in range(0, len(order), rows)]
    order = order[np.argsort(-positions.columns[order], kind="stable")]
    result = []
    while len(order):
        longest = int(positions.columns[order[0]]) + 1
        span = min(width, -(-longest // WIDTH_STEP) * WIDTH_STEP)
        members, order = np.split(order, [min(len(order), rows * width // span)])
        result.append((members, span))
    return result


def questions(split: Split, positions: Positions, span: int, random: np.random.Generator) -> Tokens:
    """Rows (n, span) that are true up to each position's column and training text behind it."""
    starts = random.integers(0, len(split.filler) - span, size=len(positions))
    tokens = split.filler[starts[:, None] + np.arange(span)]
    true = np.arange(span) <= positions.columns[:, None]
    return np.where(true, split.inputs[positions.rows, :span], tokens).astype(np.uint16)


def log_probabilities(logits: NDArray[np.float32], targets: Tokens) -> Floats:
    """log softmax of logits (n, V) at the targets (n,), in double precision. NaN where a row has no distribution."""
    wide = logits.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        wide -= wide.max(axis=1, keepdims=True)
        picked: Floats = wide[np.arange(len(wide)), targets] - np.log(np.exp(wide).sum(axis=1))
    return picked


def estimate(split: Split, claims: NDArray[np.float32], positions: Positions, found: Floats, mean: float) -> Estimate:
    """Bits per byte from claims (R, T), corrected by what was found (n,) at the audited positions.

    Each position is equally likely to be audited, so the mean difference times the number of targets estimates, without
    bias, all that the claims left out. `mean` is the average difference in nats that rounding may explain.
    """
    per_byte = 1 / (math.log(2) * split.byte_count)
    claimed = -float(claims[split.counted].sum(dtype=np.float64)) * per_byte
    if not len(positions):
        return Estimate(claimed, claimed, 0.0, 0.0, 0.0, 0, False, (claimed, claimed))
    differences = claims[positions.rows, positions.columns].astype(np.float64) - found  # nats that the claims left out
    scale = int(split.counted.sum()) * per_byte
    average = float(differences.mean())
    error = _standard_error(differences)
    # A leak is rare and large, so its mean is skewed: with ten leaks among 1,024 positions the usual interval holds the
    # truth in 87 of 100 draws. Centred as if the worst had been met once more, and as wide as if twice, in 95.
    worst = float(differences[np.abs(differences).argmax()])
    middle = claimed + (average + worst / len(positions)) * scale
    reach = CONFIDENT * _standard_error(np.append(differences, [worst, worst])) * scale
    return Estimate(
        score=claimed + average * scale,
        claimed=claimed,
        correction=average * scale,
        sd=error * scale,
        largest=float(np.abs(differences).max()),
        positions=len(positions),
        significant=abs(average) > mean and abs(average) > SIGNIFICANT * error,
        interval=(middle - reach, middle + reach),
    )


def by_document(split: Split, claims: NDArray[np.float32], estimate: Estimate) -> Floats:
    """What each document (D,) contributes to the score, which is their sum; the audit's correction by their tokens.

    A document without a counted target, such as the padding, contributes nothing and is left out.
    """
    documents = split.documents[split.counted]
    tokens = np.bincount(documents)
    nats = np.bincount(documents, -claims[split.counted].astype(np.float64))
    per_byte = 1 / (math.log(2) * split.byte_count)
    shares: Floats = (nats * per_byte + (estimate.score - estimate.claimed) * tokens / tokens.sum())[tokens > 0]
    return shares


def _standard_error(values: Floats) -> float:
    spread = float(values.std(ddof=1)) if len(values) > 1 else abs(float(values[0]))
    return spread / math.sqrt(len(values))


def beyond(claims: NDArray[np.float32], positions: Positions, found: Floats, tolerance: Tolerance) -> NDArray[np.bool_]:
    """Which positions (n,) differ by more than an honest model's rounding."""
    away: NDArray[np.bool_] = ~(np.abs(claims[positions.rows, positions.columns] - found) <= tolerance.largest)
    return away


def filler_rows(split: Split, count: int, random: np.random.Generator) -> Tokens:
    """`count` rows (count, T) of training text."""
    starts = random.integers(0, len(split.filler) - split.width, size=count)
    rows: Tokens = split.filler[starts[:, None] + np.arange(split.width)]
    return rows
