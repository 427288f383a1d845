"""The file under research: a small GPT with a memory for what followed what, trained within a fixed budget.

    python train.py          # trains on the prepared corpus, then prints its score; in a lab the weights are sealed

The model is a decoder-only transformer: rotary positions, RMS norm without gains, QK norm, relu² MLP, value
embeddings, sliding windows, residual and input scalars, zero-initialised output projections. Three things make it
learn from few tokens:

  grams     hashed embeddings of the last two and the last three tokens, looked up and updated row by row
  copies    which token followed the last time the same 1, 2, 3 or 4 tokens stood in this row; each proposal enters
            as an embedding at the bottom and as a learned bonus on its own logit at the top
  Muon      orthogonalised momentum for the matrices; AdamW for the rest; Adagrad, one rate per row, for the grams

Everything is causal: position t of a row sees tokens 0..t of that row and nothing else, and no call leaves a trace in
the model. `build_model()` has no side effects, for the scorer rebuilds the model from this text and loads the weights.
Schedules run on the fraction of the budget used, so a faster step means more steps and never a wrong schedule.

The CPU preset was measured (dev/LOG.md). The CUDA and MPS presets follow published results and have not been run on
such a device yet.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import prepare

# ---------------------------------------------------------------------------------------------------------------------
# Knobs. One literal where it fits all devices, else one per device class.

DEVICE = prepare.device()
Value = TypeVar("Value")


def pick(cpu: Value, mps: Value, cuda: Value) -> Value:
    return {"cpu": cpu, "mps": mps, "cuda": cuda}[DEVICE]


# Model
DEPTH = pick(cpu=2, mps=4, cuda=9)  # blocks
WIDTH = pick(cpu=128, mps=256, cuda=640)  # channels of the residual stream
HEADS = pick(cpu=2, mps=4, cuda=5)  # attention heads
MLP_RATIO = 4  # hidden channels of the MLP, in widths
WINDOW = pick(cpu=256, mps=256, cuda=256)  # tokens a short-sighted block looks back
WINDOW_PATTERN = pick(cpu="L", mps="SL", cuda="SSSSL")  # S short, L the whole row; repeated; the last block is L
VALUE_EMBEDS = pick(cpu="NV", mps="NV", cuda="NV")  # V: the block has value embeddings; repeated, aligned at the end
ROPE_BASE = pick(cpu=10_000, mps=10_000, cuda=200_000)  # longest wavelength of the rotary positions
QK_SCALE = 1.2  # sharpens the normalised queries and keys
SOFTCAP = pick(cpu=0.0, mps=15.0, cuda=15.0)  # logits are squashed below this; 0 is off
BIGRAM_ROWS = pick(cpu=2**17, mps=2**18, cuda=2**20)  # hash slots
TRIGRAM_ROWS = pick(cpu=2**18, mps=2**19, cuda=2**21)  # hash slots
GRAM_WIDTH = pick(cpu=128, mps=128, cuda=256)  # channels of a gram's embedding
COPY_ORDERS = (1, 2, 3, 4)  # lengths of the contexts whose last follower is proposed

# Optimizers: rates at the start; the schedule scales them all
MATRIX_LR = 0.04  # Muon, for the matrices of the blocks
EMBED_LR = pick(cpu=0.6, mps=0.6, cuda=0.9)  # AdamW, token, value and copy embeddings
HEAD_LR = pick(cpu=0.012, mps=0.008, cuda=0.005)  # AdamW, the output matrix
SCALAR_LR = 0.03  # AdamW, residual scalars and copy bonuses
GRAM_LR = 0.1  # row-wise Adagrad, hashed grams
WEIGHT_DECAY = 0.0  # Muon's matrices, decoupled
EMBED_DECAY = pick(cpu=0.0, mps=0.0, cuda=0.003)  # token and value embeddings, decoupled
ADAM_BETAS = (0.8, 0.95)  # first and second moment
MUON_MOMENTUM = 0.95  # Nesterov
EMBED_INIT = 1.0  # standard deviation of the token embeddings

# Schedule, in fractions of the budget
WARMUP = 0.0  # rates rise linearly over this part
COOLDOWN = 0.6  # rates fall linearly over this last part ...
FINAL_LR = 0.05  # ... to this part of their value

# Batch
ROWS = pick(cpu=8, mps=16, cuda=64)  # rows per forward and backward
ACCUMULATE = pick(cpu=1, mps=1, cuda=1)  # forwards and backwards per optimizer step
CHUNK = pick(cpu=512, mps=0, cuda=0)  # positions whose logits exist at a time; 0 is all

# ---------------------------------------------------------------------------------------------------------------------
# Model


def norm(x: Tensor) -> Tensor:
    """RMS norm over the channels, without gains: the matrices that follow can scale."""
    return F.rms_norm(x, (x.size(-1),))


def rotate(x: Tensor) -> Tensor:
    """Rotary positions for (B, T, H, C): channel pairs (i, i + C/2) turn with the position."""
    half = x.size(-1) // 2
    speed = ROPE_BASE ** (-torch.arange(half, device=x.device) / half)
    angle = torch.arange(x.size(1), device=x.device)[:, None, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.split(half, dim=-1)
    return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)


def attend(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Causal attention over (B, H, T, C). With a window, position t sees t - window < s <= t.

    A windowed row is folded into pieces of `window` positions that attend to themselves and the piece before: the cost
    grows with T * window instead of T².
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

    at = torch.arange(window, device=q.device)
    ahead = torch.arange(2 * window, device=q.device)[None, :] - at[:, None]  # key s relative to query t - window
    seen = (ahead > 0) & (ahead <= window)
    seen = seen.expand(pieces, window, 2 * window).clone()
    seen[0, :, :window] = False  # the first piece has none before it
    y = soft_lookup(fold(q), with_previous(fold(k)), with_previous(fold(v)), seen)
    return y.reshape(B, H, pieces * window, C)[:, :, :T]


def soft_lookup(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
    """softmax(q k / sqrt(C)) v over the last two dimensions; `seen` says which keys a query sees, None is causal."""
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=seen is None)
    # on a CPU three plain products are quicker than the fused kernel at these sizes
    if seen is None:
        seen = torch.ones(q.size(-2), k.size(-2), dtype=torch.bool, device=q.device).tril()
    hidden = torch.zeros(seen.shape, dtype=q.dtype, device=q.device).masked_fill_(~seen, -math.inf)
    return ((q * q.size(-1) ** -0.5) @ k.mT + hidden).softmax(-1) @ v


def followers(tokens: Tensor, order: int) -> Tensor:
    """(B, T): the token that followed the latest earlier place in the row where the same `order` tokens stood; -1 if
    there is none. Equal contexts become neighbours under a stable sort, so the cost is T log T."""
    B, T = tokens.shape
    key = torch.zeros_like(tokens)
    for back in range(order):
        key = key * VOCAB + F.pad(tokens, (back, 0))[:, :T]
    at = torch.arange(T, device=tokens.device).expand(B, T)
    key = torch.where(at < order - 1, -1 - at, key)  # no full context yet: equal to nothing
    key, place = key.sort(dim=-1, stable=True)
    same = F.pad(key[:, 1:] == key[:, :-1], (1, 0))
    before = torch.where(same, F.pad(place, (1, 0))[:, :T], -1)
    before = torch.empty_like(before).scatter(1, place, before)
    return torch.where(before < 0, -1, tokens.gather(1, before + 1))  # before + 1 <= t: already read


class Linear(nn.Linear):
    """Stored in float32, multiplied in the arithmetic of its input; no bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def reset_parameters(self) -> None:
        pass  # prepare.initialise fills it, from a stream of its own

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))


