"""How near texts are in meaning, by a static embedding: a word is a vector, a text the mean of its words'.

With the extra `semantic` alone, which installs `wordllama`: its wheel brings tokenizer and vectors (16 MB), and here it
may ask for nothing else. Vectors are derived, kept in this process for a while, and never stored or exchanged. Without
the extra nothing is near anything, and words, letters and constants find what there is.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT_VECTORS = 8192  # of 256 numbers: 8 MB
Vector = NDArray[np.float32]


def installed() -> bool:
    """Whether texts can be compared by meaning here."""
    return importlib.util.find_spec("wordllama") is not None


@functools.cache
def _model() -> Any:
    """The embedding, read once from the package's own files."""
    if not installed():
        return None
    # the package sets up logging as a program would, unless somebody has; that is not its business here
    root, held = logging.getLogger(), logging.NullHandler()
    root.addHandler(held)
    try:
        import wordllama
    finally:
        root.removeHandler(held)
    # 0.4 looks for its tokenizer beside where the wheel has it; as a cache the package's own folder is right
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


_vectors: dict[str, Vector] = {}


def nearness(question: str, texts: Sequence[str]) -> dict[str, float]:
    """How near each text is to a question, from -1 to 1; empty where the extra is not installed."""
    if not question.strip() or not texts or _model() is None:
        return {}
    wanted = list(dict.fromkeys((question, *texts)))
    missing = [text for text in wanted if text not in _vectors]
    if len(_vectors) + len(missing) > KEPT_VECTORS:
        _vectors.clear()
        missing = wanted
    if missing:
        found: Vector = _model().embed(missing)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        _vectors.update(zip(missing, found / np.maximum(lengths, 1e-9), strict=True))
    asked = _vectors[question]
    return {text: float(asked @ _vectors[text]) for text in dict.fromkeys(texts)}
