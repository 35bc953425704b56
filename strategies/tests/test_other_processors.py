"""Targets whose processors and models refuse less, or take less, than Qwen's."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.case import Case, Image, Text
from strategies.cases import cases
from strategies.geometry import Geometry, estimated_tokens
from strategies.image_sizes import invalid_image_sizes
from strategies.validity import refusals

TILES = Geometry(
    images=True,
    patch=14,
    merge=1,
    temporal_patch=1,
    window=0,
    min_pixels=1,
    max_pixels=56 * 56,
    max_aspect=200,
    max_positions=32768,
    sliding_window=0,
    frame_tokens=2,
    tile_tokens=4,
    tile=56,
    most_tiles=5,
    aspect_refused=False,
    takes_embeddings=False,
    one_axis=True,
)


@settings(max_examples=100, database=None, deadline=None)
@given(invalid_image_sizes(TILES))
def test_only_empty_images_are_invalid_where_no_shape_is_refused(image: Image) -> None:
    """A processor without a limit on the aspect ratio is not asked to refuse one."""
    assert 0 in (image.width, image.height)


@settings(max_examples=100, database=None, deadline=None)
@given(st.one_of(cases(TILES, "no_crash"), cases(TILES, "state_independence")))
def test_what_a_target_does_not_take_is_not_drawn(case: Case) -> None:
    """No embeddings for generate, in the case or its history; no jump where it means a new row."""
    assert not refusals(case, TILES)
    assert case.gap == 0


def test_a_case_with_embeddings_has_to_be_refused_where_generate_takes_none() -> None:
    """So that a fixture of another family is not judged as if it were valid."""
    case = Case(entry="generate-embeds", decode=1)
    assert refusals(case, TILES) == ("the target's generate takes no embeddings",)
    assert not refusals(case, replace(TILES, takes_embeddings=True))


def test_tokens_of_tiles_are_estimated_by_their_number() -> None:
    """One and two beside a small whole; never more than there may be; two markers each."""
    sizes = ((40, 40), (100, 40), (4000, 40))
    rows = [(Image(*size), Text(1)) for size in sizes]
    assert [estimated_tokens(TILES, row) for row in rows] == [11, 15, 23]
