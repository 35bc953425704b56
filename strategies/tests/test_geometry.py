"""Estimates from the geometry: they meet the published resizing rule of Qwen2-VL."""

from __future__ import annotations

import pytest

from strategies.case import Image, Text
from strategies.geometry import (
    accepts_size,
    estimated_cells,
    estimated_tokens,
    geometry_from_plain,
    geometry_to_plain,
)
from strategies.tests.examples import GEOMETRIES, QWEN2_VL


@pytest.mark.parametrize(
    ("size", "cells"),
    [
        ((1, 1), 2 * 2),  # scaled up to 3136 pixels
        ((56, 56), 2 * 2),
        ((150, 29), 5 * 1),
        ((29, 150), 1 * 5),
        ((112, 112), 4 * 4),
        ((1000, 1000), 4 * 4),  # scaled down to 12544 pixels
        ((200, 1), 29 * 1),  # scaled up at the aspect limit: one row, rounded up
        ((4000, 20), 56 * 1),  # scaled down, but a row stays at least one cell high
        ((0, 9), 0),
    ],
)
def test_cells_follow_the_resizing_rule(size, cells):
    assert estimated_cells(QWEN2_VL, Image(*size)) == cells


def test_a_row_is_as_long_as_its_text_its_cells_and_their_frames():
    assert estimated_tokens(QWEN2_VL, (Text(3), Image(150, 29), Text(0), Image(1, 1))) == 16


@pytest.mark.parametrize(
    ("size", "accepted"),
    [((1, 1), True), ((200, 1), True), ((201, 1), False), ((1, 201), False), ((0, 1), False)],
)
def test_a_size_is_accepted_up_to_and_with_the_aspect_limit(size, accepted):
    assert accepts_size(QWEN2_VL, Image(*size)) is accepted


def test_a_geometry_survives_the_round_trip():
    for geometry in GEOMETRIES.values():
        assert geometry_from_plain(geometry_to_plain(geometry)) == geometry
