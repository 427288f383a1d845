"""One training step of the shipped train.py, taken apart: `python -m dev.gpu_step [--small]`, one line of JSON.

The step is train.py's own, compiled as there on a card; on a processor it is compiled too, so that this path is run
where no card is. The three largest costs are the profiler's, by the device's own time; the share of peak is by the
speed of one large matrix product on this very card, in the same process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from typing import Any

WARM, TIMED, PRODUCT = 3, 5, {"cuda": 8192, "cpu": 512}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="with smaller tables, for a look at the path itself")
    options = parser.parse_args()
    torch: Any = importlib.import_module("torch")
    train: Any = importlib.import_module("train")
    prepare: Any = importlib.import_module("prepare")
    if options.small:
        train.COUNT_TOKENS = 2**14
    torch.set_num_threads(prepare.threads())
    torch.set_float32_matmul_precision("high")
    model = train.build_model().to(train.DEVICE)
    prepare.initialise(model, train.deviation)
    model.arithmetic = train.fast_arithmetic()
    dense, sparse = train.optimizers(model), train.RowAdagrad(model.grams, train.GRAM_LR)
    began = time.perf_counter()
    compiled = torch.compile(model.loss, dynamic=False)
    batches, practice = prepare.batches(2 * train.BATCH, on=train.DEVICE, folds=2), train.read_halves(model)

    def step(loss_of: Any) -> int:
        tokens, targets = next(batches)
        loss, _, grams, slots = train.losses(model, loss_of, tokens, targets, practice)
        loss.backward()
        sparse.step(slots, grams.grad, 1.0)
        for optimizer in dense:
            optimizer.step(1.0)
        model.zero_grad()
        return int(tokens.numel())

    def wait() -> float:
        if train.DEVICE == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    step(compiled)
    compile_seconds = wait() - began
    for _ in range(WARM):
        step(compiled)
    began = wait()
    tokens = sum(step(compiled) for _ in range(TIMED))
    seconds = (wait() - began) / TIMED
    costs, held = _costs(torch, train.DEVICE, lambda: step(compiled)), None
    if train.DEVICE == "cuda":
        held = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    peak, flops = _product(torch, train.DEVICE, wait), 0.0
    counter: Any = importlib.import_module("torch.utils.flop_counter")
    try:
        with counter.FlopCounterMode(display=False) as counted:
            step(model.loss)  # what is compiled cannot be counted
        flops = float(counted.get_total_flops())
    except torch.OutOfMemoryError:  # uncompiled it needs more; the rest is known
        print("No room to count the operations of a step.", file=sys.stderr)
    answer = {
        "device": torch.cuda.get_device_name() if train.DEVICE == "cuda" else "cpu",
        "compile_seconds": round(compile_seconds, 1),
        "step_ms": round(seconds * 1e3, 2),
        "tokens_a_second": round(tokens / TIMED / seconds, 1),
        "flops_a_step": flops,
        "tflops": round(flops / seconds / 1e12, 3),
        "product_tflops": round(peak / 1e12, 3),
        "share_of_product": round(flops / seconds / peak, 4),
        "memory_mb": held,
        "largest_costs": costs,
    }
    print(json.dumps(answer))
    return 0


def _product(torch: Any, device: str, wait: Any) -> float:
    """Operations a second of one large matrix product in bfloat16 (float32 on a processor)."""
    size, kind = PRODUCT[device], torch.bfloat16 if device == "cuda" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    for _ in range(WARM):
        a @ b
    began = wait()
    for _ in range(TIMED):
        a @ b
    return float(2.0 * size**3 * TIMED / (wait() - began))


def _costs(torch: Any, device: str, step: Any) -> list[dict[str, Any]]:
    """The three operations that took most of a step's time on the device itself."""
    kinds = torch.profiler.ProfilerActivity
    asked = [kinds.CPU, kinds.CUDA] if device == "cuda" else [kinds.CPU]
    with torch.profiler.profile(activities=asked) as seen:
        step()
        if device == "cuda":
            torch.cuda.synchronize()
    name = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    events = sorted(seen.key_averages(), key=lambda event: getattr(event, name), reverse=True)
    whole = sum(getattr(event, name) for event in events) or 1.0
    return [
        {"name": event.key[:120], "ms": round(getattr(event, name) / 1e3, 3),
         "share": round(getattr(event, name) / whole, 3), "calls": event.count}
        for event in events[:3]
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
