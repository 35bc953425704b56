"""Image sizes: always cheap and on the right side of the limits, often where they matter."""

from __future__ import annotations

import pytest

from strategies.geometry import accepts_size, estimated_grid
from strategies.image_sizes import MAX_AREA, MAX_SIDE, image_sizes, invalid_image_sizes
from strategies.tests.examples import GEOMETRIES, NARROW, QWEN2_VL, UNCAPPED, draws, share


@pytest.fixture(scope="module")
def sizes():
    return draws(image_sizes(QWEN2_VL), 3000)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_valid_sizes_are_accepted_and_cheap_to_build(geometry):
    for image in draws(image_sizes(geometry), 300):
        assert accepts_size(geometry, image)
        assert max(image.width, image.height) <= MAX_SIDE
        assert image.width * image.height <= MAX_AREA


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_invalid_sizes_are_never_accepted_and_cheap_to_build(geometry):
    for image in draws(invalid_image_sizes(geometry), 300):
        assert not accepts_size(geometry, image)
        assert max(image.width, image.height) <= MAX_SIDE


def test_one_row_grids_are_drawn_often(sizes):
    rows = [i for i in sizes if i.width > i.height and estimated_grid(QWEN2_VL, i)[1] == 1]
    assert share(sizes, len(rows)) > 0.10


def test_one_column_grids_are_drawn_often(sizes):
    columns = [i for i in sizes if i.height > i.width and estimated_grid(QWEN2_VL, i)[0] == 1]
    assert share(sizes, len(columns)) > 0.10


@pytest.mark.parametrize("limit", [QWEN2_VL.min_pixels, QWEN2_VL.max_pixels])
@pytest.mark.parametrize("side", ["below or at", "at or above"])
def test_both_sides_of_the_pixel_limits_are_drawn(sizes, limit, side):
    """Within one row of pixels of the limit, from either side."""
    sign = 1 if side == "at or above" else -1
    near = [i for i in sizes if 0 <= sign * (i.width * i.height - limit) <= max(i.width, i.height)]
    assert share(sizes, len(near)) > 0.01


@pytest.mark.parametrize("distance", [-1, 0, 1])
def test_sides_lie_around_multiples_of_the_patch(sizes, distance):
    sides = [n - distance for image in sizes for n in (image.width, image.height)]
    assert share(sides, sum(n > 0 and n % QWEN2_VL.patch == 0 for n in sides)) > 0.10


def test_the_longest_allowed_shape_is_drawn_in_both_directions(sizes):
    assert share(sizes, sum(i.height == 200 * i.width for i in sizes)) > 0.005
    assert share(sizes, sum(i.width == 200 * i.height for i in sizes)) > 0.005


def test_the_smallest_image_is_drawn(sizes):
    assert share(sizes, sum((i.width, i.height) == (1, 1) for i in sizes)) > 0.005


def test_sizes_differ_from_each_other(sizes):
    assert len(set(sizes)) > 200


def test_window_borders_are_drawn_where_there_are_windows():
    drawn = draws(image_sizes(UNCAPPED), 1000)
    assert share(drawn, sum(abs(i.width - UNCAPPED.window) <= 1 for i in drawn)) > 0.02


def test_patches_within_a_large_cell_are_drawn():
    drawn = draws(image_sizes(NARROW), 2000)
    inside = {n for n in range(NARROW.patch, 200, NARROW.patch) if n % NARROW.cell}
    assert share(drawn, sum(i.width in inside for i in drawn)) > 0.01


def test_invalid_sizes_are_just_and_far_past_the_limit_and_empty():
    drawn = draws(invalid_image_sizes(QWEN2_VL), 1000)
    sides = [sorted((i.width, i.height)) for i in drawn]
    assert share(drawn, sum(short == 0 for short, _ in sides)) > 0.2
    assert share(drawn, sum(short > 0 and long == 200 * short + 1 for short, long in sides)) > 0.05
    assert share(drawn, sum(short > 0 and long >= 400 * short for short, long in sides)) > 0.05
    assert share(drawn, sum(i.width > i.height for i in drawn)) > 0.2
    assert share(drawn, sum(i.width < i.height for i in drawn)) > 0.2
