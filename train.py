"""The file under research: a small GPT that looks things up, trained within a fixed budget.

    python train.py          # trains on the prepared corpus, then prints its score; in a lab the weights are sealed

The model is a decoder-only transformer: rotary positions, RMS norm without gains, QK norm, relu² MLP, value
embeddings, sliding windows, residual and input scalars, zero-initialised output projections. What lets it learn from
few tokens is that it need not learn by heart what can be looked up:

  copies    which token followed the last time the same 1, 2, 3 or 4 tokens stood in this row
  memory    which token most often followed the same 2, 3 or 4 tokens in the training text, counted before training
  grams     hashed embeddings of the last two and the last three tokens, learned row by row

Copies and memory make *proposals*: a token and a level of confidence. Each enters as an embedding at the bottom, and at
the top as a bonus on its own logit, which the model learns to give or withhold. A text must not be looked up in itself,
or the memory would always be right in training and never after: it is counted on two halves, and the rows of one half
practise on the memory of the other.

Everything is causal: position t of a row sees tokens 0..t of that row and nothing else, and no call leaves a trace in
the model. `build_model()` has no side effects, for the scorer rebuilds the model from this text and loads the weights.
Schedules run on the fraction of the budget used, so a faster step means more steps and never a wrong schedule.

The CPU preset was measured (dev/LOG.md). The CUDA and MPS presets follow published results and have not been run on
such a device yet.
"""

from __future__ import annotations

import math
import time
from typing import NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import prepare

# ---------------------------------------------------------------------------------------------------------------------
# Knobs: one literal where it fits every device, else one per device class

DEVICE = prepare.device()
VOCAB = prepare.meta().vocab_size
Value = TypeVar("Value")


def pick(cpu: Value, mps: Value, cuda: Value) -> Value:
    return {"cpu": cpu, "mps": mps, "cuda": cuda}[DEVICE]


# Model
DEPTH = pick(cpu=2, mps=4, cuda=9)  # blocks
WIDTH = pick(cpu=128, mps=256, cuda=640)  # channels of the residual stream
HEADS = pick(cpu=2, mps=4, cuda=5)  # attention heads
MLP_RATIO = 4  # hidden channels of the MLP, in widths
WINDOW = pick(cpu=64, mps=128, cuda=256)  # tokens that a short-sighted block looks back
WINDOW_PATTERN = pick(cpu="S", mps="SL", cuda="SSSSL")  # S short, L the whole row; repeated, aligned at the end
VALUE_PATTERN = pick(cpu="-V", mps="-V", cuda="-V")  # V has value embeddings; repeated, aligned at the end
ROPE_BASE = pick(cpu=10_000, mps=10_000, cuda=200_000)  # longest wavelength of the rotary positions
QK_SCALE = 1.2  # sharpens the normalised queries and keys
SOFTCAP = pick(cpu=0.0, mps=15.0, cuda=15.0)  # logits of the head are squashed below this; 0 is off

# What is looked up
COPY_ORDERS = (1, 2, 3, 4)  # lengths of context whose last follower in the row is proposed
MEMORY_ORDERS = (2, 3, 4)  # lengths of context whose usual follower in the training text is proposed
MEMORY_SLOTS = pick(cpu=2**20, mps=2**22, cuda=2**24)  # of the hash table, per order
MEMORY_TOKENS = pick(cpu=2**22, mps=2**24, cuda=2**27)  # of training text that are counted at most, per half
GRAM_SLOTS = pick(cpu=2**17, mps=2**18, cuda=2**21)  # of the hash table, bigrams and trigrams each; 0 is off
GRAM_WIDTH = pick(cpu=64, mps=64, cuda=256)  # channels of a gram's embedding

