"""The first plain train.py of this project, frozen: what `make bench` measures the shipped one against.

    AUTORESEARCH_BUDGET_SECONDS=60 python benchmarks/baseline_train.py

A small GPT as one would resize a well-known one for a CPU: two blocks of 128 channels, rotary positions, RMS norm, QK
norm, relu² MLP, value embeddings, soft-capped logits, Muon for the matrices and AdamW for the rest, batches of 2,048
tokens, a linear cool-down. No lookups, no windows, no hand-made loss, float32. It reads the same prepared corpus, keeps
the same budget and is scored on the same bytes. Do not improve it: a yardstick that grows measures nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # prepare.py lies one folder up

import prepare

DEVICE = prepare.device()
VOCAB = prepare.meta().vocab_size
DEPTH = 2
WIDTH = 128
HEADS = 2
SOFTCAP = 15.0
BATCH_TOKENS = 2048
MATRIX_LR = 0.04
EMBED_LR = 0.6 * (WIDTH / 768) ** -0.5
HEAD_LR = 0.004 * (WIDTH / 768) ** -0.5
SCALAR_LR = 0.5
ADAM_BETAS = (0.8, 0.95)
WEIGHT_DECAY = 0.2
COOLDOWN = 0.5


def norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.size(-1),))


def rotate(x: Tensor) -> Tensor:
    half = x.size(-1) // 2
    speed = 10_000 ** (-torch.arange(half, device=x.device) / half)
    angle = torch.arange(x.size(1), device=x.device)[:, None, None] * speed
    a, b = x.split(half, dim=-1)
    return torch.cat([a * angle.cos() + b * angle.sin(), b * angle.cos() - a * angle.sin()], dim=-1)


class Block(nn.Module):
    def __init__(self, has_values: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)
        self.values = nn.Embedding(VOCAB, WIDTH) if has_values else None

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        B, T, D = x.shape
        q, k, v = self.qkv(norm(x)).view(B, T, 3, HEADS, D // HEADS).unbind(2)
        if self.values is not None:
            v = v + self.values(tokens).view_as(v)
        q, k = norm(rotate(q)), norm(rotate(k))
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, D))
        return x + self.down(F.relu(self.up(norm(x))).square())


class GPT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCAB, WIDTH)
        self.blocks = nn.ModuleList(Block(i == DEPTH - 1) for i in range(DEPTH))
        self.residual = nn.Parameter(torch.ones(DEPTH))
        self.input = nn.Parameter(torch.full((DEPTH,), 0.1))
        self.head = nn.Linear(WIDTH, VOCAB, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = first = norm(self.embed(tokens))
        for i, block in enumerate(self.blocks):
            x = block(self.residual[i] * x + self.input[i] * first, tokens)
        return SOFTCAP * torch.tanh(self.head(norm(x)).float() / SOFTCAP)


def deviation(name: str, tensor: Tensor) -> float | None:
    if name == "embed.weight":
        return 1.0
    if name == "head.weight":
        return 0.001
    if name.endswith(("qkv.weight", "up.weight", "values.weight")):
        return WIDTH**-0.5
    return 0.0 if name.endswith("weight") else None


def build_model() -> GPT:
    return GPT()


def orthogonalise(g: Tensor) -> Tensor:
    x = g / (g.norm() + 1e-7)
    x = x.T if g.size(0) > g.size(1) else x
    for _ in range(5):
        s = x @ x.T
        x = 3.4445 * x + (-4.7750 * s + 2.0315 * s @ s) @ x
    return x.T if g.size(0) > g.size(1) else x


class Muon(torch.optim.Optimizer):
    def __init__(self, matrices: list[Tensor]) -> None:
        super().__init__(matrices, {"lr": MATRIX_LR})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 0.05)
                update = orthogonalise(p.grad.lerp(momentum, 0.95)) * max(1.0, p.size(0) / p.size(1)) ** 0.5
                p.mul_(1 - group["lr"] * WEIGHT_DECAY).sub_(update, alpha=group["lr"])


def optimizers(model: GPT) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if name.startswith("blocks.") and "values" not in name]
    embeds = [model.embed.weight, *(block.values.weight for block in model.blocks if block.values is not None)]
    groups = [
        {"params": embeds, "lr": EMBED_LR},
        {"params": [model.head.weight], "lr": HEAD_LR},
        {"params": [model.residual], "lr": SCALAR_LR * 0.01},
        {"params": [model.input], "lr": SCALAR_LR},
    ]
    return [Muon(matrices), torch.optim.AdamW(groups, betas=ADAM_BETAS, eps=1e-10, weight_decay=0.0)]


def main() -> None:
    torch.set_num_threads(prepare.threads())
    model = build_model().to(DEVICE)
    prepare.initialise(model, deviation)
    everyone = optimizers(model)
    batches = prepare.batches(max(1, BATCH_TOKENS // prepare.meta().sequence_length), on=DEVICE)
    budget = prepare.Budget(DEVICE)
    budget.start(model)
    while budget.fraction() < 1:
        scale = min(1.0, (1 - budget.fraction()) / COOLDOWN)
        tokens, targets = next(batches)
        loss = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        loss.backward()
        for optimizer in everyone:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * scale
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        budget.step(tokens.numel(), loss.detach())
    multiplied = sum(p.numel() for m in model.modules() if isinstance(m, nn.Linear) for p in m.parameters())
    prepare.finish(model, budget, DEPTH, 6.0 * multiplied)


if __name__ == "__main__":
    main()
