"""When two lessons are the same up to wording: row by row, on lessons long enough to differ in one word only."""

from __future__ import annotations

import pytest

from mcp_server.memory.admission import says_the_same

LONG = (
    "With a warmup of 40 steps and MATRIX_LR at 0.04 the loss of this small model falls faster in the first third of "
    "its budget and ends lower than before, which two repeats on other seeds have shown as well as the first one did"
)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (LONG, True),
        (LONG.upper().replace("MATRIX_LR", "matrix_lr"), True),
        (LONG.replace("this small model", "this little model"), True),
        (LONG + " indeed", True),
        (LONG.replace("faster", "slower"), False),  # one word turns it round
        (LONG.replace("ends lower", "never ends lower"), False),
        (LONG.replace("40", "80"), False),
        (LONG.replace("MATRIX_LR", "EMBED_LR"), False),
        (LONG.partition(" falls")[0], False),
        (
            LONG.partition(" and ends lower")[0] + " and ends lower, so it looks as if what comes later matters little",
            False,
        ),
        ("", False),
    ],
)
def test_a_lesson_is_the_same_up_to_wording(other: str, same: bool) -> None:
    assert says_the_same(LONG, other) is same
    assert says_the_same(other, LONG) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("学习率更高有帮助", "学习率更高有帮助！", True),
        ("学习率更高有帮助", "批量更小更糟糕", False),
        ("这个小模型在预热四十步之后学习率更高有帮助", "这个小模型在预热四十步之后学习率更高没帮助", False),
        ("Скорость обучения выше помогает", "Размер пакета меньше вредит", False),
    ],
)
def test_lessons_in_other_alphabets_are_told_apart(one: str, other: str, same: bool) -> None:
    assert says_the_same(one, other) is same
