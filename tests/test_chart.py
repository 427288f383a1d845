"""progress.png by its content: what is drawn, where words stand, which scores set the scale."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mcp_server.views.chart import ChartCampaign, ChartPoint, ChartRequest, start_drawing
from mcp_server.views.chart.draw import Picture, draw_progress
from mcp_server.views.chart.labels import Box, Wanted, leader, place
from mcp_server.views.chart.points import REQUEST, Size, Theme
from mcp_server.views.chart.scale import scale_of
from mcp_server.views.chart.style import MARKS, PALETTES, SHEETS
from mcp_server.views.chart.words import hours, shown, title

WORDS = ["MATRIX_LR 0.04→0.05", "hashed bigram table", "cool-down 0.75", "9 layers × 640", "init 0.68", "drop smear"]


def campaign(
    count: int, seed: int = 1, direction: str = "minimize", tag: str = "jun14", **more: object
) -> ChartCampaign:
    """A made-up campaign: one experiment in eight is kept, some end without a score, some diverge."""
    rng = random.Random(seed)
    sign = 1 if direction == "minimize" else -1
    best = 0.9979
    points = [ChartPoint(1, best, "baseline", "baseline", "2025-06-14T22:00:00+00:00", "H100", "a")]
    for number in range(2, count + 1):
        at = f"2025-06-{15 + number // 480:02d}T{number // 20 % 24:02d}:00:00+00:00"
        machine, program = "H100" if number < 0.6 * count else "H200", "a" if number < 0.3 * count else "b"
        draw = rng.random()
        if draw < 0.08:
            points.append(
                ChartPoint(number, None, rng.choice(["crashed", "timeout", "rejected"]), "x", at, machine, program)
            )
        elif draw < 0.1:
            points.append(ChartPoint(number, best - sign * 0.002, "tainted", "x", at, machine, program))
        elif draw < 0.22:
            best -= sign * rng.expovariate(1 / 0.002) * (1 - number / (count + 1))
            status = rng.choice(["confirmed", "provisional", "simplification"])
            points.append(ChartPoint(number, best, status, rng.choice(WORDS), at, machine, program))
        else:
            worse = rng.expovariate(1 / 0.004) if rng.random() < 0.93 else rng.choice([0.5, 9.0])
            points.append(ChartPoint(number, best + sign * worse, "discarded", "x", at, machine, program))
    values: dict[str, object] = {
        "metric": "val_bpb", "unit": "bits/byte", "noise_sd": 7e-4, "claimed_gain": abs(0.9979 - best),
        "honest_gain": 0.8 * abs(0.9979 - best), "honest_interval": (0.001, 0.002),
    }  # fmt: skip
    return ChartCampaign(tag, tuple(points), direction=direction, **{**values, **more})  # type: ignore[arg-type]


def overlapping(picture: Picture) -> list[tuple[str, str]]:
    """The labels that stand on one another."""
    return [(a.text, b.text) for a, b in combinations(picture.labels, 2) if a.box.overlaps(b.box)]


def inside(picture: Picture) -> bool:
    sheet = Box(0, 0, picture.width, picture.height)
    return all(label.box.within(sheet) for label in picture.labels)


# --- the picture ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "size", "direction"),
    [
        (3, "screen", "minimize"),
        (3, "phone", "maximize"),
        (126, "screen", "minimize"),
        (126, "screen", "maximize"),
        (126, "phone", "minimize"),
        (3000, "screen", "minimize"),
        (3000, "phone", "maximize"),
    ],
)
def test_labels_never_overlap_and_stay_on_the_sheet(count: int, size: Size, direction: str, tmp_path: Path) -> None:
    picture = draw_progress([campaign(count, direction=direction)], tmp_path / "p.png", size=size)
    assert overlapping(picture) == []
    assert inside(picture)
    assert len(picture.labels) >= (2 if count == 3 else 5)
    with Image.open(tmp_path / "p.png") as image:
        assert image.size == (picture.width, picture.height)


@pytest.mark.parametrize(("size", "theme"), [("wide", "dark"), ("print", "light")])
def test_eight_campaigns_are_told_apart_by_name(size: Size, theme: Theme, tmp_path: Path) -> None:
    campaigns = [campaign(30 + 12 * k, seed=k, tag=f"tag{k}") for k in range(8)]
    picture = draw_progress(campaigns, tmp_path / "p.png", theme=theme, size=size)
    assert overlapping(picture) == []
    assert inside(picture)
    assert {label.text for label in picture.labels} == {f"tag{k}" for k in range(8)}
    assert picture.headline.startswith("8 campaigns: val_bpb, best ")
    assert sum(picture.counts.values()) == sum(30 + 12 * k for k in range(8))


def test_every_kind_is_counted_and_what_still_runs_is_not(tmp_path: Path) -> None:
    statuses = [
        "baseline",
        "confirmed",
        "kept",
        "simplification",
        "discarded",
        "scored",
        "overtaken",
        "tainted",
        "running",
    ]
    points = [ChartPoint(n, 1.0 - n / 100, status) for n, status in enumerate(statuses, 1)]
    ended = ["crashed", "timeout", "lost", "rejected", "queued"]
    points += [ChartPoint(n, None, status) for n, status in enumerate(ended, 20)]
    points.append(ChartPoint(30, math.nan, "discarded"))
    picture = draw_progress([ChartCampaign("t", tuple(points))], tmp_path / "p.png")
    assert picture.counts == {
        "baseline": 1, "confirmed": 1, "provisional": 1, "simplification": 1, "discarded": 3, "tainted": 1,
        "crashed": 4, "rejected": 1,
    }  # fmt: skip
    assert "13 experiments" in picture.description


def test_the_title_has_claimed_and_honest_gain() -> None:
    headline, parts = title([campaign(126, honest_interval=(0.01, 0.02), honest_gain=0.015, claimed_gain=0.021)])
    assert headline.startswith("jun14: val_bpb 0.9979 → 0.9")
    assert parts[0] == "claimed gain 0.0210, honest 0.0150 (0.0100 to 0.0200) bits/byte"
    assert parts[1].startswith("126 experiments in 8.0 h, ")
    assert "honest" not in title([campaign(9, honest_gain=None)])[1][0]


def test_machine_changes_and_program_edits_are_marked_and_named(tmp_path: Path) -> None:
    picture = draw_progress([campaign(126)], tmp_path / "p.png")
    assert (picture.machine_changes, picture.program_edits) == (1, 1)
    assert {"machine: H200", "program edited"} <= {label.text for label in picture.labels}


def test_many_changes_do_not_write_over_one_another(tmp_path: Path) -> None:
    points = tuple(ChartPoint(n, 1.0, "discarded", machine=f"m{n % 2}", program=f"p{n // 3}") for n in range(1, 60))
    picture = draw_progress([ChartCampaign("t", points)], tmp_path / "p.png", size="phone")
    assert picture.machine_changes == 58
    assert overlapping(picture) == []


@pytest.mark.parametrize(
    "campaigns",
    [
        [],
        [ChartCampaign("empty")],
        [ChartCampaign("queued", (ChartPoint(1, None, "queued"),))],
        [ChartCampaign("crashes", tuple(ChartPoint(n, None, "crashed") for n in range(1, 5)))],
        [ChartCampaign("one", (ChartPoint(1, 0.5, "baseline", "baseline"),), noise_sd=0.1)],
        [ChartCampaign("zero", (ChartPoint(1, 0.0, "baseline"), ChartPoint(2, 0.0, "discarded")))],
        [ChartCampaign("equal", tuple(ChartPoint(n, 7.0, "discarded") for n in range(1, 9)))],
        [ChartCampaign("infinite", (ChartPoint(1, math.inf, "discarded"), ChartPoint(2, -math.inf, "kept")))],
        [ChartCampaign("huge", (ChartPoint(1, 1e300, "baseline"), ChartPoint(2, -1e300, "discarded")))],
        [ChartCampaign("no baseline", (ChartPoint(3, 1.0, "discarded"), ChartPoint(9, 2.0, "discarded")))],
        [ChartCampaign("a", (ChartPoint(1, 1.0, "baseline"),)), ChartCampaign("b"), ChartCampaign("c")],
    ],
    ids=lambda campaigns: campaigns[0].tag if campaigns else "none",
)
def test_nothing_breaks_on_little_or_odd_data(campaigns: list[ChartCampaign], tmp_path: Path) -> None:
    picture = draw_progress(campaigns, tmp_path / "p.png", tmp_path / "p.svg", size="phone")
    assert overlapping(picture) == []
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "p.svg").read_text().rstrip().endswith("</svg>")


def test_hostile_labels_are_only_text(tmp_path: Path) -> None:
    labels = ["$\\frac{1}{$", "<script>alert(1)</script>", "\x1b[31mred\x07", "漢字 \u202eback", "a\nb", "\\"]
    points = tuple(ChartPoint(n, 1 - n / 50, "confirmed", label, machine=label) for n, label in enumerate(labels, 1))
    hostile = ChartCampaign("$x_1$ </svg>", points, metric="$\\nope", unit="<b>")
    picture = draw_progress([hostile], tmp_path / "p.png", tmp_path / "p.svg")
    assert "<script" not in (tmp_path / "p.svg").read_text()
    assert {"$\\frac{1}{$", "a b"} & {label.text for label in picture.labels}
    assert not any("\x1b" in label.text or "\n" in label.text for label in picture.labels)


def test_the_same_campaign_gives_the_same_files_and_replaces_them_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_progress([campaign(40)], tmp_path / f"{name}.png", tmp_path / f"{name}.svg")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


def test_the_files_describe_themselves(tmp_path: Path) -> None:
    picture = draw_progress([campaign(40)], tmp_path / "p.png", tmp_path / "p.svg")
    with Image.open(tmp_path / "p.png") as image:
        assert image.info["Description"] == picture.description
    assert "discarded" in picture.description
    assert picture.headline in (tmp_path / "p.svg").read_text()


def test_a_failed_write_leaves_the_old_picture(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        draw_progress([campaign(3)], tmp_path / "gone" / "p.png")


def test_kinds_differ_in_shape_and_not_only_in_colour() -> None:
    shapes = [(mark.marker, mark.hollow) for mark in MARKS.values()]
    assert len(set(shapes)) == len(shapes)
    for palette in PALETTES.values():
        assert palette.kinds.keys() == MARKS.keys()
        assert len(set(palette.campaigns)) == 8


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_marks_stand_out_from_the_background(theme: Theme) -> None:
    palette = PALETTES[theme]
    for colour in (palette.text, palette.faint):
        assert contrast(colour, palette.background) >= 4.5  # WCAG AA for text
    for colour in (palette.line, *palette.kinds.values(), *palette.campaigns):
        assert contrast(colour, palette.background) >= 3.0  # and for graphics


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_is_readable_on_a_phone() -> None:
    for size in ("screen", "phone"):
        sheet = SHEETS[size]  # type: ignore[index]
        assert sheet.text * 0.8 / 72 / sheet.width * 390 >= 7  # pixels of the smallest label when 390 pixels wide


# --- the drawing process ----------------------------------------------------------------------------------------------


def test_a_request_survives_the_journey_and_is_drawn_by_a_process_of_its_own(tmp_path: Path) -> None:
    request = ChartRequest((campaign(3000),), tmp_path / "p.png", tmp_path / "p.svg", "dark", "wide")
    assert REQUEST.validate_json(request.to_json()) == request
    assert start_drawing(request).wait() == 0
    assert (tmp_path / "p.png").exists()
    assert (tmp_path / "p.svg").exists()


def test_importing_the_chart_does_not_import_the_plotting_library() -> None:
    code = "import sys, mcp_server.views.chart; sys.exit('matplotlib' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- scale ------------------------------------------------------------------------------------------------------------


def scored(*scores: float, direction: str = "minimize", noise_sd: float | None = None) -> ChartCampaign:
    statuses = ["baseline", *["discarded"] * (len(scores) - 1)]
    points = tuple(ChartPoint(n, s, status) for n, (s, status) in enumerate(zip(scores, statuses, strict=True), 1))
    return ChartCampaign("t", points, direction=direction, noise_sd=noise_sd)  # type: ignore[arg-type]


@pytest.mark.parametrize("absurd", [11.2, 1e9, 0.0])
def test_one_absurd_score_does_not_squash_the_scale(absurd: float) -> None:
    points = (ChartPoint(1, 0.9979, "baseline"), ChartPoint(2, absurd, "discarded"), ChartPoint(3, 0.9912, "confirmed"))
    scale = scale_of([ChartCampaign("t", points)])
    assert scale is not None
    assert scale.high - scale.low < 0.05
    assert scale.outside(absurd)
    assert not scale.outside(0.9979)
    assert not scale.outside(0.9912)


def test_what_was_kept_and_its_noise_are_always_on_the_scale() -> None:
    for seed in range(20):
        made = campaign(60, seed=seed)
        scale = scale_of([made])
        assert scale is not None
        for point in made.incumbents:
            assert point.value is not None
            assert not scale.outside(point.value - 2 * 7e-4)
            assert not scale.outside(point.value + 2 * 7e-4)


def test_most_ordinary_failures_are_on_the_scale() -> None:
    scale = scale_of([scored(1.0, 1.01, 1.02, 1.03, 1.01, 1.02)])
    assert scale is not None
    assert not any(map(scale.outside, (1.01, 1.02)))


def test_maximise_is_minimise_upside_down() -> None:
    low, high = scale_of([scored(1.0, 1.1, 1.2, 9.0)]), scale_of([scored(-1.0, -1.1, -1.2, -9.0, direction="maximize")])
    assert low is not None
    assert high is not None
    assert (low.low, low.high, low.better) == (-high.high, -high.low, "low")
    assert high.better == "high"


def test_without_any_score_there_is_no_scale() -> None:
    assert scale_of([]) is None
    assert scale_of([ChartCampaign("t", (ChartPoint(1, None, "crashed"),))]) is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=30))
def test_every_scale_has_height(scores: list[float]) -> None:
    scale = scale_of([scored(*scores)])
    assert scale is not None
    assert scale.low < scale.high
    assert all(scale.low <= scale.held(score) <= scale.high for score in scores)


# --- placing labels ---------------------------------------------------------------------------------------------------

AREA = Box(0, 0, 400, 300)
numbers = st.floats(0, 400)
labels = st.builds(Wanted, numbers, st.floats(0, 300), st.floats(5, 90), st.floats(5, 20))


@settings(deadline=None)
@given(
    st.lists(labels, max_size=15),
    st.lists(st.tuples(numbers, st.floats(0, 300)), max_size=40),
    st.lists(st.tuples(numbers, st.floats(0, 300)), max_size=5),
    st.sampled_from([-1, 1]),
)
def test_placed_labels_touch_nothing_hard(
    wanted: list[Wanted], dots: list[tuple[float, float]], corners: list[tuple[float, float]], side: int
) -> None:
    obstacles = [Box(x, y, x + 20, y + 8) for x, y in corners]
    boxes = place(wanted, AREA, obstacles, dots, side, gap=2.0)
    assert len(boxes) == len(wanted)
    placed = [box for box in boxes if box is not None]
    for box in placed:
        assert box.within(AREA)
        assert not any(map(box.overlaps, obstacles))
    assert not any(a.overlaps(b) for a, b in combinations(placed, 2))
    for label, box in zip(wanted, boxes, strict=True):
        if box is not None:
            others = [other for other in placed if other is not box]
            assert not any(piece.overlaps(other) for piece in leader(label, box, 1.0) for other in others)


def test_a_lone_label_sits_beside_its_mark_on_the_free_side() -> None:
    (below,) = place([Wanted(200, 150, 60, 10)], AREA, [], free_side=-1)
    (above,) = place([Wanted(200, 150, 60, 10)], AREA, [], free_side=1)
    assert below is not None
    assert above is not None
    assert below.y1 < 150 < above.y0
    assert max(abs(below.y1 - 150), abs(above.y0 - 150)) < 10


def test_the_more_important_label_gets_the_place() -> None:
    crowd = [Wanted(200, 150, 350, 100)] * 4
    boxes = place(crowd, AREA, [])
    assert boxes[0] is not None
    assert None in boxes


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.99791234, "0.9979"), (0.0, "0"), (-0.0031, "−0.0031"), (0.00007, "7e−05"), (1234567.0, "1.235e+06"),
     (12345.6, "12,346"), (None, "–"), (math.nan, "–"), (3.14159, "3.1416"), (250.5, "250.50")],
)  # fmt: skip
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert shown(value) == text


def test_how_long_it_took_reads_like_a_person_says_it() -> None:
    def between(*stamps: str) -> str:
        return hours([ChartPoint(n, None, "crashed", at=at) for n, at in enumerate(stamps)])

    assert between("2025-06-14T22:00:00+00:00", "2025-06-15T06:12:00+00:00") == "8.2 h"
    assert between("2025-06-14T22:00:00", "2025-06-14T22:17:00") == "17 min"
    assert between("2025-06-14", "2025-06-20") == "6.0 days"
    assert [between(), between("", "x"), between("2025-06-14T22:00:00", "2025-06-15T22:00:00+00:00")] == [""] * 3


def test_points_are_drawn_in_order_of_their_number() -> None:
    shuffled = ChartCampaign(
        "t", (ChartPoint(3, 1.0, "kept"), ChartPoint(1, 2.0, "baseline"), ChartPoint(2, 1.5, "kept"))
    )
    assert all(a.number < b.number for a, b in pairwise(shuffled.drawn))
    assert [point.number for point in shuffled.incumbents] == [1, 2, 3]


def test_what_was_adopted_is_ringed_named_and_counted(tmp_path: Path) -> None:
    plain = campaign(60, seed=3)
    last = plain.incumbents[-2]
    taken = replace(last, label="a1b2c3d4/12: a longer warm-up", adopted="a1b2c3d4/12")
    adopted = replace(plain, points=tuple(taken if one is last else one for one in plain.points))
    before = draw_progress([plain], tmp_path / "plain.png")
    after = draw_progress([adopted], tmp_path / "adopted.png")
    assert (before.adopted, after.adopted) == (0, 1)
    assert "from a1b2c3d4/12" in [label.text for label in after.labels]
    assert "1 of them from other labs" in after.description
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "adopted.png").read_bytes()
