"""How logs are written: what agents append, spread over lines, remark upon, and put between sentences; all made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcp_server.histories.reading import read
from mcp_server.histories.rows import History
from mcp_server.histories.sniff import Wishes
from mcp_server.nouns.errors import NotNow

HEAD = "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
ROWS = "aaaa111\t0.9979\t44.0\tkeep\tbaseline\nbbbb222\t0.9932\t44.2\tdiscard\thigher rate\n"
TWO = [("kept", 0.9979), ("discarded", 0.9932)]
SPREAD = "\n".join(
    json.dumps({"exp": number, "val_bpb": score, "status": status, "setting": {"a": 1}}, indent=2)
    for number, score, status in ((1, 0.9979, "keep"), (2, 0.9932, "discard"))
)
REPORT = """\
# A night

We tried things, as told below, in order.

| knob | value |
|---|---|
| LR | 0.04 |

## What came of them

| exp | val_bpb | status | notes |
|---|---|---|---|
| 1 | 0.9979 | keep | baseline |

and then

| exp | val_bpb | status | notes |
|---|---|---|---|
| 2 | 0.9932 | discard | higher rate |
"""


def of(text: str, folder: Path, wishes: Wishes | None = None, name: str = "log") -> History:
    (folder / name).write_text(text)
    return read(name, folder, wishes)


@pytest.mark.parametrize(
    "text",
    [
        HEAD + ROWS.split("bbbb")[0] + ("bbbb" + ROWS.split("bbbb")[1]).replace("\t", "\\t"),
        (HEAD + ROWS).replace("\t", "   "),
        SPREAD,
        SPREAD.replace("}\n{", "},\n{"),
        REPORT,
    ],
    ids=["tabs typed out", "spaces", "objects over several lines", "with commas between", "a report in Markdown"],
)
def test_rows_are_found_however_they_were_appended(text: str, tmp_path: Path) -> None:
    history = of(text, tmp_path)
    assert [(row.status, row.score) for row in history.rows] == TWO
    assert not history.unreadable


def test_a_row_spread_over_lines_has_the_line_where_it_begins(tmp_path: Path) -> None:
    history = of(SPREAD + '\n{"exp": 3, broken\n', tmp_path)
    assert [row.line for row in history.rows] == [1, 9]
    assert [one.words() for one in history.unreadable] == ["line 17: from here on it is no JSON"]


def test_a_log_of_one_row_is_not_the_list_inside_that_row(tmp_path: Path) -> None:
    row = {"title": "wider", "fitness": 3.1, "outcome": "kept", "changes": [{"file": "a.py"}, {"file": "b.py"}]}
    assert [row.score for row in of(json.dumps(row), tmp_path, Wishes(direction="maximize")).rows] == [3.1]


def test_a_remark_that_says_the_direction_is_heard(tmp_path: Path) -> None:
    text = "# metric_direction: higher_is_better\niteration\tmetric\tstatus\n0\t207.6\tbaseline\n1\t158.4\tdiscard\n"
    history = of(text, tmp_path)
    assert history.schema.direction == "maximize"
    assert "the source says so" in " ".join(history.schema.reasons)


@pytest.mark.parametrize(
    ("columns", "row", "score"),
    [
        ("run score_ns baseline_ns improvement_pct kept", "1 120 150 20.0 true", "score_ns"),
        ("run fitness_before fitness_after delta accepted", "1 -0.5 -0.1 0.4 true", "fitness_after"),
        ("run pass_at_1 baseline delta is_best", "1 30 30 0 true", "pass_at_1"),
        ("id commit tok_s memory_gb status", "1 aaaa111 5.6 3.1 keep", "tok_s"),
        ("id mean_sharpe val_score best_score status", "1 0.3 0.4 0.5 keep", "val_score"),
    ],
)
def test_what_a_score_was_compared_with_is_not_the_score(columns: str, row: str, score: str, tmp_path: Path) -> None:
    history = of("\n".join("\t".join(line.split()) for line in (columns, row)), tmp_path, Wishes(direction="maximize"))
    assert history.schema.columns["score"] == score
    assert [row.status for row in history.rows] == ["kept"]


def test_a_score_inside_an_object_is_found_and_settings_are_not(tmp_path: Path) -> None:
    rows = [
        {"name": "a", "config": {"epochs": 15, "loss": 2}, "metrics": {"val_dice": 0.1, "score": 0.3}, "kept": True}
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    assert of(text, tmp_path, Wishes(direction="maximize")).schema.columns["score"] == "metrics_score"
    assert of(text, tmp_path, Wishes(metric="val_dice")).schema.columns["score"] == "metrics_val_dice"


def test_a_run_that_only_ended_was_not_kept(tmp_path: Path) -> None:
    text = "name,test_corr,status\na,0.1,success\nb,0.3,success\nc,,error\n"
    history = of(text, tmp_path)
    assert [row.status for row in history.rows] == ["unknown", "unknown", "crashed"]
    assert "--status success=kept" in " ".join(history.schema.reasons)
    said = of(text, tmp_path, Wishes(statuses={"success": "kept"}))
    assert [row.status for row in said.rows] == ["kept", "kept", "crashed"]
    verdicts = of(text + "d,0.2,rejected\n", tmp_path)  # where a word says what was not kept, the other says what was
    assert [row.status for row in verdicts.rows] == ["kept", "kept", "crashed", "discarded"]


def test_the_fuller_of_two_columns_of_verdicts_is_read(tmp_path: Path) -> None:
    rows = [{"iter": n, "change": f"x{n}", "bleu": 2.0 + n, "keep": n % 2 == 0} for n in range(4)]
    text = "\n".join(
        json.dumps(row) for row in [*rows, {"iter": 4, "change": "y", "keep": False, "status": "no_result"}]
    )
    assert [row.status for row in of(text, tmp_path).rows] == ["kept", "discarded", "kept", "discarded", "discarded"]


SPEED = "".join(
    f"aaaa11{n}\t{speed}\t{bpb}\tkeep\tidea {n}\n"
    for n, (speed, bpb) in enumerate([(2274, 0.975), (2309, 0.976), (2313, 0.977), (2519, 0.978), (2571, 0.977)])
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # kept for its speed, and bpb is what must not get worse
        (f"commit\ttokens_per_sec\tbpb\tstatus\tdescription\n{SPEED}", "by tokens_per_sec 4 of 4"),
        # most keeps do not tell it
        ("id\ttg_tok_s\tppl\tstatus\n1\t29\t4.5\tkeep\n2\t32\t-\tkeep\n3\t37\t-\tkeep\n", "1 of 3 keeps tell it"),
        ("id\tmetric_after\tstatus\n1\tsharpe=0.1, 5 trades\tkeep\n", "no single numbers: “sharpe=0.1, 5 trades”"),
        ("id\tmetric_before\tmetric_after\tstatus\n1\tWR=1\t-\tkeep\n", "no column of scores"),
        ("spec\tlatency_us\nk8v8\t1.0\n", "no column that says what was tried"),
        ("commit\tval_bpb\n", "a heading and no row yet"),
        (
            "commit\tval_bpb\nTraceback (most recent call last):\n",
            r"line 2: 1 cell where the heading has 2 \(Traceback",
        ),
        ("All experiments of the night, as they came.\n\nThe first, as told, was better.\n", "is no table"),
        (REPORT + "\n| a | result |\n|---|---|\n| x | keep |\n", "lines 5, 11, 21"),
    ],
)
def test_what_is_not_told_is_asked_with_what_to_say_next(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(NotNow, match=says):
        of(text, tmp_path)


def test_a_metric_that_no_column_has_is_refused_and_one_that_names_the_score_is_taken(tmp_path: Path) -> None:
    text = "run\tmetric\tstatus\n1\t5\tkeep\n"
    assert of(text, tmp_path, Wishes(metric="val_loss")).schema.metric == "val_loss"
    with pytest.raises(NotNow, match="no column val_loss; it has commit, val_bpb"):
        of(HEAD + ROWS, tmp_path, Wishes(metric="val_loss"))
