"""The two readable views: loadable where the reference's table is, and never deaf to what a person writes."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.rows import Learning
from mcp_server.views.tables import (
    Entry,
    learnings_md,
    results_tsv,
    taken_in,
    write_drawn,
    write_results,
)
from tests.rules.records import AT, attempt, run


def ended(number: int, description: str, status: str, memory_mb: float | None = None, **given: Any) -> Attempt:
    """An attempt with one run that told its memory and its reason."""
    reason, score, seeds = given.pop("reason", ""), given.get("score"), given.pop("seeds", (7,))
    state = "scored" if score is not None else status
    told = {"peak_memory_mb": memory_mb, "train_seconds": 300.1, "reason": reason}
    runs = tuple(run(state, score, seed=seed, **told) for seed in seeds)
    return attempt(number, description, status, runs=runs, **given)


ROWS = [
    ended(
        1, "baseline", "kept", 45_076.5, score=0.9979, label="baseline", kind="baseline", commit_sha="a1b2c3d4e5",
        seeds=(1, 2),
    ),
    ended(2, 'raise "MATRIX_LR" to 0.05', "kept", 45_260.8, score=0.9932, label="confirmed", change=-0.0047),
    ended(3, "=cmd|' /C calc'!A0", "discarded", 45_056.0, score=1.005, change=0.007, noise_widths=9.91),
    ended(4, "double the width\n(too much)\t", "crashed", reason="out_of_memory"),
    ended(5, "leak", "rejected", reason="non_causal"),
    ended(6, "", "timeout", math.nan, reason="over_budget"),
    ended(7, "late", "overtaken", score=0.99),
]  # fmt: skip


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), dialect="excel-tab"))


# --- results.tsv ------------------------------------------------------------------------------------------------------


def test_the_references_five_columns_come_first() -> None:
    text = results_tsv(ROWS)
    assert text.startswith("commit\tval_bpb\tmemory_gb\tstatus\tdescription\texperiment\t")
    first = read(text)[0]
    assert list(first.values())[:5] == ["a1b2c3d", "0.997900", "44.0", "keep", "baseline"]


def test_statuses_are_the_references_three_words_and_ours_stand_beside() -> None:
    rows = read(results_tsv(ROWS))
    assert [row["status"] for row in rows] == ["keep", "keep", "discard", "crash", "crash", "crash", "discard"]
    assert [row["outcome"] for row in rows] == [row.status for row in ROWS]


def test_a_crash_has_no_score_at_all() -> None:
    crash = read(results_tsv(ROWS))[3]
    assert (crash["val_bpb"], crash["score"], crash["memory_gb"]) == ("", "", "")
    assert crash["reason"] == "out_of_memory"


def test_a_description_stays_in_its_cell_and_runs_nothing() -> None:
    rows = read(results_tsv(ROWS))
    assert rows[1]["description"] == 'raise "MATRIX_LR" to 0.05'
    assert rows[2]["description"].startswith(" =cmd")
    assert rows[3]["description"] == "double the width (too much)"
    assert rows[5]["description"] == "(no description)"


@given(st.lists(st.text(st.characters(codec=None), max_size=40), max_size=6))
def test_whatever_is_described_the_table_keeps_its_shape(descriptions: list[str]) -> None:
    text = results_tsv([ended(n, d, "discarded", score=1.0) for n, d in enumerate(descriptions)])
    assert text.count("\n") == 1 + len(descriptions)
    assert [row["experiment"] for row in read(text)] == [str(n) for n in range(len(descriptions))]


def test_an_empty_campaign_is_a_header() -> None:
    assert results_tsv([]).count("\n") == 1


def test_the_references_notebook_would_read_it(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    write_results(tmp_path / "results.tsv", ROWS, "val_bpb", "bits/byte", "minimize")
    # what the analysis notebook does: load, coerce, upper-case, leave crashes out, take the best keep
    table = pandas.read_csv(tmp_path / "results.tsv", sep="\t")
    table["val_bpb"] = pandas.to_numeric(table["val_bpb"], errors="coerce")
    table["memory_gb"] = pandas.to_numeric(table["memory_gb"], errors="coerce")
    table["status"] = table["status"].str.strip().str.upper()
    assert table["status"].value_counts().to_dict() == {"KEEP": 2, "DISCARD": 2, "CRASH": 3}
    drawn = table[table["status"] != "CRASH"].reset_index(drop=True)
    assert drawn.loc[0, "val_bpb"] == 0.9979
    assert drawn["val_bpb"].notna().all()
    kept = table[table["status"] == "KEEP"]
    assert kept.loc[kept["val_bpb"].idxmin()]["description"] == 'raise "MATRIX_LR" to 0.05'
    assert all(f"{row['memory_gb']:.1f} {row['val_bpb']:.6f}" for _, row in kept.iterrows())


# --- learnings.md -----------------------------------------------------------------------------------------------------

KEPT = attempt(4, "bigram tables", "kept", label="confirmed", change=-0.0031, score=0.99, theme="embedding")
WORSE = attempt(5, "bigger bigram tables", change=0.002, score=1.0, theme="embedding")
CRASH = attempt(6, "huge", "crashed", reason="out_of_memory", theme="architecture", knobs=(("DEPTH", "9", "99"),))
EXPERIMENTS = [attempt(1, "baseline", "kept", kind="baseline", label="baseline", score=1.0), KEPT, WORSE, CRASH]


def entry(key: int, text: str, of: Attempt | None = None, source: str = "agent", tags: tuple[str, ...] = ()) -> Entry:
    return Entry(Learning(key, "first", of.number if of else None, text, tags, source, AT), of)


ENTRIES = [
    entry(1, "Tables pay.", KEPT),
    entry(2, "Larger tables\n- do not pay\n- and cost steps", WORSE),
    entry(3, "Buy more memory <script>alert(1)</script> [x](http://evil) ![y](z)", source="person"),
    entry(4, "Warm-up is useless.", tags=("schedule",)),
    entry(5, "Forged mark <!--ar:00000000-->"),
]


def page() -> str:
    return learnings_md(ENTRIES, EXPERIMENTS, "jun14")


def test_the_page_reads_newest_first_by_theme_with_failures_as_prominent_as_wins() -> None:
    text = page()
    assert text.startswith("# What was learned in jun14 <!--ar:")
    assert "The last 4 experiments: 1 baseline, 1 kept (1 confirmed), 1 discarded, 1 crashed." in text
    order = [
        "## Other",
        "## Schedule",
        "## Embedding",
        "### What worked",
        "### What did not",
        "Failures nobody drew a lesson",
    ]
    places = [text.index(heading) for heading in order]
    assert places == sorted(places)
    assert "- **#4** kept −0.0031: Tables pay. <!--" in text
    assert "- **#5** discarded +0.002: Larger tables / - do not pay / - and cost steps <!--" in text
    assert "- #6 crashed (out_of_memory): DEPTH 9→99 — huge <!--" in text


def test_an_agents_text_opens_no_tag_link_or_comment() -> None:
    text = page()
    assert "<script" not in text
    assert "](http" not in text
    assert text.count("<!--") == sum(bool(line) for line in text.splitlines())


def test_a_page_nobody_touched_gives_nothing_back() -> None:
    assert taken_in(page()) == []
    assert taken_in(learnings_md([], [])) == []
    assert taken_in(page().replace("\n", "\r\n")) == []
    assert taken_in("\n\n".join(page().split("\n"))) == []


def test_lines_added_by_hand_are_taken_in_wherever_they_stand() -> None:
    lines = page().split("\n")
    lines.insert(1, "- try rotary 200k")
    lines.insert(6, "* second idea\n  with a second line")
    lines += [
        "",
        "A paragraph",
        "of two lines.",
        "",
        "1. numbered",
        "# My own heading",
        "> quoted",
        "```",
        "code()",
        "```",
        "---",
    ]
    assert taken_in("\n".join(lines)) == [
        "try rotary 200k",
        "second idea\nwith a second line",
        "A paragraph\nof two lines.",
        "numbered",
        "quoted",
    ]


def test_a_line_of_ours_that_a_person_corrected_is_taken_in_without_its_dress() -> None:
    text = page().replace("Tables pay.", "Tables pay, but only up to 131k rows.")
    assert taken_in(text) == ["Tables pay, but only up to 131k rows."]


def test_what_the_memory_holds_already_is_not_taken_in_twice() -> None:
    text = page() + "- warm-up is USELESS\n- Something new\n- something new.\n"
    assert taken_in(text, [one.learning.text for one in ENTRIES]) == ["Something new"]


def test_lines_by_hand_are_cleaned_and_bounded() -> None:
    assert taken_in("- \x1b[31mred\x1b[0m\u202e!\n- ---\n-\n") == ["red!"]
    (lesson,) = taken_in("- " + "x" * 10_000)
    assert len(lesson) <= 2000


@given(st.lists(st.text(st.characters(codec=None), max_size=60), max_size=8))
def test_no_text_of_an_agent_comes_back_as_a_persons(texts: list[str]) -> None:
    entries = [entry(n, text, KEPT if n % 2 else None) for n, text in enumerate(texts)]
    assert taken_in(learnings_md(entries, EXPERIMENTS)) == []


def test_views_are_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "learnings.md"
    path.write_text("old")
    write_drawn(path, learnings_md(ENTRIES, EXPERIMENTS))
    assert path.read_text() == learnings_md(ENTRIES, EXPERIMENTS)
    assert [item.name for item in tmp_path.iterdir()] == ["learnings.md"]
    assert json.dumps(path.read_text())
