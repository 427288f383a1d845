"""What the models of this folder start from: a bigram model of the training text, and the ending of an honest run.

The table is counted, not trained, so that a run takes no longer than importing torch. `Base` is honest; the files
beside this one are `train.py` files that change it in one way each.
"""

import json
import os
import pathlib

import numpy as np
import torch
from safetensors.torch import save_model
from torch import nn

DATA = pathlib.Path(os.environ["AUTORESEARCH_DATA"]) / "public"
META = json.loads((DATA / "meta.json").read_text())
VOCAB, WIDTH = META["vocab_size"], META["sequence_length"]


class Base(nn.Module):
    """Token ids (B, T) to logits (B, T, vocab): log counts of what followed each token in the training text."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(VOCAB, VOCAB)

    def forward(self, ids):
        return self.table(ids)


def count(table):
    """Fill an embedding (vocab, vocab) with the log counts of the training text."""
    text = torch.from_numpy(np.fromfile(DATA / META["shards"][0], "<u2").astype(np.int64))
    counts = torch.full((VOCAB, VOCAB), 0.1)
    counts.index_put_((text[:-1], text[1:]), torch.ones(()), accumulate=True)
    with torch.no_grad():
        table.weight.copy_((counts / counts.sum(1, keepdim=True)).log())


def finish(model):
    """What `main()` of an honest file ends with: the weights, sealed by the supervisor once this process has ended."""
    if isinstance(getattr(model, "table", None), nn.Embedding):
        count(model.table)
    save_model(model, os.path.join(os.environ["AUTORESEARCH_OUT"], "model.safetensors"))