class Embedding(nn.Embedding):
    def reset_parameters(self) -> None:
        pass


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
        kinds = (WINDOW_PATTERN * DEPTH)[: DEPTH - 1] + "L"
        values = (VALUE_EMBEDS * DEPTH)[-DEPTH:]
        plan = zip(kinds, values, strict=True)
        self.embed = Embedding(VOCAB, WIDTH)
        self.grams = nn.Parameter(torch.zeros(BIGRAM_ROWS + TRIGRAM_ROWS, GRAM_WIDTH))
        self.gram_in = Linear(2 * GRAM_WIDTH, WIDTH)
        self.copy_in = nn.ModuleList(Embedding(VOCAB + 1, WIDTH) for _ in COPY_ORDERS)  # the last row: nothing found
        self.blocks = nn.ModuleList(Block(WINDOW if s == "S" else 2**30, v == "V") for s, v in plan)
        self.residual = nn.Parameter(torch.ones(DEPTH))
        self.input = nn.Parameter(torch.full((DEPTH,), 0.1))
        self.copy_out = Linear(WIDTH, len(COPY_ORDERS))
        self.copy_bias = nn.Parameter(torch.zeros(len(COPY_ORDERS)))
        self.head = Linear(WIDTH, VOCAB)

    def slots(self, tokens: Tensor) -> Tensor:
        """(B, T, 2): the rows of `grams` for the last two and the last three tokens."""
        one, two = F.pad(tokens, (1, 0))[:, :-1], F.pad(tokens, (2, 0))[:, :-2]
        bigram = (tokens * 36313 ^ one * 27191) % BIGRAM_ROWS
        trigram = (tokens * 50021 ^ one * 39119 ^ two * 61051) % TRIGRAM_ROWS
        return torch.stack([bigram, BIGRAM_ROWS + trigram], dim=-1)

    def hidden(self, tokens: Tensor, grams: Tensor) -> tuple[Tensor, Tensor]:
        """The last residual stream (B, T, D), normalised, and the proposals for copying (B, T, orders)."""
        proposals = torch.stack([followers(tokens, order) for order in COPY_ORDERS], dim=-1)
        x = self.embed(tokens) + self.gram_in(grams.flatten(2))
        for embed, proposal in zip(self.copy_in, proposals.unbind(-1), strict=True):
            x = x + embed(proposal.remainder(VOCAB + 1))  # -1 wraps to the last row
        x = first = norm(x.to(self.arithmetic))
        residual, input = self.residual.to(x.dtype), self.input.to(x.dtype)
        for i, block in enumerate(self.blocks):
            x = block(residual[i] * x + input[i] * first, tokens)
        return norm(x), proposals

    def logits(self, x: Tensor, proposals: Tensor) -> Tensor:
        """(..., vocab) float32 from the residual stream, with the bonuses of the proposed tokens."""
        logits = self.head(x).float()
        if SOFTCAP:
            logits = SOFTCAP * torch.tanh(logits / SOFTCAP)
        bonus = self.copy_out(x).float() + self.copy_bias
        return logits.scatter_add(-1, proposals.clamp(min=0), bonus * (proposals >= 0))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logits(*self.hidden(tokens, self.grams[self.slots(tokens)]))

    def loss(self, tokens: Tensor, targets: Tensor, grams: Tensor) -> Tensor:
        """Mean nats per token, from the rows of `grams` looked up beforehand."""
        x, proposals = self.hidden(tokens, grams)
        if not CHUNK:
            return F.cross_entropy(self.logits(x, proposals).flatten(0, 1), targets.flatten())
        found = (proposals >= 0).flatten(0, 1)
        bonus = (self.copy_out(x).float() + self.copy_bias).flatten(0, 1) * found
        return HeadLoss.apply(
            x.flatten(0, 1), self.head.weight, bonus, proposals.clamp(min=0).flatten(0, 1), targets.flatten()
        )


