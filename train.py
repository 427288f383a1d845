"""The file under research: a small GPT that looks things up, trained within a fixed budget.

    python train.py          # trains on the prepared corpus, then prints its score; in a lab the weights are sealed

The model is a decoder-only transformer: rotary positions, RMS norm without gains, QK norm, relu² MLP, value
embeddings, sliding windows, residual and input scalars, zero-initialised output projections. What lets it learn from
few tokens is that it need not learn by heart what can be looked up:

  copies    which token followed the last time the same 1, 2, 3 or 4 tokens stood in this row
  grams     hashed embeddings of the last two and the last three tokens, learned row by row
  counts    how often each token followed the same 1 to 5 tokens in the training text, counted before training
            and smoothed (Kneser and Ney, 1995; with three discounts: Chen and Goodman, 1999)
  matches   what followed every earlier place of this row with the same token, weighted by how many tokens before it
            were the same, and by how far back it is
  recent    how often each token stood in this row lately

Copies make *proposals*: a token and a level of confidence. Each enters as an embedding at the bottom, and at the top as
a bonus on its own logit, which the model learns to give or withhold. Counts, matches and what is recent are *voices*:
each is a distribution over the vocabulary, and the answer is a mixture of them and of the network's. How much each is
believed is learned for every place, from the residual stream and from how often and how clearly its context was seen
before. The network learns from its own error, a little less where other voices knew the token, and only the weights of
the mixture learn from the mixture's error: taught by that, the network leaves to the others what it could know better
itself (dev/LOG.md).

A text must not be looked up in itself, or what was counted would always be right in training and never after: it is
counted in two halves, and the rows of one half practise on the counts of the other.

Everything is causal: position t of a row sees tokens 0..t of that row and nothing else, and no call leaves a trace in
the model. `build_model()` has no side effects, for the scorer rebuilds the model from this text and loads the weights.
Schedules run on the fraction of the budget used, so a faster step means more steps and never a wrong schedule.

The CPU preset was measured (dev/LOG.md). The CUDA and MPS presets follow published results and have not been run on
such a device yet.
"""

# ruff: noqa: E402
from __future__ import annotations

import gc

gc.disable()  # until all is imported: with the collector at work importing torch takes a third longer

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.adamw import adamw

import prepare

gc.freeze()  # what is imported stays
gc.enable()

# ---------------------------------------------------------------------------------------------------------------------
# Knobs: one literal where it fits every device, else one per device class

DEVICE = prepare.device()
VOCAB = prepare.meta().vocab_size
Value = TypeVar("Value")


def pick(cpu: Value, mps: Value, cuda: Value) -> Value:
    return {"cpu": cpu, "mps": mps, "cuda": cuda}[DEVICE]


# Model
DEPTH = pick(cpu=1, mps=4, cuda=9)  # blocks
WIDTH = pick(cpu=128, mps=256, cuda=640)  # channels of the residual stream
HEADS = pick(cpu=2, mps=4, cuda=5)  # attention heads
MLP_RATIO = 2  # hidden channels of the MLP, in widths
WINDOW = pick(cpu=64, mps=128, cuda=256)  # tokens that a short-sighted block looks back
WINDOW_PATTERN = pick(cpu="S", mps="SL", cuda="SSSSL")  # S short, L the whole row; repeated, aligned at the end
VALUE_PATTERN = pick(cpu="-V", mps="-V", cuda="-V")  # V has value embeddings; repeated, aligned at the end
ROPE_BASE = pick(cpu=10_000, mps=10_000, cuda=200_000)  # longest wavelength of the rotary positions
QK_SCALE = 1.2  # sharpens the normalised queries and keys
SOFTCAP = pick(cpu=0.0, mps=15.0, cuda=15.0)  # logits of the head are squashed below this; 0 is off

# What is looked up
COPY_ORDERS = (1, 2, 3, 4)  # lengths of context whose last follower in the row is proposed
COUNT_ORDERS = (1, 2, 3, 4, 5)  # lengths of context whose followers in the training text are counted, rising
COUNT_SLOTS = pick(cpu=7 * 2**20, mps=2**23, cuda=2**25)  # pairs of a context and its follower that are kept at most
COUNT_TOKENS = pick(cpu=2**22, mps=2**22, cuda=2**23)  # of training text that are counted at most, per half
MATCH_LENGTH = 16  # tokens; longer matches are treated alike
RECENT_REACH = pick(cpu=50.0, mps=100.0, cuda=100.0)  # tokens; what stood that far back counts 1/e
FOCUS = 0.7  # so much less does the network practise on a token that counts or matches were sure of; 0 to 1
GRAM_SLOTS = pick(cpu=2**17, mps=2**18, cuda=2**21)  # of the hash table, bigrams and trigrams each; 0 is off
GRAM_WIDTH = pick(cpu=64, mps=64, cuda=256)  # channels of a gram's embedding

# Optimizers: rates at the start; the schedule scales them all
MATRIX_LR = 0.04  # Muon, matrices of the blocks
EMBED_LR = pick(cpu=0.2, mps=0.04, cuda=0.035)  # AdamW, token, value and proposal embeddings
HEAD_LR = pick(cpu=0.012, mps=0.008, cuda=0.005)  # AdamW, output matrix
BONUS_LR = 0.03  # AdamW, what decides about bonuses
VOICE_LR = 0.02  # AdamW, what decides about voices
SCALAR_LR = 0.03  # AdamW, residual and input scalars
GRAM_LR = 0.1  # row-wise Adagrad, grams
WEIGHT_DECAY = 0.0  # decoupled, matrices of the blocks
EMBED_DECAY = pick(cpu=0.0, mps=0.0, cuda=0.003)  # decoupled, embeddings
ADAM_BETAS = (0.8, 0.95)  # of the first and the second moment
MOMENTUM = 0.95  # Muon's, Nesterov
EMBED_INIT = 1.0  # standard deviation of the token embeddings
MATRIX_INIT = 0.6  # standard deviation of the matrices, times sqrt(inputs)

# Schedule, in fractions of the budget
WARMUP = 0.0  # rates rise linearly over this part
COOLDOWN = 0.6  # rates fall linearly over this last part ...
FINAL_LR = 0.05  # ... to this part of their value

