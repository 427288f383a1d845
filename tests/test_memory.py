"""What the memory takes in, what it recalls, and how it words an experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from mcp_server.edits.themes import Theme, least_tried, theme, themes
from mcp_server.ledger import Ledger
from mcp_server.memory.admission import admit, says_the_same
from mcp_server.memory.advice import advice, calibration, knob_range, predictions
from mcp_server.memory.recall import KnobQuery, knob_query, recall
from mcp_server.memory.wording import line, signed
from mcp_server.nouns.attempt import Attempt
from mcp_server.nouns.rows import Learning
from tests.rules.records import AT, attempt


def tried(number: int, description: str, status: str = "discarded", **more: Any) -> Attempt:
    values = {"score": 1.0, "change": -0.001} if status in ("kept", "discarded") else {}
    return attempt(number, description, status, **{**values, **more})


def lesson(key: int, text: str, experiment: int | None = None) -> Learning:
    return Learning(key, "first", experiment, text, (), "agent", AT)


def moved(name: str, before: str, after: str) -> tuple[tuple[str, str, str], ...]:
    return ((name, before, after),)


# --- admitting --------------------------------------------------------------------------------------------------------


def test_a_lesson_is_stored_as_written() -> None:
    said = admit("Raising MATRIX_LR to 0.05 helps:\n- steadier loss\n- 1 % more steps")
    assert said.text == "Raising MATRIX_LR to 0.05 helps:\n- steadier loss\n- 1 % more steps"
    assert (said.refusal, said.notes) == ("", ())


def test_a_lesson_is_cleaned_with_a_word_about_it() -> None:
    said = admit("\x1b[31mred\x1b[0m \u202eturned\u202c nul\0")
    assert said.text == "red turned nul"
    assert said.notes == ("terminal codes and control characters and direction overrides were taken out",)


@pytest.mark.parametrize("text", ["", "  \n\t", "---", "\x1b[31m", "\u200b\u200b"])
def test_an_empty_lesson_is_refused(text: str) -> None:
    said = admit(text)
    assert said.text is None
    assert "empty" in said.refusal


def test_a_long_lesson_is_refused_with_its_length() -> None:
    assert "2,001 characters" in admit("x" * 2001).refusal
    assert admit("word " * 399).text


def test_a_lesson_told_again_in_other_dress_is_refused_and_names_the_earlier_one() -> None:
    earlier = [
        "Muon beats AdamW.",
        "Raising the embedding rate to 0.9 diverges after a third of the budget, every time.",
    ]
    for again in (
        earlier[1].upper().replace("0.9", "0.9"),
        "raising the embedding rate to 0.9 diverges   after a third of the budget -- every time",
        "Again: raising the embedding rate to 0.9 diverges after a third of the budget, every time.",
    ):
        said = admit(again, earlier)
        assert said.text is None
        assert said.like == 1
        assert "embedding rate" in said.refusal


@pytest.mark.parametrize(
    "new",
    [
        "Raising the embedding rate to 0.8 diverges after a third of the budget, every time.",
        "Raising the embedding rate to 0.9 never diverges after a third of the budget, every time.",
        "Lowering the head rate helps a little.",
    ],
)
def test_another_number_or_a_negation_makes_another_lesson(new: str) -> None:
    assert admit(new, ["Raising the embedding rate to 0.9 diverges after a third of the budget, every time."]).text


def test_constants_tell_lessons_apart() -> None:
    words = "set to twice its value made the loss spike early and recover late in all three runs"
    assert not says_the_same(f"MATRIX_LR {words}", f"SCALAR_LR {words}")
    assert says_the_same(f"MATRIX_LR {words}", f"MATRIX_LR {words} today")


# --- one line ---------------------------------------------------------------------------------------------------------


def test_an_experiment_reads_in_one_line() -> None:
    one = attempt(12, "raise the matrix rate", change=-0.0003, noise_widths=-0.4, score=0.99,
                  knobs=moved("MATRIX_LR", "0.04", "0.05"), lessons=("too hot",))  # fmt: skip
    assert (
        line(one)
        == "#12 discarded −0.0003 (0.4 widths): MATRIX_LR 0.04→0.05 — raise the matrix rate — learned: too hot"
    )
    assert line(attempt(13, "x", "crashed", reason="out_of_memory")) == "#13 crashed (out_of_memory): x"
    kept = attempt(14, "", "kept", label="confirmed", change=-0.0031, score=1.0)
    assert line(kept) == "#14 kept (confirmed) −0.0031"
    assert (
        len(line(attempt(15, "y" * 999, "kept", lessons=("z" * 999,), knobs=moved("T", "1" * 999, "2" * 999)))) <= 260
    )


def test_a_line_cannot_be_broken_by_what_an_agent_wrote() -> None:
    assert "\n" not in line(attempt(1, "a\nb\r\x1b[2J", lessons=("c\nd",), knobs=moved("K", "'\n'", "1\n2")))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.0031, "−0.0031"), (0.00021, "+0.00021"), (1.2e-5, "+1.2e−05"), (12.5, "+12.5"), (-3e9, "−3e+09")],
)
def test_changes_are_signed_and_short(value: float, text: str) -> None:
    assert signed(value) == text


# --- recall -----------------------------------------------------------------------------------------------------------

HISTORY = [
    tried(1, "baseline", "kept", label="baseline"),
    tried(2, "raise matrix learning rate", knobs=moved("MATRIX_LR", "0.04", "0.05"), theme="optimizer"),
    tried(3, "raise matrix learning rate further", knobs=moved("MATRIX_LR", "0.04", "0.08"), theme="optimizer"),
    tried(4, "hashed bigram embeddings", "kept", label="confirmed", theme="embedding"),
    tried(5, "deeper model", "crashed", reason="out_of_memory", knobs=moved("DEPTH.cuda", "9", "16")),
    tried(6, "longer cool-down", "kept", knobs=moved("WARMDOWN_RATIO", "0.5", "0.75"), theme="schedule"),
    tried(7, "SwiGLU feed-forward", theme="architecture"),
]
LESSONS = [lesson(1, "Bigram tables pay at every size.", 4), lesson(2, "MATRIX_LR above 0.06 makes the loss spike.", 3)]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """The words of that history in the index that a lab has."""
    with closing(Ledger(tmp_path_factory.mktemp("lab") / "lab.db")) as found:
        with found._fact():
            for one in HISTORY:
                found._index(one.experiment.description, "experiment", one.campaign, one.number)
            for learning in LESSONS:
                found._index(learning.text, "learning", learning.campaign or "", learning.id)
        yield found


Keys = Callable[..., list[str]]


@pytest.fixture
def keys(ledger: Ledger) -> Keys:
    def found(query: str = "", *knobs: str, limit: int = 10) -> list[str]:
        return [
            f"{one.kind[0]}{one.key}" for one in recall(query, knobs, limit, HISTORY, LESSONS, ledger.search(query))
        ]

    return found


def test_recall_finds_by_words_in_any_form(keys: Keys) -> None:
    assert keys("bigram embedding")[:2] in (["e4", "l1"], ["l1", "e4"])
    assert keys("learning rates for the matrices")[0] in ("e3", "e2")
    assert keys("quantum turnips") == []


def test_recall_finds_by_constant_and_by_the_range_tried(keys: Keys) -> None:
    assert set(keys("", "MATRIX_LR")) == {"e2", "e3", "l2"}
    assert "e3" not in keys("", "MATRIX_LR 0.04..0.06")
    assert "e2" in keys("", "MATRIX_LR 0.04..0.06")
    assert keys("", "MATRIX_LR>0.06")[0] == "e3"
    assert "e5" in keys("", "depth")
    assert "e6" in keys("", "WARM*")
    assert keys("", "NOTHING") == []


def test_recall_finds_by_outcome(keys: Keys) -> None:
    assert keys("crashed") == ["e5"]
    assert set(keys("kept")) == {"e1", "e4", "e6"}
    assert keys("failed matrix")[0] in ("e3", "e2")


def test_recall_finds_what_is_near_a_draft_idea(keys: Keys) -> None:
    draft = "What if we made the cool-down phase of the schedule even longer, since a longer cool-down already helped?"
    assert keys(draft)[0] == "e6"


def test_recall_takes_the_word_indexs_matches_in_their_order() -> None:
    hits = (("experiment", "first", 7, 1.0), ("learning", "first", 1, 0.8))
    assert [one.key for one in recall("zzz", (), 10, HISTORY, LESSONS, hits)] == [7, 1]


def test_recall_without_a_question_shows_the_newest(keys: Keys) -> None:
    assert keys(limit=3)[0] in ("e7", "l2")
    assert len(keys(limit=3)) == 3
    assert keys(limit=0) == []
    assert recall("x", (), 5, (), ()) == ()


def test_every_finding_is_one_bounded_line_with_a_reason() -> None:
    for one in recall("matrix embedding depth", (), 10, HISTORY, LESSONS):
        assert "\n" not in one.line
        assert len(one.line) <= 400
        assert one.because


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LR", KnobQuery("LR")),
        ("LR=0.5", KnobQuery("LR", 0.5, 0.5)),
        ("LR: 1e-3", KnobQuery("LR", 0.001, 0.001)),
        ("LR 0.6..0.2", KnobQuery("LR", 0.2, 0.6)),
        ("LR = 1 to 2", KnobQuery("LR", 1.0, 2.0)),
        ("LR<=3", KnobQuery("LR", high=3.0)),
        ("LR nonsense'; DROP TABLE", KnobQuery("LR")),
    ],
)
def test_a_constant_can_be_asked_for_with_a_range(text: str, expected: KnobQuery) -> None:
    assert knob_query(text) == expected
    assert knob_query("  ") is None


def test_the_values_tried_of_a_constant_read_in_order() -> None:
    ranged = knob_range("MATRIX_LR", HISTORY)
    assert ranged is not None
    assert ranged.words() == "MATRIX_LR tried at 0.05 (discarded #2), 0.08 (discarded #3)"
    assert knob_range("NOTHING", HISTORY) is None


# --- themes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "knobs", "expected"),
    [
        ("raise it a little", ["MATRIX_LR"], Theme.OPTIMIZER),
        ("longer cool-down", ["WARMDOWN_RATIO"], Theme.SCHEDULE),
        ("more layers", ["DEPTH.cuda"], Theme.ARCHITECTURE),
        ("halve the batch", ["TOTAL_BATCH_SIZE"], Theme.BATCH),
        ("hashed trigram table", [], Theme.EMBEDDING),
        ("weight decay on everything", [], Theme.REGULARISATION),
        ("rotary base 200k", [], Theme.ATTENTION),
        ("zero-init the projections", [], Theme.INITIALISATION),
        ("mask document boundaries in the loss", [], Theme.DATA),
        ("remove unused code", [], Theme.SIMPLIFICATION),
        ("fused kernel in bf16", [], Theme.SPEED),
        ("try something", [], Theme.OTHER),
        ("", [], Theme.OTHER),
    ],
)
def test_an_edit_has_a_theme(description: str, knobs: list[str], expected: Theme) -> None:
    assert theme(description, knobs) == expected


def test_an_edit_may_have_several_themes() -> None:
    assert set(themes("warmup for the embedding rate")) >= {Theme.SCHEDULE, Theme.EMBEDDING}


def test_the_least_tried_themes_come_first() -> None:
    rare = least_tried(["optimizer"] * 5 + ["schedule"] + ["data"], limit=len(Theme))
    assert rare[0][1] == 0
    assert rare[-1] == (Theme.OPTIMIZER, 5)
    assert [t for t, n in rare if n == 1] == [Theme.SCHEDULE, Theme.DATA]
    assert Theme.OTHER not in dict(rare)


# --- predictions and advice -------------------------------------------------------------------------------------------


def test_predictions_are_scored_against_saying_nothing_changes() -> None:
    assert calibration([]).words() == ""
    perfect = calibration([(0.002, 0.002), (-0.001, -0.001)])
    assert (perfect.right_sign, perfect.skill) == (2, 1.0)
    hopeful = calibration([(0.01, -0.001)] * 6)
    assert hopeful.right_sign == 0
    assert hopeful.skill is not None
    assert hopeful.skill < 0
    assert "expect less" in hopeful.words()
    assert calibration([(0.0, 0.0)]).skill is None


def test_only_pairs_of_expected_and_measured_count() -> None:
    history = [
        tried(1, "a", expected_delta=0.1),
        tried(2, "b"),
        tried(4, "d", "crashed", expected_delta=1.0),
    ]
    assert predictions(history) == [(0.1, -0.001)]


def test_a_run_of_discards_brings_advice() -> None:
    good = [tried(1, "a", "kept")]
    bad = [tried(n, "b", knobs=moved("LR", "1", str(n)), theme="optimizer", change=-0.001) for n in range(2, 9)]
    assert advice([*good, *bad[:4]]) == ""
    said = advice([*good, *bad])
    assert said.startswith("The last 7 experiments were not kept.")
    assert "7 of them moved LR: LR tried at 2 (discarded #2)" in said
    assert "Least tried so far: schedule (0)" in said
    assert "better but within noise" not in said
    doubtful = {"change": 0.0001, "low": -0.01, "high": 0.01}
    assert "#9 came out better but within noise" in advice([*good, *bad, tried(9, "c", **doubtful)])
    # what is told apart was refused for another reason, and a draw of luck is nothing to combine
    for refused in ({"change": 0.1, "low": 0.05, "high": 0.15}, {**doubtful, "protocol": ("seeding",)}):
        assert "came out better" not in advice([*good, *bad, tried(9, "c", **refused)])
    assert advice([*good, *bad, tried(9, "c", "kept")]) == ""
    assert advice([]) == ""


def test_a_run_of_crashes_asks_for_smaller_changes() -> None:
    assert "make the next change smaller" in advice([tried(n, "x", "crashed") for n in range(6)])


def test_experiments_that_are_still_running_are_no_failures() -> None:
    assert advice([tried(n, "x", "running") for n in range(9)]) == ""
