"""An audit as a page: one sentence a finding and its rows, as Markdown or as one HTML file. Text of a log is data."""

from __future__ import annotations

import html

from markdown_it import MarkdownIt

from mcp_server.histories.audit import Audit, Finding
from mcp_server.histories.rows import History
from mcp_server.nouns.text import clean_line, plain

MOST_ROWS = 60  # shown of one finding
STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}li{margin:.2rem 0}"


def markdown(history: History, found: Audit) -> str:
    """The page."""
    schema = history.schema
    parts = [f"# How far can {plain(history.name)} be believed?", ""]
    attempts = f"{len(history.rows)} attempts, {found.keeps} kept gains, {schema.metric} ({schema.direction}d)"
    parts += [f"{plain(attempts)}. From the history alone; nothing was run.", ""]
    if found.claimed is not None and found.keeps:
        believed = "" if found.believed is None else f"; about {found.believed:.4g} of it can be believed"
        false = "" if found.false_keeps is None else f", with {found.false_keeps:.1f} keeps expected to be false"
        parts += [f"Claimed: {found.claimed:.4g}{believed}{false}.", ""]
    if not found.findings:
        parts += ["Nothing was found to be wrong.", ""]
    for finding in found.findings:
        parts += [f"## {finding.code}", "", plain(finding.sentence, 600), "", *_rows(finding), ""]
    if found.unchecked:
        parts += ["## Not checked", "", *(f"- {plain(one, 600)}" for one in found.unchecked), ""]
    parts += ["## How it was read", "", *(f"- {plain(one, 600)}" for one in schema.reasons), ""]
    return "\n".join(parts).rstrip() + "\n"


def _rows(finding: Finding) -> list[str]:
    listed = [words for _, words in finding.evidence]
    more = [f"- and {len(listed) - MOST_ROWS} more"] if len(listed) > MOST_ROWS else []
    return [f"- {plain(words, 600)}" for words in listed[:MOST_ROWS]] + more


def as_html(history: History, found: Audit) -> str:
    """The page as one file that needs nothing else; no HTML of the log survives."""
    body = MarkdownIt("commonmark", {"html": False}).render(markdown(history, found))
    title = html.escape(clean_line(history.name, 80))
    return f"<!doctype html><meta charset=utf-8><title>Audit of {title}</title><style>{STYLE}</style>{body}"
