"""How images become tokens and tensors in families that do it otherwise than by a grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from fuzz.verdict import Outcome
from strategies.case import Case, Image, Text

if TYPE_CHECKING:
    from fuzz.worker.inputs import Batch
    from fuzz.worker.subject import Subject

Subjects = Callable[..., "Subject"]

SMALL, WIDE = Image(40, 40), Image(112, 28)


def _batch(subject: Subject, *rows: tuple[Any, ...], **given: Any) -> Batch:
    from fuzz.worker import calls

    return calls.batch_of(subject, Case(rows=rows, **given))


def test_every_image_becomes_as_many_tokens_where_the_size_is_fixed(subject_of: Subjects) -> None:
    """LLaVA 1.5: 4 x 4 patches, no markers."""
    batch = _batch(subject_of(family="llava"), (SMALL,), (WIDE,))
    assert [p.spans for p in batch.prompts] == [((0, 16),), ((0, 16),)]
    assert tuple(batch.tensors["pixel_values"].shape) == (2, 3, 56, 56)


def test_images_of_two_sizes_are_filled_up_and_their_sizes_told(subject_of: Subjects) -> None:
    """Mistral Small 3.1: 2 x 2 and 1 x 4 merged cells, a text token after each line."""
    batch = _batch(subject_of(family="mistral3"), (SMALL, WIDE))
    assert batch.tensors["image_sizes"].tolist() == [[56, 56], [28, 112]]
    assert tuple(batch.tensors["pixel_values"].shape) == (2, 3, 56, 112)
    assert not bool(batch.tensors["pixel_values"][0, :, :, 56:].any())
    assert batch.prompts[0].types == (1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0)


def test_images_stand_row_by_row_where_the_model_takes_them_so(subject_of: Subjects) -> None:
    """Idefics3: a row of text among rows with images has tiles of zeros."""
    batch = _batch(subject_of(family="idefics3"), (Text(3),), (SMALL, WIDE))
    tiles, mask = batch.tensors["pixel_values"], batch.tensors["pixel_attention_mask"]
    assert tiles.shape[:2] == mask.shape[:2]
    assert len(tiles) == 2
    assert not bool(tiles[0].any())
    placeholders = int((batch.input_ids == 155).sum())
    assert placeholders == 4 * int(mask.flatten(2).any(-1).sum())


def test_tiles_follow_the_shape_and_their_borders_are_cut_off(subject_of: Subjects) -> None:
    """LLaVA-OneVision: 2 x 2 patches a tile and a line break after each line.

    112 x 28 fits best into tiles of 56 x 28, where it is 56 x 14: of two lines, one is border;
    a border is cut off in equal parts above and below, and half a line cannot be.
    """
    batch = _batch(subject_of(family="llava_onevision"), (Image(56, 56),), (WIDE,))
    assert [sum(p.types) for p in batch.prompts] == [4 + 4 * (4 + 1), 4 + 2 * (4 + 1)]


def test_gemma_is_told_which_tokens_are_an_image(subject_of: Subjects) -> None:
    """Padding, text and markers are 0, as the processor has them."""
    batch = _batch(subject_of(family="gemma3"), (Text(1), SMALL), (Text(9),))
    assert batch.columns["token_type_ids"].tolist()[0] == [0] * 4 + [1] * 4 + [0]


def test_a_prefix_is_fed_whole(subject_of: Subjects) -> None:
    """However a case cuts it, PaliGemma's prompt sees itself as a whole."""
    from fuzz.worker import calls
    from fuzz.worker.feed import feed_of

    case = Case(rows=((Text(9),),), chunks=(2, 3), decode=2)
    assert feed_of(case, calls.batch_of(subject_of(family="qwen2"), case)).pieces[0] == (0, 2)
    fed = feed_of(case, calls.batch_of(subject_of(family="paligemma"), case))
    assert (fed.pieces, fed.cache) == (((0, 9),), "dynamic")


def test_rows_and_columns_of_a_pixtral_tower_are_told_apart(
    judge: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, subject_of: Subjects
) -> None:
    """The tower's own rotary embedding is held to the paper's rule."""
    from fuzz.worker import release
    from fuzz.worker.subject import model_of

    case = Case(rows=((WIDE, Text(2)), (SMALL,)))
    assert judge("rotary_reference", case, family="mistral3").verdict == "pass"
    subject = subject_of(family="mistral3")
    model = model_of(subject)
    tower = next(m for m in model.modules() if hasattr(m, "patch_positional_embedding"))
    rotary = tower.patch_positional_embedding
    compute = rotary.forward
    monkeypatch.setattr(rotary, "forward", lambda x, ids: compute(x, ids.flip(-1)))
    outcome = judge("rotary_reference", case, family="mistral3")
    assert release.rotary_images(model) is not None
    assert outcome.failed
    assert outcome.message.startswith("vision rotation")