# Optimizers: rates at the start; the schedule scales them all
MATRIX_LR = 0.04  # Muon, matrices of the blocks
EMBED_LR = pick(cpu=0.05, mps=0.04, cuda=0.035)  # AdamW, token, value and proposal embeddings
HEAD_LR = pick(cpu=0.012, mps=0.008, cuda=0.005)  # AdamW, output matrix
BONUS_LR = 0.03  # AdamW, what decides about bonuses
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
ROWS = pick(cpu=2, mps=16, cuda=64)  # rows per forward and backward; even, for they come from two halves
ACCUMULATE = 1  # forwards and backwards per optimizer step
CHUNK = pick(cpu=512, mps=0, cuda=0)  # positions whose logits exist at a time; 0 is all at once

# ---------------------------------------------------------------------------------------------------------------------
# Looking up. A proposal is a token, or -1, and a level of confidence, 0 where there is none.

SOURCES = len(COPY_ORDERS) + len(MEMORY_ORDERS)
LEVELS = 21


def before(tokens: Tensor, steps: int) -> Tensor:
    """The tokens `steps` places earlier, (..., T); 0 before the start."""
    return F.pad(tokens, (steps, 0))[..., : tokens.size(-1)]


def context_hash(tokens: Tensor, order: int) -> Tensor:
    """46 bits for the last `order` tokens at each place, the token there included."""
    key = torch.zeros_like(tokens)
    for back in range(order):
        key = (key + before(tokens, back) + 1) * 6364136223846793005  # Knuth's multiplier; int64 wraps
        key = key ^ (key >> 29)
    return key & (2**46 - 1)


