"""A toy lab of eight constants: where each should stand, and how much it matters. The same for every memo."""

from __future__ import annotations

import math
import random

START = {
    "MATRIX_LR": 0.02, "EMBED_LR": 0.3, "HEAD_LR": 0.004, "MOMENTUM": 0.9,
    "WARMUP": 0.1, "WEIGHT_DECAY": 0.1, "INIT_STD": 0.02, "WINDOW": 64,
}  # fmt: skip
# what is true of every block of this lab, and no memo is told: which constants are far off, and matter
MATTERS = {"EMBED_LR": (4.0, 1.0), "MOMENTUM": (0.3, 0.8), "INIT_STD": (0.3, 0.7)}
LITTLE = 0.02


class Block:
    """One campaign's ground: the optimum of each constant, drawn around what is true of the lab."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(f"block {seed}")
        self.best, self.weights = {}, {}
        for name, value in START.items():
            factor, weight = MATTERS.get(name, (1.0, LITTLE))
            factor *= 2 ** draw.gauss(0, 0.3)
            self.best[name] = 1 - (1 - value) / factor if name == "MOMENTUM" else value * factor
            self.weights[name] = weight * 2 ** draw.gauss(0, 0.3)

    @property
    def source(self) -> str:
        return "".join(f"{name} = {value}\n" for name, value in START.items())

    def loss(self, values: dict[str, float]) -> float:
        return sum(self.weights[name] * self._away(name, values[name]) ** 2 for name in START)

    def _away(self, name: str, value: float) -> float:
        if name == "MOMENTUM":
            return math.log(max(1e-9, 1 - value) / (1 - self.best[name]))
        return math.log(max(1e-9, value) / self.best[name])
