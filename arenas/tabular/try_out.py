"""An own estimate of the model, for the log: trained on one half of the public images, asked about the other.

It decides nothing; the scorer trains and asks again, on draws of its own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from data import blurred, digits
from model import fit, predict


def main() -> None:
    rng = np.random.default_rng(int(os.environ.get("AUTORESEARCH_SEED", "0")))
    images, labels = digits("val")
    images, order = blurred(images, rng), rng.permutation(len(labels))
    ours, others = np.array_split(order, 2)
    model = fit(images[ours], labels[ours], 0)
    said = predict(model, images[others])
    chosen = said[np.arange(len(others)), labels[others]]
    estimate = {
        "log_loss": round(float(-np.log(np.maximum(chosen, 1e-15)).mean()), 4),
        "accuracy": round(float((said.argmax(axis=1) == labels[others]).mean()), 4),
        "size_kb": round(len(model) / 1024, 1),
    }
    (Path(os.environ.get("AUTORESEARCH_OUT", ".")) / "estimate.json").write_text(json.dumps(estimate))
    print(f"own estimate: {estimate}")


if __name__ == "__main__":
    main()
