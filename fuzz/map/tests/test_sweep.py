"""A plane is known in few runs, and completely where kinds of points are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from fuzz.map.rule import find_rule
from fuzz.map.sweep import Judge, Mark, Point, sweep

SPAN = range(1, 201)


def qwen2_vl(width: int, height: int) -> tuple[int, int]:
    """Merged columns and rows of an image, by the arithmetic that Qwen2-VL's card describes.

    Cells of 28 pixels, at least 56x56 pixels and here at most 112x112, the aspect ratio kept.
    """
    cell, least, most = 28, 56 * 56, 112 * 112
    w, h = (max(cell, round(n / cell) * cell) for n in (width, height))
    if w * h > most:
        factor = math.sqrt(width * height / most)
        w, h = (max(cell, math.floor(n / factor / cell) * cell) for n in (width, height))
    elif w * h < least:
        factor = math.sqrt(least / (width * height))
        w, h = (math.ceil(n * factor / cell) * cell for n in (width, height))
    return w // cell, h // cell


GRIDS = {(x, y): qwen2_vl(x, y) for x in SPAN for y in SPAN}


def counting(fails: Callable[[Point], bool], asked: list[Point]) -> Judge:
    def judge(point: Point) -> Mark:
        asked.append(point)
        return "fails" if fails(point) else "passes"

    return judge


def original_bug(point: Point) -> bool:
    return min(GRIDS[point]) == 1


def test_the_original_bug_is_known_for_all_sizes_up_to_200_in_a_hundredth_of_the_runs():
    asked: list[Point] = []
    swept = sweep(SPAN, SPAN, counting(original_bug, asked), GRIDS)
    assert {p for p, m in swept.marks.items() if m == "fails"} == set(filter(original_bug, GRIDS))
    assert len(swept.marks) == 40_000
    assert len(asked) == len(set(asked)) == len(swept.ran) <= 400
    assert swept.classes == len(set(GRIDS.values()))


def test_its_rule_is_the_true_one_and_nothing_contradicts_it():
    points = [
        {
            "min(merged rows, merged columns)": min(grid),
            "merged rows": grid[1],
            "shorter side in pixels": min(point),
            "width in pixels": point[0],
        }
        for point, grid in GRIDS.items()
    ]
    rule = find_rule(points, [original_bug(p) for p in GRIDS])
    assert rule.sentence == "fails exactly where min(merged rows, merged columns) <= 1"


def test_where_kinds_do_not_decide_the_plane_is_refined_instead():
    """A bug of the pixels before resizing."""
    asked: list[Point] = []
    swept = sweep(SPAN, SPAN, counting(lambda p: p[0] <= 100, asked), GRIDS)
    assert swept.classes == 0
    assert {p for p, m in swept.marks.items() if m == "fails"} == {p for p in GRIDS if p[0] <= 100}
    assert len(asked) < 4_000


@pytest.mark.parametrize(
    "fails",
    [
        lambda p: p[0] < 37,
        lambda p: p[0] < 37 or p[1] < 91,
        lambda p: p[0] + p[1] < 150,
        lambda p: 30 <= p[0] <= 140 and 50 <= p[1] <= 180,
        lambda _: True,
        lambda _: False,
    ],
    ids=["band", "corner", "diagonal", "box", "all", "none"],
)
def test_without_kinds_the_edge_is_found_to_the_pixel_in_a_tenth_of_the_runs(
    fails: Callable[[Point], bool],
):
    asked: list[Point] = []
    swept = sweep(SPAN, SPAN, counting(fails, asked))
    wrong = [p for p in GRIDS if (swept.marks[p] == "fails") != fails(p)]
    assert wrong == []
    assert len(asked) <= 4_000


def test_what_lies_alone_inside_a_mesh_can_be_missed():
    """The help text says so; this is how far it goes."""
    swept = sweep(SPAN, SPAN, counting(lambda p: p == (190, 190), []))
    assert set(swept.marks.values()) == {"passes"}


def test_a_plane_of_one_line_or_one_point_is_one():
    assert sweep([3], [5], lambda _: "fails").marks == {(3, 5): "fails"}
    swept = sweep([3], range(10), lambda p: "fails" if p[1] > 6 else "passes")
    assert [swept.marks[3, y] for y in range(10)] == ["passes"] * 7 + ["fails"] * 3


def test_an_edge_that_leaves_a_box_through_its_side_is_followed():
    """A hook: both of its ends lie inside boxes whose corners are alike."""

    def hook(point: Point) -> bool:
        x, y = point
        return x <= 40 or (100 <= y <= 130 and x <= 120) or (85 <= x <= 120 and 60 <= y <= 130)

    asked: list[Point] = []
    swept = sweep(SPAN, SPAN, counting(hook, asked))
    assert [p for p in GRIDS if (swept.marks[p] == "fails") != hook(p)] == []
    assert len(asked) < 4_000