def deviation(name: str, tensor: Tensor) -> float | None:
    """Standard deviation of a parameter's first values; None keeps what the constructor set."""
    if name == "embed.weight":
        return EMBED_INIT
    if name.endswith(("qkv.weight", "up.weight")):
        return 0.6 * tensor.size(-1) ** -0.5
    if name == "gram_in.weight":
        return tensor.size(-1) ** -0.5
    return 0.0 if name.endswith(".weight") else None


def build_model() -> GPT:
    """The model of this file, its weights yet to be drawn or loaded. Float32 arithmetic but on CUDA, where bf16 is
    always fast: what a model answers must not depend on which machine was quick today."""
    return GPT(torch.bfloat16 if DEVICE == "cuda" else torch.float32)


VOCAB = prepare.meta().vocab_size

# ---------------------------------------------------------------------------------------------------------------------
# Optimizers


def orthogonalise(g: Tensor) -> Tensor:
    """The nearest (semi-)orthogonal matrices to (n, a, b), roughly: five Newton-Schulz steps (Jordan et al., Muon)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    for _ in range(5):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised. Matrices of one shape go through together."""

    def __init__(self, matrices: list[Tensor], lr: float, arithmetic: torch.dtype) -> None:
        self.arithmetic = arithmetic
        shapes = {tuple(m.shape) for m in matrices}
        groups = [{"params": [m for m in matrices if tuple(m.shape) == shape]} for shape in sorted(shapes)]
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            matrices = group["params"]
            state = self.state[matrices[0]]
            g = torch.stack([m.grad for m in matrices])
            momentum = state.setdefault("momentum", torch.zeros_like(g))
            momentum.lerp_(g, 1 - MUON_MOMENTUM)
            update = orthogonalise(g.lerp(momentum, MUON_MOMENTUM).to(self.arithmetic))
            rate = group["lr"] * max(1.0, g.size(-2) / g.size(-1)) ** 0.5
            for m, u in zip(matrices, update, strict=True):
                m.mul_(1 - group["lr"] * WEIGHT_DECAY).sub_(u, alpha=rate)