# Batch
BATCH = pick(cpu=2, mps=8, cuda=32)  # pairs of rows per forward and backward, one row from each half of the text
ACCUMULATE = 1  # forwards and backwards per optimizer step
CHUNK = pick(cpu=512, mps=0, cuda=0)  # positions whose logits exist at a time; 0 is all at once

# ---------------------------------------------------------------------------------------------------------------------
# Looking up. A proposal is a token, or -1, and a level of confidence, 0 where there is none.

SOURCES = len(COPY_ORDERS)
VOICES = len(["the network", "counts without context", *COUNT_ORDERS, "what is recent", "matches"])
LEVELS = 21


def before(tokens: Tensor, steps: int, at: Tensor | None = None) -> Tensor:
    """The tokens `steps` places earlier, (..., T), or those of places (B, P) alone; 0 before the start."""
    if at is None:
        return F.pad(tokens, (steps, 0))[..., : tokens.size(-1)]
    return torch.where(at < steps, 0, tokens.gather(1, (at - steps).clamp(min=0)))


def everywhere(tokens: Tensor) -> Tensor:
    """The place of every token (B, T) in its row."""
    return torch.arange(tokens.size(1), device=tokens.device).expand(tokens.shape)


def at_places(x: Tensor, places: Tensor) -> Tensor:
    """What (B, T, ...) holds at places (B, P) of each row, (B, P, ...)."""
    return x[torch.arange(len(x), device=x.device)[:, None], places]


def context_hashes(tokens: Tensor, longest: int, at: Tensor | None = None) -> list[Tensor]:
    """46 bits for the last 1, 2 ... `longest` tokens at each place of (..., T), or at places (B, P), the token there
    included."""
    key, hashes = torch.zeros_like(tokens if at is None else at), []
    for back in range(longest):
        key = (key + before(tokens, back, at) + 1) * 6364136223846793005  # Knuth's multiplier; int64 wraps
        key = key ^ (key >> 29)
        hashes.append(key & (2**46 - 1))
    return hashes


class Counts(NamedTuple):
    """What followed which context, in n texts: slots sorted by context and follower, the unused ones in front."""

    pairs: Tensor  # (n, COUNT_SLOTS) int64: key of the context + follower
    share: Tensor  # (n, COUNT_SLOTS) bfloat16: of this follower among all of the context, discounted
    rest: Tensor  # (n, COUNT_SLOTS) float32: what the shares leave to the shorter context; all sum to one
    level: Tensor  # (n, COUNT_SLOTS) uint8: how often the context was seen, and how much it leaves
    alone: Tensor  # (n, vocab) float32: the share of each token, whatever stands before


def context_key(hashes: Tensor, i: int) -> Tensor:
    """int64: what, with a follower added, are the pairs of contexts of the i-th order, by their hashes."""
    return ((i + 1 << 43) + (hashes & (2**43 - 1))) << 16


def context_keys(tokens: Tensor, at: Tensor | None = None) -> Tensor:
    """(..., T, orders) int64: the keys of all contexts that end at each place, or at places (B, P). Half a context has
    none."""
    hashes = context_hashes(tokens, COUNT_ORDERS[-1], at)
    at = torch.arange(tokens.size(-1), device=tokens.device) if at is None else at
    keys = [
        torch.where(at < order - 1, -(2**16), context_key(hashes[order - 1], i)) for i, order in enumerate(COUNT_ORDERS)
    ]
    return torch.stack(keys, dim=-1)


def starts(values: Tensor) -> Tensor:
    """Where a sorted vector changes."""
    return F.pad(values[1:] != values[:-1], (1, 0), value=True)


def in_order(values: Tensor) -> tuple[Tensor, Tensor]:
    """A vector sorted, and where each value stood, equal ones in any order. On a CPU numpy is twice as quick."""
    if values.device.type != "cpu":
        return values.sort()
    place = torch.from_numpy(np.argsort(values.numpy()))
    return values.index_select(0, place), place


def count(stream: Tensor, hashes: Sequence[Tensor] = ()) -> Counts:
    """The counts of one text. The longest contexts count how often a token followed, the others in how many longer
    contexts it did: that is Kneser and Ney's point. Of more pairs than slots those of the rarest contexts are left out.
    `hashes` are those of its contexts, where they are known."""
    hashes, found = hashes or context_hashes(stream, COUNT_ORDERS[-1]), []
    at = torch.arange(COUNT_ORDERS[-1], len(stream), device=stream.device)
    for i, order in reversed(list(enumerate(COUNT_ORDERS))):
        key = context_key(hashes[order - 1].index_select(0, at - 1), i)  # four times as quick as hashes[order - 1][...]
        pair, place = in_order(key + stream.index_select(0, at))
        first = starts(pair).nonzero()[:, 0]
        times = torch.diff(first, append=first.new_tensor([len(pair)]))
        pair, at = pair[first], at.index_select(0, place[first])  # one place stands for each pair from here on
        n = torch.bincount(times.clamp(max=5), minlength=6).tolist()
        y = n[1] / max(1, n[1] + 2 * n[2])
        less = torch.tensor([0.0] + [k - (k + 1) * y * n[k + 1] / max(1, n[k]) for k in (1, 2, 3)]).clamp(min=0)
        kept = times - less.to(pair.device).index_select(0, times.clamp(max=3))
        context = starts(pair >> 16).cumsum(0) - 1
        none = kept.new_zeros(int(context[-1]) + 1)
        total = none.index_add(0, context, times.float())
        share = (kept / total.index_select(0, context)).bfloat16()
        rest = (1 - none.index_add(0, context, share.float())).clamp(min=0)
        clarity = sum((rest > bound).long() for bound in (0.1, 0.3, 0.6))
        level = 1 + 4 * total.log2().long().clamp(max=4) + clarity
        total, rest, level = (x.index_select(0, context) for x in (total, rest, level.to(torch.uint8)))
        found.insert(0, (pair, share, rest, level, total))
    least = 0
    while sum(int((total > least).sum()) for *_, total in found) > COUNT_SLOTS:
        least += 1
    if least:
        found = [tuple(x[total > least] for x in (*tables, total)) for *tables, total in found]
    alone = torch.bincount(stream[at], minlength=VOCAB) + 0.5
    pair, share, rest, level = (
        torch.cat([x[0].new_zeros(COUNT_SLOTS - sum(map(len, x))), *x]) for x in list(zip(*found, strict=True))[:4]
    )
    return Counts(*(x[None] for x in (pair, share, rest, level, alone / alone.sum())))


