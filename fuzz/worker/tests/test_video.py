"""Videos: the layout of their patches, and of their tokens in each family."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import PIL.Image
import pytest

from fuzz.verdict import Outcome
from strategies.case import Case, Image, Text, Video

if TYPE_CHECKING:
    from fuzz.worker.subject import Subject


def test_each_frame_fills_its_own_slice_of_a_patch_and_the_last_is_repeated(
    subject_of: Callable[..., Subject],
) -> None:
    """Three frames of one grey each: 4 x 6 patches of channel, frame, row, column, twice."""
    from fuzz.worker import video

    greys = (0, 100, 200)
    frames = [PIL.Image.new("RGB", (84, 56), (g, g, g)) for g in greys]
    placed = video.place(subject_of(), frames, 1.0)
    assert placed.grid == (2, 4, 6)
    assert placed.pixels.shape == (2 * 4 * 6, 3 * 2 * 14 * 14)
    slices = placed.pixels.reshape(2, 24, 3, 2, 196)
    assert bool((slices == slices[:, :1, :, :, :1]).all())
    first, second, third, fourth = (slices[n // 2, 0, 0, n % 2, 0] for n in range(4))
    assert first < second < third
    assert third == fourth


def test_patches_of_a_frame_come_in_the_order_of_a_stills(
    subject_of: Callable[..., Subject],
) -> None:
    from fuzz.worker import placing, video
    from fuzz.worker.inputs import draw_pixels

    image = draw_pixels(Image(84, 56), 5)
    still = placing.place(subject_of(), image)
    assert bool((video.place(subject_of(), [image], 1.0).pixels == still.pixels).all())


@pytest.mark.parametrize(
    ("family", "types"),
    [
        ("qwen2_vl", [0, *[2] * 8, 0]),
        ("qwen3_vl", [0, 0, 0, *[2] * 4, 0] * 2),
        ("glm46v", [0, *[0, *[2] * 9, 0, 0, 0] * 2, 0]),
    ],
)
def test_tokens_stand_in_one_block_or_a_temporal_patch_at_a_time(
    subject_of: Callable[..., Subject], family: str, types: list[int]
) -> None:
    """Four frames, two temporal patches; what is told apart by the grid a block has."""
    from fuzz.worker.inputs import make_prompt

    subject = subject_of(family=family)
    prompt = make_prompt(subject, (Text(1), Video(4, 56, 56), Text(1)), 0)
    assert list(prompt.types) == [0, *types, 0]
    steps = prompt.images[0].steps
    assert len(steps) == 2
    assert len(prompt.blocks) == (1 if family == "qwen2_vl" else 2)
    assert sum(block.grid[0] for block in prompt.blocks) == 2
    inside = [n for start, end in steps for n in range(start, end)]
    assert [prompt.images[0].types[n] for n in inside] == [2] * len(inside)


def test_one_other_frame_changes_its_slice_alone(subject_of: Callable[..., Subject]) -> None:
    from fuzz.worker import video
    from fuzz.worker.inputs import make_prompt

    a, b = (make_prompt(subject_of(), (Video(3, 56, 56),), 0, last=n).images[0] for n in (0, 1))
    for frame, slots in ((0, [0]), (1, [1]), (2, [2, 3])):
        changed = video.with_frame(a, b, frame, 3, 2)
        differs = (changed.pixels != a.pixels).reshape(2, 16, 3, 2, 196).any(4).any(2).any(1)
        assert differs.flatten().nonzero().flatten().tolist() == slots


@pytest.mark.parametrize("property_id", ["rotary_reference", "image_independence", "visibility"])
def test_images_and_videos_in_one_batch_pass(
    judge: Callable[..., Outcome], property_id: str
) -> None:
    rows = (
        (Text(1), Image(56, 56), Video(4, 56, 56), Text(1)),
        (Video(3, 84, 28), Text(2), Image(28, 56)),
    )
    assert judge(property_id, Case(rows=rows)).verdict == "pass"


def test_time_that_a_temporal_patch_spans_is_in_the_positions_of_qwen2_5_vl(
    judge: Callable[..., Outcome],
) -> None:
    """Four positions a second: a quarter of a second is one, less stands still."""
    for seconds in (1 / 64, 0.25, 0.375):
        case = Case(rows=((Video(4, 56, 56, seconds), Text(1)),))
        outcome = judge("rotary_reference", case, family="qwen2_5_vl")
        assert outcome.verdict == "pass", outcome.message