class RowAdagrad:
    """Adagrad with one rate per row, for tables of which a step touches few rows. Costs nothing for the others."""

    def __init__(self, table: Tensor, lr: float) -> None:
        self.table, self.lr = table, lr
        self.squares = torch.zeros(table.size(0), device=table.device)

    @torch.no_grad()
    def step(self, slots: Tensor, gradient: Tensor, scale: float) -> None:
        at, g = slots.flatten(), gradient.flatten(0, -2)
        self.squares.index_add_(0, at, g.square().mean(-1))
        self.table.index_add_(0, at, g * (-self.lr * scale / (self.squares[at].sqrt() + 1e-10))[:, None])


def schedule(used: float) -> float:
    """What the rates are multiplied by when this fraction of the budget is used."""
    if used < WARMUP:
        return used / WARMUP
    return FINAL_LR + (1 - FINAL_LR) * min(1.0, (1 - used) / COOLDOWN)


# ---------------------------------------------------------------------------------------------------------------------
# Training


def fast_arithmetic() -> torch.dtype:
    """bfloat16 where this processor is quicker with it: some are twice as quick, others fifteen times slower."""

    def seconds(dtype: torch.dtype) -> float:
        a, b = torch.ones(1024, 256, dtype=dtype), torch.ones(256, 256, dtype=dtype)
        times = []
        for _ in range(4):  # the first pays for setting up, any may be disturbed
            began = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - began)
        return min(times)

    return torch.bfloat16 if seconds(torch.bfloat16) < 0.8 * seconds(torch.float32) else torch.float32