def levels_of(keys: Tensor, slot: Tensor, counts: Counts) -> tuple[Tensor, Tensor]:
    """(levels, what is left to the shorter context), both like keys (n, ...): 0 and 1 where a context is unknown.
    `slot` is where some pair of the context is, or would be."""
    here = at_slots(counts.pairs, slot) >> 16 == keys >> 16
    slot = torch.where(here, slot, (slot - 1).clamp(min=0))
    known = here | (at_slots(counts.pairs, slot) >> 16 == keys >> 16)
    level, rest = at_slots(counts.level, slot).long(), at_slots(counts.rest, slot)
    return torch.where(known, level, 0), torch.where(known, rest, 1.0)


def find(keys: Tensor, counts: Counts) -> Tensor:
    """The first slot not below each key (n, ...)."""
    return torch.searchsorted(counts.pairs, keys.flatten(1)).view_as(keys)


def at_slots(table: Tensor, slot: Tensor) -> Tensor:
    """What (n, COUNT_SLOTS) holds at (n, ...) slots."""
    return table.gather(1, slot.flatten(1).clamp(max=COUNT_SLOTS - 1)).view_as(slot)


def fading() -> Tensor:
    """How much a token counts that stood 0, 1, 2 ... places back, as far as anything counts."""
    return (-torch.arange(int(3 * RECENT_REACH), device=DEVICE) / RECENT_REACH).exp()


def recent(tokens: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """The tokens that stood in the row lately at places (B, P) of rows (B, T), the place's own first, and how much each
    counts, which sums to one: (B, P, reach) each, 0 and 0 where the row had not begun."""
    count = fading()
    at = places[..., None] - torch.arange(len(count), device=tokens.device)
    count = torch.where(at < 0, 0.0, count)
    lately = tokens.gather(1, at.clamp(min=0).flatten(1)).view_as(at)
    return lately, count / count.sum(-1, keepdim=True)


def recently(tokens: Tensor, targets: Tensor) -> Tensor:
    """(B, T): what `recent` says of each target."""
    count = fading()
    lately = F.pad(tokens, (len(count) - 1, 0), value=-1).unfold(1, len(count), 1)  # (B, T, reach), the last first
    everything = count.cumsum(0)[torch.arange(tokens.size(1), device=tokens.device).clamp(max=len(count) - 1)]
    return (lately == targets[..., None]).float() @ count.flip(0) / everything


class Heard(NamedTuple):
    """What counts and the row's recent tokens say of the tokens that really followed."""

    levels: Tensor  # (B, T, orders)
    chances: Tensor  # (B, T, 2 + orders): without context, with each order and all shorter ones, by what is recent


def hear(tokens: Tensor, targets: Tensor, counts: Counts) -> Heard:
    """What to practise on for (B, T) tokens: row i asks text i % n."""
    n = len(counts.pairs)
    keys = context_keys(tokens).unflatten(0, (-1, n)).transpose(0, 1)  # (n, B / n, T, orders)
    wanted = targets.unflatten(0, (-1, n)).transpose(0, 1)
    pair = keys + wanted[..., None]
    slot = find(pair, counts)
    levels, rest = levels_of(keys, slot, counts)
    share = torch.where(at_slots(counts.pairs, slot) == pair, at_slots(counts.share, slot).float(), 0.0)
    chances = [counts.alone.gather(1, wanted.flatten(1)).view_as(wanted)]
    for i in range(len(COUNT_ORDERS)):
        chances.append(share[..., i] + rest[..., i] * chances[-1])
    levels, counted = (x.transpose(0, 1).flatten(0, 1) for x in (levels, torch.stack(chances, dim=-1)))
    return Heard(levels, torch.cat([counted, recently(tokens, targets)[..., None]], dim=-1))


class Matches(NamedTuple):
    """All pairs of a place and an earlier one of its row with the same token."""

    place: Tensor  # (E,) of the places asked for, counted through all rows
    follower: Tensor  # (E,) the token behind the earlier place
    length: Tensor  # (E,) how many tokens up to both are the same
    level: Tensor  # (E,) how far apart they are
    earlier: Tensor  # (E,) the earlier place, in its row
    longest: Tensor  # (B, P) the longest length of each place; 0 where nothing matches

    def of(self, places: Tensor) -> Matches:
        """Those of some of the places asked for: (B, p) of each row's P, rising."""
        (B, P), number = self.longest.shape, torch.arange(places.numel(), device=places.device)
        which = torch.full((B * P,), -1, device=places.device)
        which[(torch.arange(B, device=places.device)[:, None] * P + places).flatten()] = number
        which = which[self.place]
        kept = which >= 0
        return Matches(which[kept], *(part[kept] for part in self[1:-1]), self.longest.gather(1, places))


def matches(tokens: Tensor, places: Tensor) -> Matches:
    """Those of places (B, P) in rows (B, T). A stable sort brings equal tokens together, so this costs T log T."""
    (B, T), flat, at = tokens.shape, tokens.flatten(), everywhere(tokens)
    row = torch.arange(B, device=tokens.device)[:, None] * T
    order = tokens.argsort(dim=1, stable=True)
    same = tokens.gather(1, order)
    first = torch.where(F.pad(same[:, 1:] != same[:, :-1], (1, 0), value=True), at, 0).cummax(dim=1).values
    rank = torch.empty_like(order).scatter_(1, order, at - first).gather(1, places)  # how many earlier ones there are
    first = torch.empty_like(order).scatter_(1, order, first).gather(1, places)  # where in `order` these begin
    place = torch.arange(rank.numel(), device=tokens.device).repeat_interleave(rank.flatten())
    begins = (row + first).flatten() - rank.flatten().cumsum(0) + rank.flatten()
    which = begins.index_select(0, place) + torch.arange(len(place), device=tokens.device)
    t, s = (row + places).flatten().index_select(0, place), (row + order).flatten().index_select(0, which)
    earlier, length, alike = s % T, torch.ones_like(s), torch.arange(len(s), device=s.device)
    for back in range(1, MATCH_LENGTH):
        alike = alike[earlier.index_select(0, alike) >= back]
        here, there = (flat.index_select(0, end.index_select(0, alike) - back) for end in (t, s))
        alike = alike[here == there]
        length.scatter_(0, alike, back + 1)
    level = (2 * (t - s).float().log2()).long().clamp(max=LEVELS - 1)
    longest = torch.zeros_like(places).flatten().scatter_reduce_(0, place, length, "amax").view_as(places)
    return Matches(place, flat.index_select(0, s + 1), length, level, earlier, longest)


def copies(tokens: Tensor, places: Tensor, found: Matches, order: int) -> tuple[Tensor, Tensor]:
    """Proposals (B, P) from the row itself: what followed the latest earlier place with the same `order` tokens up to
    it. The level says how far back that was."""
    whole, none = found.length >= order, torch.full_like(places, -1).flatten()
    last = none.scatter_reduce_(0, found.place[whole], found.earlier[whole], "amax").view_as(places)
    follower = tokens.gather(1, last + 1)  # last + 1 <= t: already read
    level = 1 + (places - last).clamp(min=1).log2().long().clamp(max=LEVELS - 2)
    return torch.where(last < 0, -1, follower), torch.where(last < 0, 0, level)


class Clues(NamedTuple):
    """What the network is shown of what was looked up for places (B, P) of the rows of a batch."""

    proposals: Tensor  # (B, P, SOURCES) tokens or -1
    levels: Tensor  # (B, P, SOURCES)
    slots: Tensor  # (B, P, 2) rows of the grams


# ---------------------------------------------------------------------------------------------------------------------
# Model


class Norm(torch.autograd.Function):
    """RMS norm over the channels, times `length`. Torch's own passes over them many times, most on the way back: with
    `Turn` and `SquaredRelu`, all three in few passes by hand, a step on a CPU takes a sixth less. A compiler, which
    joins single operations itself, is given those."""

    @staticmethod
    def forward(ctx, x: Tensor, length: float) -> Tensor:  # type: ignore[no-untyped-def]
        squares = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32).square() / x.size(-1)
        scale = (length * (squares + torch.finfo(torch.float32).eps).rsqrt()).to(x.dtype)
        y = x * scale
        ctx.save_for_backward(y, scale)
        ctx.length = length
        return y

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        y, scale = ctx.saved_tensors
        along = (g * y).mean(-1, keepdim=True)
        return torch.addcmul(g, y, along, value=-(ctx.length**-2)).mul_(scale), None