def copies(tokens: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Proposals (B, T) from the row itself: what followed the latest earlier place with the same context. The level
    says how far back that was. Equal contexts are neighbours under a stable sort, so this costs T log T."""
    B, T = tokens.shape
    at = torch.arange(T, device=tokens.device).expand(B, T)
    key = torch.where(at < order - 1, -1 - at, context_hash(tokens, order))  # half a context equals nothing
    key, place = key.sort(dim=-1, stable=True)
    same = F.pad(key[:, 1:] == key[:, :-1], (1, 0))
    last = torch.empty_like(place).scatter_(1, place, torch.where(same, before(place, 1), -1))
    follower = tokens.gather(1, last + 1)  # last + 1 <= t: already read
    level = 1 + (at - last).clamp(min=1).log2().long().clamp(max=LEVELS - 2)
    return torch.where(last < 0, -1, follower), torch.where(last < 0, 0, level)


def memorise(stream: Tensor, order: int) -> Tensor:
    """(MEMORY_SLOTS,) int64: for the contexts of a text, the commonest follower, packed as
    count (15 bits) | level (5) | tag (10) | token (16). Of two contexts in one slot the more frequent stays."""
    key = context_hash(stream, order)[order - 1 : -1]
    pair, count = torch.unique(key * VOCAB + stream[order:], return_counts=True)
    key, token = pair // VOCAB, pair % VOCAB
    group = torch.unique_consecutive(key, return_inverse=True)[1]
    total = torch.zeros_like(key).index_add_(0, group, count)[group]
    often = torch.bucketize(count, torch.tensor([1, 2, 4, 8], device=key.device))  # 1, 2, 3-4, 5-8, more
    share = torch.bucketize(count / total, torch.tensor([0.3, 0.6, 0.9], device=key.device))
    packed = count.clamp(max=2**15 - 1) << 31 | (1 + 4 * often + share) << 26 | key >> 36 << 16 | token
    return torch.zeros(MEMORY_SLOTS, dtype=torch.int64, device=key.device).scatter_reduce_(
        0, key % MEMORY_SLOTS, packed, "amax"
    )


def recall(tokens: Tensor, order: int, tables: Tensor) -> tuple[Tensor, Tensor]:
    """Proposals (B, T) from memory, (n, MEMORY_SLOTS): row i looks into table i % n. The tag tells a context from
    most others that share its slot."""
    key = context_hash(tokens, order)
    table = torch.arange(len(tokens), device=tokens.device)[:, None] % len(tables)
    found = tables[table, key % MEMORY_SLOTS]
    known = (found > 0) & ((found >> 16 & 0x3FF) == key >> 36)
    known &= torch.arange(tokens.size(1), device=tokens.device) >= order - 1
    return torch.where(known, found & 0xFFFF, -1), torch.where(known, found >> 26 & 0x1F, 0)


class Clues(NamedTuple):
    """All that was looked up for the tokens of a batch."""

    proposals: Tensor  # (B, T, SOURCES) tokens or -1
    levels: Tensor  # (B, T, SOURCES)
    slots: Tensor  # (B, T, 2) rows of the grams


# ---------------------------------------------------------------------------------------------------------------------
# Model


def norm(x: Tensor) -> Tensor:
    """RMS norm over the channels, without gains: the matrices that follow can scale."""
    return F.rms_norm(x, (x.size(-1),))


def rotate(x: Tensor) -> Tensor:
    """Rotary positions for (B, T, H, C): the channel pairs (i, i + C/2) turn with the position."""
    half = x.size(-1) // 2
    speed = ROPE_BASE ** (-torch.arange(half, device=x.device) / half)
    angle = torch.arange(x.size(1), device=x.device)[:, None, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
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

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        B, T, D = x.shape
        qk, v = self.qkv(norm(x)).view(B, T, 3 * HEADS, D // HEADS).split([2 * HEADS, HEADS], dim=2)
        if self.values is not None:
            v = v + self.values(tokens).view_as(v).to(v.dtype)
        q, k = (QK_SCALE * norm(rotate(qk))).chunk(2, dim=2)
        y = attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), self.window)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, D))
        return x + self.down(F.relu(self.up(norm(x))).square())


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
        self.register_buffer("grams", torch.zeros(2 * max(1, GRAM_SLOTS), GRAM_WIDTH))
        self.register_buffer("memory", torch.zeros(len(MEMORY_ORDERS), MEMORY_SLOTS, dtype=torch.int32))
        self.memory: Tensor
        self.grams: Tensor

    def clues(self, tokens: Tensor, memory: Tensor) -> Clues:
        """All there is to look up for (B, T) tokens, in a memory (n, orders, MEMORY_SLOTS). No gradient passes here."""
        found = [copies(tokens, order) for order in COPY_ORDERS]
        found += [recall(tokens, order, memory[:, i]) for i, order in enumerate(MEMORY_ORDERS)]
        proposals, levels = (torch.stack(parts, dim=-1) for parts in zip(*found, strict=True))
        slots = [context_hash(tokens, order) % max(1, GRAM_SLOTS) for order in (2, 3)]
        return Clues(proposals, levels, torch.stack([slots[0], slots[1] + max(1, GRAM_SLOTS)], dim=-1))

    def hidden(self, tokens: Tensor, clues: Clues, grams: Tensor) -> tuple[Tensor, Tensor]:
        """The last residual stream (B, T, D), normalised, and the bonuses (B, T, SOURCES) of the proposals."""
        source = torch.arange(SOURCES, device=tokens.device)
        level = clues.levels + source * LEVELS
        x = self.embed(tokens) + self.gram_in(grams.flatten(2))
        x = x + bag(clues.proposals + 1 + source * (VOCAB + 1), self.proposal_in) + bag(level, self.level_in)
        x = first = norm(x.to(self.arithmetic))
        residual, input = self.residual.to(x.dtype), self.input.to(x.dtype)
        for i, block in enumerate(self.blocks):
            x = block(residual[i] * x + input[i] * first, tokens)
        x = norm(x)
        return x, (self.bonus(x).float() + self.bonus_level(level)[..., 0]) * (clues.proposals >= 0)

    def logits(self, x: Tensor, bonus: Tensor, proposals: Tensor) -> Tensor:
        """(B, T, vocab) float32: the head's, squashed, and on the proposed tokens their bonuses."""
        logits = self.head(x).float()
        if SOFTCAP:
            logits = SOFTCAP * torch.tanh(logits / SOFTCAP)
        return logits.scatter_add_(-1, proposals.clamp(min=0), bonus)

    def forward(self, tokens: Tensor, columns: Tensor | None = None) -> Tensor:
        """Logits (B, T, vocab); with `columns` (B,) those of one place per row alone, (B, vocab). The audit of a score
        asks so, if it gets the same numbers: only what the windows carry to that place is computed."""
        clues = self.clues(tokens, self.memory[None])
        if columns is None:
            return self.logits(*self.hidden(tokens, clues, self.grams[clues.slots]), clues.proposals)
        span = min(tokens.size(1), 1 + sum(block.window - 1 for block in self.blocks))
        row, start = torch.arange(len(tokens), device=tokens.device)[:, None], columns[:, None] - (span - 1)
        near = row, start.clamp_(min=0) + torch.arange(span, device=tokens.device)
        tokens, clues = tokens[near], Clues(*(part[near] for part in clues))
        x, bonus = self.hidden(tokens, clues, self.grams[clues.slots])
        place = row, columns[:, None] - start
        return self.logits(x[place], bonus[place], clues.proposals[place])[:, 0]

    def loss(self, tokens: Tensor, targets: Tensor, clues: Clues, grams: Tensor) -> Tensor:
        """Mean nats per token, given what was looked up: apart, because looking up needs no gradient or compiling."""
        x, bonus = self.hidden(tokens, clues, grams)
        if not CHUNK:
            return F.cross_entropy(self.logits(x, bonus, clues.proposals).flatten(0, 1), targets.flatten())
        proposals = clues.proposals.clamp(min=0)
        return HeadLoss.apply(
            x.flatten(0, 1), self.head.weight, bonus.flatten(0, 1), proposals.flatten(0, 1), targets.flatten()
        )


def bag(rows: Tensor, table: Embedding) -> Tensor:
    """Sum of the embeddings of (B, T, n) rows."""
    return F.embedding_bag(rows.flatten(0, 1), table.weight, mode="sum").view(*rows.shape[:2], -1)


class HeadLoss(torch.autograd.Function):
    """Mean cross-entropy of `GPT.logits`, its gradient made on the way: the logits of CHUNK positions exist at a time
    and stay in the processor's cache, and no pass over them is made twice."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bonus: Tensor, proposals: Tensor, targets: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        w, losses, dw = weight.to(x.dtype), [], torch.zeros_like(weight)
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
            losses.append(g.view(-1)[target].float().clamp(min=1e-30).log())
            g.view(-1)[target] -= 1
            dbonus[part] = g.view(-1)[proposed]
            if SOFTCAP:
                g = g * (1 - capped.square())
            dx[part] = g @ w
            dw += g.T @ x[part]
        ctx.save_for_backward(dx, dw, dbonus)
        return -torch.cat(losses).mean()

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        dx, dw, dbonus = ctx.saved_tensors
        scale = upstream / len(dx)
        return dx * scale.to(dx.dtype), dw * scale, dbonus * scale, None, None


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
        x = a * x + (b * s + c * s @ s) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised (in the arithmetic given). Matrices of one shape go through together."""

    def __init__(self, matrices: list[Tensor], lr: float, arithmetic: torch.dtype) -> None:
        self.arithmetic = arithmetic
        shapes = sorted({tuple(m.shape) for m in matrices})
        groups = [{"params": [m for m in matrices if tuple(m.shape) == shape]} for shape in shapes]
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            matrices, state = group["params"], self.state[group["params"][0]]
            g = torch.stack([m.grad for m in matrices])
            momentum = state.setdefault("momentum", torch.zeros_like(g))
            momentum.lerp_(g, 1 - MOMENTUM)
            updates = orthogonalise(g.lerp(momentum, MOMENTUM).to(self.arithmetic))
            rate = group["lr"] * max(1.0, g.size(-2) / g.size(-1)) ** 0.5
            for matrix, update in zip(matrices, updates, strict=True):
                matrix.mul_(1 - group["lr"] * WEIGHT_DECAY).sub_(update, alpha=rate)


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


def optimizers(model: GPT) -> list[torch.optim.Optimizer]:
    """Who updates what; every parameter is in exactly one group."""
    matrices = [
        p for block in model.blocks for p in (block.qkv.weight, block.out.weight, block.up.weight, block.down.weight)
    ]
    tables = [model.embed, model.proposal_in, model.level_in, *(b.values for b in model.blocks if b.values is not None)]
    groups = [
        {"params": [table.weight for table in tables], "lr": EMBED_LR, "weight_decay": EMBED_DECAY},
        {"params": [model.head.weight, model.gram_in.weight], "lr": HEAD_LR},
        {"params": [model.bonus.weight, model.bonus_level.weight], "lr": BONUS_LR},
        {"params": [model.residual, model.input], "lr": SCALAR_LR},
    ]
    adamw = torch.optim.AdamW(groups, betas=ADAM_BETAS, eps=1e-10, weight_decay=0.0, fused=DEVICE != "mps")
    return [Muon(matrices, MATRIX_LR, model.arithmetic), adamw]


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


def read_halves(model: GPT) -> Tensor:
    """Fill the model's memory from the training text; return what to practise on, (2, orders, MEMORY_SLOTS): first
    what the second half taught, for rows of the first, then the other way round."""
    where = "cuda" if DEVICE == "cuda" else "cpu"
    halves = []
    for half in (1, 0):
        text = np.concatenate(prepare.stretch(half, 2))[:MEMORY_TOKENS]
        stream = torch.from_numpy(text.astype(np.int64)).to(where)
        halves.append(torch.stack([memorise(stream, order) for order in MEMORY_ORDERS]))
    model.memory.copy_(torch.maximum(*halves) & 0x7FFFFFFF)  # the count has settled who stays; it is not needed again
    return torch.stack([(half & 0x7FFFFFFF).int() for half in halves]).to(DEVICE)


def main() -> None:
    torch.set_num_threads(prepare.threads())
    torch.set_float32_matmul_precision("high")
    prepare.keep_memory()
    model = build_model().to(DEVICE)
    prepare.initialise(model, deviation)
    answering, model.arithmetic = model.arithmetic, fast_arithmetic()
    dense, sparse = optimizers(model), RowAdagrad(model.grams, GRAM_LR)
    loss_of = torch.compile(model.loss, dynamic=False) if DEVICE == "cuda" else model.loss
    batches = prepare.batches(ROWS, on=DEVICE, folds=2)

    budget = prepare.Budget(DEVICE)
    budget.start(model)
    practice = read_halves(model)
    while budget.fraction() < 1:
        scale = schedule(budget.fraction())
        for optimizer in dense:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * scale
        total = torch.zeros((), device=DEVICE)
        for _ in range(ACCUMULATE):
            tokens, targets = next(batches)
            clues = model.clues(tokens, practice)
            grams = model.grams[clues.slots].requires_grad_()
            loss = loss_of(tokens, targets, clues, grams) / ACCUMULATE
            loss.backward()
            if GRAM_SLOTS:
                sparse.step(clues.slots, grams.grad, scale)
            total += loss.detach()
        for optimizer in dense:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        budget.step(ACCUMULATE * tokens.numel(), total)

    model.arithmetic = answering
    looked_up = sum(m.weight.numel() for m in model.modules() if isinstance(m, Embedding))
    multiplied = sum(p.numel() for p in model.parameters()) - looked_up
    prepare.finish(model, budget, DEPTH, 6.0 * multiplied)


if __name__ == "__main__":
    main()
