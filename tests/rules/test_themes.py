"""What kind of idea an edit is, where its words and its constants say different things."""

from __future__ import annotations

import pytest

from mcp_server.edits.themes import Theme, least_tried, themes


@pytest.mark.parametrize(
    ("description", "knobs", "first"),
    [
        ("", (), Theme.OTHER),
        ("something quite else", (), Theme.OTHER),
        ("less dropout", (), Theme.REGULARISATION),
        ("less dropout", ("MATRIX_LR",), Theme.OPTIMIZER),  # a constant that moved outweighs a word
        ("less dropout, clip", ("MATRIX_LR",), Theme.REGULARISATION),  # of equals the earlier theme
        ("learning rate, dropout, clip", (), Theme.OPTIMIZER),  # a pair says more than a word
        ("a warmup of ten steps", ("weightDecay",), Theme.REGULARISATION),
        ("wider", ("ModelDim",), Theme.ARCHITECTURE),
    ],
)
def test_the_strongest_theme_comes_first(description: str, knobs: tuple[str, ...], first: Theme) -> None:
    assert themes(description, knobs)[0] is first


def test_the_least_tried_themes_are_told_with_their_counts() -> None:
    tried = [theme for theme in Theme if theme not in (Theme.DATA, Theme.SPEED)] + ["data"]
    assert least_tried(tried, 2) == ((Theme.SPEED, 0), (Theme.OPTIMIZER, 1))
