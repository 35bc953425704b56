"""Which images each token sees by cross attention."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

LAYOUTS: dict[str, tuple[list[int], list[int]]] = {
    # Token ids (9 is an image's) and the tiles of each image.
    "one": ([1, 9, 2, 3], [2]),
    "first": ([9, 1], [4]),
    "two": ([1, 9, 2, 9, 3, 4], [1, 3]),
    "neighbours": ([9, 9, 1], [2, 1]),
    "neighbours-then-one": ([1, 9, 9, 2, 9, 3], [1, 1, 2]),
    "last": ([1, 2, 9], [1]),
}


def _ours(ids: Sequence[int], tiles: Sequence[int]) -> list[list[list[int]]]:
    import torch

    from fuzz.worker.crossing import seen_images
    from fuzz.worker.placing import IMAGE, Placed

    images = []
    for count in tiles:
        used = torch.tensor([[1] * count + [0] * (4 - count)])
        images.append(Placed((9,), (IMAGE,), (0, 1), {"aspect_ratio_mask": used}))
    places = [n for n, i in enumerate(ids) if i == 9]
    mask = seen_images([images], [places], len(ids))
    assert mask is not None
    result: list[list[list[int]]] = mask[0].tolist()
    return result


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_mask_is_the_one_that_the_family_s_processor_makes(name: str):
    from transformers.models.mllama.processing_mllama import (
        convert_sparse_cross_attention_mask_to_dense,
        get_cross_attention_token_mask,
    )

    ids, tiles = LAYOUTS[name]
    sparse = get_cross_attention_token_mask(ids, 9)
    dense = convert_sparse_cross_attention_mask_to_dense([sparse], [tiles], 4, len(ids))
    assert _ours(ids, tiles) == dense[0].tolist()


def test_an_image_is_seen_from_its_token_up_to_the_next_one():
    first, second = [1, 0, 0, 0], [1, 1, 1, 0]
    none = [0, 0, 0, 0]
    assert _ours([1, 9, 2, 9, 3], [1, 3]) == [
        [none, none],
        [first, none],
        [first, none],
        [none, second],
        [none, second],
    ]


def test_text_alone_has_no_mask():
    from fuzz.worker.crossing import seen_images

    assert seen_images([[], []], [[], []], 5) is None