class HeadLoss(torch.autograd.Function):
    """Mean cross-entropy of `GPT.logits`, its gradient made on the way: the logits of CHUNK positions exist at a time
    and stay in the processor's cache, and no pass over them is made twice."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bonus: Tensor, proposals: Tensor, targets: Tensor) -> Tensor:
        w, losses, dw = weight.to(x.dtype), [], torch.zeros_like(weight)
        dx, dbonus = torch.empty_like(x), torch.empty_like(bonus)
        for at in range(0, len(x), CHUNK):
            part = slice(at, at + CHUNK)
            proposed, target = proposals[part], targets[part, None]
            z = x[part] @ w.T
            if SOFTCAP:
                capped = torch.tanh(z / SOFTCAP)
                z = SOFTCAP * capped
            row = torch.arange(len(z), device=z.device)[:, None] * z.size(1)
            z.view(-1).index_add_(0, (row + proposed).view(-1), bonus[part].to(z.dtype).view(-1))
            g = z.softmax(1)
            losses.append(g.gather(1, target).float().clamp(min=1e-30).log())
            g.view(-1).index_add_(0, (row + target).view(-1), -torch.ones(len(z), dtype=g.dtype, device=z.device))
            dbonus[part] = g.gather(1, proposed)
            if SOFTCAP:
                g = g * (1 - capped.square())
            dx[part] = g @ w
            dw += g.T @ x[part]
        ctx.save_for_backward(dx, dw, dbonus)
        return -torch.cat(losses).mean()

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor | None, ...]:
        dx, dw, dbonus = ctx.saved_tensors
        scale = upstream / len(dx)
        return dx * scale.to(dx.dtype), dw * scale, dbonus * scale, None, None


def optimizers(model: GPT) -> tuple[list[torch.optim.Optimizer], RowAdagrad]:
    """Who updates what. Each parameter is named exactly once."""
    matrices = [
        p for name, p in model.named_parameters() if p.ndim == 2 and name.startswith("blocks.") and "values" not in name
    ]
    embeds = [
        model.embed.weight,
        *(e.weight for e in model.copy_in),
        *(b.values.weight for b in model.blocks if b.values),
    ]
    scalars = [model.residual, model.input, model.copy_bias, model.copy_out.weight]
    fused = DEVICE in ("cpu", "cuda")
    groups = [
        {"params": embeds, "lr": EMBED_LR * WIDTH**-0.5, "weight_decay": EMBED_DECAY},
        {"params": [model.head.weight, model.gram_in.weight], "lr": HEAD_LR, "weight_decay": 0.0},
        {"params": scalars, "lr": SCALAR_LR, "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, betas=ADAM_BETAS, eps=1e-10, fused=fused)
    return [Muon(matrices, MATRIX_LR, model.arithmetic), adamw], RowAdagrad(model.grams.data, GRAM_LR)


def main() -> None:
    torch.set_num_threads(prepare.threads())
    prepare.keep_memory()
    torch.set_float32_matmul_precision("high")
    model = build_model().to(DEVICE)
    prepare.initialise(model, deviation)
    model.grams.requires_grad_(False)  # updated row by row, outside of autograd
    answer = model.arithmetic
    if DEVICE == "cpu":
        model.arithmetic = fast_arithmetic()
    dense, sparse = optimizers(model)
    batches = prepare.batches(ROWS, on=DEVICE)
    loss_of: Callable[..., Tensor] = torch.compile(model.loss, dynamic=False) if DEVICE == "cuda" else model.loss

    budget = prepare.Budget(DEVICE)
    budget.start(model)
    while budget.fraction() < 1:
        scale = schedule(budget.fraction())
        for optimizer in dense:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * scale
        loss = torch.zeros((), device=DEVICE)
        touched = []
        for _ in range(ACCUMULATE):
            tokens, targets = next(batches)
            slots = model.slots(tokens)
            grams = model.grams[slots].requires_grad_()
            part = loss_of(tokens, targets, grams) / ACCUMULATE
            part.backward()
            loss += part.detach()
            touched.append((slots, grams))
        for optimizer in dense:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        for slots, grams in touched:
            sparse.step(slots, grams.grad, scale)
        budget.step(ACCUMULATE * tokens.numel(), loss)

    model.arithmetic = answer
    matrices = sum(p.numel() for p in model.parameters()) - model.grams.numel() - VOCAB * WIDTH * (1 + len(COPY_ORDERS))
    prepare.finish(model, budget, DEPTH, 6.0 * matrices)


if __name__ == "__main__":
    main()
