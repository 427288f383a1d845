"""What a change to the code means: is it new, how long is it, which constants moved, did it touch the rules.

All of it is read from syntax trees; nothing is imported, run or believed. Files that are no Python, or no longer parse,
are compared as text.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections import Counter

from mcp_server.edits.constants import KnobChange, knob_changes, knobs
from mcp_server.edits.luck import protocol_changes
from mcp_server.edits.syntax import Source, Sources, canonical, flat, heading, named, tokens, tree_of, walk

__all__ = ["KnobChange", "change", "fingerprint", "knob_changes", "knobs", "nodes", "protocol_changes"]


def fingerprint(sources: Sources) -> str:
    """The same 64 hex digits for the same code, however it is laid out, commented or its numbers are spelled."""
    digest = hashlib.sha256(b"autoresearch fingerprint 1")
    for name, source in sorted(named(sources).items()):
        for part in (name, _normal(name, source)):
            raw = part.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()


def change(before: Sources, after: Sources) -> str:
    """A fingerprint of the edit alone: the statements gone and come, wherever they stand. "" where nothing changed.

    The same edit made on another base gives the same value, which is how a retest is recognised.
    """
    old, new = _pieces(before), _pieces(after)
    gone, come = old - new, new - old
    if not gone and not come:
        same = fingerprint(before) == fingerprint(after)
        return "" if same else hashlib.sha256(f"moved {fingerprint(after)}".encode()).hexdigest()
    text = repr((sorted(gone.items()), sorted(come.items())))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def nodes(sources: Sources) -> int:
    """How long the code is, in syntax-tree nodes, so that neither layout nor comments nor `a; b; c` count.

    The words of a string count too: code moved into a string for `exec` is not simpler.
    """
    total = 0
    for name, source in named(sources).items():
        tree = tree_of(name, source)
        if tree is None:
            total += tokens(flat(source))
            continue
        for node in walk(tree):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, bytes):
                text = text.decode("latin-1")
            total += max(1, tokens(text)) if isinstance(text, str) else 1
    return total


@functools.lru_cache(maxsize=32)  # the files of the work tree are looked at in every verb, and seldom differ
def _normal(name: str, source: Source) -> str:
    tree = tree_of(name, source)
    if tree is not None:
        try:
            return "tree " + canonical(tree)
        except RecursionError:
            pass
    return "text " + flat(source)


def _pieces(sources: Sources) -> Counter[str]:
    """The code cut in simple statements and the headings of compound ones, each with its file's name."""
    pieces: Counter[str] = Counter()
    for name, source in named(sources).items():
        tree = tree_of(name, source)
        if tree is None:
            pieces.update(f"{name} {line}" for line in flat(source).split("\n"))
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt):
                pieces[f"{name} {canonical(heading(node))}"] += 1
    return pieces