def norm(x: Tensor, length: float = 1.0) -> Tensor:
    """RMS norm over the channels, without gains: the matrices that follow can scale."""
    return length * F.rms_norm(x, (x.size(-1),)) if torch.compiler.is_compiling() else Norm.apply(x, length)


class SquaredRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        y = x.relu()
        ctx.save_for_backward(y)
        return y.square()

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        (y,) = ctx.saved_tensors
        return (g * y).mul_(2)


def squared_relu(x: Tensor) -> Tensor:
    return F.relu(x).square() if torch.compiler.is_compiling() else SquaredRelu.apply(x)


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """(B, T, H, C) with its channel pairs (i, i + C/2) turned by angles."""
    (a, b), y = x.chunk(2, dim=-1), x * torch.cat([cos, cos], dim=-1)
    for half, other, sign in zip(y.chunk(2, dim=-1), (b, a), (1, -1), strict=True):
        half.addcmul_(other, sin, value=sign)
    return y


class Turn(torch.autograd.Function):
    """`turned`, of which the way back is to turn the other way."""

    @staticmethod
    def forward(ctx, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(cos, sin)
        return turned(x, cos, sin)

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def]
        cos, sin = ctx.saved_tensors
        return turned(g, cos, -sin), None, None


def rotate(x: Tensor, at: Tensor | None = None) -> Tensor:
    """Rotary positions for (B, T, H, C) at places 0..T-1, or at (B, T): the channel pairs (i, i + C/2) turn with it."""
    half = x.size(-1) // 2
    at = torch.arange(x.size(1), device=x.device)[None] if at is None else at
    angle = at[..., None, None] * ROPE_BASE ** (-torch.arange(half, device=x.device) / half)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    if not torch.compiler.is_compiling():
        return Turn.apply(x, cos, sin)
    a, b = x.split(half, dim=-1)
    return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)


def attend(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Causal attention over (B, H, T, C). With a window, position t sees t - window < s <= t.

    A windowed row is folded into pieces of `window` positions, which attend to themselves and the piece before: the
    cost grows with T * window instead of T².
    """
    B, H, T, C = q.shape
    if window >= T:
        return soft_lookup(q, k, v, None)
    pieces = -(-T // window)
    pad = pieces * window - T  # at the end, where nobody looks

    def fold(x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, pad)).view(B, H, pieces, window, C)

    def with_previous(x: Tensor) -> Tensor:
        return torch.cat([F.pad(x, (0, 0, 0, 0, 1, 0))[:, :, :-1], x], dim=3)

    ahead = torch.arange(2 * window, device=q.device) - torch.arange(window, device=q.device)[:, None]
    seen = ((ahead > 0) & (ahead <= window)).repeat(pieces, 1, 1)
    seen[0, :, :window] = False  # the first piece has none before it
    y = soft_lookup(fold(q), with_previous(fold(k)), with_previous(fold(v)), seen)
    return y.reshape(B, H, pieces * window, C)[:, :, :T]


def soft_lookup(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
    """softmax(q k / sqrt(C)) v over the last two dimensions; `seen` says which keys a query sees, None is causal."""
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=seen is None)
    # on a CPU three plain products are quicker than the fused kernel at these sizes
    if seen is None:
        seen = torch.ones(q.size(-2), k.size(-2), dtype=torch.bool).tril()
    hidden = torch.zeros(seen.shape, dtype=q.dtype).masked_fill_(~seen, -math.inf)
    return ((q * q.size(-1) ** -0.5) @ k.mT + hidden).softmax(-1) @ v


class Linear(nn.Linear):
    """Stored in float32, multiplied in the arithmetic of its input; no bias. prepare.initialise fills it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))


class Embedding(nn.Embedding):
    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)


