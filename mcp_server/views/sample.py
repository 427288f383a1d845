"""What a trained language model writes on from a fixed prompt: `view: python -m mcp_server.views.sample "PROMPT"`.

A picture for people (see docs/arenas.md), from which no score is taken. It runs in the view command's walls, with the
attempt's model on the processor, and sees the vocabulary but no text of the corpus. The draws are the same for every
attempt: temperature 0.8, one seed.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path

import tiktoken
import torch
from safetensors.torch import load_file

from mcp_server.arena.corpus import read_vocabulary
from mcp_server.scoring.host import load_model

TOKENS = 400
SECONDS = 20.0  # on the wall; the view command has 30
TEMPERATURE = 0.8


@torch.inference_mode()
def written_on(model: torch.nn.Module, begun: list[int], width: int, most: int, seconds: float) -> list[int]:
    """Tokens that follow `begun`, whose first is BOS, drawn one by one; each sees the last `width`."""
    generator, ends, tokens = torch.Generator().manual_seed(0), time.monotonic() + seconds, list(begun)
    while len(tokens) < len(begun) + most and time.monotonic() < ends:
        logits = model(torch.tensor([tokens[-width:]]))[0, -1].float()
        logits[begun[0]] = -math.inf  # no document ends
        tokens.append(int(torch.multinomial((logits / TEMPERATURE).softmax(-1), 1, generator=generator)))
    return tokens[len(begun) :]


def main(prompt: str) -> None:
    """Write `view.txt`: the prompt, a bar, and what follows."""
    corpus = Path(os.environ["AUTORESEARCH_DATA"])
    meta, found = json.loads((corpus / "public" / "meta.json").read_text()), read_vocabulary(corpus)
    if found is None:
        sys.exit(f"{corpus} has no tokenizer, so no words can be made of tokens. A view of another kind needs none.")
    weights = load_file(Path(os.environ["AUTORESEARCH_ARTIFACT"]) / "model.safetensors")
    os.environ["AUTORESEARCH_DEVICE"] = "cpu"  # a view has no card
    model = load_model(Path(os.environ["AUTORESEARCH_SNAPSHOT"]), weights, torch.device("cpu"))
    ranks = {token: rank for rank, token in enumerate(found.tokens)}
    encoding = tiktoken.Encoding("corpus", pat_str=found.pattern, mergeable_ranks=ranks, special_tokens=found.special)
    begun = [meta["bos_id"], *encoding.encode_ordinary(prompt)]
    tokens = written_on(model, begun, meta["sequence_length"], TOKENS, SECONDS)
    text = f"{prompt}▏{encoding.decode(tokens)}\n\n({len(tokens)} tokens at temperature {TEMPERATURE:g}, seed 0)\n"
    Path(os.environ["AUTORESEARCH_VIEW"], "view.txt").write_text(text)


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