class Block(nn.Module):
    def __init__(self, window: int, has_values: bool) -> None:
        super().__init__()
        self.window = window
        self.qkv = Linear(WIDTH, 3 * WIDTH)
        self.out = Linear(WIDTH, WIDTH)
        self.up = Linear(WIDTH, MLP_RATIO * WIDTH)
        self.down = Linear(MLP_RATIO * WIDTH, WIDTH)
        self.values = Embedding(VOCAB, WIDTH) if has_values else None

    def forward(self, x: Tensor, tokens: Tensor, at: Tensor | None = None) -> Tensor:
        """The residual stream behind this block, (B, T, D), or (B, P, D) at places (B, P) alone: then the others give
        their keys and values and no more."""
        (B, T, D), inner = x.shape, norm(x)
        if at is None:
            qk, v = self.qkv(inner).view(B, T, 3 * HEADS, D // HEADS).split([2 * HEADS, HEADS], dim=2)
            q, k = norm(rotate(qk), QK_SCALE).chunk(2, dim=2)
        else:
            x, asking = at_places(x, at), at_places(inner, at)
            of_q, of_kv = self.qkv.weight.to(x.dtype).split([D, 2 * D])
            q = F.linear(asking, of_q).view(B, -1, HEADS, D // HEADS)
            k, v = F.linear(inner, of_kv).view(B, T, 2 * HEADS, D // HEADS).chunk(2, dim=2)
            q, k = norm(rotate(q, at), QK_SCALE), norm(rotate(k), QK_SCALE)
        if self.values is not None:
            v = v + self.values(tokens).view_as(v).to(v.dtype)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        if at is None:
            y = attend(q, k, v, self.window)
        else:
            back = at[..., None] - torch.arange(T, device=x.device)
            y = soft_lookup(q, k, v, ((back >= 0) & (back < self.window))[:, None])
        x = x + self.out(y.transpose(1, 2).reshape(x.shape))
        return x + self.down(squared_relu(self.up(norm(x))))


class GPT(nn.Module):
    """Token ids (B, T) int64 to logits (B, T, vocab) float32. `arithmetic` is that of the blocks."""

    def __init__(self, arithmetic: torch.dtype) -> None:
        super().__init__()
        self.arithmetic = arithmetic
        windows = [WINDOW if kind == "S" else 2**30 for kind in (WINDOW_PATTERN * DEPTH)[-DEPTH:]]
        values = [kind == "V" for kind in (VALUE_PATTERN * DEPTH)[-DEPTH:]]
        self.embed = Embedding(VOCAB, WIDTH)
        self.proposal_in = Embedding(SOURCES * (VOCAB + 1), WIDTH)  # per source: nothing proposed, then the tokens
        self.level_in = Embedding(SOURCES * LEVELS, WIDTH)
        self.gram_in = Linear(2 * GRAM_WIDTH, WIDTH)
        self.blocks = nn.ModuleList(Block(*plan) for plan in zip(windows, values, strict=True))
        self.residual = nn.Parameter(torch.ones(DEPTH))
        self.input = nn.Parameter(torch.full((DEPTH,), 0.1))
        self.head = Linear(WIDTH, VOCAB)
        self.bonus = Linear(WIDTH, SOURCES)
        self.bonus_level = Embedding(SOURCES * LEVELS, 1)
        self.voice = Linear(WIDTH, VOICES)
        self.voice_level = Embedding(len(COUNT_ORDERS) * LEVELS, VOICES)
        self.voice_match = Embedding(MATCH_LENGTH + 1, VOICES)
        self.match_length = nn.Parameter(torch.zeros(MATCH_LENGTH + 1))
        self.match_level = nn.Parameter(torch.zeros(LEVELS))
        self.register_buffer("grams", torch.zeros(2 * max(1, GRAM_SLOTS), GRAM_WIDTH))
        for name, dtype in (
            ("pairs", torch.int64),
            ("share", torch.bfloat16),
            ("rest", torch.float32),
            ("level", torch.uint8),
        ):
            self.register_buffer(f"count_{name}", torch.zeros(1, COUNT_SLOTS, dtype=dtype))
        self.register_buffer("count_alone", torch.zeros(1, VOCAB))
        self.grams: Tensor

    @property
    def counts(self) -> Counts:
        """Those of the whole training text, sealed with the weights."""
        return Counts(*(getattr(self, f"count_{name}") for name in Counts._fields))

    def clues(self, tokens: Tensor, places: Tensor, found: Matches) -> Clues:
        """What the network is shown for places (B, P) of rows (B, T) with these matches. No gradient passes here."""
        proposed = [copies(tokens, places, found, order) for order in COPY_ORDERS]
        proposals, levels = (torch.stack(parts, dim=-1) for parts in zip(*proposed, strict=True))
        slots = [hashes % max(1, GRAM_SLOTS) for hashes in context_hashes(tokens, 3, places)[1:]]
        return Clues(proposals, levels, torch.stack([slots[0], slots[1] + max(1, GRAM_SLOTS)], dim=-1))

    def hidden(self, tokens: Tensor, clues: Clues, grams: Tensor, at: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The last residual stream (B, T, D), normalised, and the bonuses (B, T, SOURCES) of the proposals; of places
        (B, P) alone where they are given."""
        source = torch.arange(SOURCES, device=tokens.device)
        level, proposals = clues.levels + source * LEVELS, clues.proposals
        x = self.embed(tokens) + self.gram_in(grams.flatten(2).to(self.arithmetic))
        x = x + bag(proposals + 1 + source * (VOCAB + 1), self.proposal_in) + bag(level, self.level_in)
        x = first = norm(x.to(self.arithmetic))
        residual, input = self.residual.to(x.dtype), self.input.to(x.dtype)
        for i, block in enumerate(self.blocks):
            x = block(residual[i] * x + input[i] * first, tokens, at if i + 1 == len(self.blocks) else None)
        x = norm(x)
        if at is not None:
            level, proposals = at_places(level, at), at_places(proposals, at)
        return x, (self.bonus(x).float() + self.bonus_level(level)[..., 0]) * (proposals >= 0)

    def logits(self, x: Tensor, bonus: Tensor, proposals: Tensor) -> Tensor:
        """(B, T, vocab) float32: the head's, squashed, and on the proposed tokens their bonuses."""
        logits = self.head(x).float()
        if SOFTCAP:
            logits = SOFTCAP * torch.tanh(logits / SOFTCAP)
        return logits.scatter_add_(-1, proposals.clamp(min=0), bonus)

    def forward(self, tokens: Tensor, columns: Tensor | None = None, targets: Tensor | None = None) -> Tensor:
        """Logits (B, T, vocab), which are log-probabilities.

        A scorer that gets the same numbers asks for less. With `targets` (B, T) the log-probability of each, (B, T):
        only the network's answer is spread over the vocabulary then. With `columns` (B,) the logits of one place per
        row, (B, vocab): only what the windows carry there is computed, and in the last block little more than keys and
        values.
        """
        places = everywhere(tokens) if columns is None else columns[:, None]
        near, at = places, None
        if columns is not None:
            span = min(tokens.size(1), 1 + sum(block.window - 1 for block in self.blocks))
            near = (places - (span - 1)).clamp(min=0) + torch.arange(span, device=tokens.device)
            at = places - near[:, :1]
        found = matches(tokens, near)
        clues = self.clues(tokens, near, found)
        found = found if at is None else found.of(at)
        x, bonus = self.hidden(tokens.gather(1, near), clues, F.embedding(clues.slots, self.grams), at)
        proposals = clues.proposals if at is None else at_places(clues.proposals, at)
        if targets is not None:
            logits, heard = self.logits(x, bonus, proposals), hear(tokens, targets, self.counts)
            own = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").neg().exp()
            return self.mixed(x, own, heard, found.longest, *self.matched(found, targets)).log().view_as(targets)
        looked_up = (part.flatten(0, 1) for part in (x, bonus, proposals, context_keys(tokens, places)))
        answer = self.answers(*looked_up, found, *recent(tokens, places))
        return answer if columns is not None else answer.view(*tokens.shape, -1)

    def weights(self, x: Tensor, levels: Tensor, longest: Tensor) -> Tensor:
        """How much each voice is believed, (..., VOICES), at places with residual streams x (..., D)."""
        level = levels + torch.arange(len(COUNT_ORDERS), device=levels.device) * LEVELS
        seen = self.voice_level(level).sum(-2) + self.voice_match(longest)
        return (self.voice(x).float() + seen).softmax(-1)

    def pull(self, found: Matches) -> tuple[Tensor, Tensor]:
        """The weight of each match, (E,), and at each place that of none, (B * P,): they sum to one."""
        pulls = (self.match_length[found.length] + self.match_level[found.level]).exp()
        everything = pulls.new_ones(found.longest.numel()).index_add(0, found.place, pulls)
        return pulls / everything[found.place], 1 / everything

    def answers(
        self, x: Tensor, bonus: Tensor, proposals: Tensor, keys: Tensor, found: Matches, lately: Tensor, count: Tensor
    ) -> Tensor:
        """Log-probabilities (N, vocab) of the mixture at N = B * P places, from their residual streams, bonuses and
        proposals, the keys of their contexts, their matches, and what was `recent` there. What no match says is the
        network's."""
        counts = self.counts
        first, end = (find(key[None], counts) for key in (keys, keys + 2**16))
        levels, rest = (part[0] for part in levels_of(keys[None], first, counts))
        first, followers = first.flatten(), (end - first).flatten()
        weights = self.weights(x, levels, found.longest.flatten())
        pull, none = self.pull(found)
        answer = self.logits(x, bonus, proposals).softmax(-1) * (weights[:, 0] + weights[:, -1] * none)[:, None]
        flat = answer.view(-1)
        flat.index_add_(0, found.place * VOCAB + found.follower, weights[:, -1][found.place] * pull)
        answer.scatter_add_(1, lately.flatten(0, 1), weights[:, -2, None] * count.flatten(0, 1))
        believed, shares = torch.zeros_like(none), []
        for i in reversed(range(len(COUNT_ORDERS))):  # of what a longer context leaves, a shorter one has its share
            believed = believed + weights[:, 2 + i]
            shares.insert(0, believed)
            believed = believed * rest[:, i]
        answer += (believed + weights[:, 1])[:, None] * counts.alone
        place = torch.arange(len(x), device=x.device).repeat_interleave(len(COUNT_ORDERS)) * VOCAB
        begins, place, believed = (
            part.repeat_interleave(followers)
            for part in (first - followers.cumsum(0) + followers, place, torch.stack(shares, dim=-1).flatten())
        )
        slot = begins + torch.arange(len(begins), device=x.device)
        said = counts.share[0, slot].float() * believed
        flat.index_add_(0, place + (counts.pairs[0, slot] & 0xFFFF), said)
        return answer.clamp_(min=1e-30).log_()

    def loss(
        self, tokens: Tensor, targets: Tensor, clues: Clues, grams: Tensor, practice: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of the network alone: mean nats per token, each counted as its `practice` (B * T,) says; its probability
        (B * T,) of each target, which carries no gradient; the residual stream. Apart from all looking up, which needs
        no compiling."""
        x, bonus = self.hidden(tokens, clues, grams)
        if not CHUNK:
            logits = self.logits(x, bonus, clues.proposals)
            nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
            return (nats * practice).mean(), (-nats.detach()).exp(), x
        proposals = clues.proposals.clamp(min=0)
        nats, chances = HeadLoss.apply(
            x.flatten(0, 1),
            self.head.weight,
            bonus.flatten(0, 1),
            proposals.flatten(0, 1),
            targets.flatten(),
            practice,
        )
        return nats, chances, x

    def matched(self, found: Matches, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What the matches say of the targets, and how much they leave to the network, (B * T,) each."""
        pull, none = self.pull(found)
        right = found.follower == targets.flatten()[found.place]
        return torch.zeros_like(none).index_add(0, found.place[right], pull[right]), none

    def mixed(self, x: Tensor, own: Tensor, heard: Heard, longest: Tensor, matched: Tensor, none: Tensor) -> Tensor:
        """The mixture's probability (B * T,) of each target: from the network's `own`, from what was `heard` of it, and
        from what the matches say of it and leave to the network."""
        weights = self.weights(x, heard.levels, longest).flatten(0, 1)
        said = (weights[:, 1:-1] * heard.chances.flatten(0, 1)).sum(-1) + weights[:, -1] * matched
        return ((weights[:, 0] + weights[:, -1] * none) * own + said).clamp(min=1e-30)


def losses(
    model: GPT, loss_of: Callable[..., tuple[Tensor, Tensor, Tensor]], tokens: Tensor, targets: Tensor, counts: Counts
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For a batch (B, T): what to learn from, the answer's mean nats per token, and the grams with their rows.

    There are two errors to learn from: the network's own, and that of the mixture, in which what the network says is
    held fast."""
    places = everywhere(tokens)
    found, heard = matches(tokens, places), hear(tokens, targets, counts)
    clues = model.clues(tokens, places, found)
    matched, none = model.matched(found, targets)
    known = torch.maximum(matched.detach(), heard.chances[..., len(COUNT_ORDERS)].flatten())
    grams = F.embedding(clues.slots, model.grams).requires_grad_()
    own, chances, x = loss_of(tokens, targets, clues, grams, 1 - FOCUS * known)
    nats = -model.mixed(x, chances, heard, found.longest, matched, none).log().mean()
    return own + nats, nats.detach(), grams, clues.slots


def bag(rows: Tensor, table: Embedding) -> Tensor:
    """Sum of the embeddings of (B, T, n) rows."""
    return F.embedding_bag(rows.flatten(0, 1), table.weight, mode="sum").view(*rows.shape[:2], -1)


class HeadLoss(torch.autograd.Function):
    """Mean cross-entropy of `GPT.logits` and the probability of each target, the gradient made on the way: the logits
    of CHUNK positions exist at a time and stay in the processor's cache, and no pass over them is made twice."""

    @staticmethod
    def forward(  # type: ignore[no-untyped-def]
        ctx, x: Tensor, weight: Tensor, bonus: Tensor, proposals: Tensor, targets: Tensor, practice: Tensor
    ) -> tuple[Tensor, Tensor]:
        w, chances, dw = weight.to(x.dtype), [], torch.zeros_like(weight)
        dx, dbonus = torch.empty_like(x), torch.empty_like(bonus)
        for at in range(0, len(x), CHUNK):
            part = slice(at, at + CHUNK)
            z = x[part] @ w.T
            if SOFTCAP:
                capped = torch.tanh(z / SOFTCAP)
                z = SOFTCAP * capped
            row = torch.arange(len(z), device=z.device) * z.size(1)
            target, proposed = row + targets[part], row[:, None] + proposals[part]
            z.view(-1).index_add_(0, proposed.view(-1), bonus[part].to(z.dtype).view(-1))
            g = z.softmax(1)
            chances.append(g.view(-1)[target].float())
            g.view(-1)[target] -= 1
            counted = practice[part, None].to(g.dtype)  # here and below rows are short; those of g are not
            dbonus[part] = g.view(-1)[proposed] * counted
            if SOFTCAP:
                g = g * (1 - capped.square())
            dx[part] = (g @ w) * counted
            dw += g.T @ (x[part] * counted)
        ctx.save_for_backward(dx, dw, dbonus)
        chance = torch.cat(chances)
        ctx.mark_non_differentiable(chance)
        return -(chance.clamp(min=1e-30).log() * practice).mean(), chance

    @staticmethod
    def backward(ctx, upstream: Tensor, nothing: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        dx, dw, dbonus = ctx.saved_tensors
        scale = upstream / len(dx)
        return dx * scale.to(dx.dtype), dw * scale, dbonus * scale, None, None, None


def deviation(name: str, tensor: Tensor) -> float | None:
    """Standard deviation of a parameter's first values; None keeps what the constructor set."""
    if name == "embed.weight":
        return EMBED_INIT
    if name.endswith(("qkv.weight", "up.weight", "gram_in.weight")):
        return MATRIX_INIT * tensor.size(-1) ** -0.5
    return None


def build_model() -> GPT:
    """The model of this file; its weights are to be drawn or loaded. Float32 arithmetic but on CUDA, where bf16 is
    always quick: what a model answers must not depend on what a machine was quick with today."""
    return GPT(torch.bfloat16 if DEVICE == "cuda" else torch.float32)


# ---------------------------------------------------------------------------------------------------------------------
# Optimizers


def orthogonalise(g: Tensor) -> Tensor:
    """Roughly the nearest semi-orthogonal matrices to (n, a, b): five Newton-Schulz steps (Jordan, Muon, 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    for _ in range(5):
        s = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(s, s, s, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon:
    """Momentum, orthogonalised (in the arithmetic given). Matrices of one shape go through together."""

    def __init__(self, matrices: list[Tensor], lr: float, arithmetic: torch.dtype) -> None:
        shapes = sorted({tuple(m.shape) for m in matrices})
        self.groups = [([m for m in matrices if tuple(m.shape) == shape], lr) for shape in shapes]
        self.momenta = [torch.zeros_like(torch.stack(group)) for group, _ in self.groups]
        self.arithmetic = arithmetic

    @torch.no_grad()
    def step(self, scale: float) -> None:
        for (matrices, lr), momentum in zip(self.groups, self.momenta, strict=True):
            g = torch.stack([m.grad for m in matrices if m.grad is not None])
            momentum.lerp_(g, 1 - MOMENTUM)
            updates = orthogonalise(g.lerp(momentum, MOMENTUM).to(self.arithmetic))
            rate = lr * scale * max(1.0, g.size(-2) / g.size(-1)) ** 0.5
            for matrix, update in zip(matrices, updates, strict=True):
                matrix.mul_(1 - lr * scale * WEIGHT_DECAY).sub_(update, alpha=rate)


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), by torch's own function. torch.optim.AdamW would
    import all that torch.compile needs: as much processor time before every run as the import of torch itself."""

    def __init__(self, *groups: tuple[list[Tensor], float, float]) -> None:
        """Groups of (parameters, rate, decay)."""
        self.groups, fused = groups, DEVICE != "mps"
        self.fixed = {"beta1": ADAM_BETAS[0], "beta2": ADAM_BETAS[1], "eps": 1e-10, "fused": fused}
        self.states = {  # means, mean squares, number of steps
            p: (torch.zeros_like(p), torch.zeros_like(p), torch.zeros((), device=p.device if fused else "cpu"))
            for parameters, _, _ in groups
            for p in parameters
        }

    @torch.no_grad()
    def step(self, scale: float) -> None:
        for parameters, lr, decay in self.groups:
            used = [p for p in parameters if p.grad is not None]
            means, squares, steps = ([self.states[p][i] for p in used] for i in range(3))
            kind = {"lr": lr * scale, "weight_decay": decay, "amsgrad": False, "maximize": False}
            adamw(used, [p.grad for p in used], means, squares, [], steps, **kind, **self.fixed)


class RowAdagrad:
    """Adagrad with one rate per row, for tables of which a step touches few rows: the others cost nothing."""

    def __init__(self, table: Tensor, lr: float) -> None:
        self.table, self.lr = table, lr
        self.squares = torch.zeros(table.size(0), device=table.device)

    @torch.no_grad()
    def step(self, slots: Tensor, gradient: Tensor, scale: float) -> None:
        at, g = slots.flatten(), gradient.flatten(0, -2)
        self.squares.index_add_(0, at, g.square().mean(-1))
        self.table.index_add_(0, at, g * (-self.lr * scale / (self.squares[at].sqrt() + 1e-10))[:, None])


def optimizers(model: GPT) -> tuple[Muon, AdamW]:
    """Who updates what; every parameter is in exactly one group."""
    matrices = [
        p for block in model.blocks for p in (block.qkv.weight, block.out.weight, block.up.weight, block.down.weight)
    ]
    tables = [model.embed, model.proposal_in, model.level_in, *(b.values for b in model.blocks if b.values is not None)]
    rest = AdamW(
        ([table.weight for table in tables], EMBED_LR, EMBED_DECAY),
        ([model.head.weight, model.gram_in.weight], HEAD_LR, 0.0),
        ([model.bonus.weight, model.bonus_level.weight], BONUS_LR, 0.0),
        ([model.voice.weight, model.voice_level.weight, model.voice_match.weight], VOICE_LR, 0.0),
        ([model.match_length, model.match_level], VOICE_LR, 0.0),
        ([model.residual, model.input], SCALAR_LR, 0.0),
    )
    return Muon(matrices, MATRIX_LR, model.arithmetic), rest


def schedule(used: float) -> float:
    """What the rates are multiplied by when this fraction of the budget is used."""
    if used < WARMUP:
        return used / WARMUP
    return FINAL_LR + (1 - FINAL_LR) * min(1.0, (1 - used) / COOLDOWN)


# ---------------------------------------------------------------------------------------------------------------------
# Training


def fast_arithmetic() -> torch.dtype:
    """bfloat16 where this device is quicker with it: some processors are twice as quick, others 15 times slower."""
    if DEVICE != "cpu":
        return torch.bfloat16

    def seconds(dtype: torch.dtype) -> float:
        a, b, times = torch.ones(1024, 256, dtype=dtype), torch.ones(256, 256, dtype=dtype), []
        for _ in range(6):  # the first pays for setting up, and any may be disturbed
            began = time.thread_time()
            a @ b
            times.append(time.thread_time() - began)
        return min(times)

    return torch.bfloat16 if seconds(torch.bfloat16) < 0.8 * seconds(torch.float32) else torch.float32


def read_halves(model: GPT) -> Counts:
    """Count the training text for the model; return what to practise on: first what the second half taught, for rows of
    the first, then the other way round."""
    texts = [np.concatenate(prepare.stretch(half, 2))[:COUNT_TOKENS] for half in (0, 1)]
    both = torch.from_numpy(np.concatenate(texts).astype(np.int64)).to(DEVICE)
    hashes, middle = context_hashes(both, COUNT_ORDERS[-1]), len(texts[0])
    for table, counted in zip(model.counts, count(both, hashes), strict=True):
        table.copy_(counted)
    # no context that is counted reaches over the middle
    second, first = (count(both[half], [x[half] for x in hashes]) for half in (slice(middle, None), slice(middle)))
    return Counts(*(torch.cat(parts) for parts in zip(second, first, strict=True)))


def compiled(model: GPT, compiler: str = "inductor") -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """`model.loss` for batches as training has them, compiled before the budget begins: by a step on tokens that say
    nothing, of which no trace is left."""
    loss_of = torch.compile(model.loss, dynamic=False, backend=compiler)
    row = torch.zeros(2 * BATCH, prepare.meta().sequence_length + 1, dtype=torch.int64, device=DEVICE)
    tokens, targets = row[:, :-1], row[:, 1:]
    places = everywhere(tokens)
    clues = model.clues(tokens, places, matches(tokens, places))
    grams = F.embedding(clues.slots, model.grams).requires_grad_()
    own, _, x = loss_of(tokens, targets, clues, grams, torch.ones(tokens.numel(), device=DEVICE))
    (own + x.float().mean()).backward()
    model.zero_grad()
    return loss_of


def main() -> None:
    torch.set_num_threads(prepare.threads())
    torch.set_float32_matmul_precision("high")
    prepare.keep_memory()
    model = build_model().to(DEVICE)
    prepare.initialise(model, deviation)
    answering, model.arithmetic = model.arithmetic, fast_arithmetic()
    dense, sparse = optimizers(model), RowAdagrad(model.grams, GRAM_LR)
    loss_of = compiled(model) if DEVICE == "cuda" else model.loss
    batches = prepare.batches(2 * BATCH, on=DEVICE, folds=2)

    budget = prepare.Budget(DEVICE)
    budget.start(model)
    practice = read_halves(model)
    while budget.fraction() < 1:
        scale = schedule(budget.fraction())
        total = torch.zeros((), device=DEVICE)
        for _ in range(ACCUMULATE):
            tokens, targets = next(batches)
            loss, nats, grams, slots = losses(model, loss_of, tokens, targets, practice)
            (loss / ACCUMULATE).backward()
            if GRAM_SLOTS:
                sparse.step(slots, grams.grad, scale)
            total += nats / ACCUMULATE
        for optimizer in dense:
            optimizer.step(scale)
        model.zero_grad()
        budget.step(ACCUMULATE * tokens.numel(), total)

    model.arithmetic = answering
    looked_up = sum(m.weight.numel() for m in model.modules() if isinstance(m, Embedding))
    multiplied = sum(p.numel() for p in model.parameters()) - looked_up
    prepare.finish(model, budget, DEPTH, 6.0 * multiplied)


if __name__ == "__main__":
    main()
